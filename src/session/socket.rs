//! Sessions of WebSockets: the connection is the session, so they live in memory alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sockhop_transports::{CloseReason, Fenced, Frame, Message, Messages, Next, Room, Socket, SocketEnd, Texts};
use tokio::time::Instant;

use super::anchor::{Anchoring, Runs, Watch};
use super::clock::{Clock, Due, beat};
use super::lead::{LocalLeader, Stem};
use super::reader::{Missed, Reader};
use super::track::Receipt;
use super::{Place, SendError, Session, closed};
use crate::handler::Call;
use crate::hub::{Drawn, Follow, Hub, Mailbox, NewFollower, Refused};
use crate::node::NodeInner;
use crate::service::ServiceState;
use crate::store::{Feed, Origin, Position, SessionRef, SubscribeError, Terms};

/// The state of a session that is nowhere but here.
pub(super) struct Local {
    mailbox: Arc<Mailbox>,
    /// The newest generation. Held while subscribing: two tasks shall not make two follows of one channel.
    generations: tokio::sync::Mutex<u64>,
    rate: Mutex<Option<(Instant, u32)>>,
    /// What the receiver has to keep to, and the client.
    terms: Mutex<Option<Box<LocalTerms>>>,
    /// What the store knows of it; most are never anchored.
    pub(super) anchoring: OnceLock<Box<Anchoring>>,
    /// Whether the node counts it among the sessions that are in memory alone.
    counted: AtomicBool,
}

struct LocalTerms {
    terms: Terms,
    /// How long the client may be silent.
    patience: Option<Duration>,
    /// When it last was not.
    heard: Instant,
}

impl Local {
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(super) fn anchoring(&self) -> &Anchoring {
        self.anchoring.get_or_init(Box::default)
    }

    /// Not among the sessions any more that are in memory alone.
    pub(super) fn uncount(&self, node: &NodeInner) {
        if self.counted.swap(false, Ordering::Relaxed) {
            node.socket_gone();
        }
    }

    pub(super) fn send(&self, messages: impl IntoIterator<Item = Message>, limit: usize) -> Result<(), SendError> {
        self.mailbox.push(messages, limit).map_err(|refused| match refused {
            Refused::Over => SendError::Over,
            Refused::TooSlow => SendError::TooSlow,
        })
    }

    pub(super) async fn subscribe(
        &self,
        node: &NodeInner,
        feed: &Feed,
        from: Option<Position>,
        limit: usize,
        most: usize,
    ) -> Result<(), SubscribeError> {
        let mut generations = self.generations.lock().await;
        if self.mailbox.is_closed() {
            return Err(SubscribeError::Over);
        }
        let followed = self.mailbox.follows();
        if followed.iter().any(|follow| follow.is_of(feed)) {
            return Ok(());
        }
        if followed.len() >= most {
            return Err(SubscribeError::TooMany(most));
        }
        *generations += 1;
        let follower = NewFollower { mailbox: &self.mailbox, generation: *generations, limit };
        node.hub.follow(&*node.store, node.id, feed, from, follower).await?;
        if self.mailbox.is_closed() {
            self.unsubscribe(feed);
            return Err(SubscribeError::Over);
        }
        Ok(())
    }

    /// Adds a subscription that an entry of another one has led to, as long as that one is there.
    pub(super) async fn branch(
        &self,
        node: &NodeInner,
        stem: &Stem,
        feed: &Feed,
        at: Position,
        limit: usize,
        most: usize,
    ) -> Result<(), SubscribeError> {
        let mut generations = self.generations.lock().await;
        let is_stem = |follow: &Follow| follow.generation == stem.generation && follow.is_of(&stem.feed);
        let has_stem = || self.mailbox.follows().iter().any(is_stem);
        let followed = self.mailbox.follows();
        if !followed.iter().any(is_stem) || followed.iter().any(|follow| follow.is_of(feed)) {
            return Ok(());
        }
        if followed.len() >= most {
            return Err(SubscribeError::TooMany(most));
        }
        *generations += 1;
        let follower = NewFollower { mailbox: &self.mailbox, generation: *generations, limit };
        node.hub.follow(&*node.store, node.id, feed, Some(at), follower).await?;
        // It may have ended meanwhile, and what it had led to: this is then the last of that.
        if self.mailbox.is_closed() || !has_stem() {
            self.unsubscribe(feed);
        }
        Ok(())
    }

    pub(super) fn unsubscribe_tag(&self, tag: &str) {
        for follow in self.mailbox.follows() {
            if follow.tag.as_deref() == Some(tag) {
                self.unsubscribe(&follow.feed());
            }
        }
    }

    /// Ends a follow; how far it was handed out.
    pub(super) fn unsubscribe(&self, feed: &Feed) -> Option<Position> {
        let follow = self.mailbox.remove(feed)?;
        follow.end();
        Some(follow.cursor)
    }

    fn terms(&self) -> MutexGuard<'_, Option<Box<LocalTerms>>> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds from now on, and how long the client may be silent.
    pub(super) fn set_terms(&self, terms: Terms, patience: Option<Duration>) {
        *self.terms() = Some(Box::new(LocalTerms { terms, patience, heard: Instant::now() }));
    }

    /// Counts messages of the running second; false if they are too many.
    fn admit(&self, count: usize, most: Option<u32>) -> bool {
        let Some(most) = most else { return true };
        let now = Instant::now();
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = rate.filter(|(since, _)| now - *since < Duration::from_secs(1)).unwrap_or((now, 0));
        let count = before.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        *rate = Some((since, count));
        count <= most
    }
}

/// A WebSocket's session, as its transport drives it.
pub(crate) struct LocalSocket {
    session: Session,
    reader: Reader,
    /// Something was handed out that the service tracks, and it was not told yet.
    tracked: bool,
    clock: Clock,
    watch: Watch,
    /// The socket's place in the registry.
    present: usize,
    life: Life,
}

#[derive(PartialEq, Eq)]
enum Life {
    /// `o` comes first.
    Opening,
    Open,
    /// The handler was told of the end.
    Ended,
}

/// Bytes put into one frame for a WebSocket: what its write buffer may keep.
const BATCH: usize = 16 * 1024;

impl LocalSocket {
    pub(crate) fn open(
        node: Arc<NodeInner>,
        service: Arc<ServiceState>,
        origin: Origin,
        session: SessionRef,
    ) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let present = node.registry.enter_socket(&mailbox);
        if node.is_draining() {
            mailbox.close(CloseReason::GOING_AWAY);
        }
        let local = Local {
            mailbox: Arc::clone(&mailbox),
            generations: tokio::sync::Mutex::default(),
            rate: Mutex::new(None),
            terms: Mutex::default(),
            anchoring: OnceLock::new(),
            counted: AtomicBool::new(true),
        };
        let reader = Reader::new(Arc::clone(&node), mailbox, &service);
        let place = Place::Here(local);
        let session = Session::new(node, service, Arc::new(origin), session, place, BTreeMap::new());
        Self {
            session,
            reader,
            tracked: false,
            clock: Clock::default(),
            watch: Watch::default(),
            present,
            life: Life::Opening,
        }
    }

    fn local(&self) -> &Local {
        match &self.session.0.place {
            Place::Here(local) => local,
            Place::Store(_) => unreachable!("a socket's session is made with a local place"),
        }
    }
}

impl LocalSocket {
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Result<(), Fenced> {
        let Session(session) = &self.session;
        match &session.place {
            Place::Here(local) => self.watch.poll(cx, local, &session.node, session.session),
            Place::Store(_) => Ok(()),
        }
    }

    /// Tells the service what has gone out of the feeds that it tracks.
    fn tell_tracked(&mut self) {
        let super::Inner { service, node, .. } = &*self.session.0;
        let Some(track) = service.track.as_ref().filter(|_| std::mem::take(&mut self.tracked)) else { return };
        for follow in self.reader.mailbox.follows() {
            if follow.tag.as_ref().is_some_and(|tag| track.window(tag).is_some()) {
                let feed = follow.feed();
                track.received(node, Receipt { feed: &feed, at: follow.cursor, attempt: None });
            }
        }
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>, room: Room) -> Poll<Next> {
        let (terms, patience, heard) = match &*self.local().terms() {
            Some(terms) => (terms.terms, terms.patience, terms.heard),
            None => return Poll::Pending,
        };
        self.clock.set(terms, patience);
        match self.clock.poll(cx, heard) {
            Due::Nothing => Poll::Pending,
            Due::Beat if room == Room::Blocked => Poll::Pending,
            Due::Beat => Poll::Ready(Next::Frame(Frame::Messages(Messages::from_buf([beat()])))),
            Due::End => Poll::Ready(Next::Frame(Frame::Close(CloseReason::EXPIRED))),
            Due::Silence => Poll::Ready(Next::Frame(Frame::Close(CloseReason::SILENT))),
        }
    }
}

impl Socket for LocalSocket {
    fn poll_next(&mut self, cx: &mut Context<'_>, room: Room) -> Poll<Next> {
        if self.life == Life::Opening {
            self.life = Life::Open;
            return Poll::Ready(Next::Frame(Frame::Open));
        }
        if self.poll_watch(cx) == Err(Fenced) {
            return Poll::Ready(Next::Fenced);
        }
        // What was handed out before is in the connection's buffer by now.
        self.tell_tracked();
        let mut messages = Messages::new();
        let into = (room == Room::Free).then_some(&mut messages);
        let mut read = Ok(());
        match self.reader.mailbox.draw(cx, BATCH, into) {
            Drawn::Over(reason) if messages.is_empty() || reason == CloseReason::TOO_SLOW => {
                return Poll::Ready(Next::Frame(Frame::Close(reason)));
            }
            Drawn::Nothing if !self.reader.is_reading() => {}
            _ if room == Room::Blocked => {}
            _ => read = self.reader.poll(cx, BATCH, &mut messages, &LocalLeader(&self.session)),
        }
        self.tracked |= self.reader.take_tracked().is_some();
        if !messages.is_empty() {
            self.clock.spoke();
            return Poll::Ready(Next::Frame(Frame::Messages(messages)));
        }
        match read {
            Ok(()) => self.poll_clock(cx, room),
            Err(Missed) => Poll::Ready(Next::Frame(Frame::Close(CloseReason::MISSED_MESSAGES))),
        }
    }

    fn opened(&self) -> BoxFuture<'static, ()> {
        self.session.run(Call::Open)
    }

    fn message_in(&self, messages: Texts) -> BoxFuture<'static, ()> {
        if let Some(terms) = &mut *self.local().terms() {
            terms.heard = Instant::now();
        }
        if !self.local().admit(messages.len(), self.session.0.service.max_messages_per_second) {
            self.local().mailbox.close(CloseReason::TOO_MANY_MESSAGES);
            return Box::pin(std::future::ready(()));
        }
        self.session.run(Call::Messages(messages))
    }

    async fn ended(mut self, end: SocketEnd) {
        self.life = Life::Ended;
        self.tell_tracked();
        let reason = end.reason();
        // Closed before, for its own reason, unless the connection came to its end first.
        self.local().mailbox.close(reason.clone());
        let reason = self.local().mailbox.end_reason().unwrap_or(reason);
        let Runs::Here { reason, anchored } = self.local().end_anchor(&self.session, reason).await else { return };
        closed(&self.session, &reason).await;
        if anchored && let Err(error) = self.session.0.node.store.closed(self.session.identity()).await {
            tracing::warn!(%error, "could not write down that a session's end was handled");
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let mailbox = &self.local().mailbox;
        mailbox.close(CloseReason::INTERRUPTED);
        Hub::unfollow_all(mailbox);
        let node = &self.session.0.node;
        node.registry.leave_socket(self.present);
        self.local().uncount(node);
        self.local().drop_anchor();
        if self.life != Life::Ended {
            // Its upgrade never came: the handler, which was not told of the session, need not hear of its end.
            node.metrics.closed(&CloseReason::INTERRUPTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Broadcast;
    use crate::{ChannelName, Node, Service};

    async fn next(socket: &mut impl Socket) -> Next {
        std::future::poll_fn(|cx| socket.poll_next(cx, Room::Free)).await
    }

    #[tokio::test]
    async fn a_message_for_a_thousand_sockets_is_encoded_once() {
        let node = Node::new();
        let channel = ChannelName::new("room").unwrap();
        let service = Service::builder("/room", Broadcast::new(&node, channel.clone())).build(&node);
        let mut sockets = Vec::new();
        for _ in 0..1000 {
            let mut socket = service.open_socket();
            socket.opened().await;
            assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
            sockets.push(socket);
        }
        let message = Message::new("to all");
        let encoded = message.frame().as_ptr();
        node.publish(&channel, message).await.unwrap();
        for socket in &mut sockets {
            let Next::Frame(frame) = next(socket).await else { panic!("a frame") };
            assert_eq!(frame.encode().as_ptr(), encoded, "the very bytes that were encoded");
        }
    }

    #[tokio::test]
    async fn a_stomp_message_is_encoded_once_for_each_subscription_id() {
        let node = Node::new();
        let service = crate::stomp::Stomp::new().service("/ws").build(&node);
        let mut sockets = Vec::new();
        for number in 0..100 {
            let mut socket = service.open_socket();
            let id = number % 2;
            let frames = format!(
                "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:sub-{id}\ndestination:/topic/a\nreceipt:r\n\n\0"
            );
            socket.message_in([frames].into_iter().collect()).await;
            assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
            assert!(matches!(next(&mut socket).await, Next::Frame(Frame::Messages(_))), "connected and receipted");
            sockets.push(socket);
        }
        crate::stomp::Broker::new(&node).send("/topic/a", "to all").await.unwrap();
        let mut encoded = Vec::new();
        for socket in &mut sockets {
            let Next::Frame(frame) = next(socket).await else { panic!("a frame") };
            encoded.push(frame.encode());
        }
        for pair in encoded.chunks(2) {
            assert_eq!(pair[0].as_ptr(), encoded[0].as_ptr(), "the very bytes that were encoded");
            assert_eq!(pair[1].as_ptr(), encoded[1].as_ptr(), "the very bytes that were encoded");
        }
        assert_ne!(encoded[0], encoded[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stomp_client_that_breaks_its_promise_of_heart_beats_is_ended_and_one_that_keeps_it_is_not() {
        let service = crate::stomp::Stomp::new().service("/ws").build(&Node::new());
        let mut socket = service.open_socket();
        let connect = "CONNECT\naccept-version:1.2\nheart-beat:40000,0\n\n\0".to_owned();
        socket.message_in([connect].into_iter().collect()).await;
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        assert!(matches!(next(&mut socket).await, Next::Frame(Frame::Messages(_))));
        for _ in 0..3 {
            let silent = tokio::time::timeout(Duration::from_secs(119), next(&mut socket)).await;
            assert!(silent.is_err(), "within its promise, thrice over");
            socket.message_in(["\n".to_owned()].into_iter().collect()).await;
        }
        let end = tokio::time::timeout(Duration::from_secs(121), next(&mut socket)).await.unwrap();
        assert_eq!(end, Next::Frame(Frame::Close(CloseReason::SILENT)));
        socket.ended(SocketEnd::Closed(CloseReason::SILENT)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_does_not_read_is_ended_and_the_others_are_not() {
        let node = Node::new();
        let channel = ChannelName::new("room").unwrap();
        let room = Broadcast::new(&node, channel.clone());
        let service = Service::builder("/room", room).unread_limit(1000).build(&node);
        let (mut blocked, mut reading) = (service.open_socket(), service.open_socket());
        for socket in [&mut blocked, &mut reading] {
            socket.opened().await;
            assert_eq!(next(socket).await, Next::Frame(Frame::Open));
        }
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(200)).await;
            node.publish(&channel, "0123456789").await.unwrap();
            assert!(matches!(next(&mut reading).await, Next::Frame(Frame::Messages(_))));
        }
        let end = std::future::poll_fn(|cx| blocked.poll_next(cx, Room::Blocked)).await;
        assert_eq!(end, Next::Frame(Frame::Close(CloseReason::TOO_SLOW)));
        blocked.ended(SocketEnd::Closed(CloseReason::TOO_SLOW)).await;
        assert_eq!(node.sessions(), 1);
    }
}
