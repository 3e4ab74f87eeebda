//! One run of the load generator.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use sockhop_bench::record::Record;
use tokio::process::{Child, Command};

use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::server::{Contender, Server};

/// The generator's command for one run against `server`.
///
/// # Errors
/// When the generator is not beside this program.
pub(crate) fn command(
    scenario: &Scenario,
    contender: &Contender,
    server: &Server,
    plan: &Plan,
) -> anyhow::Result<Command> {
    let dialect = match contender {
        Contender::Bare => "plain",
        Contender::Sockhop(_) | Contender::SockjsNode(_) => "sockjs",
    };
    let mut command = Command::new(sibling("load")?);
    command
        .arg(scenario.load)
        .args(["--url", &format!("{}{}", server.origin, scenario.service)])
        .args(["--server-pid", &server.pid.to_string()])
        .args(["--dialect", dialect])
        .args(["--sessions", &plan.sessions(scenario).to_string()])
        .args(["--in-flight", &scenario.in_flight.to_string()])
        .args(["--warm-up", &plan.warm_up.to_string()])
        .args(["--duration", &plan.duration.to_string()]);
    Ok(command)
}

/// Starts the generator; dropping it kills it.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn start(mut command: Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the load generator")
}

/// Waits for the generator, which ends by itself within two minutes, and reads its record.
///
/// # Errors
/// When it fails: a message was lost, or the server went away.
pub(crate) async fn run(generator: Child) -> anyhow::Result<Record> {
    output(generator).await?.trim().parse()
}

/// Waits for a program and gives what it printed.
///
/// # Errors
/// When it fails.
pub(crate) async fn output(program: Child) -> anyhow::Result<String> {
    let output = program.wait_with_output().await?;
    ensure!(output.status.success(), "the load generator failed");
    String::from_utf8(output.stdout).context("the load generator's record")
}

/// A program of this package, built into the same folder.
///
/// # Errors
/// When it is not there.
pub(crate) fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = beside(name)?;
    ensure!(
        path.is_file(),
        "{} is missing; build the whole package (`cargo build --release -p sockhop-bench`)",
        path.display()
    );
    Ok(path)
}

/// Where a program of this name would be, had it been built into the same folder.
///
/// # Errors
/// When this program does not know where it is.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe().context("finding this program")?.with_file_name(name))
}
