//! What a STOMP session remembers between its calls, wherever the next one runs.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use sockhop_stomp::{Command, Decoder, Frame, Limits, Version};

use super::acked::Acked;
use super::queues::Consuming;
use super::rules::Rule;
use super::tag::AckMode;
use super::users::Principal;
use crate::store::{Position, Which};
use crate::{AttributeError, Session};

/// The state of one session's conversation.
///
/// A session in memory keeps it as it is; in a store it is attributes of the session, of which a call writes those that
/// it changes, together with its end.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) phase: Phase,
    pub(super) decoder: Decoder,
    subscriptions: Vec<Subscribed>,
    /// Consumers of queues, and how many there have ever been.
    consumers: Vec<Consuming>,
    numbered: u64,
    /// What was acknowledged of topics, where that is remembered.
    acked: Vec<Acked>,
    transactions: Vec<Transaction>,
    /// Messages that the application was handed.
    calls: u64,
    changes: Changes,
    /// Whether an attribute holds half a frame.
    half_is_kept: bool,
}

/// Attributes that the call has changed: only the last state of each is of use.
#[derive(Debug)]
struct Changes {
    /// Whether they are written down, which those of a session in memory are not.
    is_written: bool,
    last: BTreeMap<String, Option<String>>,
}

impl Changes {
    fn note(&mut self, name: impl Display, value: impl FnOnce() -> Option<String>) {
        if self.is_written {
            self.last.insert(name.to_string(), value());
        }
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// CONNECT has yet to come.
    Fresh,
    Connected(Box<Connected>),
    /// Nothing more is taken. What had been settled before is what the end is told with.
    Over(Option<Box<Connected>>),
}

/// What CONNECT has settled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Connected {
    pub(super) version: Version,
    pub(super) user: Option<Principal>,
    /// What the client may do beside what the service's rules say.
    pub(super) rules: Box<[Rule]>,
}

impl Connected {
    /// As an attribute of the session.
    fn stored(&self) -> Option<String> {
        let stored = StoredConnection {
            version: self.version.number().to_owned(),
            user: self.user.clone(),
            rules: self.rules.iter().map(ToString::to_string).collect(),
        };
        serde_json::to_string(&stored).ok()
    }

    /// Has it stand among the attributes of a session in memory, for those who know no more of the session.
    pub(super) async fn write_down(&self, session: &Session) -> Result<(), AttributeError> {
        session.write_attribute(CONNECTION, self.stored()).await
    }
}

/// The user's name, as a session's attributes tell it.
pub(super) fn user_in(attributes: &BTreeMap<String, String>) -> Option<String> {
    let stored: StoredConnection = serde_json::from_str(attributes.get(CONNECTION)?).ok()?;
    stored.user.map(|user| user.name)
}

/// How many subscriptions a session in memory has, as its attributes tell it.
pub(super) fn subscriptions_in(attributes: &BTreeMap<String, String>) -> usize {
    attributes.get(SUBSCRIPTIONS).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// A client's subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscribed {
    /// Its id, then its destination: clients have many, so each takes one piece of memory.
    text: Box<str>,
    id_length: u32,
    pub(super) ack: AckMode,
}

impl Subscribed {
    /// A subscription; `id` is one that has been checked, or was written down.
    pub(super) fn new(id: &str, destination: &str, ack: AckMode) -> Self {
        Self { text: [id, destination].concat().into(), id_length: id.len() as u32, ack }
    }

    pub(super) fn id(&self) -> &str {
        &self.text[..self.id_length as usize]
    }

    pub(super) fn destination(&self) -> &str {
        &self.text[self.id_length as usize..]
    }
}

/// Frames that wait for their COMMIT.
#[derive(Debug)]
struct Transaction {
    name: String,
    frames: Vec<Frame>,
    bytes: usize,
}

/// What the attribute of the connection holds.
#[derive(Serialize, Deserialize)]
struct StoredConnection {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<Principal>,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
}

/// What the attribute of a transaction holds.
#[derive(Serialize, Deserialize)]
struct StoredFrame(String, Vec<(String, String)>, String);

/// Names of attributes, and how those begin that there are several of.
const CONNECTION: &str = "stomp";
const HALF: &str = "stomp.half";
const CALLS: &str = "stomp.calls";
const SUBSCRIPTION: &str = "stomp.sub.";
const TRANSACTION: &str = "stomp.tx.";
/// Of a session in memory that is known in the store, how many subscriptions it has.
pub(super) const SUBSCRIPTIONS: &str = "stomp.subscriptions";
const NUMBERED: &str = "stomp.queues";
const ACKED: &str = "stomp.ack.";
/// What others are told of a session is in these.
pub(super) const TOLD: [&str; 2] = [CONNECTION, SUBSCRIPTIONS];

/// Transactions that a session may have open.
pub(super) const MOST_TRANSACTIONS: usize = 16;

/// What a session has stored is none of this program's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session's stored state {0:?} is not understood")]
pub(super) struct Unreadable(String);

impl Conversation {
    fn new(limits: Limits, is_written: bool) -> Self {
        Self {
            phase: Phase::Fresh,
            decoder: Decoder::new(limits),
            subscriptions: Vec::new(),
            consumers: Vec::new(),
            numbered: 0,
            acked: Vec::new(),
            transactions: Vec::new(),
            calls: 0,
            changes: Changes { is_written, last: BTreeMap::new() },
            half_is_kept: false,
        }
    }

    /// The conversation of a session as the last call left it.
    pub(super) fn load(session: &Session, limits: Limits) -> Result<Self, Unreadable> {
        if session.is_local() {
            let kept = session.memory().take().and_then(|kept| kept.downcast::<Self>().ok());
            return Ok(kept.map_or_else(|| Self::new(limits, false), |kept| *kept));
        }
        let mut conversation = Self::new(limits, true);
        let mut half = Vec::new();
        for (name, value) in session.all_attributes() {
            conversation.read(&name, value, &mut half).ok_or(Unreadable(name))?;
        }
        conversation.half_is_kept = !half.is_empty();
        conversation.decoder = Decoder::resume(limits, conversation.version(), half);
        Ok(conversation)
    }

    fn read(&mut self, name: &str, value: String, half: &mut Vec<u8>) -> Option<()> {
        if name == CONNECTION {
            let stored: StoredConnection = serde_json::from_str(&value).ok()?;
            let version = Version::from_number(&stored.version)?;
            let rules = stored.rules.iter().map(|rule| rule.parse().ok()).collect::<Option<_>>()?;
            self.phase = Phase::Connected(Box::new(Connected { version, user: stored.user, rules }));
        } else if name == CALLS {
            self.calls = value.parse().ok()?;
        } else if name == HALF {
            *half = value.into_bytes();
        } else if let Some(id) = name.strip_prefix(SUBSCRIPTION) {
            let (ack, destination) = value.split_once(' ')?;
            let ack = AckMode::parse(Some(ack))?;
            self.subscriptions.push(Subscribed::new(id, destination, ack));
        } else if Consuming::is_one(name) {
            self.consumers.push(Consuming::read(name, &value)?);
        } else if name == NUMBERED {
            self.numbered = value.parse().ok()?;
        } else if let Some(id) = name.strip_prefix(ACKED) {
            self.acked.push(Acked::read(id, &value)?);
        } else if let Some(name) = name.strip_prefix(TRANSACTION) {
            let stored: Vec<StoredFrame> = serde_json::from_str(&value).ok()?;
            let frames = stored.into_iter().map(StoredFrame::into_frame).collect::<Option<Vec<_>>>()?;
            let bytes = frames.iter().map(weight).sum();
            self.transactions.push(Transaction { name: name.to_owned(), frames, bytes });
        }
        Some(())
    }

    /// Hands the conversation back to its session, to be kept with the end of the call.
    pub(super) fn save(mut self, session: &Session) {
        if session.is_local() {
            // What is idle between two messages costs what it holds, and no more.
            self.decoder.shrink();
            *session.memory() = Some(Box::new(self));
            return;
        }
        let half = String::from_utf8_lossy(self.decoder.rest()).into_owned();
        if self.half_is_kept || !half.is_empty() {
            self.changes.note(HALF, || Some(half).filter(|half| !half.is_empty()));
        }
        for (name, value) in self.changes.last {
            session.keep_attribute(&name, value);
        }
    }

    pub(super) fn version(&self) -> Version {
        match &self.phase {
            Phase::Connected(connected) => connected.version,
            Phase::Fresh | Phase::Over(_) => Version::V1_2,
        }
    }

    pub(super) fn user(&self) -> Option<&Principal> {
        self.connected()?.user.as_ref()
    }

    pub(super) fn connected(&self) -> Option<&Connected> {
        match &self.phase {
            Phase::Connected(connected) => Some(connected),
            Phase::Fresh | Phase::Over(_) => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Nothing more is taken.
    pub(super) fn end_all(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Over(None)) {
            Phase::Connected(connected) => Phase::Over(Some(connected)),
            Phase::Over(connected) => Phase::Over(connected),
            Phase::Fresh => Phase::Over(None),
        };
    }

    /// What was settled last, of a session that is over.
    pub(super) fn last_connected(self) -> Option<Connected> {
        match self.phase {
            Phase::Connected(connected) | Phase::Over(Some(connected)) => Some(*connected),
            Phase::Fresh | Phase::Over(None) => None,
        }
    }

    pub(super) fn connect(&mut self, connected: Connected) {
        self.decoder.set_version(connected.version);
        self.changes.note(CONNECTION, || connected.stored());
        self.phase = Phase::Connected(Box::new(connected));
    }

    pub(super) fn subscriptions(&self) -> &[Subscribed] {
        &self.subscriptions
    }

    /// Counts a message that the application is handed.
    pub(super) fn count_call(&mut self) -> u64 {
        self.calls += 1;
        self.changes.note(CALLS, || Some(self.calls.to_string()));
        self.calls
    }

    pub(super) fn subscription(&self, id: &str) -> Option<&Subscribed> {
        self.subscriptions.iter().find(|known| known.id() == id)
    }

    pub(super) fn subscribe(&mut self, subscribed: Subscribed) {
        self.changes.note(format_args!("{SUBSCRIPTION}{}", subscribed.id()), || {
            Some(format!("{} {}", subscribed.ack.name(), subscribed.destination()))
        });
        if self.subscriptions.len() == self.subscriptions.capacity() {
            // Not doubled: most sessions have few.
            let more = (self.subscriptions.len() / 4).max(2);
            self.subscriptions.reserve_exact(more);
        }
        self.subscriptions.push(subscribed);
    }

    pub(super) fn unsubscribe(&mut self, id: &str) -> Option<Subscribed> {
        let at = self.subscriptions.iter().position(|known| known.id() == id)?;
        self.changes.note(format_args!("{SUBSCRIPTION}{id}"), || None);
        Some(self.subscriptions.swap_remove(at))
    }

    pub(super) fn unsubscribe_any(&mut self) -> Option<Subscribed> {
        let id = self.subscriptions.last()?.id().to_owned();
        self.unsubscribe(&id)
    }

    /// A number for another consumer. One that a call has left whose node died before its end is not used again.
    pub(super) fn next_consumer(&mut self) -> u64 {
        self.numbered += 1;
        self.changes.note(NUMBERED, || Some(self.numbered.to_string()));
        self.numbered
    }

    /// Another consumer, which is written down already.
    pub(super) fn consumes(&mut self, consuming: Consuming) {
        self.consumers.push(consuming);
    }

    /// The consumer of a subscription.
    pub(super) fn consumer(&self, id: &str) -> Option<&Consuming> {
        self.consumers.iter().find(|consuming| consuming.is_of(id))
    }

    /// One of the consumers of which this can be said.
    pub(super) fn find_consumer(&self, which: impl Fn(&[Subscribed], &Consuming) -> bool) -> Option<Consuming> {
        self.consumers.iter().find(|consuming| which(&self.subscriptions, consuming)).cloned()
    }

    pub(super) fn forget_consumer(&mut self, number: u64) {
        if let Some(at) = self.consumers.iter().position(|consuming| consuming.number == number) {
            let consuming = self.consumers.swap_remove(at);
            self.changes.note(consuming.attribute(), || None);
        }
        if number > self.numbered {
            self.numbered = number;
            self.changes.note(NUMBERED, || Some(number.to_string()));
        }
    }

    /// Remembers what is acknowledged of a subscription from now on.
    pub(super) fn remember_acked(&mut self, acked: Acked) {
        self.acked.retain(|known| known.id != acked.id);
        self.changes.note(format_args!("{ACKED}{}", acked.id), || Some(acked.text()));
        self.acked.push(acked);
    }

    /// Up to where a subscription has been acknowledged.
    pub(super) fn acked(&self, id: &str, destination: &str) -> Option<Position> {
        let of = |acked: &&Acked| *acked.id == *id && *acked.destination == *destination;
        self.acked.iter().find(of).map(|acked| acked.up_to)
    }

    pub(super) fn acknowledge(&mut self, id: &str, at: Position, which: Which) {
        let Some(acked) = self.acked.iter_mut().find(|acked| *acked.id == *id) else { return };
        if acked.note(at, which) {
            self.changes.note(format_args!("{ACKED}{id}"), || Some(acked.text()));
        }
    }

    pub(super) fn forget_acked(&mut self, id: &str) {
        if let Some(at) = self.acked.iter().position(|acked| *acked.id == *id) {
            self.acked.swap_remove(at);
            self.changes.note(format_args!("{ACKED}{id}"), || None);
        }
    }

    /// Forgets what was acknowledged before the client came back last, and not subscribed to since.
    pub(super) fn forget_acked_elsewhere(&mut self) {
        let ids: Vec<_> = self.acked.iter().map(|acked| acked.id.clone()).collect();
        for id in ids.iter().filter(|id| self.subscription(id).is_none()).collect::<Vec<_>>() {
            self.forget_acked(id);
        }
    }

    /// Forgets the transactions, and what the client has connected as. That stays written down until something else is
    /// settled: if nothing is, it is what the session's end is told with.
    pub(super) fn restart(&mut self) {
        for Transaction { name, .. } in std::mem::take(&mut self.transactions) {
            self.changes.note(format_args!("{TRANSACTION}{name}"), || None);
        }
        self.phase = Phase::Fresh;
    }

    /// Begins a transaction, unless there is one of this name, or there are too many.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), TransactionError> {
        if self.transactions.iter().any(|known| known.name == name) {
            return Err(TransactionError::Known);
        }
        if self.transactions.len() == MOST_TRANSACTIONS {
            return Err(TransactionError::TooMany);
        }
        self.transactions.push(Transaction { name: name.to_owned(), frames: Vec::new(), bytes: 0 });
        self.keep_transaction(self.transactions.len() - 1);
        Ok(())
    }

    /// Puts a frame into a transaction; all of them together may have `most` bytes.
    pub(super) fn add(&mut self, name: &str, frame: Frame, most: usize) -> Result<(), TransactionError> {
        let at = self.find(name)?;
        let others: usize = self.transactions.iter().map(|transaction| transaction.bytes).sum();
        if others + weight(&frame) > most {
            return Err(TransactionError::TooLarge);
        }
        self.transactions[at].bytes += weight(&frame);
        self.transactions[at].frames.push(frame);
        self.keep_transaction(at);
        Ok(())
    }

    /// Ends a transaction: its frames.
    pub(super) fn end(&mut self, name: &str) -> Result<Vec<Frame>, TransactionError> {
        let at = self.find(name)?;
        self.changes.note(format_args!("{TRANSACTION}{name}"), || None);
        Ok(self.transactions.swap_remove(at).frames)
    }

    fn find(&self, name: &str) -> Result<usize, TransactionError> {
        self.transactions.iter().position(|known| known.name == name).ok_or(TransactionError::Unknown)
    }

    fn keep_transaction(&mut self, at: usize) {
        let Transaction { name, frames, .. } = &self.transactions[at];
        self.changes.note(format_args!("{TRANSACTION}{name}"), || {
            let stored: Vec<_> = frames.iter().map(StoredFrame::of).collect();
            serde_json::to_string(&stored).ok()
        });
    }
}

/// Why a transaction was not begun, added to or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionError {
    Known,
    Unknown,
    TooMany,
    TooLarge,
}

impl StoredFrame {
    fn of(frame: &Frame) -> Self {
        let headers = frame.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self(frame.command.name().to_owned(), headers, frame.body.clone())
    }

    fn into_frame(self) -> Option<Frame> {
        let Self(command, headers, body) = self;
        let command = Command::from_name(command.as_bytes())?;
        Some(Frame { command, headers: headers.into_iter().collect(), body })
    }
}

/// Bytes that keeping a frame costs.
fn weight(frame: &Frame) -> usize {
    let headers: usize = frame.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    headers + frame.body.len() + 64
}
