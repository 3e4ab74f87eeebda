//! What clients send: JSON arrays of strings, read from bodies and WebSocket messages.
//!
//! Browsers' strings may hold lone surrogates, which no UTF-8 string can: they become U+FFFD, as does what is not
//! UTF-8. Refusing the request instead would end the client's session.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Visitor};
use smallvec::SmallVec;

/// Messages of a client, in order; most requests and WebSocket messages carry one.
pub type Texts = SmallVec<[String; 1]>;

/// Why a payload was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadError {
    /// There is none, or it is JSON but not an array of strings.
    Expected,
    /// It is not JSON.
    Broken,
}

impl PayloadError {
    /// The body of the 500 answer, as the reference server words it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Expected => "Payload expected.",
            Self::Broken => "Broken JSON encoding.",
        }
    }
}

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for PayloadError {}

/// The messages of a JSON array of strings: the body of an `xhr_send`.
///
/// # Errors
/// See [`PayloadError`].
///
/// ```
/// use sockhop_transports::{PayloadError, messages};
///
/// assert_eq!(messages(br#"["a","\ud83d\ude00"]"#).unwrap()[..], ["a", "😀"]);
/// assert_eq!(messages(b"{}"), Err(PayloadError::Expected));
/// assert_eq!(messages(br#"["a"#), Err(PayloadError::Broken));
/// ```
pub fn messages(payload: &[u8]) -> Result<Texts, PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Expected);
    }
    // The strict way first: it is the quicker one, and right for nearly all.
    if let Ok(texts) = serde_json::from_slice(payload) {
        return Ok(texts);
    }
    let texts: SmallVec<[Text; 1]> = lenient(payload)?;
    Ok(texts.into_iter().map(|text| text.0).collect())
}

/// Reads JSON whose strings may hold lone surrogates and broken UTF-8, but no raw control characters.
fn lenient<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, PayloadError> {
    let read = serde_json::from_slice(payload).map_err(|error| kind_of(&error))?;
    if has_raw_control(payload) { Err(PayloadError::Broken) } else { Ok(read) }
}

/// Whether a string of valid JSON holds a control character that is not escaped.
fn has_raw_control(json: &[u8]) -> bool {
    let (mut inside, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            0..0x20 if inside => return true,
            _ => {}
        }
    }
    false
}

/// The messages of one SockJS WebSocket message: an array of strings, or one string; none of an empty text.
///
/// # Errors
/// See [`PayloadError`].
pub fn websocket_messages(text: &str) -> Result<Texts, PayloadError> {
    if let Some(plain) = plain_message(text) {
        return Ok(Texts::from_buf([plain.to_owned()]));
    }
    match text.as_bytes().first() {
        None => Ok(Texts::new()),
        Some(b'"') => Ok(Texts::from_buf([lenient::<Text>(text.as_bytes())?.0])),
        Some(_) => messages(text.as_bytes()),
    }
}

/// The message in `["…"]` where it stands for itself: what stock clients send nearly always, read without a parser.
fn plain_message(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("[\"")?.strip_suffix("\"]")?;
    // Not `any`, which would stop at the first and so look at one byte at a time.
    let special =
        inner.bytes().fold(false, |special, byte| special | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    (!special).then_some(inner)
}

/// The messages of a `jsonp_send`: field `d` of a form, or the JSON array itself in a `text/plain` body.
///
/// # Errors
/// See [`PayloadError`].
pub fn jsonp_messages(content_type: &str, body: &[u8]) -> Result<Texts, PayloadError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        match form_field(body, b"d") {
            Some(payload) => messages(&payload),
            None => Err(PayloadError::Expected),
        }
    } else {
        messages(body)
    }
}

/// The decoded value of the first field `name` of a form or query string.
pub(crate) fn form_field<'a>(form: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    form.split(|byte| *byte == b'&').find_map(|field| {
        let (key, value) = match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        (form_decoded(key).as_ref() == name).then(|| form_decoded(value))
    })
}

/// `+` is a space, `%XX` a byte; a `%` without two hex digits stays as it is.
fn form_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (byte, width) = match text[at] {
            b'+' => (b' ', 1),
            b'%' => match (hex(at + 1), hex(at + 2)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                _ => (b'%', 1),
            },
            byte => (byte, 1),
        };
        out.push(byte);
        at += width;
    }
    Cow::Owned(out)
}

fn kind_of(error: &serde_json::Error) -> PayloadError {
    if error.is_data() { PayloadError::Expected } else { PayloadError::Broken }
}

/// A JSON string as text, whatever code units it holds.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(match std::str::from_utf8(bytes) {
                    Ok(text) => text.to_owned(),
                    Err(_) => lossy(bytes),
                }))
            }
        }

        // Asked for bytes, serde_json keeps lone surrogates (in their three-byte form) instead of refusing them.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// UTF-8 with one U+FFFD for each lone surrogate and each broken sequence.
fn lossy(bytes: &[u8]) -> String {
    let mut mended = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(byte) = rest.first() {
        let surrogate = matches!(rest, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
        if surrogate {
            mended.extend_from_slice("\u{fffd}".as_bytes());
        } else {
            mended.push(*byte);
        }
        rest = &rest[if surrogate { 3 } else { 1 }..];
    }
    String::from_utf8_lossy(&mended).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arrays_of_strings_are_taken_and_nothing_else() {
        use PayloadError::{Broken, Expected};
        type Case = (&'static [u8], Result<&'static [&'static str], PayloadError>);
        let cases: &[Case] = &[
            (b"[]", Ok(&[])),
            (b" [ \"a\" , \"b\" ] ", Ok(&["a", "b"])),
            (br#"["\u0000\ufffe\uffff"]"#, Ok(&["\0\u{fffe}\u{ffff}"])),
            (b"[\"\xef\xbf\xbf\xef\xbb\xbf\"]", Ok(&["\u{ffff}\u{feff}"])),
            (br#"["\ud800"]"#, Ok(&["\u{fffd}"])),
            (br#"["\ud800x\udc00","\ude00\ud83d"]"#, Ok(&["\u{fffd}x\u{fffd}", "\u{fffd}\u{fffd}"])),
            (b"[\"a\xffb\"]", Ok(&["a\u{fffd}b"])),
            (b"", Err(Expected)),
            (b"{}", Err(Expected)),
            (b"\"x\"", Err(Expected)),
            (b"1", Err(Expected)),
            (b"null", Err(Expected)),
            (b"[1]", Err(Expected)),
            (b"[[\"x\"]]", Err(Expected)),
            (b"[\"x", Err(Broken)),
            (b"[\"x\"", Err(Broken)),
            (b"[\"x\"]]", Err(Broken)),
            (b"x", Err(Broken)),
            (br#"["\u12"]"#, Err(Broken)),
            (b"\xff", Err(Broken)),
            (b"[\"a\tb\"]", Err(Broken)),
            (b"[\"\\ud800\",\"a\nb\"]", Err(Broken)),
            (b"[\"\\ud800\\\"\",\n\t\"a\\tb\"]", Ok(&["\u{fffd}\"", "a\tb"])),
        ];
        for (payload, expected) in cases {
            let expected: Result<Texts, _> =
                expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(messages(payload), expected, "{}", String::from_utf8_lossy(payload));
        }
    }

    #[test]
    fn a_websocket_message_may_be_one_string_or_empty() {
        for (text, expected) in [
            ("\"x\"", Ok(&["x"][..])),
            ("[\"x\",\"y\"]", Ok(&["x", "y"])),
            ("[\"x\"]", Ok(&["x"])),
            ("[\"\"]", Ok(&[""])),
            ("[\"\\\"\"]", Ok(&["\""])),
            ("[]", Ok(&[])),
            ("", Ok(&[])),
            ("[\"]", Err(PayloadError::Broken)),
            ("[\"a\tb\"]", Err(PayloadError::Broken)),
            ("\"x", Err(PayloadError::Broken)),
            ("1", Err(PayloadError::Expected)),
        ] {
            let read = websocket_messages(text);
            assert_eq!(
                read.as_ref().map(|texts| texts.iter().map(String::as_str).collect()).map_err(|error| *error),
                expected.map(<[_]>::to_vec),
                "{text}"
            );
        }
    }

    #[test]
    fn jsonp_bodies_are_forms_or_plain_json() {
        let form = "application/x-www-form-urlencoded";
        for (content_type, body, expected) in [
            (form, "d=%5B%22a+b%22%5D", Ok(vec!["a b"])),
            (form, "x=1&d=[%22%c3%a9%22]&d=[]", Ok(vec!["é"])),
            ("application/x-www-form-urlencoded; charset=UTF-8", "d=[\"100%\"]", Ok(vec!["100%"])),
            (form, "d=", Err(PayloadError::Expected)),
            (form, "", Err(PayloadError::Expected)),
            (form, "p=p", Err(PayloadError::Expected)),
            (form, "d=[\"x", Err(PayloadError::Broken)),
            ("text/plain", "[\"%61bc\"]", Ok(vec!["%61bc"])),
            ("", "[\"x\"]", Ok(vec!["x"])),
        ] {
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect::<Texts>());
            assert_eq!(jsonp_messages(content_type, body.as_bytes()), expected, "{content_type} {body}");
        }
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_read_back(texts: Vec<String>) {
            let body = format!("[{}]", texts.iter().map(|text| crate::quote(text)).collect::<Vec<_>>().join(","));
            prop_assert_eq!(&messages(body.as_bytes()).unwrap()[..], &texts[..]);
            if let [text] = texts.as_slice() {
                prop_assert_eq!(&websocket_messages(&body).unwrap()[..], std::slice::from_ref(text));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = messages(&bytes);
            let _ = websocket_messages(&String::from_utf8_lossy(&bytes));
            let _ = jsonp_messages("application/x-www-form-urlencoded", &bytes);
        }
    }
}
