//! What happened in truth, against which each client's account is held.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};

use sockhop::{ChannelName, CloseReason, Handler, Node, NodeId, Session};

use crate::chaos::{Chaos, Life};

pub(crate) const CHANNELS: [&str; 2] = ["red", "blue"];

/// The truth.
#[derive(Default)]
pub(crate) struct Oracle(Mutex<Truth>);

#[derive(Default)]
struct Truth {
    /// Of each channel: numbers whose publish has begun, and those that may or may not be there.
    begun: BTreeMap<&'static str, u64>,
    doubtful: HashSet<(&'static str, u64)>,
    /// Of each client: from which number on it must get all of a channel.
    due: HashMap<String, [u64; 2]>,
    /// Which nodes handled each send.
    handled: HashMap<String, Vec<NodeId>>,
    nodes: HashMap<NodeId, Weak<Chaos>>,
    /// How often each node died, or was taken for dead.
    died: HashMap<NodeId, u32>,
    closed: HashMap<String, u32>,
    /// Which nodes told of the end of each guest.
    left: HashMap<String, Vec<NodeId>>,
}

impl Oracle {
    fn truth(&self) -> std::sync::MutexGuard<'_, Truth> {
        self.0.lock().unwrap()
    }

    pub(crate) fn joined(&self, node: NodeId, chaos: &Arc<Chaos>) {
        self.truth().nodes.insert(node, Arc::downgrade(chaos));
    }

    pub(crate) fn died(&self, node: NodeId) {
        *self.truth().died.entry(node).or_default() += 1;
    }

    fn deaths(&self, node: NodeId) -> u32 {
        self.truth().died.get(&node).copied().unwrap_or_default()
    }

    /// The number to publish next.
    pub(crate) fn next(&self, channel: usize) -> u64 {
        let mut truth = self.truth();
        let begun = truth.begun.entry(CHANNELS[channel]).or_default();
        *begun += 1;
        *begun
    }

    pub(crate) fn doubt(&self, channel: usize, number: u64) {
        self.truth().doubtful.insert((CHANNELS[channel], number));
    }

    /// Whether all numbers between two are doubtful.
    pub(crate) fn may_skip(&self, channel: usize, after: u64, before: u64) -> bool {
        let truth = self.truth();
        (after + 1..before).all(|number| truth.doubtful.contains(&(CHANNELS[channel], number)))
    }

    /// From which numbers on a client must get all.
    pub(crate) fn due(&self, client: &str) -> Option<[u64; 2]> {
        self.truth().due.get(client).copied()
    }

    pub(crate) fn begun(&self, channel: usize) -> u64 {
        self.truth().begun.get(CHANNELS[channel]).copied().unwrap_or_default()
    }

    /// How often a send was handled, but by nodes that died or were taken for dead.
    pub(crate) fn handled(&self, send: &str) -> usize {
        let truth = self.truth();
        let handlers = truth.handled.get(send).into_iter().flatten();
        handlers.filter(|node| !truth.died.contains_key(node)).count()
    }

    pub(crate) fn closed(&self, client: &str) -> u32 {
        self.truth().closed.get(client).copied().unwrap_or_default()
    }

    /// A node tells of the end of a guest, unless it is dead and only seems to run.
    pub(crate) fn left(&self, guest: &str, node: NodeId) {
        if self.lives(node, self.deaths(node)) {
            let mut truth = self.truth();
            truth.left.entry(guest.to_owned()).or_default().push(node);
        }
    }

    /// How often the end of a guest was told, and how often by nodes that neither died nor were taken for dead.
    pub(crate) fn ends(&self, guest: &str) -> (usize, usize) {
        let truth = self.truth();
        let told = truth.left.get(guest).map(Vec::as_slice).unwrap_or_default();
        (told.len(), told.iter().filter(|node| !truth.died.contains_key(node)).count())
    }

    /// Whether what runs there now really runs, and was not given up on since the node had died so often.
    fn lives(&self, node: NodeId, deaths: u32) -> bool {
        let alive = self.truth().nodes.get(&node).and_then(Weak::upgrade);
        alive.is_some_and(|chaos| *chaos.life().borrow() != Life::Dead) && self.deaths(node) == deaths
    }
}

/// The application.
pub(crate) struct Ledger {
    pub(crate) node: Node,
    pub(crate) oracle: Arc<Oracle>,
}

fn client(session: &Session) -> String {
    session.request().query().to_owned()
}

impl Handler for Ledger {
    async fn on_open(&self, session: &Session) {
        let deaths = self.oracle.deaths(self.node.id());
        for channel in CHANNELS {
            if session.subscribe(&ChannelName::new(channel).unwrap()).await.is_err() {
                return;
            }
        }
        if self.oracle.lives(self.node.id(), deaths) {
            let mut truth = self.oracle.truth();
            let due = CHANNELS.map(|channel| truth.begun.get(channel).copied().unwrap_or_default() + 1);
            truth.due.insert(client(session), due);
        }
    }

    async fn on_message(&self, session: &Session, message: String) {
        let name = session.attribute("name").unwrap_or_default();
        if name.is_empty() {
            let _ = session.set_attribute("name", client(session)).await;
        }
        self.oracle.truth().handled.entry(message.clone()).or_default().push(self.node.id());
        let _ = session.send(message).await;
    }

    async fn on_close(&self, session: &Session, _reason: &CloseReason) {
        if self.oracle.lives(self.node.id(), 0) {
            *self.oracle.truth().closed.entry(client(session)).or_default() += 1;
        }
    }
}
