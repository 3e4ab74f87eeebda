//! Cases 6: what is UTF-8, and what fails the connection with 1007.

use super::{Chops, INVALID_UTF8, MOMENT, connect, expect_failure, send};
use crate::ws::Frame;

/// Case and payload in hexadecimal: valid, and echoed byte for byte.
const VALID: [(&str, &str); 26] = [
    ("6.2.1", "48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121"),
    ("6.5.1", "cebae1bdb9cf83cebcceb5"),
    ("6.6.2", "ceba"),
    ("6.6.5", "cebae1bdb9"),
    ("6.6.7", "cebae1bdb9cf83"),
    ("6.6.9", "cebae1bdb9cf83cebc"),
    ("6.6.11", "cebae1bdb9cf83cebcceb5"),
    ("6.7.1", "00"),
    ("6.7.2", "c280"),
    ("6.7.3", "e0a080"),
    ("6.7.4", "f0908080"),
    ("6.9.1", "7f"),
    ("6.9.2", "dfbf"),
    ("6.9.3", "efbfbf"),
    ("6.9.4", "f48fbfbf"),
    ("6.11.1", "ed9fbf"),
    ("6.11.2", "ee8080"),
    ("6.11.3", "efbfbd"),
    ("6.11.4", "f48fbfbf"),
    ("6.23.1", "efbfb9"),
    ("6.23.2", "efbfba"),
    ("6.23.3", "efbfbb"),
    ("6.23.4", "efbfbc"),
    ("6.23.5", "efbfbd"),
    ("6.23.6", "efbfbe"),
    ("6.23.7", "efbfbf"),
];

/// Case and payload in hexadecimal: not UTF-8.
const INVALID: [(&str, &str); 70] = [
    ("6.3.1", "cebae1bdb9cf83cebcceb5eda080656469746564"),
    ("6.6.1", "ce"),
    ("6.6.3", "cebae1"),
    ("6.6.4", "cebae1bd"),
    ("6.6.6", "cebae1bdb9cf"),
    ("6.6.8", "cebae1bdb9cf83ce"),
    ("6.6.10", "cebae1bdb9cf83cebcce"),
    ("6.8.1", "f888808080"),
    ("6.8.2", "fc8480808080"),
    ("6.10.1", "f7bfbfbf"),
    ("6.10.2", "fbbfbfbfbf"),
    ("6.10.3", "fdbfbfbfbfbf"),
    ("6.11.5", "f4908080"),
    ("6.12.1", "80"),
    ("6.12.2", "bf"),
    ("6.12.3", "80bf"),
    ("6.12.4", "80bf80"),
    ("6.12.5", "80bf80bf"),
    ("6.12.6", "80bf80bf80"),
    ("6.12.7", "80bf80bf80bf"),
    (
        "6.12.8",
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
    ),
    (
        "6.13.1",
        "c020c120c220c320c420c520c620c720c820c920ca20cb20cc20cd20ce20cf20d020d120d220d320d420d520d620d720d820d920da20db20dc20dd20de20df20",
    ),
    ("6.13.2", "e020e120e220e320e420e520e620e720e820e920ea20eb20ec20ed20ee20ef20"),
    ("6.13.3", "f020f120f220f320f420f520f620f720"),
    ("6.13.4", "f820f920fa20fb20"),
    ("6.13.5", "fc20fd20"),
    ("6.14.1", "c0"),
    ("6.14.2", "e080"),
    ("6.14.3", "f08080"),
    ("6.14.4", "f8808080"),
    ("6.14.5", "fc80808080"),
    ("6.14.6", "df"),
    ("6.14.7", "efbf"),
    ("6.14.8", "f7bfbf"),
    ("6.14.9", "fbbfbfbf"),
    ("6.14.10", "fdbfbfbfbf"),
    ("6.15.1", "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"),
    ("6.16.1", "fe"),
    ("6.16.2", "ff"),
    ("6.16.3", "fefeffff"),
    ("6.17.1", "c0af"),
    ("6.17.2", "e080af"),
    ("6.17.3", "f08080af"),
    ("6.17.4", "f8808080af"),
    ("6.17.5", "fc80808080af"),
    ("6.18.1", "c1bf"),
    ("6.18.2", "e09fbf"),
    ("6.18.3", "f08fbfbf"),
    ("6.18.4", "f887bfbfbf"),
    ("6.18.5", "fc83bfbfbfbf"),
    ("6.19.1", "c080"),
    ("6.19.2", "e08080"),
    ("6.19.3", "f0808080"),
    ("6.19.4", "f880808080"),
    ("6.19.5", "fc8080808080"),
    ("6.20.1", "eda080"),
    ("6.20.2", "edadbf"),
    ("6.20.3", "edae80"),
    ("6.20.4", "edafbf"),
    ("6.20.5", "edb080"),
    ("6.20.6", "edbe80"),
    ("6.20.7", "edbfbf"),
    ("6.21.1", "eda080edb080"),
    ("6.21.2", "eda080edbfbf"),
    ("6.21.3", "edadbfedb080"),
    ("6.21.4", "edadbfedbfbf"),
    ("6.21.5", "edae80edb080"),
    ("6.21.6", "edae80edbfbf"),
    ("6.21.7", "edafbfedb080"),
    ("6.21.8", "edafbfedbfbf"),
];

fn octets(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    let pairs = digits.map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// One message, a fragment for each of these payloads.
fn fragments<P: AsRef<[u8]>>(payloads: &[P]) -> Vec<Frame> {
    let last = payloads.len() - 1;
    let frame = |(index, payload): (usize, &P)| Frame {
        fin: index == last,
        ..if index == 0 { Frame::text(payload) } else { Frame::continuation(payload) }
    };
    payloads.iter().enumerate().map(frame).collect()
}

#[test]
fn case_6_1_empty_texts_and_fragments_are_echoed() {
    for (payloads, wanted) in
        [(vec![""], ""), (vec!["", "", ""], ""), (vec!["", "middle frame payload", ""], "middle frame payload")]
    {
        let mut socket = connect();
        send(&mut socket, &fragments(&payloads), Chops::Framewise);
        socket.expect_text(wanted);
        socket.finish();
    }
}

#[test]
fn case_6_2_to_6_23_valid_utf8_is_echoed_byte_for_byte() {
    for (case, hexadecimal) in VALID {
        let payload = octets(hexadecimal);
        let mut socket = connect();
        socket.send_text(&payload);
        assert_eq!(socket.text().as_bytes(), payload, "case {case}");
        socket.finish();
    }
}

#[test]
fn case_6_2_2_to_6_2_4_valid_utf8_may_be_fragmented_inside_its_code_points() {
    for (_, hexadecimal) in VALID {
        let payload = octets(hexadecimal);
        let single: Vec<&[u8]> = payload.chunks(1).collect();
        let mut socket = connect();
        send(&mut socket, &fragments(&single), Chops::Together);
        assert_eq!(socket.text().as_bytes(), payload, "{hexadecimal}");
        send(&mut socket, &[Frame::text(&payload)], Chops::Octetwise);
        assert_eq!(socket.text().as_bytes(), payload, "{hexadecimal}");
        socket.finish();
    }
}

#[test]
fn case_6_22_noncharacters_are_echoed() {
    let mut socket = connect();
    for plane in 0..=16_u32 {
        for last in [0xfffe, 0xffff] {
            let noncharacter = char::from_u32(plane << 16 | last).expect("a scalar value");
            let text = noncharacter.to_string();
            socket.expect_echo(&text, &text);
        }
    }
    socket.finish();
}

#[test]
fn case_6_3_to_6_21_invalid_utf8_fails_the_connection_with_1007() {
    for (case, hexadecimal) in INVALID {
        let mut socket = connect();
        socket.send_text(octets(hexadecimal));
        expect_failure(socket, INVALID_UTF8, case);
    }
}

#[test]
fn case_6_3_2_invalid_utf8_in_fragments_of_one_octet_fails_the_connection() {
    for (case, hexadecimal) in INVALID {
        let payload = octets(hexadecimal);
        let single: Vec<&[u8]> = payload.chunks(1).collect();
        let mut socket = connect();
        send(&mut socket, &fragments(&single), Chops::Together);
        expect_failure(socket, INVALID_UTF8, case);
    }
}

/// Valid at first, then broken, then valid again: 6.4.1 and 6.4.2 break it in different places.
const FAIL_FAST: [(&str, [&str; 3]); 2] = [
    ("6.4.1", ["cebae1bdb9cf83cebcceb5", "f4908080", "656469746564"]),
    ("6.4.2", ["cebae1bdb9cf83cebcceb5f4", "90", "8080656469746564"]),
];

#[test]
fn case_6_4_1_and_6_4_2_invalid_utf8_in_a_fragment_fails_at_the_latest_with_the_last_one() {
    for (case, payloads) in FAIL_FAST {
        let frames = fragments(&payloads.map(octets));
        let mut socket = connect();
        socket.send(&frames[0]);
        socket.connection.expect_silence(MOMENT);
        // A strict server fails now, a lax one with the last fragment; Autobahn lets both pass.
        socket.send(&frames[1]);
        let _ = socket.connection.try_write(frames[2].masked());
        expect_failure(socket, INVALID_UTF8, case);
    }
}

#[test]
fn case_6_4_3_and_6_4_4_invalid_utf8_within_one_frame_fails_at_the_latest_with_its_end() {
    for (case, payloads) in [("6.4.3", FAIL_FAST[0].1), ("6.4.4", FAIL_FAST[1].1)] {
        let bytes = Frame::text(payloads.map(octets).concat()).masked();
        let broken_from = bytes.len() - octets(payloads[1]).len() - octets(payloads[2]).len();
        let mut socket = connect();
        socket.connection.write(&bytes[..broken_from]);
        socket.connection.expect_silence(MOMENT);
        let _ = socket.connection.try_write(&bytes[broken_from..]);
        expect_failure(socket, INVALID_UTF8, case);
    }
}

#[test]
fn the_framed_endpoint_fails_on_invalid_utf8_too() {
    let mut socket = crate::ws::WebSocket::open(crate::server::shared(), "/echo/0/utf8/websocket");
    socket.expect_text("o");
    socket.send_text(b"[\"\xc0\xaf\"]");
    expect_failure(socket, INVALID_UTF8, "6.17.1 in an array");
}
