//! The frames of SockJS, server to client.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{CloseReason, Message};

/// Messages that one frame carries, in order; most frames carry one.
pub type Messages = SmallVec<[Message; 1]>;

/// One SockJS frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// `o`: the first frame of each session, and only that.
    Open,
    /// `h`
    Heartbeat,
    /// `a[…]`: one or more messages.
    Messages(Messages),
    /// `c[code,"reason"]`
    Close(CloseReason),
}

impl Frame {
    /// The frame's text.
    ///
    /// ```
    /// use sockhop_transports::{Frame, Message};
    ///
    /// let two = Frame::Messages([Message::new("x"), Message::new("y")].into_iter().collect());
    /// assert_eq!(&two.encode()[..], br#"a["x","y"]"#);
    /// ```
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Messages(messages) if messages.len() == 1 => messages[0].frame(),
            frame => frame.text().into(),
        }
    }

    /// The frame's text, when the frame itself is not needed any more.
    pub(crate) fn into_encoded(self) -> Bytes {
        match self {
            Self::Messages(mut messages) if messages.len() == 1 => match messages.pop() {
                Some(message) => message.into_frame(),
                None => Bytes::new(),
            },
            frame => frame.text().into(),
        }
    }

    /// The frame's text and a line feed.
    pub(crate) fn line(&self) -> Bytes {
        match self {
            Self::Messages(messages) if messages.len() == 1 => messages[0].line(),
            frame => {
                let mut line = frame.text();
                line.push(b'\n');
                line.into()
            }
        }
    }

    fn text(&self) -> Vec<u8> {
        match self {
            Self::Open => b"o".to_vec(),
            Self::Heartbeat => b"h".to_vec(),
            Self::Messages(messages) => join(messages),
            Self::Close(reason) => {
                let mut text = Vec::with_capacity(reason.text().len() + 16);
                reason.frame_into(&mut text);
                text
            }
        }
    }
}

fn join(messages: &[Message]) -> Vec<u8> {
    let size: usize = messages.iter().map(Message::size).sum();
    // Room for a line feed as well.
    let mut line = Vec::with_capacity(size + 4);
    line.extend_from_slice(b"a[");
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        line.extend_from_slice(message.quoted());
    }
    line.push(b']');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_has_its_text() {
        let messages = |texts: &[&str]| Frame::Messages(texts.iter().map(|text| Message::new(text)).collect());
        for (frame, text) in [
            (Frame::Open, "o"),
            (Frame::Heartbeat, "h"),
            (messages(&[]), "a[]"),
            (messages(&["x"]), r#"a["x"]"#),
            (messages(&["x", "y\n", ""]), r#"a["x","y\n",""]"#),
            (Frame::Close(CloseReason::new(3000, "Go away!").unwrap()), r#"c[3000,"Go away!"]"#),
            (Frame::Close(CloseReason::new(3001, "\"").unwrap()), r#"c[3001,"\""]"#),
        ] {
            assert_eq!(frame.encode(), text.as_bytes());
            assert_eq!(frame.line(), format!("{text}\n").as_bytes());
        }
    }
}
