//! `GET BASE/websocket`: no SockJS framing; a text message is a message, byte for byte.

use bytes::Bytes;

use crate::socket::Framing;
use crate::{CloseReason, Frame, Texts};

pub(crate) struct RawWebsocket;

impl Framing for RawWebsocket {
    const FRAMED: bool = false;

    fn decode(text: &str) -> Result<Texts, CloseReason> {
        Ok(Texts::from_buf([text.to_owned()]))
    }

    fn encode(frame: Frame, write: impl FnMut(Bytes)) {
        match frame {
            Frame::Messages(messages) => {
                messages.iter().map(|message| message.text_bytes().clone()).for_each(write);
            }
            Frame::Open | Frame::Heartbeat | Frame::Close(_) => {}
        }
    }
}
