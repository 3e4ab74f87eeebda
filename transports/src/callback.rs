//! The callback parameter of `jsonp` and `htmlfile`.

use crate::inbound::form_field;

/// A JavaScript name that a client wants its frames handed to: 1 to [`Callback::MAX_LEN`] of `[a-zA-Z0-9-_.]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback(String);

/// Why there is no callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackError {
    /// Neither `c` nor `callback` is in the query.
    Required,
    /// It is empty, too long, or holds other characters.
    Invalid,
}

impl CallbackError {
    /// The body of the 500 answer, as the reference server words it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Required => "\"callback\" parameter required",
            Self::Invalid => "invalid \"callback\" parameter",
        }
    }
}

impl std::fmt::Display for CallbackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for CallbackError {}

impl Callback {
    /// Characters that a callback may have. Stock clients' callbacks have 11.
    pub const MAX_LEN: usize = 32;

    /// The callback that a query string names: `c`, or `callback` where `c` is absent.
    ///
    /// # Errors
    /// See [`CallbackError`].
    ///
    /// ```
    /// use sockhop_transports::{Callback, CallbackError};
    ///
    /// assert_eq!(Callback::from_query("c=%63allback").unwrap().as_str(), "callback");
    /// assert_eq!(Callback::from_query("c=abc("), Err(CallbackError::Invalid));
    /// assert_eq!(Callback::from_query("t=1"), Err(CallbackError::Required));
    /// ```
    pub fn from_query(query: &str) -> Result<Self, CallbackError> {
        let name = form_field(query.as_bytes(), b"c")
            .or_else(|| form_field(query.as_bytes(), b"callback"))
            .ok_or(CallbackError::Required)?;
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.iter().all(allowed) {
            return Err(CallbackError::Invalid);
        }
        Ok(Self(String::from_utf8(name.into_owned()).map_err(|_| CallbackError::Invalid)?))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_names_that_cannot_be_code_are_taken() {
        for (query, expected) in [
            ("c=_jp.aBc-9", Ok("_jp.aBc-9")),
            ("t=1&callback=x", Ok("x")),
            ("callback=x&c=y", Ok("y")),
            ("", Err(CallbackError::Required)),
            ("cc=x", Err(CallbackError::Required)),
            ("c=", Err(CallbackError::Invalid)),
            ("c=%20", Err(CallbackError::Invalid)),
            ("c=*", Err(CallbackError::Invalid)),
            ("c=abc%28", Err(CallbackError::Invalid)),
            ("c=a%0d%0aX", Err(CallbackError::Invalid)),
            ("c=%C3%A9", Err(CallbackError::Invalid)),
            ("c=x%", Err(CallbackError::Invalid)),
        ] {
            let found = Callback::from_query(query);
            assert_eq!(found.as_ref().map(Callback::as_str).map_err(|error| *error), expected, "{query}");
        }
        assert!(Callback::from_query(&format!("c={}", "x".repeat(32))).is_ok());
        assert_eq!(Callback::from_query(&format!("c={}", "x".repeat(33))), Err(CallbackError::Invalid));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_harmless_name(query in "c=.*") {
            if let Ok(callback) = Callback::from_query(&query) {
                prop_assert!(callback.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
            }
        }
    }
}
