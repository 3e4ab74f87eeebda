//! `GET /htmlfile`.

use crate::http::Request;
use crate::server::shared;
use crate::session::{Session, Transport};

const HEAD: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.CALLBACK;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"#;

/// The first chunk of an htmlfile answer to this query.
fn first_chunk(query: &str) -> String {
    let session = Session::fresh(shared(), "/echo");
    let mut connection = shared().connect();
    connection.send(&Request::get(&session.at(&format!("htmlfile?{query}"))));
    let head = connection.head();
    assert_eq!(head.status, 200, "{query}: {head:?}");
    String::from_utf8(connection.chunk().expect("a first chunk")).expect("UTF-8")
}

#[test]
fn the_first_chunk_is_the_exact_page_padded_with_white_space_beyond_1024_bytes() {
    let chunk = first_chunk("c=callback");
    assert_eq!(chunk.trim(), HEAD.replace("CALLBACK", "callback"));
    assert!(chunk.len() > 1024, "{} bytes", chunk.len());
    assert!(chunk.ends_with(" \r\n\r\n"), "{chunk:?}");
}

#[test]
fn the_callback_is_percent_decoded() {
    for query in [
        "c=%63allback",
        "callback=callback",
        "callback=%63all%62ack",
        "t=1&c=callback",
        "c=callback&callback=other",
    ] {
        let chunk = first_chunk(query);
        assert_eq!(chunk.trim(), HEAD.replace("CALLBACK", "callback"), "{query}");
    }
}

#[test]
fn every_character_of_the_alphabet_may_stand_in_a_callback() {
    for callback in ["_jp.aB3dEf", "a-b", "A.B_c-0", "x"] {
        let chunk = first_chunk(&format!("c={callback}"));
        assert_eq!(chunk.trim(), HEAD.replace("CALLBACK", callback));
    }
}

#[test]
fn each_frame_is_a_script_of_its_own() {
    let session = Session::fresh(shared(), "/echo");
    let mut receiver = session.receive(Transport::HtmlFile);
    assert_eq!(receiver.raw_chunk().as_deref(), Some(&b"<script>\np(\"o\");\n</script>\r\n"[..]));
    session.send("[\"x\"]");
    assert_eq!(receiver.raw_chunk().as_deref(), Some(&b"<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n"[..]));
}

#[test]
fn a_message_cannot_end_the_script_it_stands_in() {
    let session = Session::open(shared(), "/echo");
    let mut receiver = session.attach(Transport::HtmlFile);
    for message in ["</script>", "</SCRIPT ><img src=x>", "<!--<script>", "]]></script"] {
        session.send(&serde_json::json!([message]).to_string());
        let chunk = String::from_utf8(receiver.raw_chunk().expect("a frame")).expect("UTF-8");
        let inner = chunk
            .strip_prefix("<script>\np(")
            .and_then(|rest| rest.strip_suffix(");\n</script>\r\n"))
            .unwrap_or_else(|| panic!("not one script: {chunk:?}"))
            .to_ascii_lowercase();
        for dangerous in ["</script", "<!--", "<script"] {
            assert!(!inner.contains(dangerous), "{chunk:?}");
        }
        let frame = Transport::HtmlFile.unwrap(chunk.as_bytes());
        assert_eq!(frame, format!("a{}", serde_json::json!([message])));
    }
}

#[test]
fn the_script_safe_form_is_for_htmlfile_alone() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"</script>\"]");
    assert_eq!(session.poll(), "a[\"</script>\"]\n");
    let mut receiver = session.attach(Transport::XhrStreaming);
    session.send("[\"</script>\"]");
    assert_eq!(receiver.raw_chunk().as_deref(), Some(&b"a[\"</script>\"]\n"[..]));
}

#[test]
fn line_separators_are_escaped_twice_over() {
    let session = Session::open(shared(), "/echo");
    let mut receiver = session.attach(Transport::HtmlFile);
    session.send("[\"\u{2028}\u{2029}\"]");
    assert_eq!(
        String::from_utf8_lossy(&receiver.raw_chunk().expect("a frame")),
        "<script>\np(\"a[\\\"\\\\u2028\\\\u2029\\\"]\");\n</script>\r\n"
    );
}

#[test]
fn a_missing_callback_is_500_callback_required() {
    let session = Session::fresh(shared(), "/echo");
    for target in ["htmlfile", "htmlfile?", "htmlfile?C=x", "htmlfile?cb=x"] {
        let response = shared().get(&session.at(target));
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(response.text().trim_end(), "\"callback\" parameter required", "{target}");
    }
    assert_eq!(session.try_send("[\"x\"]").status, 404, "an error created a session");
}

#[test]
fn an_invalid_callback_is_500_and_creates_no_session() {
    let session = Session::fresh(shared(), "/echo");
    for callback in
        ["%20", "*", "abc(", "abc%28", "a%0Ab", "%00", "a'b", "a;b()", "%C3%BC", "a+b", "%3Cx%3E", "a/b"]
    {
        let response = shared().get(&session.at(&format!("htmlfile?c={callback}")));
        assert_eq!(response.status, 500, "{callback}");
        assert_eq!(response.text().trim_end(), "invalid \"callback\" parameter", "{callback}");
    }
    assert_eq!(session.try_send("[\"x\"]").status, 404, "an error created a session");
}
