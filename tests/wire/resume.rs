//! Sessions that outlive their WebSocket, and go on over any transport.

use std::time::{Duration, Instant};

use crate::http::Request;
use crate::server::{PATIENCE, Server, shared_with};
use crate::session::{Receiver, Session, Transport, unused_id};
use crate::ws::{Frame, PING, PONG, TEXT, WebSocket};

const FLAGS: &[&str] = &["--resume", "60s"];
/// The transports that can resume.
const OVER_HTTP: [Transport; 4] = [Transport::Xhr, Transport::XhrStreaming, Transport::HtmlFile, Transport::Jsonp];
/// Pings come early.
const LIVELY: &[&str] = &["--resume", "60s", "--heartbeat", "100ms"];

/// A client of one service that can resume.
struct Client<'a> {
    server: &'a Server,
    base: &'static str,
    secret: String,
    attempt: u32,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, base: &'static str) -> Self {
        Self { server, base, secret: format!("{:_<32}", unused_id()), attempt: 0 }
    }

    /// The next attempt's URL.
    fn next(&mut self) -> String {
        self.attempt += 1;
        let marker = if self.attempt == 1 { "" } else { "~resume" };
        format!("{}/000/{}~{}{marker}", self.base, self.secret, self.attempt)
    }

    fn websocket(&mut self) -> WebSocket {
        WebSocket::open(self.server, &format!("{}/websocket", self.next()))
    }

    /// A WebSocket that is open.
    fn open(&mut self) -> WebSocket {
        let mut socket = self.websocket();
        socket.expect_text("o");
        socket
    }

    fn session(&mut self) -> Session<'a> {
        let url = self.next();
        Session::at_url(self.server, url)
    }
}

/// The frames that a session's next receivers bring, one receiver after the other where it has to be.
fn frames(session: &Session<'_>, transport: Transport, count: usize) -> Vec<String> {
    let mut receiver: Option<Receiver> = None;
    let mut frames = Vec::new();
    while frames.len() < count {
        if !transport.is_stream() {
            receiver = None;
        }
        frames.push(receiver.get_or_insert_with(|| session.receive(transport)).frame());
    }
    frames
}

#[test]
fn a_cut_websocket_goes_on_over_every_transport_with_what_was_not_confirmed() {
    let server = shared_with(FLAGS);
    for transport in OVER_HTTP {
        let mut client = Client::new(server, "/echo");
        let mut socket = client.open();
        socket.expect_echo(r#"["a"]"#, r#"a["a"]"#);
        drop(socket);
        let session = client.session();
        assert_eq!(frames(&session, transport, 3), ["o", r#"a["a"]"#, "h"], "{transport:?}");
        let mut socket = client.open();
        // Of a poll the next one has confirmed the answer with `a`.
        if transport.is_stream() {
            socket.expect_text(r#"a["a"]"#);
        }
        socket.expect_text("h");
        socket.expect_echo(r#"["b"]"#, r#"a["b"]"#);
    }
}

#[test]
fn what_a_pong_has_confirmed_does_not_come_again() {
    let server = shared_with(LIVELY);
    let mut client = Client::new(server, "/echo");
    let mut socket = client.open();
    socket.send_text(r#"["a"]"#);
    let mut texts = Vec::new();
    // A ping with a number asks for what came before it.
    loop {
        let frame = socket.frame();
        match frame.opcode {
            TEXT => texts.push(String::from_utf8(frame.payload).unwrap()),
            PING => {
                socket.send(&Frame::new(PONG, &frame.payload));
                if !frame.payload.is_empty() {
                    break;
                }
            }
            other => panic!("opcode {other}"),
        }
    }
    assert!(texts.contains(&r#"a["a"]"#.to_owned()), "{texts:?}");
    // Its own answer shows that the pong, which went before, was read.
    socket.send_text(r#"["b"]"#);
    while socket.frame().payload != br#"a["b"]"# {}
    drop(socket);
    let session = client.session();
    assert_eq!(frames(&session, Transport::Xhr, 3), ["o", r#"a["b"]"#, "h"]);
}

#[test]
fn a_pong_that_nobody_asked_for_confirms_nothing() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/echo");
    let mut socket = client.open();
    socket.expect_echo(r#"["a"]"#, r#"a["a"]"#);
    for payload in [&b""[..], b"x", &[0xff; 8], &1u64.to_be_bytes()] {
        socket.send(&Frame::new(PONG, payload));
    }
    socket.expect_echo(r#"["b"]"#, r#"a["b"]"#);
    drop(socket);
    assert_eq!(frames(&client.session(), Transport::Xhr, 2), ["o", r#"a["a","b"]"#]);
}

#[test]
fn much_output_is_asked_for_before_a_heartbeat_is_due() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/amplify");
    let mut socket = client.open();
    let mut pings = 0;
    for _ in 0..8 {
        socket.send_text(r#"["15"]"#);
        loop {
            let frame = socket.frame();
            if frame.opcode == TEXT {
                break;
            }
            pings += 1;
            socket.send(&Frame::new(PONG, &frame.payload));
        }
    }
    assert!((2..=5).contains(&pings), "{pings} pings for 256 KiB");
}

#[test]
fn a_later_attempt_ends_the_older_websocket() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/echo");
    let mut first = client.open();
    let mut second = client.open();
    assert!(first.receive().is_none(), "without a word");
    second.expect_text("h");
    second.expect_echo(r#"["x"]"#, r#"a["x"]"#);
    client.attempt = 0;
    let mut late = client.websocket();
    late.expect_text(r#"c[4507,"Resumed elsewhere"]"#);
    late.expect_close();
    second.expect_echo(r#"["y"]"#, r#"a["y"]"#);
}

#[test]
fn another_receiver_of_the_same_attempt_is_refused_with_2010() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/echo");
    let mut socket = client.open();
    client.attempt = 0;
    let mut twin = client.websocket();
    twin.expect_text(r#"c[2010,"Another connection still open"]"#);
    socket.expect_echo(r#"["x"]"#, r#"a["x"]"#);
    drop(socket);
    client.attempt = 0;
    assert_eq!(frames(&client.session(), Transport::Xhr, 1), [r#"a["x"]"#], "it continues over another transport");
}

#[test]
fn messages_over_the_websocket_of_an_attempt_that_is_over_are_not_taken() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/echo");
    let first = client.session();
    assert_eq!(first.poll(), "o\n");
    client.open();
    assert_eq!(first.try_send(r#"["late"]"#).status, 404);
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let server = shared_with(FLAGS);
    let mut client = Client::new(server, "/echo");
    client.attempt = 1;
    for (url, end) in [
        (client.next(), r#"c[4506,"Session is gone"]"#),
        (format!("/echo/000/{}~0", client.secret), r#"c[4508,"Malformed session id"]"#),
        ("/echo/000/short~1".to_owned(), r#"c[4508,"Malformed session id"]"#),
    ] {
        let mut socket = WebSocket::open(server, &format!("{url}/websocket"));
        socket.expect_text(end);
        socket.expect_close();
        let session = Session::at_url(server, url);
        for transport in OVER_HTTP {
            assert_eq!(session.receive(transport).frame(), end, "{transport:?}");
        }
        assert_eq!(session.try_send("[]").status, 404);
    }
}

#[test]
fn without_resume_every_websocket_is_a_session_of_its_own() {
    let server = shared_with(&[]);
    let mut client = Client::new(server, "/echo");
    let (mut first, mut second) = (client.open(), client.open());
    first.expect_echo(r#"["1"]"#, r#"a["1"]"#);
    second.expect_echo(r#"["2"]"#, r#"a["2"]"#);
}

#[test]
fn with_resume_ordinary_ids_and_raw_websockets_are_as_ever() {
    let server = shared_with(FLAGS);
    let url = Session::fresh(server, "/echo").at("websocket");
    let (mut first, mut second) = (WebSocket::open(server, &url), WebSocket::open(server, &url));
    for socket in [&mut first, &mut second] {
        socket.expect_text("o");
        socket.expect_echo(r#"["x"]"#, r#"a["x"]"#);
    }
    WebSocket::open(server, "/echo/websocket").expect_echo("x", "x");
}

/// Who hears what the ledger has to say of others.
fn witness(server: &Server) -> WebSocket {
    let mut socket = WebSocket::open(server, &Session::fresh(server, "/ledger").at("websocket"));
    socket.expect_text("o");
    socket.send_text(r#"["here"]"#);
    assert!(socket.text().contains("told"));
    socket
}

/// The codes with which sessions of this name have ended until `told` comes.
fn ends(witness: &mut WebSocket, name: &str) -> Vec<String> {
    witness.send_text(r#"["publish until"]"#);
    let mut ends = Vec::new();
    loop {
        let text = witness.text();
        if let Some((_, code)) = text.split_once(&format!(" {name} ")).filter(|_| text.contains("left ")) {
            ends.push(code.chars().take(4).collect());
        }
        if text.contains("published") {
            return ends;
        }
    }
}

fn named(client: &mut Client<'_>, name: &str) -> WebSocket {
    let mut socket = client.open();
    socket.send_text(format!(r#"["name {name}"]"#));
    assert!(socket.text().contains("told"));
    socket
}

#[test]
fn the_handler_hears_of_the_end_once_when_the_window_is_over() {
    let server = shared_with(&["--resume", "500ms", "--disconnect-delay", "100ms"]);
    let mut witness = witness(server);
    let mut client = Client::new(server, "/ledger");
    let socket = named(&mut client, "once");
    drop(socket);
    let socket = client.open();
    drop(socket);
    let lost = Instant::now();
    let mut ended = ends(&mut witness, "once");
    assert!(ended.is_empty() || lost.elapsed() > Duration::from_millis(450), "{ended:?}");
    while ended.is_empty() {
        assert!(lost.elapsed() < PATIENCE);
        ended = ends(&mut witness, "once");
    }
    assert_eq!(ended, ["1001"]);
    assert_eq!(frames(&client.session(), Transport::Xhr, 1), [r#"c[4506,"Session is gone"]"#]);
    assert!(ends(&mut witness, "once").is_empty());
}

#[test]
fn a_client_that_closes_its_websocket_ends_the_session_and_one_that_leaves_its_page_does_not() {
    let server = shared_with(FLAGS);
    let mut witness = witness(server);
    for (code, name, goes_on) in [(1000, "closes", false), (1001, "leaves", true), (1011, "fails", true)] {
        let mut client = Client::new(server, "/ledger");
        let mut socket = named(&mut client, name);
        socket.send(&Frame::close(code, ""));
        socket.frame();
        let mut ended = Vec::new();
        let since = Instant::now();
        while ended.is_empty() && !goes_on {
            assert!(since.elapsed() < PATIENCE);
            ended = ends(&mut witness, name);
        }
        let wanted = if goes_on { "o" } else { r#"c[4506,"Session is gone"]"# };
        assert_eq!(frames(&client.session(), Transport::Xhr, 1), [wanted], "{code}");
        assert_eq!(ended.concat(), if goes_on { "" } else { "1001" });
    }
}

#[test]
fn a_client_that_breaks_the_framing_ends_the_session() {
    let server = shared_with(FLAGS);
    let mut witness = witness(server);
    let mut client = Client::new(server, "/ledger");
    let mut socket = named(&mut client, "breaks");
    socket.send_text("[\"x");
    assert_eq!(socket.frame().closing(), (3000, "Broken framing.".to_owned()));
    let since = Instant::now();
    loop {
        let ended = ends(&mut witness, "breaks");
        if !ended.is_empty() {
            assert_eq!(ended, ["3000"]);
            break;
        }
        assert!(since.elapsed() < PATIENCE);
    }
}

#[test]
fn a_client_that_answers_no_ping_loses_its_connection_and_not_its_session() {
    let server = shared_with(&["--resume", "60s", "--heartbeat", "100ms"]);
    let mut client = Client::new(server, "/echo");
    let mut socket = client.open();
    socket.send_text(r#"["x"]"#);
    // It reads and never answers, for longer than a pong may take.
    while socket.receive().is_some_and(|frame| frame.opcode == TEXT || frame.opcode == PING) {}
    let session = client.session();
    assert_eq!(frames(&session, Transport::Xhr, 3), ["o", r#"a["x"]"#, "h"]);
}

#[test]
fn a_websocket_is_told_that_the_server_goes_away() {
    let server = Server::start(&["--resume", "60s", "--drain-timeout", "5s"]);
    let mut client = Client::new(&server, "/echo");
    let mut socket = client.open();
    server.signal("TERM");
    socket.expect_text(r#"c[4505,"Server is going away"]"#);
    socket.expect_close();
    let status = server.exit_status();
    assert!(status.success(), "{status}");
}

#[test]
fn the_secret_is_in_no_log() {
    let server = Server::start(&["--resume", "60s", "--log-level", "trace"]);
    let mut client = Client::new(&server, "/echo");
    let mut socket = client.open();
    socket.expect_echo(r#"["x"]"#, r#"a["x"]"#);
    drop(socket);
    frames(&client.session(), Transport::XhrStreaming, 2);
    server.fetch(&Request::post(&format!("{}/xhr_send", client.next()), "[]"));
    server.signal("TERM");
    assert!(server.exit_status().success());
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains("drained") {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = server.log();
    assert!(!log.contains(&client.secret), "{log}");
}
