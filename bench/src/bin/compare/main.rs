//! The runner: starts each server on one core and the generator on another, takes turns between the
//! servers, and sets the medians beside the goals, as a table and as a plot.
//!
//! It judges nothing by time: a slow machine gives other figures, never a failure.
#![forbid(unsafe_code)]

mod figures;
mod generator;
mod machine;
mod plan;
mod plot;
mod report;
mod scenario;
mod server;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use sockhop_bench::limits;

use crate::figures::Row;
use crate::machine::Cores;
use crate::plan::Plan;
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::{Contender, Server};

/// Compares sockhop with bare servers on the same libraries, and with sockjs-node on request.
#[derive(Parser)]
struct Options {
    /// The sockhop binary [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    sockhop: Option<PathBuf>,
    /// Measure the bare servers (and the peers asked for) only.
    #[arg(long, conflicts_with = "sockhop")]
    without_sockhop: bool,
    /// Measure sockjs-node as well (after `npm ci` in its folder).
    #[arg(long)]
    sockjs_node: bool,
    /// Folder of the sockjs-node server.
    #[arg(long, value_name = "DIR", default_value = "bench/peers/sockjs-node")]
    sockjs_node_dir: PathBuf,
    /// Measure only this scenario; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = scenario::by_name)]
    only: Vec<&'static Scenario>,
    /// Write RESULTS.md and results.svg into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: plan::Overrides,
    #[command(flatten)]
    cores: machine::CoreChoice,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    limits::allow_open_files(12_000)?;
    tokio::select! {
        done = compare(&options) => done,
        // Leaving this future drops the servers, which kills them.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn compare(options: &Options) -> anyhow::Result<()> {
    let plan = options.plan.plan();
    let cores = options.cores.choose()?;
    let contenders = contenders(options)?;
    let chosen: Vec<_> =
        SCENARIOS.iter().filter(|scenario| options.only.is_empty() || options.only.contains(scenario)).collect();
    let mut rows = Vec::new();
    for scenario in chosen {
        rows.push(measure(scenario, &contenders, &plan, &cores).await?);
    }
    let text = report::markdown(&rows, &plan, &machine::description());
    println!("{text}");
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (name, content) in [("RESULTS.md", text), ("results.svg", plot::svg(&rows))] {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("written: {}", path.display());
        }
    }
    Ok(())
}

fn contenders(options: &Options) -> anyhow::Result<Vec<Contender>> {
    let mut contenders = vec![Contender::Bare];
    if !options.without_sockhop {
        let path = match &options.sockhop {
            Some(path) => path.clone(),
            None => generator::beside("sockhop")?,
        };
        ensure!(
            path.is_file(),
            "there is no sockhop at {}; build it (`cargo build --release`), give --sockhop PATH, or measure \
             --without-sockhop",
            path.display()
        );
        contenders.push(Contender::Sockhop(path));
    }
    if options.sockjs_node {
        let folder = &options.sockjs_node_dir;
        ensure!(
            folder.join("node_modules").is_dir(),
            "sockjs-node is not installed; run `npm ci --prefix {}`",
            folder.display()
        );
        contenders.push(Contender::SockjsNode(folder.clone()));
    }
    Ok(contenders)
}

/// One scenario: the contenders take turns, a fresh server each time.
async fn measure(
    scenario: &'static Scenario,
    contenders: &[Contender],
    plan: &Plan,
    cores: &Cores,
) -> anyhow::Result<Row> {
    let mut row = Row::new(scenario);
    for round in 0..plan.rounds(scenario) {
        for contender in contenders {
            if round >= plan.rounds_of(contender, scenario) {
                continue;
            }
            let record = one_run(scenario, contender, plan, cores)
                .await
                .with_context(|| format!("{}, {}", scenario.name, contender.name()))?;
            let figure = row.add(contender, record)?;
            eprintln!("{:20} round {} {:12} {figure}", scenario.name, round + 1, contender.name());
        }
    }
    Ok(row)
}

async fn one_run(
    scenario: &Scenario,
    contender: &Contender,
    plan: &Plan,
    cores: &Cores,
) -> anyhow::Result<sockhop_bench::record::Record> {
    let server = cores.on_server_core(|| Server::start(contender, scenario))?.ready().await?;
    let load = generator::command(scenario, contender, &server, plan)?;
    let record = generator::run(cores.on_generator_core(|| generator::start(load))?).await?;
    server.stop().await?;
    Ok(record)
}
