//! WebSockets whose sessions can be resumed: these live in the store, and outlive their connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sockhop_transports::{
    Attached, CloseReason, Frame, MessageIn, Next, Receiver, Room, Socket, SocketEnd, Texts,
};

use super::attach::{Wanted, attach};
use super::calls::hand_in;
use super::held::{Held, Presence};
use super::named::{Malformed, Named};
use crate::hub::Mailbox;
use crate::node::NodeInner;
use crate::registry::Kind;
use crate::service::ServiceState;
use crate::store::{Begin, First, Gone, Origin, Sent};

/// A session of the store, as a WebSocket's transport drives it.
pub(crate) struct KeptSocket {
    node: Arc<NodeInner>,
    service: Arc<ServiceState>,
    phase: Phase,
    receipts: Receipts,
}

enum Phase {
    /// The store is asked for the session.
    Attaching(Named, Arc<Mailbox>, BoxFuture<'static, Attached<Held>>),
    Held(Named, Arc<Mailbox>, Box<Held>),
    /// Not this one: the client is told why.
    Refused(CloseReason),
    /// The connection ends without a word, so that the client tries again.
    Failed,
}

/// What the client is known to have: it answers each numbered ping, and so all that went out before.
#[derive(Default)]
struct Receipts {
    pings: u64,
    /// Pings on their way, and what a pong of each says.
    waiting: VecDeque<(u64, Sent)>,
    /// The newest pong, to be written down.
    arrived: Option<Sent>,
    writing: Option<(Sent, BoxFuture<'static, Result<(), Gone>>)>,
    /// The last could not be written down: the next heartbeat asks again.
    failed: bool,
}

/// Pings that may be on their way.
const MOST_WAITING: usize = 4;
/// Bytes put into one frame: what the connection's write buffer may keep.
const BATCH: usize = 16 * 1024;

impl KeptSocket {
    /// A WebSocket that asks the store for its session once its handshake is done.
    pub(crate) fn open(
        node: &Arc<NodeInner>,
        service: &Arc<ServiceState>,
        named: Result<Named, Malformed>,
        origin: Origin,
    ) -> Self {
        let phase = match named {
            Ok(named) => Self::attaching(node, service, named, origin),
            Err(Malformed) => Phase::Refused(CloseReason::MALFORMED),
        };
        Self { node: Arc::clone(node), service: Arc::clone(service), phase, receipts: Receipts::default() }
    }

    fn attaching(node: &Arc<NodeInner>, service: &Arc<ServiceState>, named: Named, origin: Origin) -> Phase {
        let presence = Presence::enter(node, named.key, Kind::Socket);
        let mailbox = Arc::clone(&presence.mailbox);
        let (node, service) = (Arc::clone(node), Arc::clone(service));
        let attaching = async move {
            let origin = || origin.clone();
            let wanted = Wanted { named, request: None, first: First::Held, origin: &origin };
            attach(&node, &service, presence, wanted).await
        };
        Phase::Attaching(named, mailbox, Box::pin(attaching))
    }

    fn poll_attach(&mut self, cx: &mut Context<'_>) {
        let Phase::Attaching(named, mailbox, attaching) = &mut self.phase else { return };
        let Poll::Ready(attached) = attaching.as_mut().poll(cx) else { return };
        self.phase = match attached {
            Attached::Held(held) => Phase::Held(*named, Arc::clone(mailbox), Box::new(held)),
            Attached::Refused(reason) => Phase::Refused(reason),
            Attached::Unwritten | Attached::NotOffered | Attached::Unavailable(_) => Phase::Failed,
        };
    }
}

impl Socket for KeptSocket {
    fn poll_next(&mut self, cx: &mut Context<'_>, room: Room) -> Poll<Next> {
        self.poll_attach(cx);
        match &mut self.phase {
            Phase::Attaching(..) => Poll::Pending,
            Phase::Refused(reason) => Poll::Ready(Next::Frame(Frame::Close(reason.clone()))),
            Phase::Failed => Poll::Ready(Next::Fenced),
            Phase::Held(_, _, held) => match self.receipts.poll(cx, &self.node, held) {
                Err(Gone::Over | Gone::Fenced) => Poll::Ready(Next::Fenced),
                Ok(()) | Err(Gone::Store(_)) => held.poll(cx, room, BATCH),
            },
        }
    }

    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        let Phase::Held(_, _, held) = &mut self.phase else { return Poll::Pending };
        if held.poll_unconfirmed(cx).is_pending() {
            return Poll::Pending;
        }
        // What is unread is no longer what was handed out.
        held.look_soon();
        self.receipts.ask(held).map_or(Poll::Pending, Poll::Ready)
    }

    fn beat(&mut self) -> Option<u64> {
        let Phase::Held(_, _, held) = &mut self.phase else { return None };
        if held.is_asked() && !self.receipts.failed { None } else { self.receipts.ask(held) }
    }

    fn pong(&mut self, number: u64) {
        self.receipts.answered(number);
    }

    fn opened(&self) -> BoxFuture<'static, ()> {
        // The session's first handler call is begun by the attach that creates it.
        Box::pin(std::future::ready(()))
    }

    fn message_in(&self, messages: Texts) -> BoxFuture<'static, ()> {
        let (Phase::Held(named, mailbox, _) | Phase::Attaching(named, mailbox, _)) = &self.phase else {
            return Box::pin(std::future::ready(()));
        };
        let begin = Begin {
            key: named.key,
            node: self.node.id,
            request: None,
            attempt: named.number(),
            count: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            rate: self.service.max_messages_per_second,
        };
        let (node, service, mailbox) = (Arc::clone(&self.node), Arc::clone(&self.service), Arc::clone(mailbox));
        Box::pin(async move {
            match hand_in(&node, &service, begin, messages).await {
                MessageIn::Done => {}
                // The client must not go on as if they had been taken.
                MessageIn::Unknown | MessageIn::Unwritten | MessageIn::Unavailable(_) => mailbox.fence(),
            }
        })
    }

    async fn ended(self, end: SocketEnd) {
        let Phase::Held(_, _, held) = self.phase else { return };
        match end {
            SocketEnd::ByClient => held.quit(CloseReason::CLIENT_GONE).await,
            SocketEnd::Closed(_) if held.has_told_end() => {
                // One that has lost its session meanwhile has nothing to let go.
                let _ = held.release().await;
            }
            SocketEnd::Closed(reason) if reason != CloseReason::NO_HEARTBEAT && !self.node.is_draining() => {
                held.quit(reason).await;
            }
            SocketEnd::Closed(_) | SocketEnd::Left | SocketEnd::Lost => held.lost().await,
        }
    }
}

impl Receipts {
    /// A number for a ping that goes out now.
    fn ask(&mut self, held: &mut Held) -> Option<u64> {
        if self.waiting.len() == MOST_WAITING {
            return None;
        }
        held.ask();
        self.failed = false;
        self.pings += 1;
        self.waiting.push_back((self.pings, held.sent()));
        Some(self.pings)
    }

    fn answered(&mut self, number: u64) {
        while let Some((ping, _)) = self.waiting.front()
            && *ping <= number
        {
            self.arrived = self.waiting.pop_front().map(|(_, sent)| sent);
        }
    }

    /// Writes down what arrived, one after the other.
    fn poll(&mut self, cx: &mut Context<'_>, node: &Arc<NodeInner>, held: &Held) -> Result<(), Gone> {
        loop {
            if self.writing.is_none() {
                let Some(arrived) = self.arrived.take() else { return Ok(()) };
                let (store, hold) = (Arc::clone(&node.store), held.hold());
                let received = arrived.clone();
                self.writing = Some((received, Box::pin(async move { store.commit(hold, arrived).await })));
            }
            let Some((received, writing)) = &mut self.writing else { return Ok(()) };
            let Poll::Ready(written) = writing.as_mut().poll(cx) else { return Ok(()) };
            if written.is_ok() {
                held.tell_received(received.channels.iter().map(|(feed, _, at)| (feed, *at)));
            }
            self.writing = None;
            if let Err(error) = written {
                if let Gone::Store(error) = &error {
                    tracing::warn!(%error, "could not write down what a client has");
                }
                self.failed = true;
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use sockhop_transports::{Message, Messages};

    use super::*;
    use crate::services::Broadcast;
    use crate::session::AnySocket;
    use crate::store::{MemoryStore, Retention};
    use crate::{ChannelName, Node, Service};

    /// Two nodes with one store, and a room at each.
    fn place(retention: Retention) -> [(Node, Service); 2] {
        let store = Arc::new(MemoryStore::new());
        [(); 2].map(|()| {
            let node = Node::builder().store(store.clone()).retention(retention).build();
            let room = Broadcast::new(&node, channel());
            let service = Service::builder("/room", room).resume(Some(Duration::from_secs(60))).build(&node);
            (node, service)
        })
    }

    fn channel() -> ChannelName {
        ChannelName::new("room").unwrap()
    }

    fn attempt(service: &Service, number: u32) -> AnySocket {
        service.open_socket_as(&format!("a_secret-of-22-letters~{number}"))
    }

    async fn next(socket: &mut AnySocket) -> Next {
        let next = poll_fn(|cx| socket.poll_next(cx, Room::Free));
        tokio::time::timeout(Duration::from_secs(600), next).await.expect("something comes")
    }

    /// Opens the session; its handler has subscribed it.
    async fn opened(service: &Service) -> AnySocket {
        let mut socket = attempt(service, 1);
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        // Behind `on_open`, which is under way.
        socket.message_in(Texts::new()).await;
        socket
    }

    fn messages(texts: &[&str]) -> Next {
        Next::Frame(Frame::Messages(texts.iter().map(|text| Message::new(text)).collect::<Messages>()))
    }

    fn ping(socket: &mut AnySocket) -> Poll<u64> {
        socket.poll_ping(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn when_its_node_drains_the_session_goes_on_at_another() {
        let [(here, first), (there, second)] = place(Retention::default());
        let mut socket = opened(&first).await;
        there.publish(&channel(), "1").await.unwrap();
        assert_eq!(next(&mut socket).await, messages(&["1"]));
        let draining = tokio::spawn({
            let here = here.clone();
            async move { here.drain(Duration::from_secs(10)).await }
        });
        assert_eq!(next(&mut socket).await, Next::End);
        let end = SocketEnd::Closed(CloseReason::GOING_AWAY);
        socket.ended(end).await;
        assert_eq!(draining.await.unwrap().cut, 0);
        there.publish(&channel(), "2").await.unwrap();
        let mut socket = attempt(&second, 2);
        for expected in [Next::Frame(Frame::Open), messages(&["1", "2"]), Next::Frame(Frame::Heartbeat)] {
            assert_eq!(next(&mut socket).await, expected);
        }
        assert_eq!(there.sessions(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_confirms_what_went_out_before_its_ping_and_no_more() {
        let [(node, service), _] = place(Retention { entries: 8, ..Retention::default() });
        let mut socket = opened(&service).await;
        assert_eq!(socket.beat(), None, "nothing to ask for");
        node.publish(&channel(), "1").await.unwrap();
        assert_eq!(next(&mut socket).await, messages(&["1"]));
        assert_eq!(ping(&mut socket), Poll::Pending);
        node.publish(&channel(), "2").await.unwrap();
        assert_eq!(next(&mut socket).await, messages(&["2"]));
        let Poll::Ready(number) = ping(&mut socket) else {
            panic!("a quarter of what the channel keeps went out")
        };
        assert_eq!(ping(&mut socket), Poll::Pending);
        node.publish(&channel(), "3").await.unwrap();
        assert_eq!(next(&mut socket).await, messages(&["3"]));
        socket.pong(number);
        // One more look writes it down.
        let _ = socket.poll_next(&mut Context::from_waker(std::task::Waker::noop()), Room::Free);
        drop(socket);
        let mut socket = attempt(&service, 2);
        for expected in [Next::Frame(Frame::Open), messages(&["3"]), Next::Frame(Frame::Heartbeat)] {
            assert_eq!(next(&mut socket).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cursors_stay_within_what_a_channel_keeps_however_much_goes_through() {
        let [(node, service), _] = place(Retention { entries: 8, ..Retention::default() });
        let mut socket = opened(&service).await;
        for number in 0..100 {
            let number = number.to_string();
            node.publish(&channel(), number.as_str()).await.unwrap();
            assert_eq!(next(&mut socket).await, messages(&[&number]));
            if let Poll::Ready(ping) = ping(&mut socket) {
                socket.pong(ping);
            }
        }
        drop(socket);
        let mut socket = attempt(&service, 2);
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        let Next::Frame(Frame::Messages(again)) = next(&mut socket).await else { panic!("not a gap") };
        assert!(again.len() <= 3 && again.last().is_some_and(|last| last.text() == "99"), "{again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_that_nobody_answers_are_few() {
        let [(node, service), _] = place(Retention { entries: 4, ..Retention::default() });
        let mut socket = opened(&service).await;
        let mut pings = 0;
        for _ in 0..20 {
            node.publish(&channel(), "x").await.unwrap();
            next(&mut socket).await;
            pings += usize::from(ping(&mut socket).is_ready()) + usize::from(socket.beat().is_some());
        }
        assert_eq!(pings, MOST_WAITING);
    }

    fn text(next: &Next) -> String {
        match next {
            Next::Frame(Frame::Messages(messages)) => messages.iter().map(Message::text).collect(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_with_wildcards_finds_what_is_new_while_its_client_is_away() {
        let store = Arc::new(MemoryStore::new());
        let [(first, here), (_second, there)] = [(); 2].map(|()| {
            let node = Node::builder().store(store.clone()).build();
            let service = crate::stomp::Stomp::new().service("/ws").resume(Some(Duration::from_secs(60)));
            let service = service.build(&node);
            (node, service)
        });
        let broker = crate::stomp::Broker::new(&first);
        let mut socket = attempt(&here, 1);
        let frames = "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:w\ndestination:/topic/*\nreceipt:r\n\n\0";
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        socket.message_in([frames.to_owned()].into_iter().collect()).await;
        let receipted = text(&next(&mut socket).await);
        assert!(receipted.contains("RECEIPT"), "{receipted}");
        drop(socket);
        broker.send("/topic/new", "1").await.unwrap();
        let mut socket = attempt(&there, 2);
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Open));
        let again = text(&next(&mut socket).await);
        assert!(again.contains("CONNECTED"), "what was not confirmed comes again: {again}");
        let new = text(&next(&mut socket).await);
        assert!(new.contains("destination:/topic/new\n") && new.ends_with("1\0"), "{new}");
        assert_eq!(next(&mut socket).await, Next::Frame(Frame::Heartbeat), "then the end of what was missed");
        // The client begins anew: what it had subscribed to has ended, with all that it had led to.
        let frames = "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:w\ndestination:/topic/b*\nreceipt:r\n\n\0";
        socket.message_in([frames.to_owned()].into_iter().collect()).await;
        assert!(text(&next(&mut socket).await).contains("RECEIPT"));
        for topic in ["/topic/new", "/topic/newer", "/topic/bc"] {
            broker.send(topic, "2").await.unwrap();
        }
        assert!(text(&next(&mut socket).await).contains("destination:/topic/bc\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgrade_that_never_comes_takes_no_session() {
        let [(node, service), _] = place(Retention::default());
        let mut first = opened(&service).await;
        drop(attempt(&service, 2));
        tokio::task::yield_now().await;
        node.publish(&channel(), "still here").await.unwrap();
        assert_eq!(next(&mut first).await, messages(&["still here"]));
    }
}
