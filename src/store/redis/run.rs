//! Runs scripts: on the right server, again where that is safe, and never longer than patience lasts.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::Instant;

use super::link::{Link, Unusable, reason};
use super::script::{Argument, Script};
use super::servers::{Place, Servers, pause};
use super::url::Host;
use crate::store::StoreError;

/// Runs scripts on the servers of a store.
pub(super) struct Runner {
    pub(super) servers: Arc<Servers>,
    /// How long an operation is tried.
    pub(super) patience: Duration,
}

/// Why a script has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It has not run.
    Refused(StoreError),
    /// It may have run.
    Unknown(StoreError),
    /// It has not run, and will not as long as the server or the key is what it is.
    Denied(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Unknown(error) | Failure::Denied(error) => error,
        }
    }
}

/// What to do about an error.
enum Verdict {
    /// It has not run; another server has the slot, or will have.
    Elsewhere,
    /// It has not run; the server that imports the slot has it.
    Ask(Host),
    /// It has not run: the server lacks the scripts.
    Load,
    /// It may have run, and the connection is of no use any more.
    Lost,
    /// The server says no.
    No,
}

impl Runner {
    /// Runs a script. The command is made anew for each attempt, and may depend on the connection that it goes out on.
    ///
    /// Each script knows its own repetition by a token or a number in it: that is what makes trying again safe.
    pub(super) async fn run(
        &self,
        slot: u16,
        script: &Script,
        command: impl Fn(&Link) -> Cmd,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + self.patience;
        let mut attempt = 0;
        let mut may_have_run = false;
        let fail = |reason: String, may_have_run: bool| {
            let error = StoreError { operation: script.operation, reason: format!("{}: {reason}", script.kind) };
            if may_have_run { Failure::Unknown(error) } else { Failure::Refused(error) }
        };
        loop {
            let link = match self.servers.link(slot, deadline).await {
                Ok(link) => link,
                Err(unusable) => return Err(fail(unusable.to_string(), may_have_run)),
            };
            let mut answer = link.send(command(&link)).await;
            if let Err(error) = &answer
                && let Verdict::Ask(host) = verdict(error)
            {
                answer = self.ask(host, &command).await.unwrap_or(answer);
            }
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match verdict(&error) {
                Verdict::Load => {
                    // The server has lost its scripts, so it is another one, or was flushed: a new connection tells.
                    link.closed.cancel();
                }
                Verdict::Elsewhere | Verdict::Ask(_) => {
                    if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                        link.closed.cancel();
                    }
                    self.servers.doubt();
                }
                Verdict::Lost => may_have_run = true,
                Verdict::No if may_have_run => return Err(fail(reason(&error), true)),
                Verdict::No => {
                    let reason = format!("{}: {}", script.kind, reason(&error));
                    return Err(Failure::Denied(StoreError { operation: script.operation, reason }));
                }
            }
            // A lost connection is waited for anyway.
            let wait = pause(if link.closed.is_cancelled() { 0 } else { attempt });
            attempt += 1;
            if Instant::now() + wait >= deadline {
                return Err(fail(reason(&error), may_have_run));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Runs a script whose command is the same on every connection.
    pub(super) async fn run_plain(
        &self,
        slot: u16,
        script: &Script,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Result<Value, Failure> {
        self.run(slot, script, |_| script.command(keys, arguments)).await
    }

    /// Asks the server that imports a slot.
    async fn ask(&self, host: Host, command: impl Fn(&Link) -> Cmd) -> Option<Result<Value, RedisError>> {
        let map = self.servers.map();
        let place = Place::At(host);
        let link = map.servers().into_iter().find(|server| server.place == place)?.link()?;
        let mut asking = redis::pipe();
        asking.cmd("ASKING").add_command(command(&link));
        Some(link.send_all(&asking, 2).await.and_then(|mut answers| match answers.pop() {
            Some(Value::ServerError(error)) => Err(error.into()),
            Some(value) => Ok(value),
            None => Err(RedisError::from((ErrorKind::UnexpectedReturnType, "no answer"))),
        }))
    }

    /// Sends a command once; why it failed, if it did.
    pub(super) async fn once(&self, slot: u16, command: Cmd) -> Option<String> {
        match self.servers.link(slot, Instant::now() + self.servers.timeout()).await {
            Ok(link) => link.send(command).await.err().map(|error| reason(&error)),
            Err(unusable) => Some(unusable.to_string()),
        }
    }

    /// Sends a command whose answer nobody waits for: a hint.
    pub(super) async fn hint(&self, slot: u16, command: Cmd) {
        let deadline = Instant::now() + self.servers.timeout();
        if let Ok(link) = self.servers.link(slot, deadline).await {
            link.drop_in(command);
        }
    }

    /// What stands in the way of the store, as an error of start-up.
    pub(super) fn hopeless(&self) -> Option<StoreError> {
        match self.servers.trouble()? {
            Unusable::Ever(reason) => {
                Some(StoreError { operation: "start", reason: format!("{}: {reason}", self.servers.url()) })
            }
            Unusable::Yet(_) => None,
        }
    }
}

fn verdict(error: &RedisError) -> Verdict {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => Verdict::Load,
        ErrorKind::Server(ServerErrorKind::Ask) => match error.redirect_node() {
            Some((address, _)) => match address
                .rsplit_once(':')
                .and_then(|(name, port)| Some(Host { name: name.to_owned(), port: port.parse().ok()? }))
            {
                Some(host) => Verdict::Ask(host),
                None => Verdict::Elsewhere,
            },
            None => Verdict::Elsewhere,
        },
        ErrorKind::Server(
            ServerErrorKind::Moved
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::BusyLoading,
        ) => Verdict::Elsewhere,
        ErrorKind::Server(_) | ErrorKind::Extension => Verdict::No,
        _ if error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error() => Verdict::Lost,
        _ => Verdict::No,
    }
}
