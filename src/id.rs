//! Names of things, parsed once: channels, nodes, sessions, requests.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The name of a channel: 1 to [`ChannelName::MAX_LEN`] bytes without control characters. Cloning is cheap.
///
/// ```
/// use sockhop::ChannelName;
///
/// let room: ChannelName = "rooms/lobby".parse().unwrap();
/// assert_eq!(room.as_str(), "rooms/lobby");
/// assert!("".parse::<ChannelName>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChannelName {
    /// It is empty.
    #[error("a channel name must not be empty")]
    Empty,
    /// It has more than [`ChannelName::MAX_LEN`] bytes.
    #[error("a channel name of {0} bytes is longer than {max} bytes", max = ChannelName::MAX_LEN)]
    TooLong(usize),
    /// It holds a control character.
    #[error("a channel name must not hold control characters")]
    Control,
}

impl ChannelName {
    /// Bytes that a name may have.
    pub const MAX_LEN: usize = 512;

    /// Checks a name.
    ///
    /// # Errors
    /// See [`InvalidChannelName`].
    pub fn new(name: &str) -> Result<Self, InvalidChannelName> {
        match name {
            "" => Err(InvalidChannelName::Empty),
            name if name.len() > Self::MAX_LEN => Err(InvalidChannelName::TooLong(name.len())),
            name if name.chars().any(char::is_control) => Err(InvalidChannelName::Control),
            name => Ok(Self(name.into())),
        }
    }

    /// A name that stands in the code.
    pub(crate) fn fixed(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel of what a queue's consumer is given. No name that [`new`](Self::new) takes leads to it.
    pub(crate) fn of_consumer(queue: &Self, consumer: &str) -> Self {
        Self(format!("{queue}{CONSUMER_MARK}{consumer}").into())
    }

    /// The queue and the consumer whose channel this is.
    pub(crate) fn consumer(&self) -> Option<(&str, &str)> {
        self.0.split_once(CONSUMER_MARK)
    }

    /// A name that was written down, of whatever kind.
    pub(crate) fn written(name: &str) -> Option<Self> {
        match name.split_once(CONSUMER_MARK) {
            None => Self::new(name).ok(),
            Some((queue, consumer)) => {
                let is_id = consumer.len() == 32 && consumer.bytes().all(|byte| byte.is_ascii_hexdigit());
                Self::new(queue).ok().filter(|_| is_id).map(|queue| Self::of_consumer(&queue, consumer))
            }
        }
    }
}

/// What stands between a queue and a consumer of it in a channel's name.
const CONSUMER_MARK: char = '\u{1f}';

impl std::str::FromStr for ChannelName {
    type Err = InvalidChannelName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One server process: random, made anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

impl NodeId {
    /// A fresh id.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// What stands for a client's session id in the store and in logs: a hash of the service and the id, since the id
/// itself is the secret that authorises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// The key of the session `id` of `service`.
    #[must_use]
    pub fn of(service: &str, id: &str) -> Self {
        Self(digest(&[service, id]))
    }

    /// The key of the session of `service` that clients resume by this secret. No id leads to it.
    pub(crate) fn of_secret(service: &str, secret: &str) -> Self {
        Self(digest(&[service, "~", secret]))
    }

    /// A key that no id leads to.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// All of the hash, for keys in a store.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// How many buckets there are.
    pub const BUCKETS: u16 = 1024;

    /// The bucket of a session: a number below [`BUCKETS`](Self::BUCKETS), spread evenly over keys.
    #[must_use]
    pub fn bucket(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) % Self::BUCKETS
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Stock clients' ids have 40 bits: whoever had all of the hash could find the id by trying.
        self.0.iter().take(2).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// The balancer's name of a request, hashed: whatever it sends has one size here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id of a header's text.
    #[must_use]
    pub fn of(header: &str) -> Self {
        Self(digest(&[header]))
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// The name that an application gives to a message, so that sending it again sends it once. Hashed: whatever the name is has
/// one size here.
///
/// ```
/// use sockhop::MessageId;
///
/// assert_eq!(MessageId::of("order-17"), "order-17".into());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// The id of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(digest(&[name]))
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl From<&str> for MessageId {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

/// Bytes as hex digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends bytes as hex digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    // Not formatted: every operation on a session in Redis comes by here.
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Whether all of a text are hex digits in lower case.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A hash of texts, each with its length.
pub(crate) fn digest(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_have_a_length_and_no_control_characters() {
        assert_eq!(ChannelName::new(""), Err(InvalidChannelName::Empty));
        assert_eq!(ChannelName::new(&"x".repeat(513)), Err(InvalidChannelName::TooLong(513)));
        assert_eq!(ChannelName::new("a\nb"), Err(InvalidChannelName::Control));
        assert!(ChannelName::new(&"é".repeat(256)).is_ok());
    }

    #[test]
    fn nobody_else_has_the_channel_of_a_consumer() {
        let queue = ChannelName::new("/queue/a").unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let channel = ChannelName::of_consumer(&queue, id);
        assert_eq!(channel.consumer(), Some(("/queue/a", id)));
        assert_eq!(ChannelName::new(channel.as_str()), Err(InvalidChannelName::Control));
        assert_eq!(ChannelName::written(channel.as_str()), Some(channel));
        assert_eq!(ChannelName::written("/queue/a"), Some(queue));
        for wrong in ["/queue/a\u{1f}", "/queue/a\u{1f}x", "\u{1f}0123456789abcdef0123456789abcdef", ""] {
            assert_eq!(ChannelName::written(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_same_id_in_two_services_is_two_sessions() {
        assert_eq!(SessionKey::of("/echo", "a"), SessionKey::of("/echo", "a"));
        assert_ne!(SessionKey::of("/echo", "a"), SessionKey::of("/chat", "a"));
        assert_ne!(SessionKey::of("/a", "bc"), SessionKey::of("/ab", "c"));
    }

    #[test]
    fn a_key_does_not_show_the_id() {
        assert!(!format!("{:?}", SessionKey::of("/echo", "secret")).contains("secret"));
    }
}
