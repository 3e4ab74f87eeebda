//! The servers that are compared: how each is started, found and stopped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::generator;
use crate::scenario::Scenario;

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(15);

/// How long a server may take to end when it is asked to.
const STOP: Duration = Duration::from_secs(20);

/// A kind of server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contender {
    /// The bare server of the scenario.
    Bare,
    /// This sockhop binary.
    Sockhop(PathBuf),
    /// sockjs-node in this folder.
    SockjsNode(PathBuf),
}

impl Contender {
    /// Name in tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Sockhop(_) => "sockhop",
            Self::SockjsNode(_) => "sockjs-node",
        }
    }

    /// The command that starts it for `scenario`.
    ///
    /// # Errors
    /// When the bare server's program is not there.
    fn command(&self, scenario: &Scenario) -> anyhow::Result<Command> {
        Ok(match self {
            Self::Bare => {
                let mut command = Command::new(generator::sibling("bare")?);
                command.arg(scenario.bare);
                command
            }
            Self::Sockhop(path) => sockhop(path),
            Self::SockjsNode(folder) => {
                let mut command = Command::new("node");
                command.arg(folder.join("server.js"));
                command
            }
        })
    }
}

/// The command that starts a node with the services that are measured.
pub(crate) fn sockhop(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["serve", "--listen", "127.0.0.1:0", "--test-services"]);
    command.args(["--log-level", "error"]);
    command.args(["--service", "/bench=echo", "--service", "/fan=broadcast"]);
    command
}

/// A server that has been started; dropping it kills it.
pub(crate) struct Starting {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// A server that listens; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    /// Held open: a server that goes on printing must not find its output closed.
    _output: Lines<BufReader<ChildStdout>>,
    /// Process id.
    pub(crate) pid: u32,
    /// `http://address:port`
    pub(crate) origin: String,
}

impl Server {
    /// Starts `contender` for `scenario`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn start(contender: &Contender, scenario: &Scenario) -> anyhow::Result<Starting> {
        Self::run(contender.command(scenario)?).with_context(|| format!("starting {}", contender.name()))
    }

    /// Starts the server of a command that says where it listens.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn run(mut command: Command) -> anyhow::Result<Starting> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("the server's output is not piped")?;
        Ok(Starting { child, output: BufReader::new(output).lines() })
    }

    /// Asks the server to end and waits for it.
    ///
    /// # Errors
    /// When it is still there after a while; it is killed then.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        kill_process(pid.context("the server's process id")?, Signal::TERM).context("asking the server to end")?;
        timeout(STOP, self.child.wait())
            .await
            .with_context(|| format!("the server had not ended {STOP:?} after SIGTERM"))??;
        Ok(())
    }
}

impl Starting {
    /// Waits for the line that names the address.
    ///
    /// # Errors
    /// When it does not come in time, or the server ends.
    pub(crate) async fn ready(mut self) -> anyhow::Result<Server> {
        let origin = timeout(START, address(&mut self.output))
            .await
            .with_context(|| format!("the server had not said where it listens after {START:?}"))??;
        let pid = self.child.id().context("the server has ended")?;
        Ok(Server { child: self.child, _output: self.output, pid, origin })
    }
}

async fn address(output: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    while let Some(line) = output.next_line().await? {
        if let Some(origin) = origin(&line) {
            return Ok(origin.to_owned());
        }
    }
    anyhow::bail!("the server ended before it listened")
}

/// The address in `… listening on http://address:port/`.
fn origin(line: &str) -> Option<&str> {
    let (_, url) = line.split_once(" listening on ")?;
    let url = url.split_whitespace().next()?;
    url.starts_with("http://").then(|| url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_line_that_names_it() {
        let line = "sockhop 0.1.0 listening on http://127.0.0.1:4321/";
        assert_eq!(origin(line), Some("http://127.0.0.1:4321"));
        let more = "x listening on http://127.0.0.1:1/ (memory store)";
        assert_eq!(origin(more), Some("http://127.0.0.1:1"));
        assert_eq!(origin("open http://127.0.0.1:1/ in a browser"), None);
        assert_eq!(origin("listening on a socket"), None);
    }
}
