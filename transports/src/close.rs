//! Why a session ended, as its client is told.

use std::borrow::Cow;

use crate::quote::quote_into;

/// A close code and its reason: what a `c` frame says, and what a raw WebSocket's close frame says.
///
/// ```
/// use sockhop_transports::CloseReason;
///
/// let reason = CloseReason::new(3000, "Go away!").unwrap();
/// assert_eq!((reason.code(), reason.text()), (3000, "Go away!"));
/// assert!(CloseReason::new(1006, "").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseReason {
    code: u16,
    text: Cow<'static, str>,
}

/// Why a [`CloseReason`] was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCloseReason {
    /// The code is neither 1000 nor one of 3000 to 4999.
    Code(u16),
    /// The text has this many bytes; a WebSocket close frame holds 123.
    TextTooLong(usize),
}

impl std::fmt::Display for InvalidCloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "close code {code} is not 1000 or one of 3000 to 4999"),
            Self::TextTooLong(len) => {
                write!(f, "close reason of {len} bytes is longer than {} bytes", CloseReason::MAX_TEXT)
            }
        }
    }
}

impl std::error::Error for InvalidCloseReason {}

impl CloseReason {
    /// Bytes that a reason may have: what fits a WebSocket close frame beside the code (RFC 6455, section 5.5).
    pub const MAX_TEXT: usize = 123;

    /// The default of an application's close: 1000.
    pub const NORMAL: Self = Self::known(1000, "Normal closure");
    /// The client's connection vanished while it was attached: 1002.
    pub const INTERRUPTED: Self = Self::known(1002, "Connection interrupted");
    /// The client's own WebSocket close, or a client that did not come back: 1001.
    pub const CLIENT_GONE: Self = Self::known(1001, "Client went away");
    /// A second receiver came while the first was still there: 2010.
    pub const STILL_OPEN: Self = Self::known(2010, "Another connection still open");
    /// What the client sent on a WebSocket was not SockJS: 3000.
    pub const BROKEN_FRAMING: Self = Self::known(3000, "Broken framing.");
    /// A WebSocket client did not answer a ping in time: 3000.
    pub const NO_HEARTBEAT: Self = Self::known(3000, "No response from heartbeat");
    /// The application's handler failed: 4500.
    pub const INTERNAL_ERROR: Self = Self::known(4500, "Internal error");
    /// More was waiting for the client than the service allows: 4501.
    pub const TOO_SLOW: Self = Self::known(4501, "Too slow: unread messages over the limit");
    /// The client sent more messages per second than the service allows: 4502.
    pub const TOO_MANY_MESSAGES: Self = Self::known(4502, "Too many messages");
    /// The session's place in a channel is older than what the channel keeps: 4504.
    pub const MISSED_MESSAGES: Self = Self::known(4504, "Messages were missed");
    /// A STOMP client did what it must not, and got an ERROR frame: 4510.
    pub const STOMP_ERROR: Self = Self::known(4510, "STOMP error");
    /// What the client showed as its right to be here has expired: 4511.
    pub const EXPIRED: Self = Self::known(4511, "Authorization has expired");
    /// The client promised signs of life and was silent: 4512.
    pub const SILENT: Self = Self::known(4512, "No heart-beat");
    /// The application has ended the session: 4513.
    pub const DISCONNECTED: Self = Self::known(4513, "Disconnected by the application");
    /// This server ends, and the session cannot go on elsewhere: 4505.
    pub const GOING_AWAY: Self = Self::known(4505, "Server is going away");
    /// The session that was to be resumed is over, or was never: 4506.
    pub const GONE: Self = Self::known(4506, "Session is gone");
    /// A later attempt of the same client has resumed the session: 4507.
    pub const SUPERSEDED: Self = Self::known(4507, "Resumed elsewhere");
    /// The session id is neither an ordinary one nor one that can be resumed: 4508.
    pub const MALFORMED: Self = Self::known(4508, "Malformed session id");

    const fn known(code: u16, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// A reason that an application gives.
    ///
    /// # Errors
    /// A code other than 1000 and 3000 to 4999, or a text of more than [`Self::MAX_TEXT`] bytes.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Result<Self, InvalidCloseReason> {
        let text = text.into();
        if code != 1000 && !(3000..=4999).contains(&code) {
            return Err(InvalidCloseReason::Code(code));
        }
        if text.len() > Self::MAX_TEXT {
            return Err(InvalidCloseReason::TextTooLong(text.len()));
        }
        Ok(Self { code, text })
    }

    /// A reason that was given before, on whatever node: no checks, but the text is cut to what a frame holds.
    #[must_use]
    pub fn from_parts(code: u16, mut text: String) -> Self {
        if text.len() > Self::MAX_TEXT {
            let end = (0..=Self::MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
        }
        Self { code, text: Cow::Owned(text) }
    }

    /// The numeric code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text; untrusted where a client's own close frame gave it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the session ended because it passed a limit of its service.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        [&Self::TOO_SLOW, &Self::TOO_MANY_MESSAGES, &Self::MISSED_MESSAGES].contains(&self)
    }

    /// Appends the frame `c[code,"text"]`.
    pub(crate) fn frame_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"c[");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.push(b',');
        quote_into(out, &self.text);
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_may_use_1000_and_3000_to_4999() {
        for code in [1000, 3000, 4999] {
            assert!(CloseReason::new(code, "x").is_ok(), "{code}");
        }
        for code in [0, 999, 1001, 1005, 1006, 2010, 2999, 5000, u16::MAX] {
            assert_eq!(CloseReason::new(code, "x"), Err(InvalidCloseReason::Code(code)));
        }
    }

    #[test]
    fn a_reason_fits_a_websocket_close_frame() {
        assert!(CloseReason::new(3000, "x".repeat(123)).is_ok());
        assert_eq!(CloseReason::new(3000, "x".repeat(124)), Err(InvalidCloseReason::TextTooLong(124)));
    }
}
