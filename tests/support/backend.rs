//! A little backend behind HTTP: it answers as a test says, also slowly, wrongly, or not at all.
#![allow(dead_code, reason = "not every test program needs all of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A backend, until it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<Call>>,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) event: Value,
}

/// What becomes of a call.
pub(crate) enum Answer {
    Json(Value),
    Raw(u16, String),
    Late(Duration, Value),
    /// The connection is closed in the middle of the answer.
    Break,
    /// None comes until the caller goes away.
    Never,
}

impl Backend {
    /// Starts one; it is asked for each call, and told how many there were before.
    pub(crate) fn start(answer: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(Seen::default());
        let (answer, shared) = (Arc::new(answer), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&shared));
                thread::spawn(move || {
                    // The caller may go away at any time.
                    let _ = serve(&stream, &*answer, &seen);
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.seen.calls.lock().expect("no test panics with it").clone()
    }

    /// Waits until there were so many calls.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Call> {
        let begun = Instant::now();
        loop {
            let calls = self.calls();
            if calls.len() >= count {
                return calls;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{} calls of {count}", calls.len());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most_at_once.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: &TcpStream,
    answer: &(impl Fn(&Value, usize) -> Answer + ?Sized),
    seen: &Seen,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(call) = read(&mut reader)? {
        let at_once = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let event = call.event.clone();
        let before = {
            let mut calls = seen.calls.lock().expect("no test panics with it");
            calls.push(call);
            calls.len() - 1
        };
        let done = carry_out(answer(&event, before), stream);
        seen.under_way.fetch_sub(1, Ordering::SeqCst);
        if !done? {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Call>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("JSON is UTF-8");
    let event = serde_json::from_str(&body).expect("JSON");
    Ok(Some(Call { line: line.trim().to_owned(), headers, body, event }))
}

/// Whether the connection goes on.
fn carry_out(answer: Answer, mut stream: &TcpStream) -> std::io::Result<bool> {
    let mut write = |status: u16, body: &str| {
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes())
    };
    match answer {
        Answer::Json(body) => write(200, &body.to_string())?,
        Answer::Raw(status, body) => write(status, &body)?,
        Answer::Late(time, body) => {
            thread::sleep(time);
            write(200, &body.to_string())?;
        }
        Answer::Break => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"se")?;
            return Ok(false);
        }
        Answer::Never => {
            let _ = stream.read(&mut [0])?;
            return Ok(false);
        }
    }
    Ok(true)
}
