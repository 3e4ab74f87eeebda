//! The example programs, run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An example that listens, stopped when dropped.
struct Example {
    child: Child,
    address: String,
    base: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let mut child = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--example", name, "--", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("said {line:?}"));
        let (address, base) = url.split_once('/').expect("a path");
        Self { child, address: address.to_owned(), base: format!("/{base}") }
    }

    /// Status line and body of one request.
    fn request(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
            self.address
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    fn session(&self, endpoint: &str, body: &str) -> String {
        self.request("POST", &format!("{}/000/example/{endpoint}", self.base), body).1
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Cargo hands the signal on to nobody: the example is its child, in the same group only by chance.
        let _ = Command::new("pkill").args(["-P", &self.child.id().to_string()]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn stomp_greets_all_and_answers_the_sender() {
    let example = Example::start("stomp");
    assert_eq!(example.session("xhr", ""), "o\n");
    let frames = "CONNECT\\naccept-version:1.2\\n\\n\\u0000\
                  SUBSCRIBE\\nid:0\\ndestination:/topic/greetings\\n\\n\\u0000\
                  SUBSCRIBE\\nid:1\\ndestination:/user/queue/answers\\n\\n\\u0000\
                  SEND\\ndestination:/app/hello\\n\\n{\\\"name\\\":\\\"Ann\\\"}\\u0000";
    example.session("xhr_send", &format!("[\"{frames}\"]"));
    let mut came = String::new();
    while !(came.contains("Hello, Ann!") && came.contains("All were told.")) {
        came += &example.session("xhr", "");
    }
    assert!(came.contains("CONNECTED"), "{came}");
}

#[test]
fn echo_answers() {
    let example = Example::start("echo");
    assert_eq!(example.session("xhr", ""), "o\n");
    example.session("xhr_send", "[\"hello\"]");
    assert_eq!(example.session("xhr", ""), "a[\"hello\"]\n");
}

#[test]
fn the_room_greets_and_tells() {
    let example = Example::start("room");
    assert_eq!(example.session("xhr", ""), "o\n");
    example.session("xhr_send", "[\"Ann\",\"hi\"]");
    assert_eq!(example.session("xhr", ""), "a[\"Ann is here\",\"Ann: hi\"]\n");
    assert_eq!(example.request("GET", "/", "").1, "The room is at /room.\n");
}

#[test]
fn axum_serves_both() {
    let example = Example::start("axum");
    assert_eq!(example.request("GET", "/hello", "").1, "hello from axum\n");
    assert_eq!(example.request("GET", "/echo", "").1, "Welcome to SockJS!\n");
    assert_eq!(example.session("xhr", ""), "o\n");
    example.session("xhr_send", "[\"hello\"]");
    assert_eq!(example.session("xhr", ""), "a[\"hello\"]\n");
    assert!(example.request("GET", "/echo/none", "").0.contains("404"));
}
