//! The runner: starts each server on one core and the generator on another, takes turns between the
//! servers, and sets the medians beside the goals, as a table and as a plot.
//!
//! It judges nothing by time: a slow machine gives other figures, never a failure.
#![forbid(unsafe_code)]

mod beside;
mod figures;
mod generator;
mod machine;
mod plan;
mod plot;
mod report;
mod scenario;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use sockhop_bench::limits;

use crate::figures::Row;
use crate::machine::Cores;
use crate::plan::Plan;
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::{Contender, Server};

/// Compares sockhop with bare servers on the same libraries, and with sockjs-node on request.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    bare: Bare,
}

#[derive(Subcommand)]
enum Other {
    /// Compares what goes through Redis with one node and with Redis alone.
    Redis(beside::Options),
    /// Compares STOMP with bare channels, and a hook with a bare POST.
    Stomp(beside::Options),
}

#[derive(Args)]
struct Bare {
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
    let comparison = async {
        match &options.other {
            Some(Other::Redis(options)) => beside::compare(&beside::REDIS, options).await,
            Some(Other::Stomp(options)) => beside::compare(&beside::STOMP, options).await,
            None => compare(&options.bare).await,
        }
    };
    tokio::select! {
        done = comparison => done,
        // Leaving this future drops the servers, which kills them.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn compare(options: &Bare) -> anyhow::Result<()> {
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
        let known = fs::read_to_string(folder.join(report::FILE)).unwrap_or_default();
        write(folder, report::FILE, &report::with_first_part(&known, &text))?;
        write(folder, "results.svg", &plot::svg(&rows))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, content: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

fn contenders(options: &Bare) -> anyhow::Result<Vec<Contender>> {
    let mut contenders = vec![Contender::Bare];
    if !options.without_sockhop {
        contenders.push(Contender::Sockhop(sockhop(options.sockhop.as_deref())?));
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

/// The sockhop binary: the one given, or the one beside this program.
fn sockhop(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => generator::beside("sockhop")?,
    };
    ensure!(
        path.is_file(),
        "there is no sockhop at {}; build it (`cargo build --release`), give --sockhop PATH, or measure the bare servers \
         --without-sockhop",
        path.display()
    );
    Ok(path)
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
