//! What was sent to a destination, page by page.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::broker::{Broker, BrokerError, Way};
use super::cursor::Cursor;
use super::entry;
use crate::ChannelName;
use crate::store::{Entry, Excerpt, Position, Span, StoreError};

/// Which messages of a destination to read, and how many at most.
///
/// Whatever the direction, a page's messages are in the order in which they were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    from: From,
    most: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Newest,
    Oldest,
    Before(Cursor),
    After(Cursor),
}

impl Page {
    /// Messages that a page may have. Also 1 MiB of them at most, but one at least.
    pub const MOST: usize = 1000;

    /// The newest messages.
    #[must_use]
    pub fn newest(most: usize) -> Self {
        Self::of(From::Newest, most)
    }

    /// The oldest messages that are kept.
    #[must_use]
    pub fn oldest(most: usize) -> Self {
        Self::of(From::Oldest, most)
    }

    /// Those before a page: its [`previous`](History::previous).
    #[must_use]
    pub fn before(cursor: Cursor, most: usize) -> Self {
        Self::of(From::Before(cursor), most)
    }

    /// Those after a page: its [`next`](History::next).
    #[must_use]
    pub fn after(cursor: Cursor, most: usize) -> Self {
        Self::of(From::After(cursor), most)
    }

    fn of(from: From, most: usize) -> Self {
        Self { from, most: most.clamp(1, Self::MOST) }
    }
}

/// A page of history. As JSON, its fields are named as here, and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// The messages, in the order in which they were accepted.
    pub messages: Vec<PastMessage>,
    /// Leads to the page before; `None` where nothing older is kept.
    pub previous: Option<Cursor>,
    /// Leads to the page after, whether or not there is anything yet; `None` where nothing was ever sent.
    pub next: Option<Cursor>,
    /// Whether there is already something for the page after.
    pub more: bool,
    /// Whether older messages than those that are kept have been dropped.
    pub truncated: bool,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastMessage {
    /// Its position: the `message-id` of the MESSAGE frames that carried it.
    pub id: String,
    /// When it was accepted, by the store's clock; of messages that were accepted together, the same. Order is that of
    /// the page: a clock may be set back.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// Where it was sent.
    pub destination: String,
    /// The user of the client that sent it; `None` for clients without one, and for what the application sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its headers; of several with one name, the first counts.
    #[serde(serialize_with = "as_map")]
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// A page of history could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// There is no such destination, or nothing is kept there.
    #[error("no destination with a history: {0}")]
    Destination(String),
    /// The cursor is none of this destination's.
    #[error("this is no cursor of the destination")]
    Cursor,
    /// The messages next to the cursor are not kept any more, or may not be.
    #[error("messages next to this cursor are not kept any more; the oldest kept is {}", .oldest.as_deref().unwrap_or("none"))]
    Gone {
        /// The [id](PastMessage::id) of the oldest message that is kept, if any is: [`Page::oldest`] begins with it.
        oldest: Option<String>,
    },
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PastMessage {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Bytes of messages that a page may have.
const MOST_BYTES: usize = 1024 * 1024;

impl Broker {
    /// Reads a page of what was sent to a destination below `/topic/`, or to a user's: `/user/NAME/queue/…`. Of the
    /// latter, what was meant for one session alone is left out.
    ///
    /// A page costs the same wherever it lies. Pages read one after the other, in either direction, hold each message
    /// once, whatever arrives meanwhile.
    ///
    /// ```
    /// use sockhop::Node;
    /// use sockhop::stomp::{Broker, Page};
    ///
    /// # tokio_test::block_on(async {
    /// let broker = Broker::new(&Node::new());
    /// for text in ["one", "two", "three"] {
    ///     broker.send("/topic/news", text).await.unwrap();
    /// }
    /// let newest = broker.history("/topic/news", Page::newest(2)).await.unwrap();
    /// assert_eq!(newest.messages[0].body, "two");
    /// let before = Page::before(newest.previous.unwrap(), 2);
    /// let older = broker.history("/topic/news", before).await.unwrap();
    /// assert_eq!(older.messages[0].body, "one");
    /// assert!(older.previous.is_none());
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn history(&self, destination: &str, page: Page) -> Result<History, HistoryError> {
        let none = |error: BrokerError| HistoryError::Destination(error.to_string());
        let channel = match Way::to(self.node(), destination).map_err(none)? {
            Way::Channel(channel) => channel,
            Way::Queue(queue) => {
                return Err(HistoryError::Destination(format!("{queue} is a queue, and keeps none")));
            }
        };
        let place = |cursor: &Cursor| cursor.position_in(&channel).ok_or(HistoryError::Cursor);
        let span = match &page.from {
            From::Newest => Span::Newest,
            From::Oldest => Span::Oldest,
            From::Before(cursor) => Span::Before(place(cursor)?),
            From::After(cursor) => Span::After(place(cursor)?),
        };
        let store = &self.node().inner.store;
        let excerpt = store.excerpt(&channel, span, page.most, MOST_BYTES).await?;
        if excerpt.gap {
            let any = excerpt.oldest <= excerpt.newest;
            let oldest = any.then(|| Position { epoch: excerpt.epoch, seq: excerpt.oldest }.to_string());
            return Err(HistoryError::Gone { oldest });
        }
        Ok(read(destination, &channel, span, excerpt))
    }
}

fn read(destination: &str, channel: &ChannelName, span: Span, excerpt: Excerpt) -> History {
    let Excerpt { epoch, oldest, newest, entries, .. } = excerpt;
    // An empty page stands where it was asked for.
    let (first, last) = match (entries.first(), entries.last(), span) {
        (Some(first), Some(last), _) => (first.seq, last.seq),
        (_, _, Span::After(after)) => (after.seq + 1, after.seq),
        (_, _, Span::Before(before)) => (before.seq, before.seq.saturating_sub(1)),
        (_, _, Span::Newest | Span::Oldest) => (newest + 1, newest),
    };
    let cursor = |seq| Cursor::at(channel, Position { epoch, seq });
    let past = |entry: Entry| past(destination, Position { epoch, seq: entry.seq }, &entry);
    History {
        previous: (first > oldest).then(|| cursor(first)),
        next: (newest > 0).then(|| cursor(last)),
        more: last < newest,
        truncated: oldest > 1,
        messages: entries.into_iter().filter_map(past).collect(),
    }
}

fn past(destination: &str, position: Position, entry: &Entry) -> Option<PastMessage> {
    let message = entry::decode(&entry.message)?;
    if message.only.is_some() {
        return None;
    }
    // Of the frames that carry a body, and not of the message.
    let headers = message.headers.iter().filter(|(name, _)| *name != "content-length");
    Some(PastMessage {
        id: position.to_string(),
        at: UNIX_EPOCH + Duration::from_millis(entry.at.min(LATEST)),
        destination: destination.to_owned(),
        user: message.user,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: message.body,
    })
}

/// The end of the year 9999, in milliseconds: RFC 3339 goes no further.
const LATEST: u64 = 253_402_300_799_999;

pub(super) fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

fn as_map<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let first = |at: &usize| !headers[..*at].iter().any(|(name, _)| *name == headers[*at].0);
    serializer.collect_map((0..headers.len()).filter(first).map(|at| (&headers[at].0, &headers[at].1)))
}
