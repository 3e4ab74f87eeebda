//! What clients can do with ids: the balancer's name of a request, and a session's own.

use std::collections::BTreeSet;

use crate::program::Program;
use crate::server::{Redis, until};

fn start(redis: &Redis) -> Program {
    let program = Program::start(&redis.url(), &["--request-id-header", "x-request-id"]);
    program.wait_ready();
    program
}

/// A request of a session, under a name.
fn named(program: &Program, session: &str, endpoint: &str, id: &str, body: &str) -> (u16, String) {
    program.post(&format!("/echo/000/{session}/{endpoint}"), &[("x-request-id", id)], body)
}

#[test]
fn an_endless_request_id_is_refused_and_a_long_one_takes_no_room() {
    let redis = Redis::start();
    let program = start(&redis);
    let endless = "x".repeat(64 * 1024);
    assert_eq!(
        program
            .request("POST", "/echo/000/a/xhr", &[("x-request-id", &endless)], "")
            .map_or(431, |(status, _)| status),
        431
    );
    assert!(redis.keys("sockhop:{s").is_empty(), "it opened nothing");
    let long = "x".repeat(16 * 1024);
    assert_eq!(named(&program, "a", "xhr", &long, ""), (200, "o\n".to_owned()));
    let sizes = redis.keys("sockhop:{s").into_iter().map(|key| redis.number(&["MEMORY", "USAGE", &key]));
    assert!(sizes.max().is_some_and(|most| most < 2048));
}

#[test]
fn the_same_id_on_all_requests_confuses_only_its_own_session() {
    let redis = Redis::start();
    let program = start(&redis);
    for session in ["forger", "honest"] {
        assert_eq!(named(&program, session, "xhr", "same", ""), (200, "o\n".to_owned()));
    }
    // The forger's requests are all taken for repeats of its first: it gets that one's answer, and its sends are done.
    assert_eq!(named(&program, "forger", "xhr", "same", ""), (200, "o\n".to_owned()));
    assert_eq!(named(&program, "forger", "xhr_send", "same", r#"["one"]"#).0, 204);
    assert_eq!(named(&program, "forger", "xhr_send", "same", r#"["two"]"#).0, 204);
    for number in 0..5 {
        assert_eq!(
            named(&program, "honest", "xhr_send", &format!("s{number}"), &format!(r#"["{number}"]"#)).0,
            204
        );
        let frame = named(&program, "honest", "xhr", &format!("p{number}"), "").1;
        assert_eq!(frame, format!("a[\"{number}\"]\n"));
    }
    // The names of others' requests are of no use: they are looked for in the session alone.
    assert_eq!(named(&program, "forger", "xhr_send", "s4", r#"["three"]"#).0, 204);
    let mut got = String::new();
    until("its own", || {
        got += &named(&program, "forger", "xhr", &rand::random::<u64>().to_string(), "").1;
        got.contains("three")
    });
    assert!(got.contains("one") && !got.contains("two") && !got.contains('4'), "{got}");
}

#[test]
fn guessed_session_ids_open_nothing_by_sending() {
    let redis = Redis::start();
    let program = start(&redis);
    assert_eq!(program.poll("secret"), "o");
    for guess in 0..200 {
        assert_eq!(program.post(&format!("/ledger/000/guess{guess}/xhr_send"), &[], r#"["x"]"#).0, 404);
    }
    let keys = redis.keys("sockhop:{s");
    let buckets: BTreeSet<_> = keys.iter().filter_map(|key| key.split('}').next()).collect();
    assert_eq!(buckets.len(), 1, "nothing is kept of a guess: {keys:?}");
}

#[test]
fn the_id_of_a_session_is_nowhere_in_the_store() {
    let redis = Redis::start();
    let program = start(&redis);
    let secret = "dont-tell-anybody";
    assert_eq!(program.poll(secret), "o");
    assert_eq!(
        program
            .post(&format!("/ledger/000/{secret}/xhr_send"), &[("referer", "http://x/y")], r#"["publish x"]"#)
            .0,
        204
    );
    until("it is told", || program.poll(secret).contains("accepted"));
    let keys = redis.keys("");
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        assert!(!key.contains(secret), "{key}");
        let value = match redis.text(&["TYPE", &key]).as_str() {
            "string" => redis.command(&["GET", &key]),
            "list" => redis.command(&["LRANGE", &key, "0", "-1"]),
            "hash" => redis.command(&["HGETALL", &key]),
            _ => redis.command(&["ZRANGE", &key, "0", "-1"]),
        };
        assert!(!held_in(&value, secret), "{key}: {value:?}");
    }
    assert!(!program.log().contains(secret));
}

fn held_in(value: &redis::Value, text: &str) -> bool {
    match value {
        redis::Value::BulkString(bytes) => bytes.windows(text.len()).any(|window| window == text.as_bytes()),
        redis::Value::Array(values) => values.iter().any(|value| held_in(value, text)),
        redis::Value::Map(pairs) => pairs.iter().any(|(name, value)| held_in(name, text) || held_in(value, text)),
        _ => false,
    }
}
