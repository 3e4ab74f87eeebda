//! Anchors: records in the store of sessions that live in memory, by which others learn of them and of their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sockhop_transports::{CloseReason, Fenced};
use tokio::sync::MutexGuard;

use super::held::Presence;
use super::reader::RETRY;
use super::socket::Local;
use super::{AnchorError, AttributeError, Session};
use crate::node::NodeInner;
use crate::registry::Kind;
use crate::store::{Anchor, Gone, Hold, Own, Pending, SessionRef};

/// A session's anchor, if it has one.
#[derive(Default)]
pub(super) struct Anchoring {
    /// Held while the store is asked: what becomes of the anchor, and attributes, are written in one order.
    state: tokio::sync::Mutex<State>,
    /// Whether the store may tell of the session.
    may_hear: AtomicBool,
}

#[derive(Default)]
enum State {
    /// The store does not know the session.
    #[default]
    None,
    /// Nobody knows whether it does.
    Asked(Presence),
    Anchored(Presence),
    /// The session is over.
    Over,
}

/// Who runs the `on_close` of a session that has ended here.
pub(super) enum Runs {
    /// This node, which then tells the store if it has to know.
    Here { reason: CloseReason, anchored: bool },
    /// Whoever took it for dead.
    Elsewhere,
}

impl Local {
    pub(super) async fn anchor(&self, session: &Session) -> Result<(), AnchorError> {
        let mut state = self.anchoring().state.lock().await;
        self.make_anchor(session, &mut state).await
    }

    /// Whether the store knows of the session, or may.
    pub(super) fn is_anchored(&self) -> bool {
        self.anchoring.get().is_some_and(|anchoring| anchoring.may_hear.load(Ordering::Acquire))
    }

    async fn make_anchor(&self, session: &Session, state: &mut State) -> Result<(), AnchorError> {
        if self.mailbox().is_closed() {
            return Err(AnchorError::Over);
        }
        let node = &session.0.node;
        let identity = session.identity();
        match state {
            State::Anchored(_) => return Ok(()),
            State::Over => return Err(AnchorError::Over),
            State::None => {
                let presence = Presence::of(node, identity.key, Kind::Anchored, Arc::clone(self.mailbox()));
                node.registry.attached(presence.ticket(), Hold::of_anchor(identity));
                *state = State::Asked(presence);
                self.anchoring().may_hear.store(true, Ordering::Release);
            }
            State::Asked(_) => {}
        }
        let attributes = session.all_attributes();
        let origin = &session.0.origin;
        let anchor = Anchor { session: identity, node: node.id, origin, attributes: &attributes };
        match node.store.anchor(anchor).await {
            Ok(()) => {}
            Err(Gone::Over | Gone::Fenced) => {
                // By others: why, the receiver looks up.
                self.mailbox().changed();
                return Err(AnchorError::Over);
            }
            Err(Gone::Store(error)) => return Err(error.into()),
        }
        if let State::Asked(presence) = std::mem::replace(state, State::Over) {
            *state = State::Anchored(presence);
            // From now on the store counts it.
            self.uncount(node);
        }
        Ok(())
    }

    /// Writes an attribute down where the session is anchored. Until the answer is dropped no other is written.
    pub(super) async fn write_attribute<'a>(
        &'a self,
        session: &Session,
        name: &str,
        value: Option<&str>,
    ) -> Result<Writing<'a>, AttributeError> {
        let mut state = self.anchoring().state.lock().await;
        match &*state {
            State::None | State::Over => {}
            State::Anchored(_) => session.store_attribute(name, value.map(str::to_owned)).await?,
            State::Asked(_) => {
                self.make_anchor(session, &mut state).await.map_err(|error| match error {
                    AnchorError::Over => AttributeError::Over,
                    AnchorError::Store(error) => AttributeError::Store(error),
                })?;
                session.store_attribute(name, value.map(str::to_owned)).await?;
            }
        }
        Ok(Writing { _state: state })
    }

    /// The session has ended here, for this reason unless the store knows an earlier one.
    pub(super) async fn end_anchor(&self, session: &Session, reason: CloseReason) -> Runs {
        let mut state = self.anchoring().state.lock().await;
        let presence = match std::mem::replace(&mut *state, State::Over) {
            State::None | State::Over => return Runs::Here { reason, anchored: false },
            State::Asked(presence) | State::Anchored(presence) => presence,
        };
        drop(state);
        let runs = quit(&session.0.node, session.identity(), reason).await;
        // Not before: who asks for the session meanwhile hears that it is here.
        drop(presence);
        runs
    }

    /// The socket is gone, whether or not it was told of its end.
    pub(super) fn drop_anchor(&self) {
        if let Some(anchoring) = self.anchoring.get()
            && let Ok(mut state) = anchoring.state.try_lock()
        {
            *state = State::Over;
        }
    }
}

/// Asks the store for the `on_close` of a session that has ended here, until it answers or the node has left it.
async fn quit(node: &Arc<NodeInner>, session: SessionRef, reason: CloseReason) -> Runs {
    let hold = Hold::of_anchor(session);
    loop {
        match node.store.quit(hold, reason.clone()).await {
            Ok(Some(ended)) => return Runs::Here { reason: ended.reason, anchored: true },
            Ok(None) | Err(Gone::Fenced) => return Runs::Elsewhere,
            // It was never written down, or is lost: nobody else knows of it. Should it be written down yet, that is too late.
            Err(Gone::Over) => return Runs::Here { reason, anchored: false },
            Err(Gone::Store(error)) => {
                tracing::warn!(%error, "could not write down the end of an anchored session");
                if node.has_left_within(RETRY).await {
                    // Whoever takes this node for gone runs it.
                    return Runs::Elsewhere;
                }
            }
        }
    }
}

/// An attribute is being written.
pub(super) struct Writing<'a> {
    _state: MutexGuard<'a, State>,
}

/// What the receiver of an anchored session listens to.
#[derive(Default)]
pub(super) struct Watch {
    looking: Option<BoxFuture<'static, Result<Pending, Gone>>>,
    look_again: bool,
}

impl Watch {
    /// Closes the mailbox of a session that others have closed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        local: &Local,
        node: &Arc<NodeInner>,
        session: SessionRef,
    ) -> Result<(), Fenced> {
        if !local.is_anchored() {
            return Ok(());
        }
        let mailbox = local.mailbox();
        let news = mailbox.listen(cx);
        if news.fenced {
            return Err(Fenced);
        }
        self.look_again |= news.changed;
        loop {
            if self.looking.is_none() {
                if !std::mem::take(&mut self.look_again) {
                    return Ok(());
                }
                self.looking = Some(look(Arc::clone(node), session));
            }
            let Some(looking) = &mut self.looking else { return Ok(()) };
            let Poll::Ready(looked) = looking.as_mut().poll(cx) else { return Ok(()) };
            self.looking = None;
            match looked {
                Ok(Pending { closed: Some(reason), .. }) => _ = mailbox.close(reason),
                Ok(_) => {}
                Err(Gone::Over | Gone::Fenced) => return Err(Fenced),
                Err(Gone::Store(error)) => {
                    tracing::warn!(%error, "could not look at an anchored session");
                    self.look_again = true;
                }
            }
        }
    }
}

fn look(node: Arc<NodeInner>, session: SessionRef) -> BoxFuture<'static, Result<Pending, Gone>> {
    Box::pin(async move {
        let looked = node.store.pending(Hold::of_anchor(session), Own(1)).await;
        if matches!(looked, Err(Gone::Store(_))) {
            tokio::time::sleep(RETRY).await;
        }
        looked
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use sockhop_transports::{Frame, Next, Room, Socket, SocketEnd, Texts};
    use tokio::sync::mpsc;

    use crate::session::AnySocket;
    use crate::store::{Inbox, MemoryStore};
    use crate::{AnchorError, AttributeError, CloseReason, Handler, Node, Service, Session};

    /// Tells of ends: at which node, the code, and the session's room.
    #[derive(Clone)]
    struct Guest {
        at: usize,
        ends: mpsc::UnboundedSender<(usize, u16, Option<String>)>,
        sessions: mpsc::UnboundedSender<Session>,
    }

    impl Handler for Guest {
        async fn on_message(&self, session: &Session, message: String) {
            match &*message {
                "keep" => self.sessions.send(session.clone()).unwrap(),
                room => {
                    session.set_attribute("color", "red").await.unwrap();
                    session.anchor().await.unwrap();
                    session.anchor().await.unwrap();
                    session.set_attribute("room", room).await.unwrap();
                }
            }
        }

        async fn on_close(&self, session: &Session, reason: &CloseReason) {
            assert_eq!(session.attribute("color").is_some(), session.attribute("room").is_some());
            let _ = self.ends.send((self.at, reason.code(), session.attribute("room")));
        }
    }

    struct Place {
        nodes: [Node; 2],
        services: [Service; 2],
        ends: mpsc::UnboundedReceiver<(usize, u16, Option<String>)>,
        sessions: mpsc::UnboundedReceiver<Session>,
    }

    fn place() -> Place {
        let store = Arc::new(MemoryStore::new());
        let nodes = [0, 1].map(|_| Node::builder().store(store.clone()).build());
        let (told, ends) = mpsc::unbounded_channel();
        let (kept, sessions) = mpsc::unbounded_channel();
        let services = [0, 1].map(|at: usize| {
            let guest = Guest { at, ends: told.clone(), sessions: kept.clone() };
            Service::builder("/guests", guest).build(&nodes[at])
        });
        Place { nodes, services, ends, sessions }
    }

    async fn next(socket: &mut AnySocket) -> Next {
        poll_fn(|cx| socket.poll_next(cx, Room::Free)).await
    }

    fn text(text: &str) -> Texts {
        [text.to_owned()].into_iter().collect()
    }

    impl Place {
        /// An anchored session of the first node, in the lobby.
        async fn guest(&mut self) -> (AnySocket, Session) {
            let mut socket = self.services[0].open_socket();
            assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
            socket.message_in(text("lobby")).await;
            socket.message_in(text("keep")).await;
            (socket, self.sessions.recv().await.unwrap())
        }

        async fn is_at_peace(&mut self) -> bool {
            tokio::time::timeout(Duration::from_secs(600), self.ends.recv()).await.is_err()
        }
    }

    fn reason() -> CloseReason {
        CloseReason::new(3001, "Kicked").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_where_it_is_has_its_on_close_there_once() {
        let mut place = place();
        let (socket, session) = place.guest().await;
        assert_eq!(place.nodes.iter().map(Node::sessions).sum::<usize>(), 1);
        socket.ended(SocketEnd::ByClient).await;
        assert_eq!(place.ends.recv().await, Some((0, CloseReason::CLIENT_GONE.code(), Some("lobby".to_owned()))));
        assert_eq!(place.nodes.iter().map(Node::sessions).sum::<usize>(), 0);
        assert_eq!(session.anchor().await, Err(AnchorError::Over));
        assert_eq!(session.set_attribute("a", "b").await, Err(AttributeError::Over));
        assert!(place.is_at_peace().await);
    }

    #[tokio::test(start_paused = true)]
    async fn others_close_it_with_a_reason_and_its_own_node_runs_the_on_close() {
        let mut place = place();
        let (mut socket, session) = place.guest().await;
        assert!(place.nodes[1].inner.store.close(session.identity(), reason()).await.unwrap().is_none());
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Close(reason())));
        socket.ended(SocketEnd::Closed(reason())).await;
        assert_eq!(place.ends.recv().await, Some((0, 3001, Some("lobby".to_owned()))));
        assert!(place.is_at_peace().await);
    }

    #[tokio::test(start_paused = true)]
    async fn when_its_node_is_taken_for_dead_another_runs_its_on_close_and_it_does_not() {
        let mut place = place();
        let (mut socket, session) = place.guest().await;
        let [node, _] = &place.nodes;
        node.inner.store.leave(node.id()).await;
        // At whichever node looks first: in memory, one that left looks, too.
        let (_, code, room) = place.ends.recv().await.unwrap();
        assert_eq!((code, room.as_deref()), (CloseReason::INTERRUPTED.code(), Some("lobby")));
        assert_eq!(session.set_attribute("a", "b").await, Err(AttributeError::Over));
        node.inner.lapsed();
        assert_eq!(next(&mut socket).await, Next::Fenced, "without a word");
        socket.ended(SocketEnd::Lost).await;
        assert!(place.is_at_peace().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_drains_closes_it_and_runs_its_on_close() {
        let mut place = place();
        let (mut socket, _session) = place.guest().await;
        let node = place.nodes[0].clone();
        let draining = tokio::spawn(async move { node.drain(Duration::from_secs(10)).await });
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Close(CloseReason::GOING_AWAY)));
        socket.ended(SocketEnd::Closed(CloseReason::GOING_AWAY)).await;
        assert_eq!(draining.await.unwrap().cut, 0);
        assert_eq!(place.ends.recv().await, Some((0, CloseReason::GOING_AWAY.code(), Some("lobby".to_owned()))));
        assert!(place.is_at_peace().await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_anchor_made_when_the_session_was_over_is_none() {
        let mut place = place();
        let mut socket = place.services[0].open_socket();
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        socket.message_in(text("keep")).await;
        let session = place.sessions.recv().await.unwrap();
        drop(socket);
        assert_eq!(session.anchor().await, Err(AnchorError::Over));
        assert_eq!(place.nodes.iter().map(Node::sessions).sum::<usize>(), 0);
    }
}
