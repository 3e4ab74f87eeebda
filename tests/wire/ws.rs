//! A websocket client that can also break every rule of RFC 6455.

use std::io;
use std::time::Instant;

use crate::http::{Connection, Request, Response};
use crate::server::{PATIENCE, Server};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The key and the accept value it must give, from the protocol page.
pub(crate) const KEY: &str = "x3JJHMbDL1EzLkh9GBhXDw==";
pub(crate) const ACCEPT: &str = "HSmrc0sMlYUkAGmm5OPpG2HaGWk=";

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, reserved: 0, opcode, payload: payload.as_ref().to_vec() }
    }

    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, payload)
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PING, payload)
    }

    pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, payload)
    }

    pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same frame with more of its message to come.
    pub(crate) fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with these reserved bits (1 to 7) set.
    pub(crate) fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The frame as a client must send it. Large ones have a mask of zeros, which is legal and spares an unoptimised test
    /// the work of masking megabytes.
    pub(crate) fn masked(&self) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = self.header(0x80);
        if self.payload.len() > 128 * 1024 {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&self.payload);
        } else {
            bytes.extend_from_slice(&MASK);
            let masked = self.payload.iter().zip(MASK.iter().cycle());
            bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
        }
        bytes
    }

    /// The frame as a client must not send it.
    pub(crate) fn unmasked(&self) -> Vec<u8> {
        [self.header(0), self.payload.clone()].concat()
    }

    fn header(&self, mask_bit: u8) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode;
        let length = self.payload.len();
        if let Some(short) = u8::try_from(length).ok().filter(|&short| short < 126) {
            vec![first, mask_bit | short]
        } else if let Ok(medium) = u16::try_from(length) {
            [&[first, mask_bit | 0x7e], &medium.to_be_bytes()[..]].concat()
        } else {
            [&[first, mask_bit | 0x7f], &(length as u64).to_be_bytes()[..]].concat()
        }
    }

    /// Code and reason of a close frame.
    pub(crate) fn closing(&self) -> (u16, String) {
        assert_eq!(self.opcode, CLOSE, "not a close frame: {self:?}");
        let (code, reason) =
            self.payload.split_at_checked(2).unwrap_or_else(|| panic!("a close frame without a code: {self:?}"));
        let reason = String::from_utf8(reason.to_vec()).expect("a reason in UTF-8");
        (u16::from_be_bytes([code[0], code[1]]), reason)
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(80)];
        write!(
            formatter,
            "Frame(fin {}, reserved {}, opcode {}, {} bytes: {:?})",
            self.fin,
            self.reserved,
            self.opcode,
            self.payload.len(),
            String::from_utf8_lossy(shown)
        )
    }
}

/// A correct handshake request.
pub(crate) fn handshake(target: &str) -> Request {
    Request::get(target)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

/// Fails unless this is the head of a successful handshake with [`KEY`].
pub(crate) fn assert_accepted(head: &Response) {
    assert_eq!(head.status, 101, "{head:?}");
    assert_eq!(head.list("Upgrade"), ["websocket"], "{head:?}");
    assert_eq!(head.list("Connection"), ["upgrade"], "{head:?}");
    assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT));
}

pub(crate) struct WebSocket {
    pub(crate) connection: Connection,
}

impl WebSocket {
    pub(crate) fn open(server: &Server, target: &str) -> Self {
        let mut connection = server.connect();
        connection.send(&handshake(target));
        assert_accepted(&connection.head());
        Self { connection }
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.connection.write(frame.masked());
    }

    pub(crate) fn send_text(&mut self, text: impl AsRef<[u8]>) {
        self.send(&Frame::text(text));
    }

    /// The next frame, or `None` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + PATIENCE;
        while self.connection.unread().len() < 2 {
            match self.connection.read_some(deadline) {
                Ok(0) => {
                    let rest = self.connection.unread();
                    assert!(rest.is_empty(), "half a frame before the end: {rest:?}");
                    return None;
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waiting for a frame: {error}"),
            }
        }
        let head = self.connection.take(2);
        assert_eq!(head[1] & 0x80, 0, "a server must not mask its frames");
        let length = match head[1] {
            126 => self.big_endian(2),
            127 => self.big_endian(8),
            short => usize::from(short),
        };
        let frame = Frame {
            fin: head[0] & 0x80 != 0,
            reserved: head[0] >> 4 & 7,
            opcode: head[0] & 15,
            payload: self.connection.take(length),
        };
        assert_eq!(frame.reserved, 0, "reserved bits without an extension: {frame:?}");
        Some(frame)
    }

    fn big_endian(&mut self, bytes: usize) -> usize {
        let digits = self.connection.take(bytes);
        digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit))
    }

    pub(crate) fn frame(&mut self) -> Frame {
        self.receive().expect("a frame, but the server closed the connection")
    }

    /// The next message, which must be a text; it may come in fragments.
    pub(crate) fn text(&mut self) -> String {
        let mut frame = self.frame();
        assert_eq!(frame.opcode, TEXT, "not a text: {frame:?}");
        let mut whole = std::mem::take(&mut frame.payload);
        while !frame.fin {
            frame = self.frame();
            assert_eq!(frame.opcode, CONTINUATION, "not the rest of a text: {frame:?}");
            whole.append(&mut frame.payload);
        }
        String::from_utf8(whole).expect("a text in UTF-8")
    }

    pub(crate) fn expect_text(&mut self, wanted: &str) {
        let text = self.text();
        if text != wanted {
            let shown = |text: &str| text.chars().take(200).collect::<String>();
            panic!("got {:?}, wanted {:?}", shown(&text), shown(wanted));
        }
    }

    /// The next frame is a pong with this payload.
    pub(crate) fn expect_pong(&mut self, payload: impl AsRef<[u8]>) {
        assert_eq!(self.frame(), Frame::new(PONG, payload));
    }

    /// The next frame is a close frame; it is answered, and the connection ends. Gives code and reason.
    pub(crate) fn expect_close(&mut self) -> (u16, String) {
        let frame = self.frame();
        // The server may close without waiting for the answer, so a failed write is no fault.
        let _ = self.connection.try_write(frame.masked());
        self.connection.expect_end();
        frame.closing()
    }

    /// Closes politely: the same code comes back, then the end.
    pub(crate) fn finish(mut self) {
        self.send(&Frame::close(1000, ""));
        let answer = self.frame();
        assert_eq!(answer.closing().0, 1000, "{answer:?}");
        self.connection.expect_end();
    }

    /// The other end works still: a text goes to and fro.
    pub(crate) fn expect_echo(&mut self, sent: &str, wanted: &str) {
        self.send_text(sent);
        self.expect_text(wanted);
    }
}
