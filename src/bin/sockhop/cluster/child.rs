//! Programs that are started here, and end with what holds them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{ChildStderr, Command};

/// A running program; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    /// Where it says what is wrong, if not here.
    log: Option<PathBuf>,
    pid: u32,
    child: tokio::process::Child,
}

/// A command for a program that is found in the path, or where systems keep servers.
pub(super) fn program(name: &str, package: &str) -> anyhow::Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found
        .map(Command::new)
        .ok_or_else(|| anyhow!("there is no {name} in the path: install it, as Debian's package {package} does"))
}

/// The process group of all that is started here. It is killed when its holder goes, however that comes about.
#[derive(Debug)]
pub(super) struct Group {
    /// A shell that waits for the end of what is never written to it: the system closes the pipe when we are gone.
    guard: tokio::process::Child,
    id: i32,
}

impl Group {
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read -r _; kill -9 0"]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = command.spawn().context("could not start a shell")?;
        let id = guard.id().and_then(|id| i32::try_from(id).ok()).context("the shell ended at once")?;
        Ok(Self { guard, id })
    }

    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// Kills what is left of it.
    pub(super) async fn end(mut self) {
        drop(self.guard.stdin.take());
        // It has killed itself, too.
        let _ = self.guard.wait().await;
    }
}

impl Child {
    /// Starts a command in a group; what it says on stderr is handed on under its name.
    pub(super) fn start(
        name: &str,
        mut command: Command,
        group: i32,
        log: impl Into<Option<PathBuf>>,
    ) -> anyhow::Result<Self> {
        let program: OsString = command.as_std().get_program().to_owned();
        // Not our own group: Ctrl-C in a terminal is for us, and we end the parts in order.
        command.process_group(group).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let pid = child.id().context("it ended at once")?;
        if let Some(said) = child.stderr.take() {
            // Ends with the program, which closes the pipe.
            tokio::spawn(hand_on(name.to_owned(), said));
        }
        Ok(Self { name: name.to_owned(), log: log.into(), pid, child })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, and says how that came.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => described(status),
            Err(error) => format!("is lost: {error}"),
        }
    }

    /// Waits for an end that was not asked for: what there is to say of it, with the last of its log.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        let how = self.ended().await;
        let log = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        anyhow!("{} {how}\n{last}", self.name)
    }

    /// Waits until it accepts connections.
    pub(super) async fn listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let accepts = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            biased;
            failure = self.failed() => Err(failure),
            () = accepts => Ok(()),
        }
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // It may just have ended.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may just have ended.
        let _ = self.child.start_kill();
    }

    /// Asks it to end, kills it if it takes too long, and says how it ended.
    pub(super) async fn end(&mut self, patience: Duration) -> String {
        self.terminate();
        if let Ok(how) = tokio::time::timeout(patience, self.ended()).await {
            return how;
        }
        tracing::warn!(program = self.name, "did not end in time and is killed");
        self.kill();
        self.ended().await
    }
}

fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended in order".to_owned(),
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Hands on the lines of a program, each under its name.
async fn hand_on(name: String, said: ChildStderr) {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        use std::io::Write;
        // Nobody may be reading any more.
        let _ = writeln!(std::io::stderr(), "{name} | {line}");
    }
}

/// How much of a log an error message shows.
const LAST_LINES: usize = 10;
/// How often a program that starts is tried.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
