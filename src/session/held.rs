//! Receivers of sessions in the store: what waits for the client, in order, and how far it came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sockhop_transports::{CloseReason, Fenced, Frame, Message, Messages, Next, Receiver, Room};
use tokio::time::Instant;

use super::again::Batch;
use super::clock::{Clock, Due, beat};
use super::lead::KeptLeader;
use super::reader::{Missed, RETRY, Reader};
use super::track::Receipt;
use super::unconfirmed::Unconfirmed;
use crate::hub::{Hub, Mailbox, NewFollower};
use crate::id::SessionKey;
use crate::node::NodeInner;
use crate::registry::Kind;
use crate::service::ServiceState;
use crate::store::{
    Again, Attempt, Feed, Gone, Hold, Own, Pending, Position, Replay, Sent, StoreError, Subscription, size_of,
};

/// A receiver's place in the registry, from before its attach until the store knows that it is gone.
pub(crate) struct Presence {
    pub(super) node: Arc<NodeInner>,
    key: SessionKey,
    ticket: u64,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Presence {
    pub(crate) fn enter(node: &Arc<NodeInner>, key: SessionKey, kind: Kind) -> Self {
        Self::of(node, key, kind, Arc::default())
    }

    pub(super) fn of(node: &Arc<NodeInner>, key: SessionKey, kind: Kind, mailbox: Arc<Mailbox>) -> Self {
        let ticket = node.registry.enter(key, &mailbox, kind);
        Self { node: Arc::clone(node), key, ticket, mailbox }
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        Hub::unfollow_all(&self.mailbox);
        self.node.registry.leave(self.key, self.ticket);
    }
}

/// A session held by one HTTP response or WebSocket. Dropped without [`release`](Held::release), it says that the
/// client's connection was lost.
pub(crate) struct Held {
    hold: Hold,
    service: Arc<ServiceState>,
    reader: Reader,
    /// `None` once it is let go.
    presence: Option<Presence>,
    end: End,
    /// Frames of the session's own that were handed out.
    handed: Own,
    replay: Replay,
    /// All that this receiver brings: what an earlier one of the same request has handed out.
    again: Option<Batch>,
    /// What was handed out and is not known to have arrived, of a session that can be resumed.
    unconfirmed: Option<Unconfirmed>,
    /// What of that the service tracks, of any session.
    tracked: Option<Box<Unconfirmed>>,
    /// Of a session that can be resumed: which attempt of its client this is.
    attempt: Option<u64>,
    /// Frames of the session's own that were not.
    own: VecDeque<Message>,
    closed: Option<CloseReason>,
    /// Since the session was closed, its channels have been read once.
    read_after_close: bool,
    /// The look at the store that its news asks for.
    looking: Option<BoxFuture<'static, Result<Pending, Gone>>>,
    /// News came while that look was under way, which may have been too early.
    look_again: bool,
    clock: Clock,
}

/// What the session is told when its receiver is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its client is gone.
    Lost,
    /// Nothing: it was let go already.
    Released,
    /// That this receiver is none any more, though it may not have been taken over yet.
    Fenced,
}

impl Held {
    /// A receiver that holds its session, and what the attach said waits for it.
    pub(super) async fn new(
        presence: Presence,
        service: Arc<ServiceState>,
        attempt: Option<Attempt>,
        hold: Hold,
        pending: Pending,
    ) -> Self {
        let node = Arc::clone(&presence.node);
        node.registry.attached(presence.ticket, hold);
        if node.is_draining() {
            presence.mailbox.drain();
        }
        // Where `o` is due, the messages that wait come behind it.
        let handed = pending.from.max(Own(1));
        let mut receiver = Self::at(presence, service, hold, handed, pending.replay);
        receiver.unconfirmed =
            attempt.map(|_| Unconfirmed::new(&node.least_retention, receiver.service.unread_limit));
        receiver.attempt = attempt.map(|attempt| attempt.number);
        // What an earlier attempt had confirmed was told when it was.
        if pending.replay != Replay::Open {
            receiver.tell_received(pending.subscriptions.iter().map(|known| (&known.feed, known.cursor)));
        }
        if let Some(again) = pending.again {
            receiver.repeat(&node, &pending, again).await;
            return receiver;
        }
        let limit = receiver.service.unread_limit;
        if let Err(error) = follow(&node, &receiver.reader.mailbox, &pending.subscriptions, limit).await {
            tracing::warn!(%error, "could not follow a session's channels");
            receiver.look_again = true;
        }
        receiver.apply(pending);
        receiver
    }

    /// The receiver that brings a new session's `o` and nothing else: the store has let the session go already.
    pub(super) fn released(presence: Presence, service: Arc<ServiceState>, hold: Hold) -> Self {
        let mut receiver = Self::at(presence, service, hold, Own(1), Replay::New);
        receiver.end = End::Released;
        receiver
    }

    fn at(presence: Presence, service: Arc<ServiceState>, hold: Hold, handed: Own, replay: Replay) -> Self {
        let (node, mailbox) = (Arc::clone(&presence.node), Arc::clone(&presence.mailbox));
        let reader = Reader::new(node, mailbox, &service);
        Self {
            hold,
            service,
            reader,
            presence: Some(presence),
            end: End::Lost,
            handed,
            replay,
            again: None,
            unconfirmed: None,
            tracked: None,
            attempt: None,
            own: VecDeque::new(),
            closed: None,
            read_after_close: false,
            looking: None,
            look_again: false,
            clock: Clock::default(),
        }
    }

    /// Gives a batch again, as it was.
    async fn repeat(&mut self, node: &Arc<NodeInner>, pending: &Pending, again: Again) {
        self.again = match Batch::gather(node, self.service.render.as_ref(), pending, again).await {
            Ok(Some(batch)) => Some(batch),
            Ok(None) => {
                let _ = self.end_session(CloseReason::MISSED_MESSAGES);
                Some(Batch::lost(self.sent()))
            }
            Err(error) => {
                tracing::warn!(%error, "could not read again what an earlier response has carried");
                self.reader.mailbox.fence();
                None
            }
        };
    }

    /// Tells the service what the client is known to have of the feeds that it tracks.
    pub(super) fn tell_received<'a>(&self, channels: impl Iterator<Item = (&'a Feed, Position)>) {
        let (Some(track), Some(node)) = (&self.service.track, self.node()) else { return };
        for (feed, at) in channels {
            if feed.tag.as_ref().is_some_and(|tag| track.window(tag).is_some()) {
                track.received(node, Receipt { feed, at, attempt: self.attempt });
            }
        }
    }

    /// Ready when the client should be asked whether it has what was handed out.
    pub(super) fn poll_unconfirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let all = [self.unconfirmed.as_mut(), self.tracked.as_deref_mut()];
        let is_due = |due: bool, unconfirmed: &mut Unconfirmed| due | unconfirmed.poll_due(cx).is_ready();
        if all.into_iter().flatten().fold(false, is_due) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the client was asked about all that was handed out.
    pub(super) fn is_asked(&self) -> bool {
        let all = [self.unconfirmed.as_ref(), self.tracked.as_deref()];
        all.into_iter().flatten().all(Unconfirmed::is_empty)
    }

    /// The client is asked.
    pub(super) fn ask(&mut self) {
        self.unconfirmed.iter_mut().chain(self.tracked.as_deref_mut()).for_each(Unconfirmed::clear);
    }

    fn node(&self) -> Option<&Arc<NodeInner>> {
        self.presence.as_ref().map(|presence| &presence.node)
    }

    fn apply(&mut self, pending: Pending) {
        let from = pending.from.0.max(1);
        let end = from + pending.messages.len() as u64;
        // Frames that came early may reach beyond what the store knew when it was asked.
        if end > self.handed.0 + self.own.len() as u64 {
            let handed = self.handed.0.saturating_sub(from);
            self.own = pending.messages.into_iter().skip(handed as usize).collect();
        }
        self.closed = pending.closed;
        // Polls and streams have the transport's own way to notice a client that is gone.
        self.clock.set(pending.terms, None);
    }

    /// Takes the frames that the store has sent along with its news.
    fn take_early(&mut self) {
        let (from, frames) = self.reader.mailbox.take_early();
        if frames.is_empty() {
            return;
        }
        let known = self.handed.0 + self.own.len() as u64;
        match known.checked_sub(from.0) {
            Some(twice) => self.own.extend(frames.into_iter().skip(twice as usize)),
            None => self.look_again = true,
        }
    }

    /// Looks at the store, then follows what the session is subscribed to.
    fn look(&self) -> Option<BoxFuture<'static, Result<Pending, Gone>>> {
        let node = Arc::clone(self.node()?);
        let mailbox = Arc::clone(&self.reader.mailbox);
        let (hold, handed, limit) = (self.hold, self.handed, self.service.unread_limit);
        Some(Box::pin(async move {
            let looked = async {
                let pending = node.store.pending(hold, handed).await?;
                follow(&node, &mailbox, &pending.subscriptions, limit).await?;
                Ok(pending)
            };
            let looked = looked.await;
            if matches!(looked, Err(Gone::Store(_))) {
                tokio::time::sleep(RETRY).await;
            }
            looked
        }))
    }

    /// Ends the session for a reason that only the receiver knows.
    fn end_session(&mut self, reason: CloseReason) -> Poll<Next> {
        if let Some(node) = self.node().map(Arc::clone) {
            let session = self.hold.session;
            let closing = Arc::clone(&node);
            let closed = reason.clone();
            node.spawn(async move {
                match closing.store.close(session, closed).await {
                    Ok(ended) => ended.into_iter().for_each(|ended| closing.spawn_on_close(ended)),
                    Err(Gone::Over | Gone::Fenced) => {}
                    Err(Gone::Store(error)) => tracing::warn!(%error, "could not close a session"),
                }
            });
        }
        self.closed = Some(reason.clone());
        Poll::Ready(Next::Frame(Frame::Close(reason)))
    }

    fn fenced(&mut self) -> Poll<Next> {
        self.end = End::Fenced;
        Poll::Ready(Next::Fenced)
    }

    fn poll_look(&mut self, cx: &mut Context<'_>) -> Result<(), Fenced> {
        let Some(looking) = &mut self.looking else { return Ok(()) };
        let Poll::Ready(looked) = looking.as_mut().poll(cx) else { return Ok(()) };
        self.looking = None;
        match looked {
            Ok(pending) => {
                self.apply(pending);
                Ok(())
            }
            Err(Gone::Over | Gone::Fenced) => Err(Fenced),
            Err(Gone::Store(error)) => {
                tracing::warn!(%error, "could not look at a session");
                self.look_again = true;
                Ok(())
            }
        }
    }

    /// What goes to the client next, with at most about `bytes` of channel entries in one frame.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, room: Room, bytes: usize) -> Poll<Next> {
        if let Some(batch) = &mut self.again {
            if self.reader.mailbox.listen(cx).fenced {
                return self.fenced();
            }
            return Poll::Ready(batch.next());
        }
        if self.replay.opens() && room == Room::Free {
            self.replay = self.replay.opened();
            return Poll::Ready(Next::Frame(Frame::Open));
        }
        match self.clock.poll(cx, Instant::now()) {
            Due::Nothing | Due::Silence => {}
            Due::Beat if room == Room::Blocked => {}
            Due::Beat => return Poll::Ready(Next::Frame(Frame::Messages(Messages::from_buf([beat()])))),
            Due::End => return self.end_session(CloseReason::EXPIRED),
        }
        loop {
            let news = self.reader.mailbox.listen(cx);
            if news.fenced {
                return self.fenced();
            }
            self.look_again |= news.changed;
            if news.early {
                self.take_early();
            }
            if self.look_again && self.looking.is_none() {
                self.look_again = false;
                self.looking = self.look();
            }
            let before = self.looking.is_some();
            if self.poll_look(cx) == Err(Fenced) {
                return self.fenced();
            }
            if before && self.looking.is_none() {
                continue;
            }
            if room == Room::Blocked {
                return self.poll_blocked();
            }
            if self.replay == Replay::Mark && self.closed.is_none() {
                self.replay = Replay::Over;
                return Poll::Ready(Next::Frame(Frame::Heartbeat));
            }
            let mut messages = Messages::new();
            self.handed.0 += self.own.len() as u64;
            messages.extend(self.own.drain(..));
            // A busy channel must not put off the close for ever.
            let read = if self.read_after_close { Ok(()) } else { self.read(cx, bytes, &mut messages) };
            self.read_after_close = self.closed.is_some() && self.looking.is_none() && !self.reader.is_reading();
            if self.replay == Replay::Running && read.is_ok() && self.is_caught_up() {
                self.replay = Replay::Mark;
                if messages.is_empty() {
                    continue;
                }
            }
            if let Some(tracked) = self.reader.take_tracked() {
                self.tracked.get_or_insert_with(|| Box::new(Unconfirmed::tracked())).add_tracked(tracked);
            }
            if !messages.is_empty() {
                self.clock.spoke();
                if let Some(unconfirmed) = &mut self.unconfirmed {
                    unconfirmed.add(messages.len(), size_of(&messages));
                }
                return Poll::Ready(Next::Frame(Frame::Messages(messages)));
            }
            if self.looking.is_some() {
                return Poll::Pending;
            }
            if let Some(reason) = self.closed.clone() {
                return Poll::Ready(Next::Frame(Frame::Close(reason)));
            }
            if read == Err(Missed) {
                return self.end_session(CloseReason::MISSED_MESSAGES);
            }
            if self.reader.mailbox.is_too_slow() {
                return self.end_session(CloseReason::TOO_SLOW);
            }
            if news.draining {
                return Poll::Ready(Next::End);
            }
            return Poll::Pending;
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, bytes: usize, messages: &mut Messages) -> Result<(), Missed> {
        let Some(presence) = &self.presence else { return Ok(()) };
        let leader = KeptLeader { presence, service: &self.service, hold: self.hold };
        self.reader.poll(cx, bytes, messages, &leader)
    }

    /// To a client that does not read, only this is worth being told.
    fn poll_blocked(&mut self) -> Poll<Next> {
        if self.closed == Some(CloseReason::TOO_SLOW) {
            return Poll::Ready(Next::Frame(Frame::Close(CloseReason::TOO_SLOW)));
        }
        if self.reader.mailbox.is_too_slow() {
            return self.end_session(CloseReason::TOO_SLOW);
        }
        Poll::Pending
    }

    /// Whether all that is known to wait for the client was handed out.
    fn is_caught_up(&self) -> bool {
        let looks = self.looking.is_some() || self.look_again;
        !looks && self.own.is_empty() && !self.reader.is_reading() && !self.reader.mailbox.has_news()
    }

    /// Has the store told how far the client has been handed the session's own frames.
    pub(super) fn look_soon(&mut self) {
        self.look_again = true;
    }

    /// How far the client came, if it got all that was handed out.
    pub(super) fn sent(&self) -> Sent {
        if let Some(batch) = &self.again {
            return batch.sent.clone();
        }
        let channel = |follow: crate::hub::Follow| (follow.feed(), follow.generation, follow.cursor);
        let channels = self.reader.mailbox.follows().into_iter().map(channel).collect();
        Sent { own: self.handed, channels, replay: self.replay }
    }

    pub(super) fn hold(&self) -> Hold {
        self.hold
    }

    /// Whether the session is over, as its client is told.
    pub(super) fn has_told_end(&self) -> bool {
        self.closed.is_some()
    }

    /// The client has closed the connection or broken the rules: the session is over.
    pub(super) async fn quit(mut self, reason: CloseReason) {
        let Some(presence) = self.presence.take() else { return };
        let node = &presence.node;
        match node.store.quit(self.hold, reason).await {
            Ok(ended) => ended.into_iter().for_each(|ended| node.spawn_on_close(ended)),
            Err(Gone::Over | Gone::Fenced) => {}
            Err(Gone::Store(error)) => {
                tracing::warn!(%error, "could not end a session that its client has closed")
            }
        }
    }

    /// The client's connection was lost: the session ends, or waits to be resumed.
    pub(super) async fn lost(mut self) {
        if let Some(presence) = self.presence.take() {
            let_go(presence, self.hold, self.end).await;
        }
    }
}

/// Bytes of channel entries in one frame; the session's own frames all go into one.
const BATCH: usize = 64 * 1024;

impl Receiver for Held {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // The client's next receiver confirms what this one has brought.
        if self.poll_unconfirmed(cx).is_ready() {
            return Poll::Ready(Next::End);
        }
        self.poll(cx, Room::Free, BATCH)
    }

    fn is_replaying(&self) -> bool {
        matches!(self.replay, Replay::Running | Replay::Mark)
    }

    async fn release(mut self) -> Result<(), Fenced> {
        let sent = self.sent();
        let Some(presence) = self.presence.take() else { return Err(Fenced) };
        if self.end == End::Released {
            return Ok(());
        }
        match presence.node.store.release(self.hold, sent).await {
            Ok(()) => Ok(()),
            Err(Gone::Over | Gone::Fenced) => Err(Fenced),
            Err(Gone::Store(error)) => {
                tracing::warn!(%error, "could not release a session");
                Err(Fenced)
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(presence) = self.presence.take().filter(|_| self.end != End::Released) else { return };
        let (node, end) = (Arc::clone(&presence.node), self.end);
        node.spawn(let_go(presence, self.hold, end));
    }
}

async fn let_go(presence: Presence, hold: Hold, end: End) {
    let node = &presence.node;
    let gone = match end {
        End::Released => return,
        End::Lost => node.store.lost(hold).await,
        End::Fenced => node.store.disown(hold).await.map(|()| None),
    };
    match gone {
        Ok(ended) => ended.into_iter().for_each(|ended| node.spawn_on_close(ended)),
        Err(Gone::Over | Gone::Fenced) => {}
        Err(Gone::Store(error)) => tracing::warn!(%error, "could not let go a session"),
    }
    // Only now the presence goes: whoever waits for this receiver to go must find the session gone with it.
}

/// Makes a mailbox follow what its session is subscribed to, and nothing else.
async fn follow(
    node: &NodeInner,
    mailbox: &Arc<Mailbox>,
    subscriptions: &[Subscription],
    limit: usize,
) -> Result<(), StoreError> {
    let followed = mailbox.follows();
    for follow in &followed {
        let wanted = |wanted: &Subscription| wanted.generation == follow.generation && follow.is_of(&wanted.feed);
        if !subscriptions.iter().any(wanted)
            && let Some(follow) = mailbox.remove(&follow.feed())
        {
            follow.end();
        }
    }
    for Subscription { feed, generation, cursor, .. } in subscriptions {
        let known = |follow: &crate::hub::Follow| follow.generation == *generation && follow.is_of(feed);
        if !followed.iter().any(known) {
            let follower = NewFollower { mailbox, generation: *generation, limit };
            node.hub.follow(&*node.store, node.id, feed, Some(*cursor), follower).await?;
        }
    }
    Ok(())
}
