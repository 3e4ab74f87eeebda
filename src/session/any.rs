//! A service's WebSockets: most are sessions of their own, some carry sessions of the store.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sockhop_transports::{Next, Room, Socket, SocketEnd, Texts};

use super::kept::KeptSocket;
use super::socket::LocalSocket;

/// One WebSocket.
pub(crate) enum AnySocket {
    Local(LocalSocket),
    Kept(Box<KeptSocket>),
}

impl Socket for AnySocket {
    fn poll_next(&mut self, cx: &mut Context<'_>, room: Room) -> Poll<Next> {
        match self {
            Self::Local(socket) => socket.poll_next(cx, room),
            Self::Kept(socket) => socket.poll_next(cx, room),
        }
    }

    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        match self {
            Self::Local(_) => Poll::Pending,
            Self::Kept(socket) => socket.poll_ping(cx),
        }
    }

    fn beat(&mut self) -> Option<u64> {
        match self {
            Self::Local(_) => None,
            Self::Kept(socket) => socket.beat(),
        }
    }

    fn pong(&mut self, number: u64) {
        if let Self::Kept(socket) = self {
            socket.pong(number);
        }
    }

    fn opened(&self) -> BoxFuture<'static, ()> {
        match self {
            Self::Local(socket) => socket.opened(),
            Self::Kept(socket) => socket.opened(),
        }
    }

    fn message_in(&self, messages: Texts) -> BoxFuture<'static, ()> {
        match self {
            Self::Local(socket) => socket.message_in(messages),
            Self::Kept(socket) => socket.message_in(messages),
        }
    }

    async fn ended(self, end: SocketEnd) {
        match self {
            Self::Local(socket) => socket.ended(end).await,
            Self::Kept(socket) => socket.ended(end).await,
        }
    }
}
