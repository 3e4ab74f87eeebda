//! API keys: who calls, and what the caller may do.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a key lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Right {
    /// Send messages.
    Publish,
    /// Read history and who is there.
    Read,
    /// List and end sessions.
    Manage,
}

/// A key of the HTTP API. Only its SHA-256 is kept.
///
/// Written as `NAME RIGHTS KEY`: a name for logs, rights among `publish`, `read` and `manage` with commas between them, and
/// the key itself, of 16 characters at least, or `sha256:` and the 64 hex digits of its hash.
///
/// ```
/// use sockhop::api::{ApiKey, Right};
///
/// let key: ApiKey = "shop publish,read correct-horse-battery".parse().unwrap();
/// assert_eq!((key.name(), key.may(Right::Manage)), ("shop", false));
/// assert!("shop publish short".parse::<ApiKey>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    name: String,
    rights: Vec<Right>,
    hash: [u8; 32],
}

/// A text is no [`ApiKey`]. What is wrong is told without the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidApiKey {
    /// It does not have three parts.
    #[error("a key is written `NAME RIGHTS KEY`, like `shop publish,read KEY`")]
    Parts,
    /// The second part.
    #[error("{0:?} is no right: use publish, read or manage")]
    Right(String),
    /// The third part.
    #[error("the key of {0} is too short: it needs 16 visible ASCII characters, or `sha256:` and 64 hex digits")]
    Key(String),
}

impl ApiKey {
    /// The name under which the key stands in logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its holder may do this.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

impl Right {
    pub(super) const ALL: [Self; 3] = [Self::Publish, Self::Read, Self::Manage];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let parts: Vec<_> = text.split_whitespace().collect();
        let &[name, rights, key] = parts.as_slice() else { return Err(InvalidApiKey::Parts) };
        let right = |text: &str| {
            let known = Right::ALL.into_iter().find(|right| right.name() == text);
            known.ok_or_else(|| InvalidApiKey::Right(text.to_owned()))
        };
        let rights = rights.split(',').map(right).collect::<Result<_, _>>()?;
        let hash = match key.strip_prefix("sha256:") {
            Some(hex) => from_hex(hex),
            None => (key.len() >= SHORTEST && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| hash(key)),
        };
        Ok(Self { name: name.to_owned(), rights, hash: hash.ok_or_else(|| InvalidApiKey::Key(name.to_owned()))? })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("rights", &self.rights).finish_non_exhaustive()
    }
}

/// The key that a caller has shown. All are looked at, however early one fits: how long that takes says nothing.
pub(super) fn find<'k>(keys: &'k [ApiKey], shown: &str) -> Option<&'k ApiKey> {
    let shown = hash(shown);
    let mut found = None;
    for key in keys {
        if bool::from(key.hash.ct_eq(&shown)) {
            found = Some(key);
        }
    }
    found
}

/// Characters of a key.
const SHORTEST: usize = 16;

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::hex;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn a_key_is_found_by_itself_or_by_its_hash() {
        let digest = hex(&hash(KEY));
        for written in [KEY.to_owned(), format!("sha256:{digest}"), format!("sha256:{}", digest.to_uppercase())] {
            let keys =
                ["a read other-key-other-key", &format!("b publish {written}")].map(|key| key.parse().unwrap());
            let found = find(&keys, KEY).map(ApiKey::name);
            assert_eq!(found, Some("b"));
            for wrong in ["", "0123456789abcdeF", "0123456789abcde", &digest, &format!("sha256:{digest}")] {
                assert!(find(&keys, wrong).is_none(), "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_told_without_it() {
        for (text, why) in [
            ("", "NAME RIGHTS KEY"),
            ("a publish", "NAME RIGHTS KEY"),
            ("a publish 0123456789abcdef more", "NAME RIGHTS KEY"),
            ("a write 0123456789abcdef", "\"write\" is no right"),
            ("a publish,, 0123456789abcdef", "\"\" is no right"),
            ("a publish 0123456789abcde", "of a is too short"),
            ("a publish 0123456789abcdé", "of a is too short"),
            ("a publish sha256:0123456789abcdef", "of a is too short"),
        ] {
            let error = text.parse::<ApiKey>().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("0123"), "{text}: {error}");
        }
        let key: ApiKey = format!("a publish {KEY}").parse().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey { name: \"a\", rights: [Publish], .. }");
    }
}
