//! `GET /jsonp`.

use crate::http::Response;
use crate::server::shared;
use crate::session::Session;

fn jsonp(session: &Session<'_>, query: &str) -> Response {
    shared().get(&session.at(&format!("jsonp?{query}")))
}

#[test]
fn a_session_opens_and_receives_through_the_callback() {
    let session = Session::fresh(shared(), "/echo");
    let response = jsonp(&session, "c=callback");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "/**/callback(\"o\");\r\n");
    assert_eq!(response.header("Content-Type"), Some("application/javascript; charset=UTF-8"));
    session.send("[\"x\"]");
    assert_eq!(jsonp(&session, "c=callback").text(), "/**/callback(\"a[\\\"x\\\"]\");\r\n");
}

#[test]
fn browsers_are_told_not_to_guess_the_content_type() {
    let response = jsonp(&Session::fresh(shared(), "/echo"), "c=x");
    assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn the_callback_is_percent_decoded_and_has_two_names() {
    for query in [
        "c=%63allback",
        "callback=%63allback",
        "c=callback&callback=other",
        "callback=other&c=callback",
        "t=1&i=a&c=callback",
    ] {
        let session = Session::fresh(shared(), "/echo");
        assert_eq!(jsonp(&session, query).text(), "/**/callback(\"o\");\r\n", "{query}");
    }
}

#[test]
fn callbacks_of_the_alphabet_up_to_32_characters_are_taken() {
    for callback in ["_jp.aB3dEf1", "a-b_c.D0", "x", &"y".repeat(32)] {
        let session = Session::fresh(shared(), "/echo");
        assert_eq!(jsonp(&session, &format!("c={callback}")).text(), format!("/**/{callback}(\"o\");\r\n"));
    }
}

#[test]
fn a_missing_callback_is_500_callback_required() {
    let session = Session::fresh(shared(), "/echo");
    for query in ["", "C=x", "cb=x", "t=1"] {
        let response = jsonp(&session, query);
        assert_eq!(response.status, 500, "{query}");
        assert_eq!(response.text().trim_end(), "\"callback\" parameter required", "{query}");
    }
    assert_eq!(shared().get(&session.at("jsonp")).status, 500);
    assert_eq!(session.try_send("[\"x\"]").status, 404, "an error created a session");
}

#[test]
fn an_invalid_callback_is_500_and_creates_no_session() {
    let session = Session::fresh(shared(), "/echo");
    for callback in
        ["%20", "*", "abc(", "abc%28", "a%0Ab", "%00", "a'b", "a;b()", "%C3%BC", "a+b", "%3Cx%3E", "a/b"]
    {
        let response = jsonp(&session, &format!("c={callback}"));
        assert_eq!(response.status, 500, "{callback}");
        assert_eq!(response.text().trim_end(), "invalid \"callback\" parameter", "{callback}");
    }
    assert_eq!(session.try_send("[\"x\"]").status, 404, "an error created a session");
}

#[test]
fn a_frame_is_one_more_javascript_string() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"a\\\"b\\\\c\\nd\u{2028}\u{fc}/\"]");
    assert_eq!(
        jsonp(&session, "c=x").text(),
        "/**/x(\"a[\\\"a\\\\\\\"b\\\\\\\\c\\\\nd\\\\u2028\u{fc}/\\\"]\");\r\n"
    );
}

#[test]
fn a_close_frame_comes_through_the_callback_too() {
    let session = Session::fresh(shared(), "/close");
    assert_eq!(jsonp(&session, "c=x").text(), "/**/x(\"o\");\r\n");
    for _ in 0..2 {
        assert_eq!(jsonp(&session, "c=x").text(), "/**/x(\"c[3000,\\\"Go away!\\\"]\");\r\n");
    }
}
