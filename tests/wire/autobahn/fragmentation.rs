//! Cases 5 and 10: fragmented messages.

use super::{Chops, MOMENT, connect, refused, send};
use crate::ws::{Frame, PONG};

fn first(payload: &str) -> Frame {
    Frame::text(payload).unfinished()
}

fn middle(payload: &str) -> Frame {
    Frame::continuation(payload).unfinished()
}

fn last(payload: &str) -> Frame {
    Frame::continuation(payload)
}

#[test]
fn case_5_1_a_fragmented_ping_fails_the_connection() {
    let frames = [Frame::ping("fragment1").unfinished(), last("fragment2")];
    refused("5.1", &frames, &[]);
}

#[test]
fn case_5_2_a_fragmented_pong_fails_the_connection() {
    let frames = [Frame::new(PONG, "fragment1").unfinished(), last("fragment2")];
    refused("5.2", &frames, &[]);
}

#[test]
fn case_5_3_to_5_5_a_text_in_two_fragments_is_echoed() {
    for chops in Chops::ALL {
        let mut socket = connect();
        send(&mut socket, &[first("fragment1"), last("fragment2")], chops);
        socket.expect_text("fragment1fragment2");
        socket.finish();
    }
}

#[test]
fn case_5_6_to_5_8_a_ping_between_fragments_is_answered_before_the_text() {
    let frames = [first("fragment1"), Frame::ping("ping payload"), last("fragment2")];
    for chops in Chops::ALL {
        let mut socket = connect();
        send(&mut socket, &frames, chops);
        socket.expect_pong("ping payload");
        socket.expect_text("fragment1fragment2");
        socket.finish();
    }
}

#[test]
fn case_5_9_to_5_11_a_continuation_of_nothing_fails_the_connection() {
    let frames = [last("non-continuation payload"), Frame::text("Hello, world!")];
    refused("5.9-5.11", &frames, &[]);
}

#[test]
fn case_5_12_to_5_14_an_unfinished_continuation_of_nothing_fails_the_connection() {
    let frames = [middle("non-continuation payload"), Frame::text("Hello, world!")];
    refused("5.12-5.14", &frames, &[]);
}

#[test]
fn case_5_15_a_continuation_after_a_finished_text_fails_the_connection() {
    let frames = [first("fragment1"), last("fragment2"), middle("fragment3"), Frame::text("fragment4")];
    refused("5.15", &frames, &["fragment1fragment2"]);
}

#[test]
fn case_5_16_and_5_17_fragments_that_begin_with_a_continuation_fail_the_connection() {
    let open_ended = [middle("fragment1"), first("fragment2"), last("fragment3")];
    refused("5.16", &[&open_ended[..], &open_ended[..]].concat(), &[]);
    let finished = [last("fragment1"), first("fragment2"), last("fragment3")];
    refused("5.17", &[&finished[..], &finished[..]].concat(), &[]);
}

#[test]
fn case_5_18_a_text_inside_a_fragmented_text_fails_the_connection() {
    refused("5.18", &[first("fragment1"), Frame::text("fragment2")], &[]);
}

#[test]
fn case_5_19_and_5_20_pings_among_five_fragments_are_answered_in_place() {
    for pause in [true, false] {
        let mut socket = connect();
        send(&mut socket, &[first("fragment1"), middle("fragment2"), Frame::ping("pongme 1!")], Chops::Framewise);
        if pause {
            socket.expect_pong("pongme 1!");
            socket.connection.expect_silence(MOMENT);
        }
        let rest = [middle("fragment3"), middle("fragment4"), Frame::ping("pongme 2!"), last("fragment5")];
        send(&mut socket, &rest, Chops::Framewise);
        if !pause {
            socket.expect_pong("pongme 1!");
        }
        socket.expect_pong("pongme 2!");
        socket.expect_text("fragment1fragment2fragment3fragment4fragment5");
        socket.finish();
    }
}

#[test]
fn case_10_1_1_a_text_in_fragments_of_1300_octets_is_echoed() {
    let mut socket = connect();
    let text = "*".repeat(65_536);
    send_fragmented(&mut socket, &text, 1300);
    socket.expect_text(&text);
    socket.finish();
}

#[test]
fn a_message_in_ten_thousand_fragments_of_one_octet_is_echoed() {
    let mut socket = connect();
    let text = "0123456789".repeat(1000);
    send_fragmented(&mut socket, &text, 1);
    socket.expect_text(&text);
    socket.finish();
}

fn send_fragmented(socket: &mut crate::ws::WebSocket, text: &str, size: usize) {
    let mut pieces = text.as_bytes().chunks(size).peekable();
    let mut begun = false;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next() {
        let mut frame = if begun { Frame::continuation(piece) } else { Frame::text(piece) };
        frame.fin = pieces.peek().is_none();
        begun = true;
        bytes.extend(frame.masked());
    }
    socket.connection.write(bytes);
}
