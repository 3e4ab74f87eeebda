//! `GET …/websocket`: one frame a text message.

use bytes::Bytes;

use crate::inbound::websocket_messages;
use crate::socket::Framing;
use crate::{CloseReason, Frame, Texts};

pub(crate) struct Websocket;

impl Framing for Websocket {
    const FRAMED: bool = true;

    fn decode(text: &str) -> Result<Texts, CloseReason> {
        websocket_messages(text).map_err(|_| CloseReason::BROKEN_FRAMING)
    }

    fn encode(frame: Frame, mut write: impl FnMut(Bytes)) {
        write(frame.into_encoded());
    }
}
