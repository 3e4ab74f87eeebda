//! Lists that an application's own programs share with the nodes: workers pop from some, nodes drain others.
//!
//! All keys of a list share its hash tag: beside the list itself the ids of what was appended lately, who drains it, and
//! what was refused.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::keys::slot_of;
use super::reply::Reply;
use super::run::{Failure, Runner};
use super::script::{self, Argument};
use super::servers::Servers;
use super::url::{InvalidStoreUrl, StoreUrl};
use super::{RedisStore, StoreError};
use crate::id::NodeId;

/// Access to lists in a Redis. Cloning is cheap.
#[derive(Clone)]
pub struct RedisLists {
    runner: Arc<Runner>,
}

impl std::fmt::Debug for RedisLists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLists").field("url", &self.runner.servers.url().to_string()).finish()
    }
}

/// The key of a list: 1 to 256 bytes without control characters. In a Redis Cluster what is between braces decides which
/// server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListName(String);

/// A text is no name of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no list's name: it has 1 to 256 bytes without control characters, and braces only around a part of it, as \
     in sockhop:{{publish}}"
)]
pub struct InvalidListName(String);

impl std::str::FromStr for ListName {
    type Err = InvalidListName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let fits = (1..=256).contains(&name.len()) && !name.chars().any(char::is_control);
        let braces: String = name.chars().filter(|letter| matches!(letter, '{' | '}')).collect();
        let has_tag = matches!((name.find('{'), name.find('}')), (Some(open), Some(close)) if open + 1 < close);
        if fits && (braces.is_empty() || braces == "{}" && has_tag) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidListName(name.chars().take(80).collect()))
        }
    }
}

impl std::fmt::Display for ListName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl ListName {
    /// A key beside the list, in its slot.
    fn beside(&self, kind: &str) -> String {
        if self.0.contains('{') { format!("{}:{kind}", self.0) } else { format!("{{{}}}:{kind}", self.0) }
    }

    fn slot(&self) -> u16 {
        let tag = self.0.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        slot_of(tag.map_or(&self.0, |(tag, _)| tag))
    }
}

/// What became of an item for workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the list, or was before.
    There,
    /// There are as many as there may be.
    Full,
}

/// An item was not, or perhaps not, appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    Refused(StoreError),
    Unknown(StoreError),
}

/// The oldest items of a list.
#[derive(Debug)]
pub(crate) enum Taken {
    /// For the node that asked, which drains the list now. The oldest first.
    Ours(Vec<Vec<u8>>),
    /// Another node drains it, for so long at least.
    Others(Duration),
}

/// How long ids of items for workers are remembered, and how many.
const REMEMBER: Duration = Duration::from_secs(600);
const MOST_IDS: usize = 200_000;
/// Items that are taken at once, and bytes of them.
const MOST_TAKEN: usize = 128;
const MOST_TAKEN_BYTES: usize = 1024 * 1024;
/// Refused items that are kept.
const MOST_REFUSED: usize = 1000;

impl RedisLists {
    /// Lists at another URL than the store's; see [`RedisStore::builder`].
    ///
    /// # Errors
    /// The text is no such URL.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(url: &str) -> Result<Self, InvalidStoreUrl> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start(StoreUrl::parse(url)?, Duration::from_secs(2));
        Ok(Self { runner: Arc::new(Runner { servers, patience: Duration::from_secs(5) }) })
    }

    /// Whether a text is a URL that can be [connected](Self::connect) to.
    ///
    /// # Errors
    /// It is not.
    pub fn check(url: &str) -> Result<(), InvalidStoreUrl> {
        StoreUrl::parse(url).map(drop)
    }

    /// Appends an item for workers, unless one of its id was lately.
    pub(crate) async fn append(
        &self,
        list: &ListName,
        id: &str,
        item: &[u8],
        most: usize,
    ) -> Result<Appended, AppendError> {
        let keys = [list.0.clone(), list.beside("ids")];
        let remember = REMEMBER.as_millis() as u64;
        let arguments = script::arguments![id, item, most, remember, MOST_IDS];
        match self.runner.run_plain(list.slot(), &script::APPEND, &keys, &arguments).await {
            Ok(Value::Int(1)) => Ok(Appended::There),
            Ok(_) => Ok(Appended::Full),
            Err(Failure::Unknown(error)) => Err(AppendError::Unknown(error)),
            Err(Failure::Refused(error) | Failure::Denied(error)) => Err(AppendError::Refused(error)),
        }
    }

    /// The oldest items, if no other node drains the list. They stay in it until they are [`done`](Self::done), under the
    /// same token.
    pub(crate) async fn take(
        &self,
        list: &ListName,
        node: NodeId,
        token: u64,
        lease: Duration,
    ) -> Result<Taken, StoreError> {
        let keys = [list.0.clone(), list.beside("drainer")];
        let (node, token) = (node.to_bytes(), token.to_be_bytes());
        let arguments = script::arguments![&node, &token, lease.as_millis() as u64, MOST_TAKEN, MOST_TAKEN_BYTES];
        let answer = self.runner.run_plain(list.slot(), &script::TAKE, &keys, &arguments).await?;
        let mut reply = Reply::new(script::TAKE.operation, answer)?;
        match reply.number()? {
            0 => Ok(Taken::Others(Duration::from_millis(reply.count()?))),
            _ => {
                let (mut items, mut taken) = (reply.list()?, Vec::new());
                while items.has_more() {
                    taken.push(items.bytes()?);
                }
                Ok(Taken::Ours(taken))
            }
        }
    }

    /// Removes so many of the oldest items, and keeps what was refused; whether it did. Nothing happens if the list was
    /// taken again since this token's take.
    pub(crate) async fn done(
        &self,
        list: &ListName,
        node: NodeId,
        token: u64,
        count: usize,
        refused: &[Vec<u8>],
    ) -> Result<bool, StoreError> {
        let keys = [list.0.clone(), list.beside("drainer"), list.beside("refused")];
        let (node, token) = (node.to_bytes(), token.to_be_bytes());
        let mut arguments = script::arguments![&node, &token, count, MOST_REFUSED].to_vec();
        arguments.extend(refused.iter().map(|item| Argument::Bytes(item)));
        let answer = self.runner.run_plain(list.slot(), &script::DONE, &keys, &arguments).await?;
        Ok(answer == Value::Int(1))
    }

    /// The node goes on draining the list.
    pub(crate) async fn renew(&self, list: &ListName, node: NodeId, lease: Duration) -> Result<(), StoreError> {
        let (keys, node) = ([list.beside("drainer")], node.to_bytes());
        let arguments = script::arguments![&node, lease.as_millis() as u64];
        self.runner.run_plain(list.slot(), &script::STAY, &keys, &arguments).await?;
        Ok(())
    }

    /// The node drains the list no more.
    pub(crate) async fn leave(&self, list: &ListName, node: NodeId) {
        let (keys, node) = ([list.beside("drainer")], node.to_bytes());
        if let Err(failure) =
            self.runner.run_plain(list.slot(), &script::YIELD, &keys, &script::arguments![&node]).await
        {
            tracing::debug!(error = %StoreError::from(failure), "a list's drainer could not say that it ends");
        }
    }

    /// Waits until there may be items in a list, on a connection of its own.
    pub(crate) async fn wait(&self, list: &ListName, connection: &mut Option<Waiting>) -> Result<(), StoreError> {
        let failed = |reason: String| StoreError { operation: "wait for a list", reason };
        let servers = &self.runner.servers;
        if connection.is_none() {
            // Reachable at all: otherwise this says why not.
            let deadline = Instant::now() + self.runner.patience;
            servers.link(list.slot(), deadline).await.map_err(|unusable| failed(unusable.to_string()))?;
            let server = servers.map().server(list.slot()).cloned();
            let server = server.ok_or_else(|| failed("no server has its slot".to_owned()))?;
            let opened = servers.connect(&server, |_| Ok(())).await;
            *connection = Some(Waiting(opened.map_err(|error| failed(error.to_string()))?));
        }
        let Some(Waiting(open)) = connection else { return Ok(()) };
        // The last item to its own place: this waits for one, and changes nothing.
        let mut command = redis::cmd("BLMOVE");
        command.arg(&list.0).arg(&list.0).arg("RIGHT").arg("RIGHT").arg(servers.timeout().as_secs_f64() / 2.0);
        let waited: Result<Value, _> = open.send_packed_command(&command).await;
        match waited.and_then(Value::extract_error) {
            Ok(_) => Ok(()),
            Err(error) => {
                *connection = None;
                Err(failed(error.to_string()))
            }
        }
    }
}

/// A connection that waits for a list.
pub(crate) struct Waiting(redis::aio::MultiplexedConnection);

impl RedisStore {
    /// Lists in the store's own servers.
    #[must_use]
    pub fn lists(&self) -> RedisLists {
        let Runner { servers, patience } = &self.inner.runner;
        RedisLists { runner: Arc::new(Runner { servers: Arc::clone(servers), patience: *patience }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_list_share_its_slot() {
        for (name, beside, slot) in [
            ("publish", "{publish}:ids", slot_of("publish")),
            ("sockhop:{publish}", "sockhop:{publish}:ids", slot_of("publish")),
            ("{a}b", "{a}b:ids", slot_of("a")),
        ] {
            let list: ListName = name.parse().unwrap();
            assert_eq!((list.beside("ids").as_str(), list.slot()), (beside, slot));
        }
        for wrong in ["", "a\nb", "{}", "a}b{c", "{a}{b}", "a{", "{{a}}", &"x".repeat(257)] {
            assert!(wrong.parse::<ListName>().is_err(), "{wrong}");
        }
    }
}
