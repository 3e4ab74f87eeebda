//! What callers send, read within its limits: bodies and queries.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sockhop_transports::{BodyError, read_body};

use super::problem::Problem;
use crate::id::is_hex;

/// Reads a body of JSON.
pub(super) async fn body<B>(headers: &HeaderMap, body: B, limit: usize, time: Duration) -> Result<Bytes, Problem>
where
    B: http_body::Body<Data: Buf>,
{
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = "Send JSON, and say so: Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-json", "The body is no JSON", detail));
    }
    read_body(body, limit, time).await.map_err(|error| match error {
        BodyError::TooLarge => {
            let detail = format!("A body has {limit} bytes at most.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
        }
        BodyError::TooSlow => {
            let detail = format!("A body has to arrive within {} s.", time.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body came too slowly", detail)
        }
        BodyError::Broken => Problem::field("", "The body broke off."),
    })
}

/// Something that is written as an object, and not as a list of its fields, which serde would take as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

/// What a body says; what is wrong is told with the field where it is.
pub(super) fn json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Problem> {
    let read = serde_json::from_slice::<Object<T>>(body).or_else(|_| {
        // Where it went wrong is only looked for where it did.
        let mut reader = serde_json::Deserializer::from_slice(body);
        let named = serde_path_to_error::deserialize(&mut reader);
        let value = named.map_err(|error| invalid(&error.path().to_string(), error.inner()))?;
        reader.end().map_err(|error| invalid(".", &error))?;
        Ok(value)
    });
    read.map(|Object(value)| value)
}

fn invalid(path: &str, error: &serde_json::Error) -> Problem {
    let detail = error.to_string();
    // What has no name is the whole.
    let path = if path == "." || path == "?" { "" } else { path };
    // A field that is missing, or there twice, stands in the text alone.
    let named = detail.strip_prefix("missing field `").or_else(|| detail.strip_prefix("duplicate field `"));
    let name = match named.and_then(|rest| rest.split('`').next()) {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if !path.ends_with(name) => format!("{path}.{name}"),
        _ => path.to_owned(),
    };
    Problem::field(&name, detail)
}

/// The parameters of a query, each of them known and there once.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = Self(Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded("", name)?;
            if !known.contains(&name.as_str()) {
                return Err(Problem::field(
                    &name,
                    format!("There is no such parameter: use {}.", known.join(", ")),
                ));
            }
            if parameters.get(&name).is_some() {
                return Err(Problem::field(&name, "The parameter is there twice."));
            }
            let value = decoded(&name, value)?;
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn destination(&self) -> Result<&str, Problem> {
        self.get("destination").ok_or_else(|| Problem::field("destination", "Say which destination."))
    }

    /// How much a page may hold: `usual` where the caller does not say, and of `what` 1 to `most`.
    pub(super) fn limit(&self, usual: usize, most: usize, what: &str) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else { return Ok(usual) };
        let limit = number(text).filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Problem::field("limit", format!("A page has 1 to {most}{what}.")))
    }

    /// What looks like a cursor of one of these lengths.
    pub(super) fn cursor(&self, name: &str, lengths: impl RangeBounds<usize>) -> Result<Option<&str>, Problem> {
        match self.get(name) {
            Some(text) if !lengths.contains(&text.len()) || !is_hex(text) => {
                Err(Problem::field(name, "This is no cursor: use one that a page has given."))
            }
            cursor => Ok(cursor),
        }
    }
}

/// A number that is written in digits alone.
pub(super) fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The text behind `+` and percent signs.
fn decoded(name: &str, text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| Problem::field(name, "This is no UTF-8."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Many {
        #[allow(dead_code, reason = "only read")]
        list: Vec<Object<One>>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct One {
        #[allow(dead_code, reason = "only read")]
        name: String,
    }

    #[test]
    fn what_is_wrong_in_a_body_is_named() {
        for (body, field) in [
            (r#"{"list":[{"name":7}]}"#, "list[0].name"),
            (r#"{"list":[{"name":"a"},{}]}"#, "list[1].name"),
            (r#"{"list":[{"name":"a","name":"b"}]}"#, "list[0].name"),
            (r#"{"list":[{"name":"a","nom":"b"}]}"#, "list[0].nom"),
            (r#"{"list":{}}"#, "list"),
            (r#"{}"#, "list"),
            (r#"[[]]"#, ""),
            (r#"{"list":[["a"]]}"#, "list[0]"),
            (r#"{"list":[]}x"#, ""),
            (r#"{"list":["#, "list"),
            ("", ""),
            ("<b>", ""),
        ] {
            let problem = json::<Many>(body.as_bytes()).err().unwrap();
            assert_eq!(problem.json()["field"], field, "{body}: {problem:?}");
        }
        assert!(json::<Many>(br#" {"list":[{"name":"a"}]} "#).is_ok());
    }

    #[test]
    fn parameters_are_known_and_there_once() {
        let known = ["a", "b"];
        let Parameters(read) = Parameters::read("a=x+y%2B%C3%A9&b=", &known).unwrap();
        assert_eq!(read, [("a".to_owned(), "x y+é".to_owned()), ("b".to_owned(), String::new())]);
        for (text, field) in [("c=1", "c"), ("a=1&a=2", "a"), ("b=%ff", "b"), ("%ff=1", "")] {
            assert_eq!(Parameters::read(text, &known).unwrap_err().json()["field"], field, "{text}");
        }
    }
}
