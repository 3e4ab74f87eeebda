//! Figures of sockhop beside others of the same round: of what goes through Redis, and of STOMP.

mod figures;
mod measure;
mod scenario;
mod server;
mod yardstick;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use self::figures::Row;
use self::measure::Bench;
pub(crate) use self::scenario::{REDIS, STOMP};
use self::scenario::{Scenario, Suite};
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
    /// Write the figures into their part of RESULTS.md in this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: plan::Overrides,
    #[command(flatten)]
    cores: machine::CoreChoice,
}

/// Runs all scenarios of a suite, round by round, and tells the figures.
///
/// # Errors
/// When a program is missing or fails, or a message is lost.
pub(crate) async fn compare(suite: &Suite, options: &Options) -> anyhow::Result<()> {
    for Scenario { name, .. } in &options.only {
        let is_here = suite.scenarios.iter().any(|each| each.name == *name);
        ensure!(is_here, "{name} is none of the scenarios of {}", suite.name);
    }
    let plan = options.plan.plan();
    let cores = options.cores.choose()?;
    let bench = Bench { sockhop: options.sockhop.as_deref(), plan: &plan, cores: &cores };
    let mut rows = Vec::new();
    for scenario in suite.scenarios.iter().filter(|each| options.only.is_empty() || options.only.contains(each)) {
        rows.extend(measure(&bench, scenario).await?);
    }
    let known = match &options.out {
        Some(folder) => fs::read_to_string(folder.join(report::FILE)).unwrap_or_default(),
        None => String::new(),
    };
    let text = figures::markdown(suite, &rows, &known, &plan, &machine::description());
    println!("{text}");
    if let Some(folder) = &options.out {
        crate::write(folder, report::FILE, &report::with_part(&known, suite.title, &text))?;
    }
    Ok(())
}

/// One scenario: yardstick and sockhop take turns, everything fresh each time.
async fn measure(bench: &Bench<'_>, scenario: &'static Scenario) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = scenario.rows.iter().map(Row::new).collect();
    for round in 1..=scenario.rounds(bench.plan) {
        let context = || format!("{}, round {round}", scenario.name);
        let outcome = bench.run(scenario.kind).await.with_context(context)?;
        for (row, outcome) in rows.iter_mut().zip(outcome) {
            eprintln!("{:12} round {round} {}", scenario.name, row.add(outcome));
        }
    }
    Ok(rows)
}
