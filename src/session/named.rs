//! What the session segment of a URL names.

use crate::id::SessionKey;
use crate::store::{Attempt, Intent};

/// A session, and which attempt of its client asks for it.
///
/// Whatever is to bind a session to more than the client's secret belongs into its key: then nobody else's request leads
/// to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) key: SessionKey,
    pub(crate) attempt: Option<Attempt>,
}

/// A segment that looks like that of a session which can be resumed, and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Characters of a secret: 128 bits in base64url at least.
const SECRET: std::ops::RangeInclusive<usize> = 22..=128;
/// Digits of an attempt's number at most.
const DIGITS: usize = 9;
/// What an attempt of a client that has had the session ends in.
const RESUME: &str = "resume";

impl Named {
    /// The session of a segment in a service without resume: every text is an id.
    pub(crate) fn plain(service: &str, segment: &str) -> Self {
        Self { key: SessionKey::of(service, segment), attempt: None }
    }

    /// The session of a segment where sessions can be resumed: `SECRET~N` and `SECRET~N~resume` are attempts; a segment
    /// without a `~` is an ordinary id.
    pub(crate) fn parse(service: &str, segment: &str) -> Result<Self, Malformed> {
        let Some((secret, attempt)) = segment.split_once('~') else { return Ok(Self::plain(service, segment)) };
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !SECRET.contains(&secret.len()) || !secret.bytes().all(base64url) {
            return Err(Malformed);
        }
        let (number, intent) = match attempt.split_once('~') {
            None => (attempt, Intent::Begin),
            Some((number, RESUME)) => (number, Intent::Resume),
            Some(_) => return Err(Malformed),
        };
        let number = number_of(number).ok_or(Malformed)?;
        Ok(Self { key: SessionKey::of_secret(service, secret), attempt: Some(Attempt { number, intent }) })
    }

    /// The attempt's number, as handler calls name it.
    pub(crate) fn number(&self) -> Option<u64> {
        self.attempt.map(|attempt| attempt.number)
    }
}

fn number_of(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !text.starts_with('0')).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "abcdefghijklmnopqrstuv";

    fn attempt(segment: &str) -> Result<Option<(u64, Intent)>, Malformed> {
        Named::parse("/s", segment).map(|named| named.attempt.map(|attempt| (attempt.number, attempt.intent)))
    }

    #[test]
    fn attempts_are_counted_from_1_to_nine_digits() {
        assert_eq!(attempt(&format!("{SECRET}~1")), Ok(Some((1, Intent::Begin))));
        assert_eq!(attempt(&format!("{SECRET}~999999999")), Ok(Some((999_999_999, Intent::Begin))));
        assert_eq!(attempt(&format!("{SECRET}~7~resume")), Ok(Some((7, Intent::Resume))));
        for wrong in
            ["", "0", "01", "-1", "+1", "1 ", "x", "1000000000", "1~", "1~resume~", "1~Resume", "~1", "1%30"]
        {
            assert_eq!(attempt(&format!("{SECRET}~{wrong}")), Err(Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_has_at_least_128_bits() {
        for wrong in
            ["", "short", &SECRET[1..], &"x".repeat(129), "abcdefghijklmnopqrst%20", "abcdefghijklmnopqrst+/"]
        {
            assert_eq!(attempt(&format!("{wrong}~1")), Err(Malformed), "{wrong:?}");
        }
        assert!(attempt(&format!("{}~1", "x".repeat(128))).is_ok());
    }

    #[test]
    fn ids_without_a_tilde_are_ordinary_and_lead_to_no_other_session() {
        assert_eq!(attempt("short"), Ok(None));
        let secret = Named::parse("/s", &format!("{SECRET}~1")).unwrap();
        assert_eq!(secret.key, Named::parse("/s", &format!("{SECRET}~2~resume")).unwrap().key);
        for other in [Named::parse("/s", SECRET).unwrap(), Named::plain("/s", &format!("{SECRET}~1"))] {
            assert_ne!(secret.key, other.key);
            assert_eq!(other.attempt, None);
        }
        assert_ne!(secret.key, Named::parse("/t", &format!("{SECRET}~1")).unwrap().key);
    }
}
