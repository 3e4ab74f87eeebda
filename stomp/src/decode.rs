//! How frames are read, however they are cut.

use crate::escape::unescape;
use crate::{Command, Frame, Headers, Version};

/// What a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame, its NUL included. Default 64 KiB.
    pub frame: usize,
    /// Headers of one frame. Default 100.
    pub headers: usize,
    /// Bytes of one frame before its body. Default 16 KiB.
    pub head: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 64 * 1024, headers: 100, head: 16 * 1024 }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A frame.
    Frame(Frame),
    /// Line ends between frames: a heart-beat, or what a peer appends to its frames.
    HeartBeat,
}

/// What came is no frame. There is no way to go on behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first line is no command.
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    /// A line of the head is no header.
    #[error("malformed header line {0:?}")]
    MalformedHeader(String),
    /// A header has an escape that its version does not know.
    #[error("undefined escape in header line {0:?}")]
    UndefinedEscape(String),
    /// The content-length is no number.
    #[error("malformed content-length {0:?}")]
    MalformedLength(String),
    /// Behind content-length bytes there is no NUL.
    #[error("the body of {0} bytes does not end with a NUL: is content-length right?")]
    MissingEnd(usize),
    /// The frame is not UTF-8.
    #[error("the frame is no UTF-8 text")]
    NotText,
    /// The frame is longer than it may be.
    #[error("the frame has more than {0} bytes")]
    FrameTooLarge(usize),
    /// Its head is.
    #[error("the frame has more than {0} bytes of headers")]
    HeadTooLarge(usize),
    /// It has more headers than it may have.
    #[error("the frame has more than {0} headers")]
    TooManyHeaders(usize),
}

/// Takes bytes in pieces of any size, and gives frames.
#[derive(Debug, Clone)]
pub struct Decoder {
    limits: Limits,
    version: Version,
    bytes: Vec<u8>,
    /// Bytes that were given out as frames.
    done: usize,
}

/// Characters of a peer's text that an error shows.
const SHOWN: usize = 40;

impl Decoder {
    /// A decoder for a peer whose version is not known yet: of 1.2, since what comes first has no escapes.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::resume(limits, Version::V1_2, Vec::new())
    }

    /// A decoder that goes on where another one's [`rest`](Self::rest) was left.
    #[must_use]
    pub fn resume(limits: Limits, version: Version, rest: Vec<u8>) -> Self {
        Self { limits, version, bytes: rest, done: 0 }
    }

    /// What comes from now on is in this version.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Keeps no more memory than what is not a whole frame yet needs.
    pub fn shrink(&mut self) {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.shrink_to_fit();
    }

    /// What was fed and is not a whole frame yet.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// The next thing that came; `None` while it is not complete.
    ///
    /// # Errors
    /// See [`DecodeError`]. The decoder is of no use any more.
    #[allow(clippy::should_implement_trait, reason = "no iterator: it goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<Incoming>, DecodeError> {
        let rest = self.rest();
        let ends = line_ends(rest);
        if ends > 0 {
            self.done += ends;
            return Ok(Some(Incoming::HeartBeat));
        }
        let parsed = Parse { limits: self.limits, version: self.version, bytes: rest }.frame()?;
        if parsed.is_none() && self.rest().len() > self.limits.frame {
            return Err(DecodeError::FrameTooLarge(self.limits.frame));
        }
        Ok(parsed.map(|(frame, size)| {
            self.done += size;
            Incoming::Frame(frame)
        }))
    }
}

/// How many bytes at the start are line ends: LF, or CR LF.
fn line_ends(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &bytes[at..] {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            _ => return at,
        }
    }
}

struct Parse<'a> {
    limits: Limits,
    version: Version,
    bytes: &'a [u8],
}

/// A frame's head, and where its body begins.
struct Head {
    command: Command,
    headers: Headers,
    body: usize,
}

impl<'a> Parse<'a> {
    /// The frame at the start, and its size; `None` while it is not complete.
    fn frame(&self) -> Result<Option<(Frame, usize)>, DecodeError> {
        let Some(Head { command, headers, body: start }) = self.head()? else { return Ok(None) };
        let body = &self.bytes[start..];
        let length = match headers.get("content-length") {
            Some(length) => Some(self.length(length)?),
            None => body.iter().position(|byte| *byte == 0),
        };
        let Some(length) = length else { return Ok(None) };
        let size = start + length + 1;
        if size > self.limits.frame {
            return Err(DecodeError::FrameTooLarge(self.limits.frame));
        }
        match body.get(length) {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => return Err(DecodeError::MissingEnd(length)),
        }
        let body = std::str::from_utf8(&body[..length]).map_err(|_| DecodeError::NotText)?.to_owned();
        Ok(Some((Frame { command, headers, body }, size)))
    }

    fn length(&self, text: &str) -> Result<usize, DecodeError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DecodeError::MalformedLength(shown(text.as_bytes())));
        }
        match text.parse() {
            Ok(length) if length < self.limits.frame => Ok(length),
            _ => Err(DecodeError::FrameTooLarge(self.limits.frame)),
        }
    }

    fn head(&self) -> Result<Option<Head>, DecodeError> {
        let mut at = 0;
        let Some(line) = self.line(&mut at)? else {
            // A command is short: what goes on for longer will be none, and is told before it ends.
            let unknown = self.bytes.len() > SHOWN;
            return if unknown { Err(DecodeError::UnknownCommand(shown(self.bytes))) } else { Ok(None) };
        };
        let command = Command::from_name(line).ok_or_else(|| DecodeError::UnknownCommand(shown(line)))?;
        let mut headers = Headers::default();
        loop {
            let Some(line) = self.line(&mut at)? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(Head { command, headers, body: at }));
            }
            if headers.len() == self.limits.headers {
                return Err(DecodeError::TooManyHeaders(self.limits.headers));
            }
            let (name, value) = self.header(line, command)?;
            headers.push(name, value);
        }
    }

    /// The line at `at`, without its end; `None` while it is not complete.
    fn line(&self, at: &mut usize) -> Result<Option<&'a [u8]>, DecodeError> {
        let most = &self.bytes[*at..self.bytes.len().min(self.limits.head + 1)];
        match most.iter().position(|byte| matches!(byte, b'\n' | 0)) {
            Some(end) if most[end] == 0 => Err(DecodeError::MalformedHeader(shown(&most[..end]))),
            Some(end) => {
                *at += end + 1;
                Ok(Some(most[..end].strip_suffix(b"\r").unwrap_or(&most[..end])))
            }
            None if self.bytes.len() > self.limits.head => Err(DecodeError::HeadTooLarge(self.limits.head)),
            None => Ok(None),
        }
    }

    fn header(&self, line: &[u8], command: Command) -> Result<(String, String), DecodeError> {
        let text = std::str::from_utf8(line).map_err(|_| DecodeError::NotText)?;
        let malformed = || DecodeError::MalformedHeader(shown(line));
        let (name, value) = text.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(malformed)?;
        if !command.has_escapes() {
            return Ok((name.to_owned(), value.to_owned()));
        }
        // Source: STOMP 1.0 allows padding around values, the later versions do not.
        let value = if self.version == Version::V1_0 { value.trim() } else { value };
        match (unescape(name, self.version), unescape(value, self.version)) {
            (Some(name), Some(value)) => Ok((name, value)),
            _ => Err(DecodeError::UndefinedEscape(shown(line))),
        }
    }
}

/// The beginning of a peer's text, for an error.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]);
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, version: Version) -> Result<Vec<Incoming>, DecodeError> {
        let mut decoder = Decoder::resume(Limits::default(), version, Vec::new());
        decoder.feed(text.as_bytes());
        let mut incoming = Vec::new();
        while let Some(next) = decoder.next()? {
            incoming.push(next);
        }
        Ok(incoming)
    }

    fn one(text: &str, version: Version) -> Result<Frame, DecodeError> {
        match all(text, version)?.as_slice() {
            [Incoming::Frame(frame)] => Ok(frame.clone()),
            other => panic!("one frame: {other:?}"),
        }
    }

    #[test]
    fn frames_and_heart_beats_come_in_their_order() {
        let text =
            "\n\r\nSTOMP\r\naccept-version:1.2\r\n\r\n\0\nBEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0";
        let incoming = all(text, Version::V1_2).unwrap();
        let commands: Vec<_> = incoming
            .iter()
            .map(|incoming| match incoming {
                Incoming::Frame(frame) => frame.command.name(),
                Incoming::HeartBeat => "-",
            })
            .collect();
        assert_eq!(commands, ["-", "STOMP", "-", "BEGIN", "COMMIT"]);
    }

    #[test]
    fn a_body_with_a_nul_needs_its_length() {
        let text = "SEND\ndestination:/a\ncontent-length:5\n\na\0b\0c\0";
        assert_eq!(one(text, Version::V1_2).unwrap().body, "a\0b\0c");
        assert_eq!(one("SEND\n\nüb\0", Version::V1_2).unwrap().body, "üb");
    }

    #[test]
    fn the_first_of_two_headers_of_a_name_counts() {
        let frame = one("SEND\nfoo:World\nfoo:Hello\n\n\0", Version::V1_2).unwrap();
        assert_eq!(frame.headers.get("foo"), Some("World"));
        assert_eq!(frame.headers.len(), 2);
    }

    #[test]
    fn what_begins_a_connection_has_no_escapes() {
        let frame = one("CONNECT\npasscode:a\\tb\\\\c:d\n\n\0", Version::V1_2).unwrap();
        assert_eq!(frame.headers.get("passcode"), Some("a\\tb\\\\c:d"));
    }

    #[test]
    fn version_1_0_allows_padding() {
        assert_eq!(one("SEND\na: b \n\n\0", Version::V1_0).unwrap().headers.get("a"), Some("b"));
        assert_eq!(one("SEND\na: b \n\n\0", Version::V1_1).unwrap().headers.get("a"), Some(" b "));
    }

    #[test]
    fn what_is_no_frame_is_named() {
        use DecodeError::*;
        let long = "x".repeat(41);
        for (text, error) in [
            ("HELLO\n\n\0", UnknownCommand("HELLO".into())),
            ("send\n\n\0", UnknownCommand("send".into())),
            (long.as_str(), UnknownCommand("x".repeat(40))),
            ("SEND\nfoo\n\n\0", MalformedHeader("foo".into())),
            ("SEND\n:foo\n\n\0", MalformedHeader(":foo".into())),
            ("SEND\na:b\0", MalformedHeader("a:b".into())),
            ("SEND\na:\\x\n\n\0", UndefinedEscape("a:\\x".into())),
            ("SEND\ncontent-length:x\n\n\0", MalformedLength("x".into())),
            ("SEND\ncontent-length:-1\n\n\0", MalformedLength("-1".into())),
            ("SEND\ncontent-length:2\n\nabc\0", MissingEnd(2)),
            ("SEND\ncontent-length:99999999999999999999\n\n\0", FrameTooLarge(64 * 1024)),
        ] {
            assert_eq!(all(text, Version::V1_2), Err(error), "{text:?}");
        }
    }

    #[test]
    fn limits_are_told_before_a_frame_is_complete() {
        let limits = Limits { frame: 100, headers: 2, head: 50 };
        let error = |text: &str| {
            let mut decoder = Decoder::new(limits);
            decoder.feed(text.as_bytes());
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                }
            }
        };
        assert_eq!(error("SEND\na:1\nb:2\nc:3\n"), Some(DecodeError::TooManyHeaders(2)));
        assert_eq!(error(&format!("SEND\na:{}", "x".repeat(60))), Some(DecodeError::HeadTooLarge(50)));
        assert_eq!(error(&format!("SEND\n\n{}", "x".repeat(100))), Some(DecodeError::FrameTooLarge(100)));
        assert_eq!(error(&format!("SEND\n\n{}\0", "x".repeat(93))), None);
        assert_eq!(error(&format!("SEND\n\n{}\0", "x".repeat(94))), Some(DecodeError::FrameTooLarge(100)));
        assert_eq!(error("SEND\ncontent-length:100\n\n"), Some(DecodeError::FrameTooLarge(100)));
        let many = "SEND\n\nx\0".repeat(100);
        assert_eq!(error(&many), None, "together frames may be longer than one may be");
    }
}
