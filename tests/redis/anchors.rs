//! WebSockets whose node is killed or halted: their handlers hear of it once, at another node.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use crate::program::Program;
use crate::server::{Redis, until};

const FLAGS: [&str; 4] = ["--store-lease", "2s", "--store-timeout", "500ms"];

/// A WebSocket of a program's ledger.
struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(program: &Program) -> Self {
        Self(program.socket("/ledger"))
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("sent");
    }

    /// Waits for a message with this text; it. `None` where the connection ends before.
    fn hear(&mut self, text: &str) -> Option<String> {
        loop {
            match self.0.read() {
                Ok(Message::Text(heard)) if heard.contains(text) => return Some(heard.to_string()),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_)) => {
                    return None;
                }
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// An anchored session of this name.
    fn anchored(program: &Program, name: &str) -> Self {
        let mut socket = Self::open(program);
        socket.say("anchor");
        socket.hear(" anchor").expect("an answer");
        socket.say(&format!("name {name}"));
        socket.hear(name).expect("an answer");
        socket
    }
}

/// What a witness hears of ends until it hears its own last word.
fn ends(witness: &mut Socket) -> Vec<String> {
    witness.say("publish that is all");
    let mut ends = Vec::new();
    loop {
        let heard = witness.hear("").expect("the witness hears on");
        if heard.starts_with("left ") {
            ends.push(heard);
        } else if heard.starts_with("published ") && heard.ends_with("that is all") {
            return ends;
        }
    }
}

#[test]
fn the_on_close_of_each_anchored_session_of_a_killed_node_runs_once_elsewhere() {
    const SESSIONS: usize = 50;
    let redis = Redis::start();
    let programs = [0, 1, 2].map(|_| Program::start(&redis.url(), &FLAGS));
    programs.iter().for_each(Program::wait_ready);
    let [killed, others @ ..] = &programs;
    let mut witness = Socket::open(&others[0]);
    let staying = Socket::anchored(&others[1], "staying");
    let sockets: Vec<_> =
        (0..SESSIONS).map(|number| Socket::anchored(killed, &format!("guest{number}"))).collect();
    let not_anchored = Socket::open(killed);
    killed.signal("KILL");
    let at = Instant::now();
    let mut heard = Vec::new();
    until("all ends are told", || {
        heard.extend(ends(&mut witness));
        heard.len() >= SESSIONS
    });
    // The lease, and what seeing that it is over takes.
    assert!(at.elapsed() < Duration::from_secs(12), "{:?}", at.elapsed());
    for number in 0..SESSIONS {
        let of_guest = heard.iter().filter(|end| end.contains(&format!(" guest{number} 1002"))).count();
        assert_eq!(of_guest, 1, "guest{number}: {heard:?}");
    }
    drop((sockets, not_anchored));
    // One that ends by itself, at its node, comes behind them, and nothing else between.
    drop(staying);
    until("that, too", || {
        heard.extend(ends(&mut witness));
        heard.len() > SESSIONS
    });
    assert!(heard.last().is_some_and(|end| end.contains(" staying ")), "{heard:?}");
    until("no record is left", || redis.keys("sockhop:{s").iter().all(|key| !key.contains("anchors")));
}

#[test]
fn a_halted_nodes_anchored_sessions_end_elsewhere_and_their_sockets_when_it_wakes() {
    let redis = Redis::start();
    let programs = [0, 1].map(|_| Program::start(&redis.url(), &FLAGS));
    programs.iter().for_each(Program::wait_ready);
    let [halted, other] = &programs;
    let mut witness = Socket::open(other);
    let mut socket = Socket::anchored(halted, "sleeper");
    halted.signal("STOP");
    let mut heard = Vec::new();
    until("it is taken for dead", || {
        heard.extend(ends(&mut witness));
        !heard.is_empty()
    });
    halted.signal("CONT");
    assert_eq!(socket.hear("never"), None, "its socket is ended");
    halted.wait_ready();
    // What is said at the node that slept comes behind what it may have had to say of the session.
    let mut later = Socket::anchored(halted, "later");
    later.say("publish awake");
    later.hear("awake").expect("heard");
    drop(later);
    until("the next ends", || {
        heard.extend(ends(&mut witness));
        heard.iter().any(|end| end.contains(" later "))
    });
    assert_eq!(heard.iter().filter(|end| end.contains(" sleeper ")).count(), 1, "{heard:?}");
}
