//! `POST /jsonp_send`.

use crate::http::{Request, Response};
use crate::server::shared;
use crate::session::Session;

const FORM: &str = "application/x-www-form-urlencoded";

fn send(session: &Session<'_>, content_type: Option<&str>, body: &str) -> Response {
    let mut request = Request::post(&session.at("jsonp_send"), body);
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    shared().fetch(&request)
}

#[test]
fn a_form_with_an_array_in_field_d_is_ok() {
    let session = Session::open(shared(), "/echo");
    let response = send(&session, Some(FORM), "d=%5B%22x%22%5D");
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(response.header("Content-Type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(session.poll(), "a[\"x\"]\n");
}

#[test]
fn a_form_is_decoded_as_forms_are() {
    let session = Session::open(shared(), "/echo");
    for (body, wanted) in [
        ("d=%5B%22a+b%22%5D", "a b"),
        ("d=[\"a%2Bb\"]", "a+b"),
        ("d=%5b%22%c3%bc%22%5d", "\u{fc}"),
        ("d=[\"100%25\"]", "100%"),
        ("x=1&d=[\"after%26another\"]", "after&another"),
        ("d=[\"before\"]&x=1&=&&", "before"),
        ("%64=[\"name\"]", "name"),
    ] {
        let response = send(&session, Some(FORM), body);
        assert_eq!((response.status, response.text()), (200, "ok"), "{body}");
        assert_eq!(session.poll(), format!("a[\"{wanted}\"]\n"), "{body}");
    }
}

#[test]
fn a_form_may_have_parameters_behind_its_type() {
    let session = Session::open(shared(), "/echo");
    let content_type = format!("{FORM}; charset=UTF-8");
    assert_eq!(send(&session, Some(&content_type), "d=%5B%22x%22%5D").text(), "ok");
    assert_eq!(session.poll(), "a[\"x\"]\n");
}

#[test]
fn plain_text_is_taken_as_it_stands() {
    let session = Session::open(shared(), "/echo");
    for content_type in [Some("text/plain"), Some("text/plain; charset=UTF-8"), Some(""), None] {
        let response = send(&session, content_type, "[\"%61bc+d\"]");
        assert_eq!((response.status, response.text()), (200, "ok"), "{content_type:?}");
        assert_eq!(session.poll(), "a[\"%61bc+d\"]\n", "{content_type:?}");
    }
}

#[test]
fn an_empty_array_is_ok_and_delivers_nothing() {
    let session = Session::open(shared(), "/echo");
    assert_eq!(send(&session, Some(FORM), "d=%5B%5D").text(), "ok");
    assert_eq!(send(&session, None, "[\"x\"]").text(), "ok");
    assert_eq!(session.poll(), "a[\"x\"]\n");
}

#[test]
fn no_payload_is_500_payload_expected() {
    let session = Session::open(shared(), "/echo");
    for body in ["", "d=", "p=p", "d", "D=[\"x\"]"] {
        let response = send(&session, Some(FORM), body);
        assert_eq!((response.status, response.text()), (500, "Payload expected."), "{body}");
    }
    let response = send(&session, None, "");
    assert_eq!((response.status, response.text()), (500, "Payload expected."));
}

#[test]
fn broken_json_is_500_broken_json_encoding() {
    let session = Session::open(shared(), "/echo");
    for (content_type, body) in
        [(Some(FORM), "d=%5B%22x"), (Some(FORM), "d=x"), (Some("text/plain"), "[\"x"), (None, "d=[\"x\"]")]
    {
        let response = send(&session, content_type, body);
        assert_eq!((response.status, response.text()), (500, "Broken JSON encoding."), "{body}");
    }
}

#[test]
fn json_that_is_no_array_is_500_payload_expected() {
    let session = Session::open(shared(), "/echo");
    for body in ["d={}", "d=1", "d=\"x\"", "d=null"] {
        let response = send(&session, Some(FORM), body);
        assert_eq!((response.status, response.text()), (500, "Payload expected."), "{body}");
    }
}

#[test]
fn an_unknown_session_is_404_and_none_is_created() {
    let session = Session::fresh(shared(), "/echo");
    for _ in 0..2 {
        assert_eq!(send(&session, Some(FORM), "d=%5B%22x%22%5D").status, 404);
    }
    assert_eq!(session.poll(), "o\n");
}

#[test]
fn bad_requests_leave_the_session_usable() {
    let session = Session::open(shared(), "/echo");
    for body in ["", "d=%5B%22x", "d=%", "d=%zz", "d=%ff", "d={}"] {
        assert_eq!(send(&session, Some(FORM), body).status, 500, "{body}");
    }
    assert_eq!(send(&session, Some(FORM), "d=[\"fine\"]").text(), "ok");
    assert_eq!(session.poll(), "a[\"fine\"]\n");
}

#[test]
fn a_closing_session_accepts_and_ignores() {
    let session = Session::open(shared(), "/close");
    assert_eq!(send(&session, Some(FORM), "d=[\"x\"]").text(), "ok");
    assert_eq!(session.poll(), "c[3000,\"Go away!\"]\n");
}
