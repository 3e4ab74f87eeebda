//! A store under test, and nodes that write down what they are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockhop::store::{
    Attach, Attached, Attempt, Begin, Due, Ended, Entry, Epoch, First, Hold, Inbox, Intent, MemoryStore, Origin,
    Own, Pending, Position, Publish, Push, RedisStore, Retention, Sent, SessionRef, Signal, Store, Takeover, Turn,
};
use sockhop::{ChannelName, CloseReason, Message, NodeId, RequestId, RequestInfo, SessionKey};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A store under test, and how long things take there.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    /// How long a session lives without a receiver.
    pub(crate) delay: Duration,
    /// What is long enough for something to have happened that does.
    pub(crate) moment: Duration,
}

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    pub(crate) fn memory() -> Self {
        let (delay, moment) = (Duration::from_secs(5), Duration::from_millis(50));
        Self { store: Arc::new(MemoryStore::new()), delay, moment }
    }

    pub(crate) async fn redis(url: &str, prefix: &str) -> Self {
        Self::redis_with(url, prefix, Duration::from_secs(2)).await
    }

    pub(crate) async fn redis_with(url: &str, prefix: &str, lease: Duration) -> Self {
        let store = RedisStore::builder(url).unwrap().prefix(prefix).lease(lease).build();
        store.started().await.unwrap();
        let (delay, moment) = (Duration::from_secs(3), Duration::from_millis(400));
        Self { store: Arc::new(store), delay, moment }
    }

    /// A node that only listens.
    pub(crate) fn join(&self) -> Node {
        let inbox = Arc::<Heard>::default();
        let listening: Arc<dyn Inbox> = inbox.clone();
        let id = NodeId::random();
        self.store.join(id, Arc::downgrade(&listening));
        Node { id, store: Arc::clone(&self.store), inbox, delay: self.delay, moment: self.moment }
    }
}

/// A node that only listens.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) store: Arc<dyn Store>,
    inbox: Arc<Heard>,
    pub(crate) delay: Duration,
    pub(crate) moment: Duration,
}

#[derive(Default)]
struct Heard {
    entries: Mutex<Vec<(String, u64)>>,
    signals: Mutex<Vec<Signal>>,
    news: Notify,
}

impl Inbox for Heard {
    fn entries(&self, _channel: &ChannelName, _epoch: Epoch, entries: &[Entry]) {
        let heard = entries.iter().map(|entry| (entry.message.text().to_owned(), entry.seq));
        self.entries.lock().unwrap().extend(heard);
        self.news.notify_one();
    }

    fn head(&self, _channel: &ChannelName, _head: Position) {}

    fn frames(&self, hold: Hold, _from: Own, _frames: &[Message]) {
        // Frames that come along with the news that there are some.
        self.signal(Signal::Changed(hold));
    }

    fn missed(&self) {}

    fn lapsed(&self) {}

    fn signal(&self, signal: Signal) {
        if !matches!(signal, Signal::Check(_)) {
            self.signals.lock().unwrap().push(signal);
            self.news.notify_one();
        }
    }
}

impl Heard {
    async fn take<T>(&self, from: &Mutex<Vec<T>>, count: usize) -> Vec<T> {
        let enough = async {
            while from.lock().unwrap().len() < count {
                self.news.notified().await;
            }
        };
        timeout(PATIENCE, enough).await.expect("as much as was waited for");
        std::mem::take(&mut from.lock().unwrap())
    }
}

impl Node {
    /// Takes the entries heard, once there are `count`.
    pub(crate) async fn heard(&self, count: usize) -> Vec<(String, u64)> {
        self.inbox.take(&self.inbox.entries, count).await
    }

    /// Takes the signals heard, once there are `count`.
    pub(crate) async fn signals(&self, count: usize) -> Vec<Signal> {
        self.inbox.take(&self.inbox.signals, count).await
    }

    /// Whether nothing more comes.
    pub(crate) async fn is_left_alone(&self) -> bool {
        tokio::time::sleep(self.moment).await;
        self.inbox.entries.lock().unwrap().is_empty() && self.inbox.signals.lock().unwrap().is_empty()
    }

    /// The ends that are given to the node; none where nothing ends in the time that sessions live.
    pub(crate) async fn ends(&self) -> Vec<Ended> {
        let due = timeout(PATIENCE, self.store.due(self.id)).await.expect("something ends");
        let ended = |due| match due {
            Due::Ended(ended) => ended,
            Due::Opening(_) | Due::Tended(_) => panic!("{due:?}"),
        };
        due.into_iter().map(ended).collect()
    }

    pub(crate) async fn try_attach(&self, id: &str, request: Option<&str>, takeover: Takeover) -> Attached {
        self.attach_first(id, request, takeover, First::Held).await
    }

    pub(crate) async fn attach_first(
        &self,
        id: &str,
        request: Option<&str>,
        takeover: Takeover,
        first: First,
    ) -> Attached {
        self.attach_as(id, request.map(RequestId::of), takeover, first, None).await
    }

    /// Attaches as an attempt of a client that can resume.
    pub(crate) async fn attempt(&self, id: &str, number: u64, intent: Intent, request: Option<&str>) -> Attached {
        let attempt = Some(Attempt { number, intent });
        self.attach_as(id, request.map(RequestId::of), Takeover::Never, First::Held, attempt).await
    }

    async fn attach_as(
        &self,
        id: &str,
        request: Option<RequestId>,
        takeover: Takeover,
        first: First,
        attempt: Option<Attempt>,
    ) -> Attached {
        let create = || Some(origin(self.delay));
        let attach = Attach { key: key(id), node: self.id, request, takeover, first, attempt, create: &create };
        self.store.attach(attach).await.unwrap()
    }

    /// Attaches a session that is known and free.
    pub(crate) async fn attach(&self, id: &str, request: Option<&str>) -> (Hold, Pending) {
        match self.try_attach(id, request, Takeover::Never).await {
            Attached::Held(hold, pending) => (hold, pending),
            other => panic!("not held: {other:?}"),
        }
    }

    /// Attaches a session that nobody knows; its first handler call is done.
    pub(crate) async fn open(&self, id: &str, request: Option<&str>) -> Hold {
        match self.try_attach(id, request, Takeover::Never).await {
            Attached::Created(hold, _, turn) => {
                assert!(self.finish(hold.session, turn).await.is_none());
                hold
            }
            other => panic!("not created: {other:?}"),
        }
    }

    /// Opens a session whose client has got `o`.
    pub(crate) async fn opened(&self, id: &str) -> SessionRef {
        let hold = self.open(id, None).await;
        self.store.release(hold, sent(1)).await.unwrap();
        hold.session
    }

    /// Ends a handler call that has sent nothing.
    pub(crate) async fn finish(&self, session: SessionRef, turn: Turn) -> Option<Ended> {
        self.store.finish(session, turn, push(&[])).await.unwrap()
    }

    pub(crate) fn begin(&self, id: &str, request: Option<&str>) -> Begin {
        Begin {
            key: key(id),
            node: self.id,
            request: request.map(RequestId::of),
            attempt: None,
            count: 1,
            rate: None,
        }
    }
}

pub(crate) fn key(id: &str) -> SessionKey {
    SessionKey::of("/test", id)
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn sent(own: u64) -> Sent {
    Sent { own: Own(own), ..Sent::default() }
}

pub(crate) fn push(texts: &[&str]) -> Push {
    Push { messages: texts.iter().map(|text| Message::new(text)).collect(), limit: 100_000, most_kept: 100_000 }
}

pub(crate) fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.text().to_owned()).collect()
}

pub(crate) fn reason() -> CloseReason {
    CloseReason::new(3000, "Go away!").unwrap()
}

pub(crate) async fn publish(store: &Arc<dyn Store>, name: &str, message: &str) -> Position {
    publish_to(store, &channel(name), message).await
}

pub(crate) async fn publish_to(store: &Arc<dyn Store>, channel: &ChannelName, message: &str) -> Position {
    let messages = [Message::new(message)];
    let publish = Publish { channel, messages: &messages, retention: Retention::default(), batch: None };
    store.publish(publish).await.unwrap().last
}

pub(crate) fn origin(disconnect_delay: Duration) -> Origin {
    let (head, ()) = http::Request::builder().uri("/test/0/x/xhr?a=b").body(()).unwrap().into_parts();
    let request = RequestInfo::from_parts(sockhop::Transport::Xhr, "/test", &head, None);
    Origin { service: "/test".into(), request, disconnect_delay }
}
