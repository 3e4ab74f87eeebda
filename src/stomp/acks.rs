//! ACK and NACK: which message they name, and what becomes of it.

use sockhop_stomp::{Command, Frame, Version};

use super::entry;
use super::refusal::{Refusal, shown};
use super::state::Subscribed;
use super::tag::AckMode;
use super::turn::Turn;
use crate::store::{Position, Settle, Settled, Which};

/// A message of a subscription, as an ACK names it.
struct Named {
    subscribed: Subscribed,
    at: Position,
    /// As the client wrote it.
    text: String,
}

impl Turn<'_> {
    /// Checks an ACK or NACK, and keeps it for its transaction or does what it says.
    pub(super) async fn acknowledge(&mut self, frame: Frame) -> Result<(), Refusal> {
        if frame.command == Command::Nack && self.conversation.version() == Version::V1_0 {
            return Err(Refusal::new("unexpected frame", "STOMP 1.0 has no NACK."));
        }
        let Some(named) = self.named(&frame)? else { return Ok(()) };
        match frame.headers.get("transaction").map(str::to_owned) {
            Some(transaction) => self.buffer(&transaction, frame),
            None => self.settle(named, frame.command).await,
        }
    }

    /// Does what an ACK or NACK of a transaction says.
    pub(super) async fn settle_committed(&mut self, frame: &Frame) -> Result<(), Refusal> {
        match self.named(frame)? {
            Some(named) => self.settle(named, frame.command).await,
            None => Ok(()),
        }
    }

    /// The message that a frame names; `None` for an answer of the application, of which nobody keeps anything.
    fn named(&self, frame: &Frame) -> Result<Option<Named>, Refusal> {
        let needed = |header| frame.headers.get(header).ok_or_else(|| Refusal::missing(header, frame.command));
        let (id, position, text) = match self.conversation.version() {
            Version::V1_2 => {
                let text = needed("id")?;
                let (position, id) = text.split_once(' ').ok_or_else(|| unknown(text))?;
                (id, position, text)
            }
            Version::V1_1 => {
                let text = needed("message-id")?;
                (needed("subscription")?, text, text)
            }
            Version::V1_0 => {
                let text = needed("message-id")?;
                let (position, id) = text.split_once(' ').ok_or_else(|| unknown(text))?;
                (id, position, text)
            }
        };
        if position.starts_with(entry::ANSWER) {
            return Ok(None);
        }
        let at: Position = position.parse().map_err(|_| unknown(text))?;
        let subscribed = self.conversation.subscription(id).cloned().ok_or_else(|| unknown(text))?;
        Ok(Some(Named { subscribed, at, text: text.to_owned() }))
    }

    async fn settle(&mut self, named: Named, command: Command) -> Result<(), Refusal> {
        let Named { subscribed, at, text } = named;
        let id = subscribed.id();
        let which = match subscribed.ack {
            // It was handled when it was received.
            AckMode::Auto => return Ok(()),
            AckMode::Client => Which::UpTo,
            AckMode::ClientIndividual => Which::One,
        };
        match self.conversation.consumer(id) {
            Some(consuming) => {
                let settle =
                    if command == Command::Ack { Settle::Handled(at, which) } else { Settle::Returned(at, which) };
                let consumer = consuming.consumer(self.session.identity());
                match self.session.node().inner.store.settle(&consumer, settle).await? {
                    Settled::Done => Ok(()),
                    Settled::Unknown => Err(unknown(&text)),
                }
            }
            None => {
                // A topic's message that is not acknowledged comes again when the session is resumed.
                if command == Command::Ack {
                    self.conversation.acknowledge(id, at, which);
                }
                Ok(())
            }
        }
    }
}

fn unknown(text: &str) -> Refusal {
    let detail = format!("{:?} is no message of a subscription that there is.", shown(text));
    Refusal::new("unknown message", detail)
}
