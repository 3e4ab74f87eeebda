//! Ready-made handlers: for trying things out, for the standard SockJS test services, and as examples.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::{PublishError, SubscribeError};
use crate::{AnchorError, AttributeError, ChannelName, CloseReason, Handler, Node, SendError, Session};

/// Sends each message back.
///
/// ```
/// use sockhop::{Node, Service, services::Echo};
///
/// # tokio_test::block_on(async {
/// let echo = Service::builder("/echo", Echo).build(&Node::new());
/// # let _ = echo;
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl Handler for Echo {
    async fn on_message(&self, session: &Session, message: String) {
        // Fails only if the session is over.
        let _ = session.send(message).await;
    }
}

/// Sends each message to all open sessions of the service, the sender's among them.
#[derive(Debug, Clone)]
pub struct Broadcast {
    node: Node,
    channel: ChannelName,
}

impl Broadcast {
    /// A broadcast through a channel of the node's store.
    #[must_use]
    pub fn new(node: &Node, channel: ChannelName) -> Self {
        Self { node: node.clone(), channel }
    }
}

impl Handler for Broadcast {
    async fn on_open(&self, session: &Session) {
        if let Err(error) = session.subscribe(&self.channel).await {
            tracing::debug!(%error, channel = %self.channel, "could not subscribe");
        }
    }

    async fn on_message(&self, _session: &Session, message: String) {
        if let Err(error) = self.node.publish(&self.channel, message).await {
            tracing::warn!(%error, channel = %self.channel, "could not publish");
        }
    }
}

/// Closes each session at once, with 3000 `Go away!`.
#[derive(Debug, Clone, Copy)]
pub struct Close;

impl Handler for Close {
    async fn on_open(&self, session: &Session) {
        let reason = CloseReason::new(3000, "Go away!").unwrap_or(CloseReason::NORMAL);
        if let Err(error) = session.close(reason).await {
            tracing::warn!(%error, "could not close a session");
        }
    }

    async fn on_message(&self, _session: &Session, _message: String) {}
}

/// Sends `tick!` once a second.
#[derive(Debug, Clone, Copy)]
pub struct Ticker;

impl Handler for Ticker {
    async fn on_open(&self, session: &Session) {
        let session = session.clone();
        // The task ends with its session: sending fails then.
        tokio::spawn(async move {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            seconds.tick().await;
            loop {
                seconds.tick().await;
                if session.send("tick!").await.is_err() {
                    break;
                }
            }
        });
    }

    async fn on_message(&self, _session: &Session, _message: String) {}
}

/// Takes a number n from 1 to 18 (1 if it is none) and sends 2ⁿ times `x`.
#[derive(Debug, Clone, Copy)]
pub struct Amplify;

impl Handler for Amplify {
    async fn on_message(&self, session: &Session, message: String) {
        let power = message.trim().parse().ok().filter(|power| (1..=18).contains(power)).unwrap_or(1);
        let _ = session.send("x".repeat(1 << power)).await;
    }
}

/// For accounts of what was lost, repeated or reordered: every call puts a stamp of its own, `NODE-NUMBER`, on what it
/// says, so that a message delivered twice differs from one that was handled twice.
///
/// | message | what the sender is told |
/// | --- | --- |
/// | `publish TEXT` | `accepted STAMP TEXT`, `refused STAMP TEXT` or `unknown STAMP TEXT`, when `published STAMP TEXT` was published to all sessions |
/// | `wait MS TEXT` | `begun STAMP TEXT` at once, and `told STAMP TEXT` after the milliseconds, 10 s at most |
/// | `anchor` | `told STAMP anchor`; the session, if it is a WebSocket's, is [anchored](Session::anchor) |
/// | `name NAME` | `told STAMP name NAME`; from then on the session's end is published as `left STAMP NAME CODE` |
/// | any other | `told STAMP TEXT` |
///
/// What a sender is told ends in `#ATTEMPT`. Whoever was told something is subscribed.
#[derive(Debug, Clone)]
pub struct Ledger {
    node: Node,
    channel: ChannelName,
    calls: Arc<AtomicU64>,
}

impl Ledger {
    /// A ledger through a channel of the node's store.
    #[must_use]
    pub fn new(node: &Node, channel: ChannelName) -> Self {
        Self { node: node.clone(), channel, calls: Arc::default() }
    }

    fn stamp(&self) -> String {
        format!("{}-{}", self.node.id(), self.calls.fetch_add(1, Ordering::Relaxed))
    }

    async fn publish(&self, text: String) -> &'static str {
        match self.node.publish(&self.channel, text).await {
            Ok(_) => "accepted",
            Err(PublishError::Refused(_) | PublishError::Full) => "refused",
            Err(PublishError::Unknown(_)) => "unknown",
        }
    }

    /// Tells the session, however often it takes. Each attempt is a message of its own, since one that failed may have
    /// arrived.
    async fn tell(&self, session: &Session, text: &str) {
        for attempt in 1..=ATTEMPTS {
            match session.send(format!("{text} #{attempt}")).await {
                Err(SendError::Store(_)) => tokio::time::sleep(PAUSE).await,
                Ok(()) | Err(SendError::Over | SendError::TooSlow) => return,
            }
        }
        give_up(session).await;
    }

    async fn anchor(&self, session: &Session) {
        for _ in 1..=ATTEMPTS {
            match session.anchor().await {
                Err(AnchorError::Store(_)) => tokio::time::sleep(PAUSE).await,
                Ok(()) | Err(AnchorError::Over) => return,
            }
        }
        give_up(session).await;
    }

    /// Keeps the client's name for `on_close`.
    async fn remember(&self, session: &Session, name: &str) {
        for _ in 1..=ATTEMPTS {
            match session.set_attribute(NAME, name).await {
                Err(AttributeError::Store(_)) => tokio::time::sleep(PAUSE).await,
                Ok(()) | Err(AttributeError::Over | AttributeError::TooLarge(_)) => return,
            }
        }
        give_up(session).await;
    }
}

/// How often an operation of the ledger is tried while the store cannot be reached.
const ATTEMPTS: u32 = 100;
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that a client can let a call take.
const LONGEST_WAIT: u64 = 10_000;
/// The attribute of a ledger's session that holds its client's name.
const NAME: &str = "name";

async fn give_up(session: &Session) {
    let reason = CloseReason::new(3001, "The ledger could not reach the store").unwrap_or(CloseReason::NORMAL);
    if let Err(error) = session.close(reason).await {
        tracing::warn!(%error, "could not close a session");
    }
}

impl Handler for Ledger {
    async fn on_open(&self, session: &Session) {
        for _ in 1..=ATTEMPTS {
            match session.subscribe(&self.channel).await {
                Err(SubscribeError::Store(_)) => tokio::time::sleep(PAUSE).await,
                Ok(()) | Err(SubscribeError::Over | SubscribeError::TooMany(_)) => return,
            }
        }
        give_up(session).await;
    }

    async fn on_message(&self, session: &Session, message: String) {
        let stamp = self.stamp();
        let (outcome, text) = match message.split_once(' ') {
            Some(("publish", text)) => (self.publish(format!("published {stamp} {text}")).await, text),
            Some(("name", name)) => {
                self.remember(session, name).await;
                ("told", &*message)
            }
            None if message == "anchor" => {
                self.anchor(session).await;
                ("told", &*message)
            }
            Some(("wait", order)) => {
                let (time, text) = order.split_once(' ').unwrap_or(("0", order));
                self.tell(session, &format!("begun {stamp} {text}")).await;
                let time = time.parse().unwrap_or(0).min(LONGEST_WAIT);
                tokio::time::sleep(Duration::from_millis(time)).await;
                ("told", text)
            }
            _ => ("told", &*message),
        };
        self.tell(session, &format!("{outcome} {stamp} {text}")).await;
    }

    async fn on_close(&self, session: &Session, reason: &CloseReason) {
        let Some(name) = session.attribute(NAME) else { return };
        let text = format!("left {} {name} {}", self.stamp(), reason.code());
        for _ in 1..=ATTEMPTS {
            // What is unknown may be there: saying it again could be once too often.
            if self.publish(text.clone()).await != "refused" {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(name, "could not say that a session is over");
    }
}
