//! What the page's demonstrations need: an echo whose answers say which node gave them, and the chat.

use sockhop::services::Echo;
use sockhop::{Handler, Node, Session};

/// The chat is an example of the library, and this program runs that very code.
#[path = "../../../examples/chat/handlers.rs"]
pub(crate) mod chat;

/// Sends each message back, and says which node it is when it is asked: pages see no headers of a WebSocket's handshake.
pub(crate) struct TellingEcho {
    node: Node,
}

impl TellingEcho {
    pub(crate) fn new(node: &Node) -> Self {
        Self { node: node.clone() }
    }
}

/// The message that asks.
const WHICH_NODE: &str = "which node?";

impl Handler for TellingEcho {
    async fn on_message(&self, session: &Session, message: String) {
        let answer = match message.as_str() {
            WHICH_NODE => format!("node {}", self.node.id()),
            _ => message,
        };
        Echo.on_message(session, answer).await;
    }
}
