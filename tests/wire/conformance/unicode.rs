//! Every code point goes in by any spelling and comes out in the one that browsers leave alone.

use std::fmt::Write;

use crate::server::shared;
use crate::session::{Session, Transport};
use crate::ws::WebSocket;

/// Every scalar value of the basic multilingual plane.
fn basic_plane() -> impl Iterator<Item = char> {
    (0..=0xffff).filter_map(char::from_u32)
}

fn must_be_escaped(unit: u16) -> bool {
    matches!(unit,
        0..=0x1f | 0x200c..=0x200f | 0x2028..=0x202f | 0x2060..=0x206f | 0xfff0..=0xffff | 0xd800..=0xdfff)
}

/// Every character as a JSON escape, surrogate pairs included.
fn escaped(characters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for character in characters {
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("writing to a string");
        }
    }
    text
}

/// Fails unless `text` (the inside of a JSON string) spells exactly these characters in a form that the protocol allows:
/// escapes where they are wanted, in lower case, the short ones where there are any.
fn assert_spells(mut text: &str, characters: impl Iterator<Item = char>) {
    for character in characters {
        for &unit in &*character.encode_utf16(&mut [0; 2]) {
            let long = format!("\\u{unit:04x}");
            let short = match unit {
                0x08 => Some("\\b"),
                0x09 => Some("\\t"),
                0x0a => Some("\\n"),
                0x0c => Some("\\f"),
                0x0d => Some("\\r"),
                0x22 => Some("\\\""),
                0x5c => Some("\\\\"),
                _ => None,
            };
            let literal = if must_be_escaped(unit) { None } else { char::from_u32(unit.into()) };
            let literal = literal.filter(|_| short.is_none()).map(String::from);
            let rest = match (short, &literal) {
                (Some(short), _) => text.strip_prefix(short),
                (None, Some(literal)) => text.strip_prefix(literal.as_str()).or_else(|| text.strip_prefix(&long)),
                (None, None) => text.strip_prefix(&long),
            };
            text = rest.unwrap_or_else(|| {
                let found: String = text.chars().take(12).collect();
                panic!("U+{unit:04X} is spelt {found:?}")
            });
        }
    }
    assert_eq!(text, "");
}

fn inside(frame: &str) -> &str {
    let inner = frame.strip_prefix("a[\"").and_then(|rest| rest.strip_suffix("\"]"));
    inner.unwrap_or_else(|| panic!("not one message: {frame:.80}"))
}

/// JSON text of a string with as few escapes as JSON allows.
fn literal(characters: impl Iterator<Item = char>) -> String {
    serde_json::to_string(&characters.collect::<String>()).expect("a string is JSON")
}

#[test]
fn the_whole_basic_plane_sent_escaped_comes_back_rightly_escaped() {
    let session = Session::open(shared(), "/echo");
    session.send(&format!("[\"{}\"]", escaped(basic_plane())));
    assert_spells(inside(session.poll().trim_end_matches('\n')), basic_plane());
}

#[test]
fn the_whole_basic_plane_sent_raw_comes_back_rightly_escaped() {
    let session = Session::open(shared(), "/echo");
    session.send(&format!("[{}]", literal(basic_plane())));
    assert_spells(inside(session.poll().trim_end_matches('\n')), basic_plane());
}

#[test]
fn the_whole_basic_plane_passes_through_every_transport() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        session.send(&format!("[{}]", literal(basic_plane())));
        assert_spells(inside(&session.receive(transport).frame()), basic_plane());
    }
}

#[test]
fn the_whole_basic_plane_passes_through_a_websocket_both_ways() {
    let mut socket = WebSocket::open(shared(), &Session::fresh(shared(), "/echo").at("websocket"));
    socket.expect_text("o");
    for spelling in [format!("\"{}\"", escaped(basic_plane())), literal(basic_plane())] {
        socket.send_text(format!("[{spelling}]"));
        assert_spells(inside(&socket.text()), basic_plane());
    }
}

#[test]
fn code_points_beyond_the_basic_plane_go_out_as_escaped_pairs() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"\u{1f600}\u{10000}\u{10ffff}\"]");
    let pairs = "a[\"\\ud83d\\ude00\\ud800\\udc00\\udbff\\udfff\"]\n";
    assert_eq!(session.poll(), pairs);
    session.send("[\"\\ud83d\\ude00\\uD800\\uDC00\\uDBFF\\udfff\"]");
    assert_eq!(session.poll(), pairs);
}

#[test]
fn the_ranges_that_browsers_mangle_are_escaped_in_lower_case() {
    let session = Session::open(shared(), "/echo");
    let sample = "\u{0}\u{1f}\u{200c}\u{200f}\u{2028}\u{2029}\u{202f}\u{2060}\u{206f}\u{fff0}\u{feff}\u{ffff}";
    session.send(&format!("[{}]", literal(sample.chars())));
    let frame = session.poll();
    assert_eq!(
        frame.replace("\\ufeff", "\u{feff}"),
        "a[\"\\u0000\\u001f\\u200c\\u200f\\u2028\\u2029\\u202f\\u2060\\u206f\\ufff0\u{feff}\\uffff\"]\n"
    );
}

#[test]
fn controls_use_their_short_escapes() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"\\u0008\\u0009\\u000A\\u000c\\u000D\\u0022\\u005c\\u002f\\/\"]");
    assert_eq!(session.poll(), "a[\"\\b\\t\\n\\f\\r\\\"\\\\//\"]\n");
}

#[test]
fn no_message_is_normalised_or_stripped() {
    let session = Session::open(shared(), "/echo");
    for message in ["e\u{301}\u{e9}", "\u{feff}bom", "\u{212b}\u{c5}", " a\u{a0}b ", "\u{fdd0}\u{7f}\u{80}\u{9f}"]
    {
        session.send(&format!("[{}]", literal(message.chars())));
        assert_spells(inside(session.poll().trim_end_matches('\n')), message.chars());
    }
}

#[test]
fn lone_surrogates_are_accepted_and_come_back_or_are_replaced() {
    for sent in ["\\ud800", "\\udfff", "\\ud83d", "\\uDE00\\uD83D", "a\\udc00b\\ud83dc", "\\ud800\\ud800\\udc00"] {
        let session = Session::open(shared(), "/echo");
        session.send(&format!("[\"{sent}\"]"));
        let got = session.poll();
        let kept = sent.to_ascii_lowercase();
        let replaced = replace_lone_surrogates(&kept);
        assert!(
            [&kept, &replaced].iter().any(|wanted| got == format!("a[\"{wanted}\"]\n")),
            "{sent} came back as {got}"
        );
    }
}

#[test]
fn lone_surrogates_do_not_harm_a_websocket() {
    let mut socket = WebSocket::open(shared(), &Session::fresh(shared(), "/echo").at("websocket"));
    socket.expect_text("o");
    socket.send_text("[\"x\\ud800y\"]");
    let got = socket.text();
    assert!(["a[\"x\\ud800y\"]", "a[\"x\\ufffdy\"]"].contains(&got.as_str()), "{got}");
    socket.expect_echo("[\"fine\"]", "a[\"fine\"]");
}

/// On the inside of a JSON string whose surrogates are all escaped in lower case.
fn replace_lone_surrogates(text: &str) -> String {
    let unit_at = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(character) = rest.chars().next() {
        let length = match (unit_at(rest), rest.get(6..).and_then(unit_at)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                replaced.push_str(&rest[..12]);
                12
            }
            (Some(_), _) => {
                replaced.push_str("\\ufffd");
                6
            }
            (None, _) => {
                replaced.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    replaced
}
