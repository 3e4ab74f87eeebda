//! Ready-made handlers: for trying things out, for the standard SockJS test services, and as examples.

use std::time::Duration;

use crate::{ChannelName, CloseReason, Handler, Node, Session};

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
