//! A store under test, and nodes that write down what they are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockhop::store::{
    Attach, Attached, Begin, Ended, Entry, Epoch, First, Hold, Inbox, MemoryStore, Origin, Own, Pending, Position,
    Publish, Push, Retention, Sent, SessionRef, Signal, Store, Takeover, Turn,
};
use sockhop::{ChannelName, CloseReason, Message, NodeId, RequestId, RequestInfo, SessionKey};

/// The stores that the contract is run against.
pub(crate) fn stores() -> Vec<Arc<dyn Store>> {
    vec![Arc::new(MemoryStore::new())]
}

pub(crate) const DELAY: Duration = Duration::from_secs(5);

/// A node that only listens.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) store: Arc<dyn Store>,
    inbox: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    entries: Mutex<Vec<(String, u64)>>,
    signals: Mutex<Vec<Signal>>,
}

impl Inbox for Heard {
    fn entries(&self, _channel: &ChannelName, _epoch: Epoch, entries: &[Entry]) {
        let heard = entries.iter().map(|entry| (entry.message.text().to_owned(), entry.seq));
        self.entries.lock().unwrap().extend(heard);
    }

    fn head(&self, _channel: &ChannelName, _head: Position) {}

    fn frames(&self, _hold: Hold, _from: Own, _frames: &[Message]) {}

    fn missed(&self) {}

    fn lapsed(&self) {}

    fn signal(&self, signal: Signal) {
        self.signals.lock().unwrap().push(signal);
    }
}

impl Node {
    pub(crate) fn join(store: &Arc<dyn Store>) -> Self {
        let inbox = Arc::<Heard>::default();
        let listening: Arc<dyn Inbox> = inbox.clone();
        let id = NodeId::random();
        store.join(id, Arc::downgrade(&listening));
        Self { id, store: Arc::clone(store), inbox }
    }

    pub(crate) fn heard(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.inbox.entries.lock().unwrap())
    }

    pub(crate) fn signals(&self) -> Vec<Signal> {
        std::mem::take(&mut self.inbox.signals.lock().unwrap())
    }

    pub(crate) async fn try_attach(&self, id: &str, request: Option<&str>, takeover: Takeover) -> Attached {
        let create = || Some(origin());
        let request = request.map(RequestId::of);
        let attach = Attach {
            key: key(id),
            node: self.id,
            request,
            takeover,
            first: First::Held,
            attempt: None,
            create: &create,
        };
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
        Begin { key: key(id), node: self.id, request: request.map(RequestId::of), count: 1, rate: None }
    }
}

pub(crate) fn key(id: &str) -> SessionKey {
    SessionKey::of("/test", id)
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn sent(own: u64) -> Sent {
    Sent { own: Own(own), channels: Vec::new() }
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

pub(crate) async fn publish(store: &Arc<dyn Store>, name: &str, message: &str) -> sockhop::store::Position {
    let channel = channel(name);
    let messages = [Message::new(message)];
    let publish = Publish { channel: &channel, messages: &messages, retention: Retention::default(), batch: None };
    store.publish(publish).await.unwrap().last
}

fn origin() -> Origin {
    let (head, ()) = http::Request::builder().uri("/test/0/x/xhr?a=b").body(()).unwrap().into_parts();
    let request = RequestInfo::from_parts(sockhop::Transport::Xhr, "/test", &head, None);
    Origin { service: "/test".into(), request, disconnect_delay: DELAY }
}
