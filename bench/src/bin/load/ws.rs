//! A minimal websocket client: what the server sends unmasked and in one piece, and nothing else.

use std::ops::Range;

use anyhow::{bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::frames::{Dialect, Inbox};
use crate::http;
use crate::idle::Silent;
use crate::input::Input;
use crate::message::Template;
use crate::stomp;
use crate::target::Target;

/// The mask of all our frames. It need not be secret: no proxy is in between.
const KEY: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;

/// An open websocket session.
pub(crate) struct Socket {
    pub(crate) reader: Reader,
    pub(crate) writer: OwnedWriteHalf,
}

impl Socket {
    /// Connects, upgrades, and waits until the session is open, and in STOMP subscribed to a topic.
    pub(crate) async fn open(target: Target, dialect: Dialect, id: u32) -> anyhow::Result<Self> {
        let greeting = if dialect == Dialect::Stomp { stomp::greeting(1) } else { Vec::new() };
        Self::greet(target, dialect, id, &greeting).await
    }

    /// As [`open`](Self::open), in STOMP and with so many subscriptions.
    pub(crate) async fn open_stomp(target: Target, id: u32, subscriptions: u32) -> anyhow::Result<Self> {
        Self::greet(target, Dialect::Stomp, id, &stomp::greeting(subscriptions)).await
    }

    async fn greet(target: Target, dialect: Dialect, id: u32, greeting: &[String]) -> anyhow::Result<Self> {
        let mut stream = target.connect().await?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n",
            target.path(id, "websocket"),
            target.host(),
        );
        stream.write_all(request.as_bytes()).await?;
        let input = upgraded(&mut stream).await?;
        let (stream, mut writer) = stream.into_split();
        for message in greeting {
            writer.write_all(&masked(message.as_bytes())?).await?;
        }
        let mut reader = Reader { stream, input, inbox: Inbox::new(dialect) };
        // The open frame may have come together with the handshake.
        reader.take_frames()?;
        while !reader.inbox.is_open() {
            reader.messages().await?;
        }
        Ok(Self { reader, writer })
    }
}

impl Silent for Socket {
    fn stream(&self) -> &TcpStream {
        self.reader.stream.as_ref()
    }
}

/// Reads the answer to the upgrade request; gives what came behind it.
async fn upgraded(stream: &mut TcpStream) -> anyhow::Result<Input> {
    let mut input = Input::new();
    loop {
        if let Some(head) = http::head(input.unused())? {
            ensure!(head.status == 101, "the upgrade was answered with {}", head.status);
            input.used(head.length);
            return Ok(input);
        }
        input.read_from(stream).await?;
    }
}

/// The receiving side of a websocket.
pub(crate) struct Reader {
    stream: OwnedReadHalf,
    input: Input,
    pub(crate) inbox: Inbox,
}

impl Reader {
    /// Reads once; gives the number of messages that are complete now.
    pub(crate) async fn messages(&mut self) -> anyhow::Result<u64> {
        self.input.read_from(&mut self.stream).await?;
        self.take_frames()
    }

    fn take_frames(&mut self) -> anyhow::Result<u64> {
        let mut count = 0;
        while let Some(frame) = frame(self.input.unused())? {
            if frame.first_byte == TEXT {
                count += self.inbox.take(&self.input.unused()[frame.payload.clone()])?;
            } else if frame.first_byte != PING {
                bail!("unexpected websocket frame {:#04x}", frame.first_byte);
            }
            self.input.used(frame.payload.end);
        }
        Ok(count)
    }
}

/// The sending side's messages as websocket frames.
pub(crate) fn template(dialect: Dialect) -> Template {
    let payload = match dialect {
        Dialect::Plain => Template::new(b"", b""),
        Dialect::Sockjs => Template::new(b"[\"", b"\"]"),
        Dialect::Stomp => Template::new(stomp::SEND.0, stomp::SEND.1),
    };
    let header = header(payload.len()).expect("a message has 64 bytes, and few around it");
    payload.into_websocket_frame(&header, KEY)
}

/// A short text as a websocket frame.
fn masked(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut frame = header(text.len())?;
    frame.extend(text.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    Ok(frame)
}

/// What stands before a short text.
fn header(length: usize) -> anyhow::Result<Vec<u8>> {
    ensure!(length < 126, "a text of {length} bytes is too long");
    Ok([&[TEXT, 0x80 | length as u8][..], &KEY].concat())
}

#[derive(Debug, PartialEq)]
struct Frame {
    first_byte: u8,
    payload: Range<usize>,
}

/// The frame at the beginning of `bytes`, if it is complete.
fn frame(bytes: &[u8]) -> anyhow::Result<Option<Frame>> {
    let &[first_byte, second, ..] = bytes else {
        return Ok(None);
    };
    ensure!(second & 0x80 == 0, "the server masked a frame");
    let (start, length) = match (second, &bytes[2..]) {
        (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, u64::from(length)),
    };
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(start));
    let Some(end) = end else {
        bail!("a frame of {length} bytes");
    };
    Ok((end <= bytes.len()).then_some(Frame { first_byte, payload: start..end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: Range<usize>) -> Option<Frame> {
        Some(Frame { first_byte: TEXT, payload })
    }

    #[test]
    fn frames_of_all_three_length_forms_are_found() {
        assert_eq!(frame(b"\x81\x01o\x81").unwrap(), text(2..3));
        let mut medium = vec![TEXT, 126, 1, 0];
        medium.resize(4 + 256, b'x');
        assert_eq!(frame(&medium).unwrap(), text(4..260));
        let mut long = vec![TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        long.resize(10 + 65_536, b'x');
        assert_eq!(frame(&long).unwrap(), text(10..65_546));
    }

    #[test]
    fn an_incomplete_frame_is_waited_for() {
        for part in [&b""[..], b"\x81", b"\x81\x02a", b"\x81\x7e\x00", b"\x81\x7f\x00\x00"] {
            assert_eq!(frame(part).unwrap(), None);
        }
    }

    #[test]
    fn masked_and_absurdly_long_frames_are_refused() {
        assert!(frame(b"\x81\x81").is_err());
        assert!(frame(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
