//! Request bodies: measured, chunked, split anywhere.

use crate::http::Request;
use crate::server::shared;
use crate::session::Session;

/// One, two, three and four byte sequences, and an escape.
const BODY: &str = "[\"a\u{fc}\u{20ac}\u{1f600}\\n\"]";
const ECHOED: &str = "a[\"a\u{fc}\u{20ac}\\ud83d\\ude00\\n\"]\n";

fn chunked_head(url: &str) -> Vec<u8> {
    Request::new("POST", url).header("Transfer-Encoding", "chunked").bytes()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn a_chunked_body_may_be_split_in_two_at_every_byte() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    for split in 1..BODY.len() {
        let (before, after) = BODY.as_bytes().split_at(split);
        connection.write(chunked_head(&session.at("xhr_send")));
        connection.write(chunk(before));
        connection.write(chunk(after));
        connection.write("0\r\n\r\n");
        assert_eq!(connection.response().status, 204, "split at {split}");
        assert_eq!(session.poll(), ECHOED, "split at {split}");
    }
}

#[test]
fn every_byte_of_a_body_may_be_a_chunk() {
    let session = Session::open(shared(), "/echo");
    let mut request = chunked_head(&session.at("xhr_send"));
    for byte in BODY.bytes() {
        request.extend(chunk(&[byte]));
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let mut connection = shared().connect();
    connection.write(request);
    assert_eq!(connection.response().status, 204);
    assert_eq!(session.poll(), ECHOED);
}

#[test]
fn a_measured_body_may_arrive_split_at_every_byte() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    let request = Request::post(&session.at("xhr_send"), BODY).bytes();
    for split in request.len() - BODY.len()..request.len() {
        let (before, after) = request.split_at(split);
        connection.write(before);
        connection.write(after);
        assert_eq!(connection.response().status, 204, "split at {split}");
        assert_eq!(session.poll(), ECHOED, "split at {split}");
    }
}

#[test]
fn chunk_extensions_trailers_and_capital_hex_are_understood() {
    let session = Session::open(shared(), "/echo");
    let message = "m".repeat(0x1a - 4);
    let mut connection = shared().connect();
    connection.write(chunked_head(&session.at("xhr_send")));
    connection.write(format!("01A;name=\"value\"\r\n[\"{message}\"]\r\n0\r\nX-Trailer: ignored\r\n\r\n"));
    assert_eq!(connection.response().status, 204);
    assert_eq!(session.poll(), format!("a[\"{message}\"]\n"));
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}

#[test]
fn a_chunked_body_without_chunks_is_empty() {
    let session = Session::open(shared(), "/echo");
    for (endpoint, status, text) in
        [("xhr_send", 500, "Payload expected."), ("jsonp_send", 500, "Payload expected.")]
    {
        let mut connection = shared().connect();
        connection.write(chunked_head(&session.at(endpoint)));
        connection.write("0\r\n\r\n");
        let response = connection.response();
        assert_eq!((response.status, response.text()), (status, text), "{endpoint}");
    }
}

#[test]
fn a_chunked_body_on_a_receiver_is_read_and_ignored() {
    let session = Session::fresh(shared(), "/echo");
    let mut connection = shared().connect();
    connection.write(chunked_head(&session.at("xhr")));
    connection.write([chunk(b"ignored"), b"0\r\n\r\n".to_vec()].concat());
    assert_eq!(connection.response().text(), "o\n");
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}

#[test]
fn a_large_chunked_body_arrives_whole() {
    let session = Session::open(shared(), "/echo");
    let message = "0123456789".repeat(30_000);
    let body = format!("[\"{message}\"]");
    let mut connection = shared().connect();
    connection.write(chunked_head(&session.at("xhr_send")));
    for part in body.as_bytes().chunks(1021) {
        connection.write(chunk(part));
    }
    connection.write("0\r\n\r\n");
    assert_eq!(connection.response().status, 204);
    assert!(session.poll() == format!("a[\"{message}\"]\n"));
}

#[test]
fn a_body_that_is_not_utf8_is_replaced_or_refused() {
    let session = Session::open(shared(), "/echo");
    for bad in [&b"\x80"[..], b"\xc3", b"\xed\xa0\x80", b"\xff\xfe", b"\xf8\x88\x80\x80\x80"] {
        let body = [b"[\"", bad, b"\"]"].concat();
        match session.try_send(body).status {
            204 => assert!(session.poll().starts_with("a[\"\\ufffd"), "{bad:?}"),
            status => assert_eq!(status, 500, "{bad:?}"),
        }
    }
    session.send("[\"fine\"]");
    assert_eq!(session.poll(), "a[\"fine\"]\n");
}
