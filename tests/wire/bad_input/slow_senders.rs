//! Request bodies that never come to their end.

use std::time::{Duration, Instant};

use crate::http::{Connection, Request};
use crate::server::{PATIENCE, Server, shared_with};
use crate::session::Session;

fn impatient() -> &'static Server {
    shared_with(&["--body-timeout", "500ms"])
}

/// Begins a body and lets `each_round` go on with it until the server answers, which must be 408, in time but not too soon.
fn expect_408(framing: (&str, &str), begin: &str, each_round: impl Fn(&mut Connection)) {
    for endpoint in ["xhr_send", "jsonp_send"] {
        let session = Session::open(impatient(), "/echo");
        let mut connection = impatient().connect();
        connection.send(&Request::new("POST", &session.at(endpoint)).header(framing.0, framing.1));
        connection.write(begin);
        let since = Instant::now();
        while connection.unread().is_empty() {
            assert!(since.elapsed() < PATIENCE, "{endpoint}: no answer");
            match connection.read_some(Instant::now() + Duration::from_millis(50)) {
                Ok(0) => panic!("{endpoint}: closed without an answer"),
                Ok(_) => {}
                Err(_) => each_round(&mut connection),
            }
        }
        let elapsed = since.elapsed();
        assert!(elapsed > Duration::from_millis(400), "{endpoint}: after {elapsed:?}");
        assert_eq!(connection.head().status, 408, "{endpoint}");

        session.send("[\"fine\"]");
        assert_eq!(session.poll(), "a[\"fine\"]\n", "{endpoint}");
    }
}

#[test]
fn a_measured_body_that_stalls_is_408() {
    expect_408(("Content-Length", "1000"), "[\"begun", |_| {});
}

#[test]
fn a_measured_body_that_dribbles_in_is_408() {
    expect_408(("Content-Length", "1000"), "[\"", |connection| {
        let _ = connection.try_write("x");
    });
}

#[test]
fn a_chunked_body_that_stalls_is_408() {
    expect_408(("Transfer-Encoding", "chunked"), "3\r\n[\"x\r\n", |_| {});
}

#[test]
fn a_chunked_body_that_dribbles_in_is_408() {
    expect_408(("Transfer-Encoding", "chunked"), "2\r\n[\"\r\n", |connection| {
        let _ = connection.try_write("1\r\nx\r\n");
    });
}

#[test]
fn slow_bodies_delay_nobody_else() {
    let server = Server::start(&[]);
    let victim = Session::open(&server, "/echo");
    let mut slow: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = server.connect();
            let request = Request::new("POST", &victim.at("xhr_send")).header("Content-Length", "1000");
            connection.send(&request);
            connection.write("[\"half");
            connection
        })
        .collect();
    let began = Instant::now();
    let session = Session::open(&server, "/echo");
    for number in 0..20 {
        session.send(&format!("[\"{number}\"]"));
        assert_eq!(session.poll(), format!("a[\"{number}\"]\n"));
    }
    victim.send("[\"whole\"]");
    assert_eq!(victim.poll(), "a[\"whole\"]\n");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for connection in &mut slow {
        connection.expect_silence(Duration::from_millis(1));
    }
}
