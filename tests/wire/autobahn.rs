//! RFC 6455 on the raw endpoint `/echo/websocket`, case by case in the manner of Autobahn's fuzzing client, whose numbers
//! the tables and comments bear. Texts come back byte-exact.
//!
//! Left out: 1.2, 9.2, 9.4, 9.6 and 9.8 beyond one test, as binary messages mean nothing to SockJS; 12 and 13, as
//! compression is off unless a service wants it.

mod closing;
mod fragmentation;
mod framing;
mod limits;
mod pings;
mod reserved;
mod utf8;

use std::time::Duration;

use crate::server::shared;
use crate::ws::{Frame, WebSocket};

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_UTF8: u16 = 1007;

fn connect() -> WebSocket {
    WebSocket::open(shared(), "/echo/websocket")
}

/// How a case's bytes go out. Autobahn calls the pieces chops.
#[derive(Clone, Copy, Debug)]
enum Chops {
    /// All frames in one write.
    Together,
    /// A write a frame.
    Framewise,
    /// A write a byte.
    Octetwise,
}

impl Chops {
    const ALL: [Self; 3] = [Self::Together, Self::Framewise, Self::Octetwise];
}

/// Sends the frames; the server may close in the middle, when they are meant to be refused.
fn send(socket: &mut WebSocket, frames: &[Frame], chops: Chops) {
    let bytes: Vec<Vec<u8>> = frames.iter().map(Frame::masked).collect();
    let pieces: Vec<Vec<u8>> = match chops {
        Chops::Together => vec![bytes.concat()],
        Chops::Framewise => bytes,
        Chops::Octetwise => bytes.concat().chunks(1).map(<[u8]>::to_vec).collect(),
    };
    for piece in pieces {
        if socket.connection.try_write(piece).is_err() {
            break;
        }
    }
}

/// The server fails the connection: this code in a close frame, then the end, without another word.
fn expect_failure(mut socket: WebSocket, code: u16, case: &str) {
    let frame =
        socket.receive().unwrap_or_else(|| panic!("case {case}: the connection ended without a close frame"));
    assert_eq!(frame.closing().0, code, "case {case}: {frame:?}");
    // Autobahn leaves it to the server to end the connection first.
    let _ = socket.connection.try_write(Frame::close(code, "").masked());
    socket.connection.expect_end();
}

/// Sends the frames in each way of chopping; the server must fail every time, after these echoes.
fn refused(case: &str, frames: &[Frame], echoes: &[&str]) {
    for chops in Chops::ALL {
        let mut socket = connect();
        send(&mut socket, frames, chops);
        for echo in echoes {
            socket.expect_text(echo);
        }
        expect_failure(socket, PROTOCOL_ERROR, &format!("{case}, {chops:?}"));
    }
}

/// Long enough for a server to have read what was sent, short enough not to matter.
const MOMENT: Duration = Duration::from_millis(100);
