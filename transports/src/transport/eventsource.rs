//! `GET …/eventsource`: frames as server-sent events.

use bytes::Bytes;

use crate::Frame;
use crate::receive::{Kind, Wire};

pub(crate) struct Eventsource;

impl Wire for Eventsource {
    /// No charset parameter: browsers refuse the stream with one.
    const CONTENT_TYPE: &'static str = "text/event-stream";
    const KIND: Kind = Kind::Stream;

    fn prelude(&self) -> Bytes {
        Bytes::from_static(b"\r\n")
    }

    fn wrap(&self, frame: &Frame) -> Bytes {
        match frame {
            Frame::Messages(messages) if messages.len() == 1 => messages[0].eventsource(),
            frame => event(&frame.encode()),
        }
    }
}

/// The event that carries a frame. Clients percent-decode the data, so `%` must not stand for itself.
pub(crate) fn event(frame: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(frame.len() + 16);
    event.extend_from_slice(b"data: ");
    for byte in frame {
        match byte {
            b'%' => event.extend_from_slice(b"%25"),
            b'\r' => event.extend_from_slice(b"%0D"),
            b'\n' => event.extend_from_slice(b"%0A"),
            0 => event.extend_from_slice(b"%00"),
            byte => event.push(*byte),
        }
    }
    event.extend_from_slice(b"\r\n\r\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::receive::wrapped;

    #[test]
    fn percent_signs_and_line_ends_are_escaped() {
        assert_eq!(event(b"100%\r\n\0"), "data: 100%25%0D%0A%00\r\n\r\n");
        let message = Frame::Messages([Message::new("%41\n")].into());
        assert_eq!(wrapped(&Eventsource, &message), "data: a[\"%2541\\n\"]\r\n\r\n");
        assert_eq!(wrapped(&Eventsource, &Frame::Heartbeat), "data: h\r\n\r\n");
    }
}
