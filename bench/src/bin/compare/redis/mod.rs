//! What goes through Redis, beside what could do without: one node with its store in memory, and Redis alone.

mod figures;
mod measure;
mod scenario;
mod server;
mod yardstick;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use self::figures::Row;
use self::measure::Bench;
use self::scenario::{SCENARIOS, Scenario};
use crate::{machine, plan, report};

/// How to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// The sockhop binary [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    sockhop: Option<PathBuf>,
    /// Measure only this scenario; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = scenario::by_name)]
    only: Vec<&'static Scenario>,
    /// Write the figures into RESULTS.md in this folder, behind those of one node.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: plan::Overrides,
    #[command(flatten)]
    cores: machine::CoreChoice,
}

/// Runs all scenarios, round by round, and tells the figures.
///
/// # Errors
/// When a program is missing or fails, or a message is lost.
pub(crate) async fn compare(options: &Options) -> anyhow::Result<()> {
    let plan = options.plan.plan();
    let cores = options.cores.choose()?;
    let bench = Bench { sockhop: options.sockhop.as_deref(), plan: &plan, cores: &cores };
    let mut rows = Vec::new();
    for scenario in SCENARIOS.iter().filter(|each| options.only.is_empty() || options.only.contains(each)) {
        rows.extend(measure(&bench, scenario).await?);
    }
    let text = figures::markdown(&rows, &plan, &machine::description());
    println!("{text}");
    if let Some(folder) = &options.out {
        let known = fs::read_to_string(folder.join(report::FILE)).unwrap_or_default();
        crate::write(folder, report::FILE, &report::with_second_part(&known, &text))?;
    }
    Ok(())
}

/// One scenario: yardstick and sockhop take turns, everything fresh each time.
async fn measure(bench: &Bench<'_>, scenario: &'static Scenario) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = scenario.rows.iter().map(Row::new).collect();
    for round in 1..=bench.plan.rounds {
        let context = || format!("{}, round {round}", scenario.name);
        let outcome = bench.run(scenario.kind).await.with_context(context)?;
        for (row, outcome) in rows.iter_mut().zip(outcome) {
            eprintln!("{:12} round {round} {outcome}", scenario.name);
            row.add(outcome);
        }
    }
    Ok(rows)
}
