//! Cases 3 and 4: reserved bits and reserved opcodes.

use super::refused;
use crate::ws::{BINARY, CLOSE, Frame};

const HELLO: &str = "Hello, world!";

#[test]
fn case_3_1_a_text_with_a_reserved_bit_fails_the_connection() {
    refused("3.1", &[Frame::text(HELLO).reserved(1)], &[]);
}

#[test]
fn case_3_2_to_3_4_reserved_bits_fail_the_connection_after_the_text_before_them() {
    for (case, bits) in [("3.2", 2), ("3.3", 3), ("3.4", 4)] {
        let frames = [Frame::text(HELLO), Frame::text(HELLO).reserved(bits), Frame::ping("")];
        refused(case, &frames, &[HELLO]);
    }
}

#[test]
fn case_3_5_to_3_7_reserved_bits_fail_the_connection_on_any_frame() {
    refused("3.5", &[Frame::new(BINARY, [0xff; 8]).reserved(5)], &[]);
    refused("3.6", &[Frame::ping(HELLO).reserved(6)], &[]);
    refused("3.7", &[Frame::new(CLOSE, []).reserved(7)], &[]);
}

#[test]
fn case_4_1_reserved_data_opcodes_fail_the_connection() {
    refused("4.1.1", &[Frame::new(3, "")], &[]);
    refused("4.1.2", &[Frame::new(4, "reserved opcode payload")], &[]);
    for (case, opcode, payload) in [("4.1.3", 5, ""), ("4.1.4", 6, HELLO), ("4.1.5", 7, HELLO)] {
        let frames = [Frame::text(HELLO), Frame::new(opcode, payload), Frame::ping("")];
        refused(case, &frames, &[HELLO]);
    }
}

#[test]
fn case_4_2_reserved_control_opcodes_fail_the_connection() {
    refused("4.2.1", &[Frame::new(11, "")], &[]);
    refused("4.2.2", &[Frame::new(12, "reserved opcode payload")], &[]);
    for (case, opcode, payload) in [("4.2.3", 13, ""), ("4.2.4", 14, HELLO), ("4.2.5", 15, HELLO)] {
        let frames = [Frame::text(HELLO), Frame::new(opcode, payload), Frame::ping("")];
        refused(case, &frames, &[HELLO]);
    }
}
