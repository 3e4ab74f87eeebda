//! One message on its way to clients, encoded once for all of them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::quote::quote_into;
use crate::transport::{eventsource, htmlfile};

/// A message for clients: encoded when it is made, shared by every receiver of every transport.
///
/// Cloning is cheap. The frame that carries the message alone is at hand as shared [`Bytes`]; the forms
/// that only some transports need are made once, on first use.
///
/// ```
/// let message = sockhop_transports::Message::new("hello");
/// assert_eq!(&message.frame()[..], br#"a["hello"]"#);
/// assert_eq!(message.text(), "hello");
/// ```
#[derive(Clone)]
pub struct Message(Arc<Encoded>);

struct Encoded {
    /// `a["…"]`.
    frame: Bytes,
    forms: OnceLock<Box<Forms>>,
}

#[derive(Default)]
struct Forms {
    text: OnceLock<Bytes>,
    line: OnceLock<Bytes>,
    eventsource: OnceLock<Bytes>,
    htmlfile: OnceLock<Bytes>,
}

/// What a message occupies beside its text: allocations, counters, its place in a queue.
const OVERHEAD: usize = 96;

/// What stands before the quoted text in a frame, and behind it.
const HEAD: &[u8] = b"a[";
const TAIL: &[u8] = b"]";

impl Message {
    /// Quotes and escapes `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // Most that is escaped takes one byte more: then the buffer is as large as it has to be.
        let escapes = text.bytes().filter(|byte| matches!(byte, b'\n' | b'"' | b'\\')).count();
        let mut frame = Vec::with_capacity(text.len() + escapes + HEAD.len() + TAIL.len() + 2);
        frame.extend_from_slice(HEAD);
        quote_into(&mut frame, text);
        frame.extend_from_slice(TAIL);
        Self::of(frame)
    }

    /// A message whose frame was encoded elsewhere, by [`Message::frame`]; `None` if it is no such frame.
    ///
    /// ```
    /// use sockhop_transports::Message;
    ///
    /// let message = Message::new("hello");
    /// assert_eq!(Message::from_frame(message.frame()), Some(message));
    /// assert_eq!(Message::from_frame("a[1]".into()), None);
    /// ```
    #[must_use]
    pub fn from_frame(frame: Bytes) -> Option<Self> {
        let quoted = frame.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
        let is_string = quoted.first() == Some(&b'"');
        // Read once here, so that whoever unquotes it may rely on it.
        let sound = is_string && serde_json::from_slice::<serde::de::IgnoredAny>(quoted).is_ok();
        (sound && std::str::from_utf8(quoted).is_ok())
            .then(|| Self(Arc::new(Encoded { frame, forms: OnceLock::new() })))
    }

    /// A message whose text is `before`, then that of `middle`, then `after`. What is quoted already is not quoted
    /// again.
    ///
    /// ```
    /// use sockhop_transports::Message;
    ///
    /// let joined = Message::joined("<", &Message::new("a\"b"), "\0");
    /// assert_eq!(joined, Message::new("<a\"b\0"));
    /// ```
    #[must_use]
    pub fn joined(before: &str, middle: &Self, after: &str) -> Self {
        Self::joined_behind(before, middle, 0, after)
    }

    /// As [`joined`](Self::joined), but of `middle` only what is behind so many of its lines. Lines end with `\n`.
    ///
    /// ```
    /// use sockhop_transports::Message;
    ///
    /// let joined = Message::joined_behind("<", &Message::new("a\\n\nb"), 1, ">");
    /// assert_eq!(joined, Message::new("<b>"));
    /// ```
    #[must_use]
    pub fn joined_behind(before: &str, middle: &Self, lines: usize, after: &str) -> Self {
        let mut middle = &middle.quoted()[1..];
        for _ in 0..lines {
            middle = behind_line(middle);
        }
        let mut frame = Vec::with_capacity(before.len() + middle.len() + after.len() + 16);
        frame.extend_from_slice(HEAD);
        quote_into(&mut frame, before);
        // Its closing quote: the text goes on.
        frame.pop();
        frame.extend_from_slice(middle);
        frame.pop();
        let joint = frame.len();
        quote_into(&mut frame, after);
        frame.remove(joint);
        frame.extend_from_slice(TAIL);
        Self::of(frame)
    }

    /// A message of a whole frame. Messages are kept for long, so what escapes have made the buffer larger than it has to
    /// be is given back.
    fn of(mut frame: Vec<u8>) -> Self {
        if frame.capacity() > frame.len() + frame.len() / 8 {
            frame.shrink_to_fit();
        }
        Self(Arc::new(Encoded { frame: frame.into(), forms: OnceLock::new() }))
    }

    /// The frame `a["…"]`.
    #[must_use]
    pub fn frame(&self) -> Bytes {
        self.0.frame.clone()
    }

    /// The frame `a["…"]`, without a new reference to it where this is the only one.
    pub(crate) fn into_frame(self) -> Bytes {
        match Arc::try_unwrap(self.0) {
            Ok(encoded) => encoded.frame,
            Err(shared) => shared.frame.clone(),
        }
    }

    /// The frame and the line feed that ends it on the xhr transports.
    pub(crate) fn line(&self) -> Bytes {
        let line = || {
            let mut line = Vec::with_capacity(self.0.frame.len() + 1);
            line.extend_from_slice(&self.0.frame);
            line.push(b'\n');
            Bytes::from(line)
        };
        // A message for one session is held by its log and by its receiver: no third will ask for the line.
        if Arc::strong_count(&self.0) <= 2 { line() } else { self.forms().line.get_or_init(line).clone() }
    }

    /// The JSON string alone, with its quotes.
    #[must_use]
    pub fn quoted(&self) -> &[u8] {
        &self.0.frame[HEAD.len()..self.0.frame.len() - TAIL.len()]
    }

    /// Bytes that the message takes in a frame beside others.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.frame.len() - HEAD.len() - TAIL.len() + 1
    }

    /// Bytes that keeping the message costs, as limits count them: its size, and what goes with it.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.size() + OVERHEAD
    }

    /// The text as the application gave it.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.text_bytes()).expect("the text was decoded into a string")
    }

    /// The text, shared: what a raw WebSocket writes.
    pub(crate) fn text_bytes(&self) -> &Bytes {
        self.forms().text.get_or_init(|| {
            let text: Result<String, _> = serde_json::from_slice(self.quoted());
            // Only a frame from elsewhere can hold what is no text, such as half a surrogate pair.
            Bytes::from(text.unwrap_or_else(|_| String::from_utf8_lossy(self.quoted()).into_owned()))
        })
    }

    pub(crate) fn eventsource(&self) -> Bytes {
        self.forms().eventsource.get_or_init(|| eventsource::event(&self.frame())).clone()
    }

    pub(crate) fn htmlfile(&self) -> Bytes {
        self.forms().htmlfile.get_or_init(|| htmlfile::script(&self.frame())).clone()
    }

    fn forms(&self) -> &Forms {
        self.0.forms.get_or_init(Box::default)
    }
}

/// What is behind the first line of a quoted text, or its closing quote.
fn behind_line(quoted: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(escape) = quoted[at..].iter().position(|byte| *byte == b'\\') {
        at += escape + 2;
        if quoted.get(at - 1) == Some(&b'n') {
            return &quoted[at..];
        }
    }
    &quoted[quoted.len() - 1..]
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Message").field(&String::from_utf8_lossy(self.quoted())).finish()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.quoted() == other.quoted()
    }
}

impl Eq for Message {}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_made_once_and_shared() {
        let message = Message::new("50% <b>");
        let (again, _third) = (message.clone(), message.clone());
        assert_eq!(message.frame().as_ptr(), again.frame().as_ptr());
        assert_eq!(message.line().as_ptr(), again.line().as_ptr());
        assert_eq!(message.eventsource().as_ptr(), again.eventsource().as_ptr());
        assert_eq!(message.htmlfile().as_ptr(), again.htmlfile().as_ptr());
        assert_eq!(message.text_bytes().as_ptr(), again.text_bytes().as_ptr());
    }

    #[test]
    fn text_comes_back_as_it_was_given() {
        for text in ["", "\"", "😀\u{2028}\0", "100% sure"] {
            assert_eq!(Message::new(text).text(), text);
        }
    }
}
