//! How a request takes hold of a session in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use sockhop_transports::{Attached, CloseReason, Unavailable};

use super::held::{Held, Presence};
use super::named::Named;
use super::on_open;
use crate::id::RequestId;
use crate::node::NodeInner;
use crate::service::ServiceState;
use crate::store::{self, Attach, First, Opening, Origin, Own, Pending, Replay, Takeover};

pub(crate) const STORE_FAILED: Unavailable = Unavailable("The session store cannot be reached.");
pub(crate) const FULL: Unavailable = Unavailable("Too many sessions.");

/// A request that wants to receive for a session.
pub(crate) struct Wanted<'a> {
    pub(crate) named: Named,
    pub(crate) request: Option<RequestId>,
    pub(crate) first: First,
    /// How the session begins, if nobody knows it.
    pub(crate) origin: &'a (dyn Fn() -> Origin + Send + Sync),
}

/// Takes hold of a session, which is created if nobody knows it.
pub(crate) async fn attach(
    node: &Arc<NodeInner>,
    service: &Arc<ServiceState>,
    presence: Presence,
    wanted: Wanted<'_>,
) -> Attached<Held> {
    let Wanted { named: Named { key, attempt }, request, first, origin } = wanted;
    let create = || (!node.is_draining() && node.has_room()).then(origin);
    let mut takeover = Takeover::Never;
    loop {
        let attach = Attach { key, node: node.id, request, takeover, first, attempt, create: &create };
        match node.store.attach(attach).await {
            Ok(store::Attached::Created(hold, origin, turn)) => {
                node.metrics.opened.increment(1);
                let opening = Opening { session: hold.session, origin, attributes: BTreeMap::new(), turn };
                node.spawn(on_open(Arc::clone(node), Arc::clone(service), opening));
                let service = Arc::clone(service);
                return Attached::Held(match first {
                    First::Released => Held::released(presence, service, hold),
                    First::Held => {
                        let pending = Pending { replay: Replay::New, from: Own(0), ..Pending::default() };
                        Held::new(presence, service, attempt, hold, pending).await
                    }
                });
            }
            Ok(store::Attached::Held(hold, pending)) => {
                return Attached::Held(Held::new(presence, Arc::clone(service), attempt, hold, pending).await);
            }
            Ok(store::Attached::Busy(holder)) => {
                // Only the holder's own word makes a second receiver one too many.
                if node.is_held(holder, presence.ticket()).await {
                    return Attached::Refused(CloseReason::STILL_OPEN);
                }
                takeover = Takeover::From(holder.hold);
            }
            Ok(store::Attached::Superseded) => return Attached::Refused(CloseReason::SUPERSEDED),
            // Its client has had its answer: nobody waits for this one.
            Ok(store::Attached::Stale) => return Attached::Unwritten,
            Ok(store::Attached::Gone) => return Attached::Refused(CloseReason::GONE),
            Ok(store::Attached::Full) if node.is_draining() => return Attached::Refused(CloseReason::GOING_AWAY),
            Ok(store::Attached::Full) => return Attached::Unavailable(FULL),
            Err(error) => {
                tracing::warn!(%error, "could not attach a session");
                // A balancer that names its requests repeats this one elsewhere; a status would end the client.
                return if request.is_some() { Attached::Unwritten } else { Attached::Unavailable(STORE_FAILED) };
            }
        }
    }
}
