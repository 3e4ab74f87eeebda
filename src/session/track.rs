//! What a service is told of how far its clients have come.

use std::sync::Arc;

use crate::node::NodeInner;
use crate::store::{Feed, Position};

/// A service that wants to know what clients are known to have of some of their feeds.
pub(crate) trait Track: Send + Sync + 'static {
    /// Of a feed with this tag, how many entries may be on their way to its client before that is asked whether it has
    /// them; `None` where nobody wants to know.
    fn window(&self, tag: &str) -> Option<usize>;

    /// A client has what such a feed has brought, up to a position. May be told again, and not in order.
    fn received(&self, node: &Arc<NodeInner>, receipt: Receipt<'_>);
}

/// What a client is known to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt<'a> {
    /// Of which feed.
    pub(crate) feed: &'a Feed,
    /// The last entry of it.
    pub(crate) at: Position,
    /// Of a session that can be resumed: the attempt of the client that has it.
    pub(crate) attempt: Option<u64>,
}

/// Entries of tracked feeds that were handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) entries: usize,
    /// The least window of their feeds.
    pub(super) window: usize,
}
