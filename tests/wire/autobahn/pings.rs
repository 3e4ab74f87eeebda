//! Cases 2: pings and pongs.

use super::{Chops, connect, refused, send};
use crate::ws::{Frame, PONG};

#[test]
fn case_2_1_a_ping_without_payload_gets_a_pong() {
    let mut socket = connect();
    socket.send(&Frame::ping(""));
    socket.expect_pong("");
    socket.finish();
}

#[test]
fn case_2_2_a_ping_with_text_gets_it_back() {
    let mut socket = connect();
    socket.send(&Frame::ping("Hello, world!"));
    socket.expect_pong("Hello, world!");
    socket.finish();
}

#[test]
fn case_2_3_a_ping_with_binary_payload_gets_it_back() {
    let mut socket = connect();
    let payload = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    socket.send(&Frame::ping(payload));
    socket.expect_pong(payload);
    socket.finish();
}

#[test]
fn case_2_4_a_ping_of_125_octets_gets_them_back() {
    let mut socket = connect();
    socket.send(&Frame::ping([0xfe; 125]));
    socket.expect_pong([0xfe; 125]);
    socket.finish();
}

#[test]
fn case_2_5_a_ping_of_126_octets_fails_the_connection() {
    refused("2.5", &[Frame::ping([0xfe; 126])], &[]);
}

#[test]
fn case_2_6_a_ping_octet_by_octet_gets_its_pong() {
    let mut socket = connect();
    send(&mut socket, &[Frame::ping([0xfe; 125])], Chops::Octetwise);
    socket.expect_pong([0xfe; 125]);
    socket.finish();
}

#[test]
fn case_2_7_and_2_8_unsolicited_pongs_are_ignored() {
    for payload in ["", "unsolicited pong payload"] {
        let mut socket = connect();
        socket.send(&Frame::new(PONG, payload));
        socket.finish();
    }
}

#[test]
fn case_2_9_an_unsolicited_pong_does_not_hide_a_ping() {
    let mut socket = connect();
    socket.send(&Frame::new(PONG, "unsolicited pong payload"));
    socket.send(&Frame::ping("ping payload"));
    socket.expect_pong("ping payload");
    socket.finish();
}

#[test]
fn case_2_10_and_2_11_ten_pings_get_ten_pongs_in_order() {
    let pings: Vec<Frame> = (0..10).map(|n| Frame::ping(format!("payload-{n}"))).collect();
    for chops in Chops::ALL {
        let mut socket = connect();
        send(&mut socket, &pings, chops);
        for ping in &pings {
            socket.expect_pong(&ping.payload);
        }
        socket.finish();
    }
}
