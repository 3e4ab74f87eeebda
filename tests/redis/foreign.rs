//! Something foreign or broken under sockhop's keys, and a Redis that takes nothing more: what it touches says so, and
//! nobody else is hurt.

use crate::program::Program;
use crate::server::{Redis, until};

/// Sweeps often, and judges soon.
const BRISK: [&str; 4] = ["--store-lease", "1s", "--store-timeout", "300ms"];

fn start(redis: &Redis) -> Program {
    let program = Program::start(&redis.url(), &BRISK);
    program.wait_ready();
    program
}

/// The key of the record of the only session that is there.
fn record(redis: &Redis) -> String {
    let is_record = |key: &String| key.rsplit(':').next().is_some_and(|name| name.len() == 32);
    let records: Vec<_> = redis.keys("sockhop:{s").into_iter().filter(is_record).collect();
    assert_eq!(records.len(), 1, "{records:?}");
    records[0].clone()
}

/// Opens a session whose first handler call is over.
fn open(program: &Program, session: &str) {
    assert_eq!(program.poll(session), "o");
    echoes(program, session);
}

/// That a session's client is answered.
fn echoes(program: &Program, session: &str) {
    assert_eq!(send(program, session, "ping"), 204);
    gets(program, session, "ping");
}

fn send(program: &Program, session: &str, message: &str) -> u16 {
    program.post(&format!("/ledger/000/{session}/xhr_send"), &[], &format!("[{message:?}]")).0
}

/// Polls until this comes.
fn gets(program: &Program, session: &str, text: &str) {
    until(text, || {
        let frame = program.poll(session);
        assert!(frame.starts_with('a'), "{frame}");
        frame.contains(text)
    });
}

#[test]
fn a_session_whose_record_is_foreign_is_refused_and_no_other() {
    let redis = Redis::start();
    let program = start(&redis);
    open(&program, "hurt");
    let record = record(&redis);
    open(&program, "other");
    redis.command(&["SET", &record, "garbage"]);
    assert_eq!(program.post("/ledger/000/hurt/xhr", &[], "").0, 503);
    program.wait_log("attach on the store failed: session: FOREIGN");
    assert_eq!(send(&program, "hurt", "x"), 503);
    redis.command(&["DEL", &record]);
    redis.command(&["RPUSH", &record, "garbage"]);
    assert_eq!(program.post("/ledger/000/hurt/xhr", &[], "").0, 503);
    program.wait_log("WRONGTYPE");
    echoes(&program, "other");
    // The sweep comes by once, and not again.
    program.wait_log("what stands in a session's place is none of sockhop");
    redis.command(&["DEL", &record]);
    open(&program, "hurt");
}

#[test]
fn foreign_frames_and_subscriptions_of_a_session_hurt_no_other() {
    let redis = Redis::start();
    let program = start(&redis);
    open(&program, "hurt");
    let record = record(&redis);
    open(&program, "other");
    redis.command(&["HSET", &format!("{record}:subscriptions"), "ledger", "garbage"]);
    let (status, _) = program.request("POST", "/ledger/000/hurt/xhr", &[], "").unwrap_or((0, String::new()));
    assert_ne!(status, 200, "no frame that would hide it");
    echoes(&program, "other");
    redis.command(&["DEL", &record]);
    redis.command(&["SET", &format!("{record}:own"), "garbage"]);
    open(&program, "hurt");
}

#[test]
fn a_channel_whose_head_is_foreign_refuses_what_is_published_and_tells_who_follows() {
    let redis = Redis::start();
    let (here, there) = (start(&redis), start(&redis));
    open(&here, "a");
    open(&here, "b");
    redis.command(&["SET", "sockhop:{c:ledger}:head", "garbage"]);
    assert_eq!(send(&here, "a", "publish x"), 204);
    gets(&here, "a", "refused");
    // The other node has to look where the channel stands.
    until("it is told", || there.poll("b").starts_with("c[4504"));
    there.wait_log("what stands in a channel's place is none of sockhop");
    // Other channels are as before.
    assert_eq!(there.post("/broadcast/000/c/xhr", &[], "").1, "o\n");
    assert_eq!(there.post("/broadcast/000/c/xhr_send", &[], r#"["hello"]"#).0, 204);
    assert_eq!(there.post("/broadcast/000/c/xhr", &[], "").1, "a[\"hello\"]\n");
    redis.command(&["DEL", "sockhop:{c:ledger}:head"]);
    open(&here, "d");
    assert_eq!(send(&here, "d", "publish x"), 204);
    gets(&here, "d", "accepted");
}

#[test]
fn a_foreign_element_of_a_log_is_a_gap_which_is_told() {
    let redis = Redis::start();
    let (here, there) = (start(&redis), start(&redis));
    open(&here, "reader");
    open(&here, "writer");
    for number in 0..5 {
        assert_eq!(send(&here, "writer", &format!("publish {number}")), 204);
    }
    redis.command(&["LSET", "sockhop:{c:ledger}:log", "2", "garbage"]);
    until("it is told", || there.poll("reader").starts_with("c[4504"));
    there.wait_log("entries are missing");
    // What comes after is published and read as ever.
    assert_eq!(send(&here, "writer", "publish more"), 204);
    gets(&here, "writer", "more");
    redis.command(&["DEL", "sockhop:{c:ledger}:log"]);
    redis.command(&["SET", "sockhop:{c:ledger}:log", "garbage"]);
    open(&here, "last");
    assert_eq!(send(&here, "last", "publish x"), 204);
    gets(&here, "last", "refused");
}

#[test]
fn what_is_no_session_is_removed_from_among_the_deadlines() {
    let redis = Redis::start();
    let program = start(&redis);
    for number in 0..300 {
        redis.command(&["ZADD", "sockhop:{s5}:deadlines", "0", &format!("foreign {number}")]);
    }
    program.wait_log("removed from among the deadlines of sessions: it names none");
    until("all are gone", || redis.number(&["EXISTS", "sockhop:{s5}:deadlines"]) == 0);
    open(&program, "a");
}

#[test]
fn deadlines_that_are_none_hurt_only_the_sessions_of_their_bucket() {
    let redis = Redis::start();
    let program = start(&redis);
    open(&program, "hurt");
    let bucket = record(&redis).split_inclusive('}').next().unwrap().to_owned();
    redis.command(&["SET", &format!("{bucket}:deadlines"), "garbage"]);
    program.wait_log("the deadlines of a bucket of sessions cannot be read");
    // One of another bucket.
    for number in 0..3 {
        let session = format!("other{number}");
        let (status, _) = program.post(&format!("/ledger/000/{session}/xhr"), &[], "");
        if status == 200 {
            return echoes(&program, &session);
        }
    }
    panic!("all other sessions are hurt");
}

#[test]
fn nonsense_over_pub_sub_is_named_and_ignored() {
    let redis = Redis::start();
    let program = start(&redis);
    open(&program, "a");
    until("all is subscribed", || redis.texts(&["PUBSUB", "SHARDCHANNELS"]).len() >= 3);
    for channel in redis.texts(&["PUBSUB", "SHARDCHANNELS"]) {
        for nonsense in [&b""[..], b"x", &[0xff; 100]] {
            redis.command(&[b"SPUBLISH", channel.as_bytes(), nonsense]);
        }
    }
    program.wait_log("what came into a node's inbox is none of sockhop");
    program.wait_log("what came for a channel is none of sockhop");
    echoes(&program, "a");
    assert_eq!(send(&program, "a", "publish x"), 204);
    gets(&program, "a", "\"published");
}

#[test]
fn a_redis_without_memory_refuses_messages_and_keeps_sessions() {
    let redis = Redis::start();
    let program = start(&redis);
    open(&program, "a");
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(send(&program, "a", "publish full"), 204);
    gets(&program, "a", "refused");
    echoes(&program, "a");
    open(&program, "new");
    assert_eq!(program.get("/readyz").0, 200);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(send(&program, "a", "publish again"), 204);
    gets(&program, "a", "accepted");
}

#[test]
fn a_primary_that_becomes_a_replica_is_waited_for() {
    let redis = Redis::start();
    let program = Program::start(&redis.url(), &[]);
    program.wait_ready();
    open(&program, "a");
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    program.wait_unready("the store cannot be reached");
    program.wait_log("it is a read-only replica, not the primary");
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    program.wait_ready();
    echoes(&program, "a");
}
