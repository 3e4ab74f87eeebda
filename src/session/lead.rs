//! What entries of subscriptions lead to that are followed for that: further subscriptions, or the session's end.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::held::Presence;
use super::reader::RETRY;
use super::{Place, Session};
use crate::hub::{Farewell, Lead, Mailbox};
use crate::node::NodeInner;
use crate::service::ServiceState;
use crate::store::{Branch, Branched, Ended, Feed, Gone, Hold, Position, Push, SubscribeError};

/// The subscription whose entries lead to something: as long as it is there.
pub(super) struct Stem {
    pub(super) feed: Feed,
    pub(super) generation: u64,
}

/// Who does what entries lead to.
pub(super) trait Leader {
    /// Does it, in order; false if the session is over or somebody else's, of which its receiver is told.
    fn act(&self, stem: Stem, leads: Vec<Lead>) -> BoxFuture<'static, bool>;
}

/// For a session that lives here alone.
pub(super) struct LocalLeader<'a>(pub(super) &'a Session);

impl Leader for LocalLeader<'_> {
    fn act(&self, stem: Stem, leads: Vec<Lead>) -> BoxFuture<'static, bool> {
        let session = self.0.clone();
        Box::pin(async move {
            for lead in leads {
                let end = match lead {
                    Lead::Follow(feed, at) => match branch_here(&session, &stem, &feed, at).await {
                        Ok(()) => None,
                        Err(SubscribeError::TooMany(most)) => too_many(&session.0.service, &stem, most),
                        Err(_) => return false,
                    },
                    Lead::End(end) => Some(end),
                };
                if let (Some(Farewell { message, reason }), Place::Here(local)) = (end, &session.0.place) {
                    // Fails only if the session is over.
                    let _ = local.send([message], session.0.service.unread_limit);
                    local.mailbox().close(reason);
                    return false;
                }
            }
            true
        })
    }
}

async fn branch_here(session: &Session, stem: &Stem, feed: &Feed, at: Position) -> Result<(), SubscribeError> {
    let (node, service) = (&session.0.node, &session.0.service);
    let Place::Here(local) = &session.0.place else { return Ok(()) };
    loop {
        match local.branch(node, stem, feed, at, service.unread_limit, service.max_subscriptions).await {
            Err(SubscribeError::Store(error)) => {
                tracing::warn!(%error, channel = %feed.channel, "could not follow a channel");
                tokio::time::sleep(RETRY).await;
            }
            done => return done,
        }
    }
}

/// For a session in the store, which a receiver holds.
pub(super) struct KeptLeader<'a> {
    pub(super) presence: &'a Presence,
    pub(super) service: &'a Arc<ServiceState>,
    pub(super) hold: Hold,
}

impl Leader for KeptLeader<'_> {
    fn act(&self, stem: Stem, leads: Vec<Lead>) -> BoxFuture<'static, bool> {
        let kept = Kept {
            node: Arc::clone(&self.presence.node),
            mailbox: Arc::clone(&self.presence.mailbox),
            service: Arc::clone(self.service),
            hold: self.hold,
        };
        Box::pin(async move {
            let done = kept.act(&stem, leads).await;
            // What it is subscribed to now, or what became of it, stands in the store.
            kept.mailbox.changed();
            done.is_ok()
        })
    }
}

/// The work for a session in the store.
struct Kept {
    node: Arc<NodeInner>,
    mailbox: Arc<Mailbox>,
    service: Arc<ServiceState>,
    hold: Hold,
}

impl Kept {
    async fn act(&self, stem: &Stem, leads: Vec<Lead>) -> Result<(), Gone> {
        for lead in leads {
            let end = match lead {
                Lead::Follow(feed, at) => self.branch(stem, &feed, at).await?,
                Lead::End(end) => Some(end),
            };
            if let Some(end) = end {
                self.end(end).await;
                return Err(Gone::Over);
            }
        }
        Ok(())
    }

    /// Subscribes; how the session ends if that is too much for it.
    async fn branch(&self, stem: &Stem, feed: &Feed, at: Position) -> Result<Option<Farewell>, Gone> {
        let (branch, most) =
            (Branch { stem: (&stem.feed, stem.generation), feed, at }, self.service.max_subscriptions);
        loop {
            match self.node.store.branch(self.hold, branch, most).await {
                Ok(Branched::Done) => return Ok(None),
                Ok(Branched::TooMany) => return Ok(too_many(&self.service, stem, most)),
                Err(Gone::Store(error)) => {
                    tracing::warn!(%error, channel = %feed.channel, "could not subscribe a session to a channel");
                    tokio::time::sleep(RETRY).await;
                }
                Err(gone) => return Err(gone),
            }
        }
    }

    /// Ends the session, however often that has to be tried.
    async fn end(&self, farewell: Farewell) {
        while let Err(Gone::Store(error)) = self.try_end(&farewell).await {
            tracing::warn!(%error, "could not end a session");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_end(&self, Farewell { message, reason }: &Farewell) -> Result<(), Gone> {
        let (store, session) = (&self.node.store, self.hold.session);
        let (limit, most_kept) = (self.service.unread_limit, self.service.most_kept());
        let push = Push { messages: vec![message.clone()], limit, most_kept };
        self.ended(store.push(session, push).await?);
        self.ended(store.close(session, reason.clone()).await?);
        Ok(())
    }

    fn ended(&self, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.node.spawn_on_close(ended);
        }
    }
}

fn too_many(service: &ServiceState, stem: &Stem, most: usize) -> Option<Farewell> {
    service.render.as_ref()?.too_many(stem.feed.tag.as_deref()?, most)
}
