//! SEND and transactions: where messages go.

use sockhop_stomp::{Command, Frame};

use super::{Turn, check_name};
use crate::stomp::app::AppMessage;
use crate::stomp::destination::{Target, user_channel};
use crate::stomp::entry;
use crate::stomp::refusal::Refusal;
use crate::stomp::rules::Action;
use crate::stomp::state::{MOST_TRANSACTIONS, TransactionError};

impl Turn<'_> {
    pub(super) async fn send_or_buffer(&mut self, frame: Frame) -> Result<(), Refusal> {
        let destination =
            frame.headers.get("destination").ok_or_else(|| Refusal::missing("destination", frame.command))?;
        // Refused where it is sent, not where it is committed.
        let target = Target::parse(destination)?;
        self.check_rules(Action::Send, destination)?;
        match frame.headers.get("transaction").map(str::to_owned) {
            Some(transaction) => self.buffer(&transaction, frame),
            None => self.deliver(target, frame).await,
        }
    }

    async fn deliver(&mut self, target: Target, frame: Frame) -> Result<(), Refusal> {
        let (channel, is_queue) = match target {
            Target::Topic(channel) => (channel, false),
            Target::Queue(queue) => (queue, self.has_queues()),
            Target::User { name, path } => (user_channel(&name, &path)?, false),
            Target::App => return self.call_app(frame).await,
        };
        let entry = match self.conversation.user() {
            Some(user) => entry::encode_from(user.name(), &frame.headers, &frame.body),
            None => entry::encode(&frame.headers, &frame.body, None),
        };
        let node = self.session.node();
        let accepted = if is_queue {
            node.enqueue_all(&channel, &[entry]).await
        } else {
            node.publish(&channel, entry).await
        };
        Ok(accepted.map(drop)?)
    }

    /// Hands a message to the application.
    async fn call_app(&mut self, frame: Frame) -> Result<(), Refusal> {
        let destination = frame.headers.get("destination").unwrap_or_default();
        let (handler, variables) = self.state.apps.find(destination).ok_or_else(|| {
            Refusal::new("unknown destination", format!("The application handles nothing at {destination}."))
        })?;
        let number = self.conversation.count_call();
        let message = AppMessage::new(self.session, self.conversation.user(), variables, frame, number);
        Ok(handler.handle(message).await?)
    }

    pub(super) async fn commit(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let name = self.transaction_name(frame)?;
        let frames = self.conversation.end(name).map_err(|error| refused_transaction(name, error, 0))?;
        for frame in frames {
            if frame.command == Command::Send {
                let target = Target::parse(frame.headers.get("destination").unwrap_or_default())?;
                self.deliver(target, frame).await?;
            } else {
                self.settle_committed(&frame).await?;
            }
        }
        Ok(())
    }

    pub(super) fn transaction_name<'f>(&self, frame: &'f Frame) -> Result<&'f str, Refusal> {
        let name =
            frame.headers.get("transaction").ok_or_else(|| Refusal::missing("transaction", frame.command))?;
        check_name("transaction", name)?;
        Ok(name)
    }
}

pub(super) fn refused_transaction(name: &str, error: TransactionError, most: usize) -> Refusal {
    Refusal::invalid(
        "transaction",
        match error {
            TransactionError::Known => format!("Transaction {name:?} has begun already."),
            TransactionError::Unknown => format!("There is no transaction {name:?}."),
            TransactionError::TooMany => format!("A session may have {MOST_TRANSACTIONS} transactions open."),
            TransactionError::TooLarge => format!("The frames of open transactions have more than {most} bytes."),
        },
    )
}
