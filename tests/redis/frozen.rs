//! A node that is halted for longer than its lease, and nodes whose clocks disagree.

use std::sync::Arc;
use std::thread;

use sha2::{Digest, Sha256};

use crate::program::Program;
use crate::server::{Redis, until};

const FLAGS: [&str; 6] =
    ["--store-lease", "2s", "--store-timeout", "500ms", "--request-id-header", "x-request-id"];

/// A poll under a name; `None` where it was closed without a byte.
fn poll(program: &Program, session: &str, id: &str) -> Option<(u16, String)> {
    program.request("POST", &format!("/ledger/000/{session}/xhr"), &[("x-request-id", id)], "")
}

fn frame(program: &Program, session: &str, id: &str) -> String {
    let (status, frame) = poll(program, session, id).expect("an answer");
    assert_eq!(status, 200, "{frame}");
    frame
}

#[test]
fn a_frozen_nodes_sessions_go_on_elsewhere_and_it_says_nothing_more_when_it_wakes() {
    let redis = Redis::start();
    let (frozen, other) = (Arc::new(Program::start(&redis.url(), &FLAGS)), Program::start(&redis.url(), &FLAGS));
    frozen.wait_ready();
    other.wait_ready();
    // One whose balancer repeats its poll elsewhere, and one whose balancer waits.
    for session in ["moves", "waits"] {
        assert_eq!(frame(&frozen, session, "1"), "o\n");
        frame_with(&frozen, session, "ready");
    }
    let held = ["moves", "waits"].map(|session| {
        let frozen = Arc::clone(&frozen);
        thread::spawn(move || poll(&frozen, session, "held"))
    });
    until("both polls hold their sessions", || records_of(&redis, "held") == 2);
    frozen.signal("STOP");
    // The same request, of which the balancer has got tired.
    let other = Arc::new(other);
    let moved = {
        let other = Arc::clone(&other);
        thread::spawn(move || frame(&other, "moves", "held"))
    };
    assert_eq!(send(&other, "moves", "while it sleeps"), 204);
    assert!(moved.join().unwrap().contains("while it sleeps"));
    // Longer than its lease: it is dead for all others, who say so.
    until("its lease is over", || redis.number(&["ZCARD", "sockhop:{nodes}:leases"]) == 1);
    frozen.signal("CONT");
    for held in held {
        assert_eq!(held.join().unwrap(), None, "closed without a byte");
    }
    frozen.wait_log("the lease in the store could not be renewed: receivers end");
    // Nothing of what it wrote late counts: both sessions go on, with everything once and in order.
    for number in 0..5 {
        for session in ["moves", "waits"] {
            let text = format!("after {number}");
            assert_eq!(send(&other, session, &text), 204);
            let frame = frame_with_id(&other, session, &text);
            assert!(!frame.contains("while it sleeps"), "{frame}");
        }
    }
    frozen.wait_ready();
    assert_eq!(send(&frozen, "waits", "here again"), 204);
    frame_with_id(&frozen, "waits", "here again");
}

/// How many sessions' records name a request.
fn records_of(redis: &Redis, request: &str) -> usize {
    let digest = Sha256::new().chain_update((request.len() as u64).to_be_bytes()).chain_update(request).finalize();
    let is_record = |key: &String| key.rsplit(':').next().is_some_and(|name| name.len() == 32);
    let names_it = |key: &String| match redis.command(&["GET", key]) {
        redis::Value::BulkString(record) => record.windows(16).any(|window| *window == digest[..16]),
        _ => false,
    };
    redis.keys("sockhop:{s").iter().filter(|key| is_record(key) && names_it(key)).count()
}

fn send(program: &Program, session: &str, message: &str) -> u16 {
    program.post(&format!("/ledger/000/{session}/xhr_send"), &[], &format!("[{message:?}]")).0
}

/// Sends a message, and polls until what was told of it comes.
fn frame_with(program: &Program, session: &str, text: &str) {
    assert_eq!(send(program, session, text), 204);
    frame_with_id(program, session, text);
}

/// Polls under fresh names until a text comes: exactly one frame has it.
fn frame_with_id(program: &Program, session: &str, text: &str) -> String {
    let mut found = String::new();
    until(text, || {
        found = frame(program, session, &rand::random::<u64>().to_string());
        found.contains(text)
    });
    found
}

/// The library that gives a process a clock of its own. Its program would stand between us and the process.
fn faketime() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").map_while(Result::ok);
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let file = files.find(|file| file.exists());
    file.expect("libfaketimeMT.so.1, which is in Debian's package libfaketime").display().to_string()
}

#[test]
fn nodes_whose_clocks_disagree_by_days_serve_the_same_sessions() {
    let redis = Redis::start();
    let library = faketime();
    let start = |clock| {
        let variables = [("LD_PRELOAD", library.as_str()), ("FAKETIME", clock)];
        Program::start_with(&redis.url(), &FLAGS, &variables)
    };
    let (slow, fast) = (start("-3d"), start("+5d"));
    slow.wait_ready();
    fast.wait_ready();
    assert!(slow.log().lines().next() < fast.log().lines().next(), "their logs are dated differently");
    assert_eq!(frame(&slow, "a", "1"), "o\n");
    // Longer than a lease and a sweep: neither takes the other for dead, nor the session for expired.
    let began = std::time::Instant::now();
    let mut number = 0;
    while began.elapsed() < std::time::Duration::from_secs(5) {
        number += 1;
        let (here, there) = if number % 2 == 0 { (&slow, &fast) } else { (&fast, &slow) };
        let text = format!("message {number}");
        assert_eq!(send(here, "a", &text), 204);
        frame_with_id(there, "a", &text);
        thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(redis.number(&["ZCARD", "sockhop:{nodes}:leases"]), 2);
    for node in [&slow, &fast] {
        assert!(!node.log().contains("lease"), "{}", node.log());
    }
}
