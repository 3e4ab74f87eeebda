//! Who a client is.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A client's user, as its token has shown it or the application has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    #[serde(rename = "n")]
    pub(super) name: String,
    #[serde(rename = "c")]
    pub(super) claims: Map<String, Value>,
    /// When the session ends, in seconds since 1970; with `None`, it may last.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<u64>,
}

impl Principal {
    /// The user's name: what the token says in its name claim, `sub` unless configured otherwise, or what the
    /// application's [`ConnectHandler`](super::ConnectHandler) has said.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A claim of the token, or one that the application has made.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// Whether a claim has a value: is it, lists it, or, as OAuth's `scope` does, names it between spaces.
    #[must_use]
    pub fn has(&self, claim: &str, value: &str) -> bool {
        match self.claims.get(claim) {
            Some(Value::Array(values)) => values.iter().any(|held| is(held, value)),
            Some(Value::String(text)) => text == value || text.split(' ').any(|word| word == value),
            Some(held) => is(held, value),
            None => false,
        }
    }

    /// All claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Whether the time is over that the user was granted.
    pub(super) fn has_expired(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.until.is_some_and(|until| until <= now.as_secs())
    }

    /// Whether a text can be a user's name.
    pub(super) fn is_name(text: &str) -> bool {
        !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control)
    }
}

/// Bytes of a user's name: it is a part of channels' names.
const LONGEST_NAME: usize = 128;

fn is(held: &Value, value: &str) -> bool {
    match held {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Bool(yes) => yes.to_string() == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_a_value_alone_in_a_list_or_between_spaces() {
        let claims = serde_json::json!({
            "role": "admin", "roles": ["a", 7], "scope": "read write", "level": 3, "staff": true, "deep": {"x": "y"}
        });
        let Value::Object(claims) = claims else { unreachable!() };
        let user = Principal { name: "a".to_owned(), claims, until: None };
        for (claim, value) in [
            ("role", "admin"),
            ("roles", "a"),
            ("roles", "7"),
            ("scope", "read"),
            ("scope", "read write"),
            ("level", "3"),
            ("staff", "true"),
        ] {
            assert!(user.has(claim, value), "{claim}={value}");
        }
        for (claim, value) in
            [("role", "adm"), ("role", ""), ("roles", "b"), ("scope", "rea"), ("deep", "y"), ("none", "x")]
        {
            assert!(!user.has(claim, value), "{claim}={value}");
        }
    }
}
