//! What a node is made with.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Node, NodeInner};
use crate::catalogue::Catalogue;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::retention::{ChannelPattern, Retentions};
use crate::stomp::Queues;
use crate::store::{IdMemory, Inbox, MemoryStore, Retention, Store};

/// Makes a [`Node`].
#[derive(Debug)]
pub struct NodeBuilder {
    store: Option<Arc<dyn Store>>,
    max_sessions: usize,
    queues: Queues,
    max_topics: usize,
    retentions: Retentions,
    id_memory: IdMemory,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        Self {
            store: None,
            max_sessions: 1_000_000,
            queues: Queues::default(),
            max_topics: 10_000,
            retentions: Retentions::default(),
            id_memory: IdMemory::default(),
        }
    }
}

impl NodeBuilder {
    /// Where channels and sessions live. Default: a new [`MemoryStore`].
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sessions that the node opens at most. Default 1,000,000. Clients beyond it get 503.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Channels below `/topic/` that can be found by wildcards. Default 10,000. Beyond that publishing goes on, but
    /// subscriptions with wildcards end, with an error that says so: they would miss messages. Nodes that share a store
    /// should have the same.
    #[must_use]
    pub fn max_topics(mut self, topics: usize) -> Self {
        self.max_topics = topics;
        self
    }

    /// Who gets what is sent to a destination of STOMP below `/queue/`. Default [`Queues::Shared`]: one of its
    /// subscribers. Nodes that share a store have to agree.
    #[must_use]
    pub fn queues(mut self, queues: Queues) -> Self {
        self.queues = queues;
        self
    }

    /// How much of each channel is kept for sessions that are between two requests. See [`Retention::default`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retentions.others = retention;
        self
    }

    /// How much is kept of the channels that a pattern names. Of several patterns, the first that names a channel counts.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use sockhop::{Node, store::Retention};
    ///
    /// let node = Node::builder()
    ///     .retention_of("log/*".parse().unwrap(), Retention { entries: 100, ..Retention::default() })
    ///     .build();
    /// # });
    /// ```
    #[must_use]
    pub fn retention_of(mut self, channels: ChannelPattern, retention: Retention) -> Self {
        self.retentions.named.push((channels, retention));
        self
    }

    /// How long channels, and queues, remember the ids of messages that are [published once](Node::publish_once). See
    /// [`IdMemory::default`]; a year at most. Nodes that share a store should have the same.
    #[must_use]
    pub fn id_memory(mut self, memory: IdMemory) -> Self {
        self.id_memory = IdMemory { ids: memory.ids.max(1), time: memory.time.min(LONGEST) };
        self
    }

    /// Starts the node. Its background tasks run until [`Node::drain`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn build(self) -> Node {
        let inner = Arc::new_cyclic(|me| NodeInner {
            me: Weak::clone(me),
            id: NodeId::random(),
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            hub: Hub::default(),
            registry: Registry::default(),
            metrics: Metrics::new(),
            max_sessions: self.max_sessions,
            queues: self.queues,
            least_retention: self.retentions.least(),
            catalogue: Catalogue::new(self.max_topics, self.retentions.longest()),
            retentions: self.retentions,
            id_memory: self.id_memory,
            sockets: AtomicUsize::new(0),
            services: RwLock::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            left: CancellationToken::new(),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        });
        let inbox: Arc<dyn Inbox> = inner.clone();
        inner.store.join(inner.id, Arc::downgrade(&inbox));
        inner.spawn_background();
        Node { inner }
    }
}

/// Longer times would not be meant, and clocks could not add them.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
