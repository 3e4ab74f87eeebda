//! What holds for all frames, however they are cut, and for all bytes.

use proptest::prelude::*;
use sockhop_stomp::{Command, Decoder, Frame, Headers, Incoming, Limits, Version};

/// Characters that matter to the protocol, and some that do not.
fn text(most: usize) -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => prop::sample::select(vec!['\\', ':', '\n', '\r', 'n', 'c', 'r', ' ', '\t']),
        4 => prop::char::range('a', 'f'),
        1 => any::<char>().prop_filter("no NUL in headers", |c| *c != '\0'),
    ];
    prop::collection::vec(c, 0..most).prop_map(|chars| chars.into_iter().collect())
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::ALL.to_vec())
}

fn frame() -> impl Strategy<Value = Frame> {
    let command = prop::sample::select(Command::ALL.to_vec());
    let name = text(8).prop_map(|name| format!("h{name}"));
    let headers = prop::collection::vec((name, text(12)), 0..6);
    let body = prop_oneof![Just(String::new()), "\\PC{0,40}", any::<String>()];
    (command, headers, body).prop_map(|(command, headers, body)| Frame {
        command,
        headers: headers.into_iter().collect::<Headers>(),
        body,
    })
}

/// What is left of a frame in a version: what it has no escape for is a space, and 1.0 trims values.
fn as_in(frame: &Frame, version: Version) -> Frame {
    let begins = matches!(frame.command, Command::Connect | Command::Stomp | Command::Connected);
    let plain = begins || version == Version::V1_0;
    let fit = |text: &str, is_name: bool| -> String {
        text.chars()
            .map(|c| match c {
                '\n' | '\r' if plain => ' ',
                '\r' if version == Version::V1_1 => ' ',
                ':' if plain && is_name => ' ',
                c => c,
            })
            .collect()
    };
    let mut headers: Headers = frame
        .headers
        .iter()
        .map(|(name, value)| {
            let value = fit(value, false);
            let value = if version == Version::V1_0 && !begins { value.trim().to_owned() } else { value };
            (fit(name, true), value)
        })
        .collect();
    if !frame.body.is_empty() {
        headers.push("content-length", frame.body.len().to_string());
    }
    Frame { command: frame.command, headers, body: frame.body.clone() }
}

fn decoded(decoder: &mut Decoder) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(incoming) = decoder.next().expect("these are frames") {
        if let Incoming::Frame(frame) = incoming {
            frames.push(frame);
        }
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_frame_comes_back_as_it_was_written(frame in frame(), version in version()) {
        let mut decoder = Decoder::resume(Limits::default(), version, Vec::new());
        decoder.feed(frame.encode(version).as_bytes());
        prop_assert_eq!(decoded(&mut decoder), [as_in(&frame, version)]);
        prop_assert!(decoder.rest().is_empty());
    }

    #[test]
    fn it_does_not_matter_where_frames_are_cut(
        frames in prop::collection::vec(frame(), 1..4),
        version in version(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|frame| (frame.encode(version) + "\n").into_bytes()).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = Decoder::resume(Limits::default(), version, Vec::new());
        let mut came = Vec::new();
        for pair in cuts.windows(2) {
            decoder.feed(&bytes[pair[0]..pair[1]]);
            came.extend(decoded(&mut decoder));
            // As a session does that goes on on another node.
            decoder = Decoder::resume(Limits::default(), version, decoder.rest().to_vec());
        }
        let expected: Vec<_> = frames.iter().map(|frame| as_in(frame, version)).collect();
        prop_assert_eq!(came, expected);
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_more_than_it_may(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8),
        version in version(),
    ) {
        let limits = Limits { frame: 128, headers: 4, head: 64 };
        let mut decoder = Decoder::resume(limits, version, Vec::new());
        'pieces: for piece in pieces {
            decoder.feed(&piece);
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'pieces,
                }
            }
            prop_assert!(decoder.rest().len() <= limits.frame);
        }
    }

    #[test]
    fn nothing_in_a_header_makes_a_second_header_or_frame(value in any::<String>(), version in version()) {
        let frame = Frame::new(Command::Message).with("a", value.as_str()).with(value, "b");
        let text = frame.encode(version);
        prop_assert_eq!(text.matches('\0').count(), 1);
        prop_assert_eq!(text.matches('\n').count(), 4);
    }
}
