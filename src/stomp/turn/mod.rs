//! One call for a client's messages: frames in, frames out.

mod connecting;
mod sending;
mod subscribing;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sockhop_stomp::{Command, Frame, Incoming, Version};
use sockhop_transports::{Message, Texts};

use self::sending::refused_transaction;
use super::State;
use super::pattern::Pattern;
use super::refusal::Refusal;
use super::rules::{Action, Rule};
use super::state::{Conversation, Phase, SUBSCRIPTIONS};
use super::users::Principal;
use crate::{AttributeError, CloseReason, Session};

/// A call under way.
pub(super) struct Turn<'a> {
    pub(super) state: &'a State,
    pub(super) session: &'a Session,
    pub(super) conversation: Conversation,
    /// What goes to the client with the call's end.
    out: Vec<Message>,
}

/// Whether the session goes on.
enum Flow {
    Go,
    End(CloseReason),
}

/// Bytes of a client's own names: of subscriptions, transactions, receipts.
const LONGEST_NAME: usize = 256;

/// Handles a client's messages: all that they lead to is written down with the call's end.
pub(super) async fn handle(state: &State, session: &Session, texts: Texts) {
    let conversation = match Conversation::load(session, state.limits) {
        Ok(conversation) => conversation,
        Err(error) => {
            tracing::error!(%error, "a STOMP session cannot go on");
            let _ = session.close(CloseReason::INTERNAL_ERROR).await;
            return;
        }
    };
    if conversation.user().is_some_and(Principal::has_expired) {
        let _ = session.close(CloseReason::EXPIRED).await;
        return;
    }
    let mut turn = Turn { state, session, conversation, out: Vec::new() };
    let flow = AssertUnwindSafe(turn.run(texts)).catch_unwind().await;
    let Turn { mut conversation, out, .. } = turn;
    let flow = match flow {
        Ok(flow) => flow,
        Err(panic) => {
            if session.is_local() {
                // Its end is yet to be told.
                conversation.end_all();
                conversation.save(session);
            }
            std::panic::resume_unwind(panic);
        }
    };
    let subscriptions = conversation.subscriptions().len();
    conversation.save(session);
    note_subscriptions(session, subscriptions).await;
    if !out.is_empty() {
        // Fails only if the session is over, or will be.
        let _ = session.send_all(out).await;
    }
    if let Flow::End(reason) = flow
        && let Err(error) = session.close(reason).await
    {
        tracing::warn!(%error, "could not close a STOMP session");
    }
}

/// Of a session in memory that the store knows, others see how many subscriptions it has.
async fn note_subscriptions(session: &Session, count: usize) {
    if !session.is_anchored() {
        return;
    }
    let count = count.to_string();
    if session.attribute(SUBSCRIPTIONS).unwrap_or_else(|| "0".to_owned()) == count {
        return;
    }
    if let Err(AttributeError::Store(error)) = session.write_attribute(SUBSCRIPTIONS, Some(count)).await {
        tracing::warn!(%error, "could not write down how many subscriptions a session has");
    }
}

impl Turn<'_> {
    async fn run(&mut self, texts: Texts) -> Flow {
        for text in texts {
            if self.conversation.is_over() {
                break;
            }
            self.conversation.decoder.feed(text.as_bytes());
            loop {
                match self.conversation.decoder.next() {
                    Ok(None) => break,
                    Ok(Some(Incoming::HeartBeat)) => {}
                    Ok(Some(Incoming::Frame(frame))) => {
                        if let Flow::End(reason) = self.frame(frame).await {
                            self.conversation.end_all();
                            return Flow::End(reason);
                        }
                        // Many frames in one request must not keep a thread from everybody else.
                        tokio::task::consume_budget().await;
                    }
                    Err(error) => return self.refuse(&error.into(), None),
                }
            }
        }
        Flow::Go
    }

    /// One frame, and its receipt.
    async fn frame(&mut self, frame: Frame) -> Flow {
        let receipt = frame.headers.get("receipt").map(str::to_owned);
        if let Some(Err(refusal)) = receipt.as_deref().map(|receipt| check_name("receipt", receipt)) {
            return self.refuse(&refusal, None);
        }
        let command = frame.command;
        match self.apply(frame).await {
            Ok(()) => {}
            Err(refusal) => return self.refuse(&refusal, receipt.as_deref()),
        }
        if let Some(receipt) = receipt.filter(|_| !matches!(command, Command::Connect | Command::Stomp)) {
            self.send(&Frame::new(Command::Receipt).with("receipt-id", receipt));
        }
        if command == Command::Disconnect { Flow::End(CloseReason::NORMAL) } else { Flow::Go }
    }

    fn send(&mut self, frame: &Frame) {
        self.out.push(Message::new(&frame.encode(self.conversation.version())));
    }

    fn refuse(&mut self, refusal: &Refusal, receipt: Option<&str>) -> Flow {
        tracing::debug!(
            session = ?self.session.identity(), message = refusal.message, detail = refusal.detail, "a STOMP frame is refused"
        );
        let frame = refusal.frame(receipt);
        let version = match self.conversation.phase {
            Phase::Connected(_) => self.conversation.version(),
            // What the client speaks is not known: it may not know of escapes.
            Phase::Fresh | Phase::Over(_) => Version::V1_0,
        };
        self.out.push(Message::new(&frame.encode(version)));
        self.conversation.end_all();
        Flow::End(CloseReason::STOMP_ERROR)
    }

    async fn apply(&mut self, frame: Frame) -> Result<(), Refusal> {
        let is_connect = matches!(frame.command, Command::Connect | Command::Stomp);
        match &self.conversation.phase {
            Phase::Fresh if !is_connect => {
                let detail = format!("The first frame must be CONNECT or STOMP, not {}.", frame.command);
                return Err(Refusal::new("not connected", detail));
            }
            Phase::Connected(_) if is_connect && self.session.can_resume() => self.restart().await?,
            Phase::Connected(_) if is_connect => {
                return Err(Refusal::new("already connected", "A connection has one CONNECT frame."));
            }
            _ => {}
        }
        match frame.command {
            Command::Connect | Command::Stomp => self.connect(&frame).await,
            Command::Send => self.send_or_buffer(frame).await,
            Command::Subscribe => self.subscribe(&frame).await,
            Command::Unsubscribe => self.unsubscribe(&frame).await,
            Command::Ack | Command::Nack => self.acknowledge(frame).await,
            Command::Begin => {
                let name = self.transaction_name(&frame)?;
                self.conversation.begin(name).map_err(|error| refused_transaction(name, error, 0))
            }
            Command::Commit => self.commit(&frame).await,
            Command::Abort => {
                let name = self.transaction_name(&frame)?;
                self.conversation.end(name).map(drop).map_err(|error| refused_transaction(name, error, 0))
            }
            Command::Disconnect => Ok(()),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                Err(Refusal::new("unexpected frame", format!("A client does not send {}.", frame.command)))
            }
        }
    }

    /// Whether the rules let the client do this.
    fn check_rules(&self, action: Action, destination: &str) -> Result<(), Refusal> {
        let user = self.conversation.user();
        if self.is_allowed(|rule| rule.allows(action, destination, user)) {
            return Ok(());
        }
        let does = match action {
            Action::Subscribe => "subscribe",
            Action::Send => "send",
        };
        Err(Refusal::new("forbidden", format!("No rule lets {} {does} to {destination}.", self.who())))
    }

    /// Whether one of the rules lets the client subscribe to whatever a pattern stands for, now or later.
    fn check_rules_for_all(&self, pattern: &str) -> Result<(), Refusal> {
        let (user, wanted) = (self.conversation.user(), Pattern::new(pattern));
        if self.is_allowed(|rule| rule.allows_all(wanted, user)) {
            return Ok(());
        }
        let detail = format!("No one rule lets {} subscribe to all that {pattern} stands for.", self.who());
        Err(Refusal::new("forbidden", detail))
    }

    /// Whether a rule of the service or of the session itself allows it, or there are none.
    fn is_allowed(&self, allows: impl FnMut(&Rule) -> bool) -> bool {
        let own = self.conversation.connected().map_or(&[][..], |connected| &connected.rules);
        let mut rules = self.state.rules.iter().chain(own).peekable();
        rules.peek().is_none() || rules.any(allows)
    }

    fn who(&self) -> String {
        let user = self.conversation.user();
        user.map_or_else(|| "clients without a user".to_owned(), |user| format!("user {}", user.name()))
    }

    pub(super) fn buffer(&mut self, transaction: &str, frame: Frame) -> Result<(), Refusal> {
        let most = self.state.transaction_limit;
        self.conversation
            .add(transaction, frame, most)
            .map_err(|error| refused_transaction(transaction, error, most))
    }
}

fn check_name(header: &str, name: &str) -> Result<(), Refusal> {
    if name.len() > LONGEST_NAME {
        return Err(Refusal::invalid(header, format!("It is longer than {LONGEST_NAME} bytes.")));
    }
    Ok(())
}
