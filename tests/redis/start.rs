//! What the program does with a Redis that cannot be used: when it starts, and later.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::program::Program;
use crate::server::{Redis, free_port, until};

#[test]
fn a_redis_that_is_not_there_yet_is_waited_for() {
    let redis = Redis::start();
    redis.kill();
    let program = Program::start(&redis.url(), &[]);
    program.wait_log("the store cannot be reached yet");
    let named = format!("server=\"{}\"", redis.host());
    let log = program.log();
    assert!(log.lines().any(|line| line.contains(&named) && line.contains("Connection refused")), "{log}");
    assert_eq!(program.get("/readyz"), (503, "the store cannot be reached\n".to_owned()));
    assert_eq!(program.get("/healthz"), (200, "ok\n".to_owned()));
    redis.restart();
    program.wait_ready();
    assert_eq!(program.poll("a"), "o");
}

#[test]
fn a_redis_that_goes_makes_the_node_unready_until_it_is_back() {
    let redis = Redis::start();
    let program = Program::start(&redis.url(), &[]);
    program.wait_ready();
    redis.kill();
    program.wait_unready("the store cannot be reached");
    assert_eq!(program.get("/healthz").0, 200);
    redis.restart();
    program.wait_ready();
}

/// The program's end, and that its last word holds all of `words`.
fn ends_with(program: &Program, words: &[&str]) {
    let (status, log) = program.ended();
    assert!(!status.success());
    let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word:?} in the last line of\n{log}");
    }
}

#[test]
fn a_wrong_password_ends_the_start_and_is_named() {
    let redis = Redis::with(&["requirepass right"]);
    let program = Program::start(&format!("redis://:wrong@{}", redis.host()), &[]);
    ends_with(&program, &["WRONGPASS", &redis.host()]);
    assert!(!program.log().contains("wrong@"), "credentials are no log's business");
}

#[test]
fn a_missing_password_ends_the_start_and_is_named() {
    let redis = Redis::with(&["requirepass right"]);
    let program = Program::start(&format!("redis://{}", redis.host()), &[]);
    ends_with(&program, &["NOAUTH", &redis.host()]);
}

#[test]
fn a_user_without_rights_ends_the_start_and_is_named() {
    let redis = Redis::start();
    for (user, rights) in [
        ("nothing", &["-@all"][..]),
        ("no-scripts", &["~*", "&*", "+@all", "-@scripting"]),
        ("no-keys", &["&*", "+@all"]),
        ("no-pubsub", &["~*", "resetchannels", "+@all"]),
    ] {
        let mut words = vec!["ACL", "SETUSER", user, "on", ">pw"];
        words.extend(rights);
        redis.command(&words);
        let program = Program::start(&format!("redis://{user}:pw@{}", redis.host()), &[]);
        ends_with(&program, &["NOPERM"]);
    }
}

#[test]
fn a_user_that_may_not_subscribe_makes_the_node_unready_and_is_named() {
    let redis = Redis::start();
    redis.command(&["ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-ssubscribe"]);
    let program = Program::start(&format!("redis://deaf:pw@{}", redis.host()), &[]);
    program.wait_log("NOPERM");
    program.wait_unready("subscriptions in the store are silent");
    redis.command(&["ACL", "SETUSER", "deaf", "+ssubscribe"]);
    program.wait_ready();
}

#[test]
fn a_user_needs_no_more_than_these_rights() {
    let redis = Redis::start();
    redis.command(&[
        "ACL",
        "SETUSER",
        "sockhop",
        "on",
        ">pw",
        "~sockhop:*",
        "&sockhop:*",
        "-@all",
        "+@read",
        "+@write",
        "+@pubsub",
        "+@scripting",
        "+@connection",
        "+info",
        "+time",
        "-@dangerous",
        "+info",
    ]);
    let program = Program::start(&format!("redis://sockhop:pw@{}", redis.host()), &[]);
    program.wait_ready();
    assert_eq!(program.poll("a"), "o");
    assert_eq!(program.post("/ledger/000/a/xhr_send", &[], r#"["publish x"]"#).0, 204);
    until("what was published comes", || program.poll("a").contains("\"published"));
}

#[test]
fn a_password_that_is_put_right_later_is_noticed() {
    let redis = Redis::start();
    redis.kill();
    let program = Program::start(&format!("redis://me:new@{}", redis.host()), &[]);
    program.wait_log("the store cannot be reached yet");
    redis.restart();
    program.wait_log("WRONGPASS");
    assert!(program.runs());
    assert_eq!(program.get("/readyz").0, 503);
    redis.command(&["ACL", "SETUSER", "me", "on", ">new", "~*", "&*", "+@all"]);
    program.wait_ready();
}

/// A server that greets like a Redis of some version.
fn old_redis(version: &'static str, knows_hello: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                let mut connection = connection;
                while let Some(count) = lines.next() {
                    let count: usize = count.trim_start_matches('*').parse().unwrap_or(0);
                    let words: Vec<_> = (0..count).filter_map(|_| lines.nth(1)).collect();
                    let info = format!(
                        "# Server\r\nredis_version:{version}\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\nrole:master\r\n"
                    );
                    let answer = match words.first().map(|word| word.to_ascii_uppercase()).as_deref() {
                        Some("HELLO") if knows_hello => "%1\r\n+server\r\n+redis\r\n".to_owned(),
                        Some("CLIENT" | "SCRIPT" | "SELECT") => "+OK\r\n".to_owned(),
                        Some("INFO") => format!("${}\r\n{info}\r\n", info.len()),
                        _ => format!("-ERR unknown command '{}'\r\n", words[0]),
                    };
                    if connection.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

#[test]
fn an_old_version_ends_the_start_and_is_named() {
    let program = Program::start(&old_redis("6.2.14", true), &[]);
    ends_with(&program, &["6.2.14", "needs Redis 7"]);
    let program = Program::start(&old_redis("5.0.14", false), &[]);
    ends_with(&program, &["needs Redis 7"]);
}

#[test]
fn a_replica_is_not_written_to_and_used_once_it_is_the_primary() {
    let primary = Redis::start();
    let replica = primary.replica(&[]);
    let program = Program::start(&replica.url(), &[]);
    program.wait_log("it is a read-only replica, not the primary");
    program.wait_unready("the store cannot be reached");
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    program.wait_ready();
    assert_eq!(program.poll("a"), "o");
}

#[test]
fn a_policy_that_evicts_is_warned_of() {
    let redis = Redis::with(&["maxmemory-policy allkeys-lru"]);
    let program = Program::start(&redis.url(), &[]);
    program.wait_ready();
    program.wait_log("allkeys-lru");
    let quiet = Redis::start();
    let program = Program::start(&quiet.url(), &[]);
    program.wait_ready();
    assert!(!program.log().contains("evicts"));
}

#[test]
fn two_formats_under_one_prefix_are_refused() {
    let redis = Redis::start();
    redis.command(&["SET", "sockhop:{nodes}:format", "0", "PX", "600000"]);
    let program = Program::start(&redis.url(), &[]);
    ends_with(&program, &["format \"0\"", "prefix \"sockhop\"", "another prefix"]);
    let other = Program::start(&redis.url(), &["--store-prefix", "other"]);
    other.wait_ready();
}

#[test]
fn another_format_that_comes_later_makes_the_node_unready() {
    let redis = Redis::start();
    let program = Program::start(&redis.url(), &["--store-lease", "1s", "--store-timeout", "300ms"]);
    program.wait_ready();
    redis.command(&["SET", "sockhop:{nodes}:format", "none", "PX", "600000"]);
    program.wait_log("keys of format \"none\" are under the prefix");
    program.wait_unready("keys of another version");
    redis.command(&["DEL", "sockhop:{nodes}:format"]);
    program.wait_ready();
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let program = Program::start(&format!("redis://nowhere.invalid:{}", free_port()), &[]);
    program.wait_log("nowhere.invalid");
    until("it says why", || program.log().contains("cannot use the store's server"));
    assert_eq!(program.get("/readyz").0, 503);
}

#[test]
fn a_node_whose_redis_is_away_still_ends_in_order() {
    let redis = Redis::start();
    let program = Program::start(&redis.url(), &[]);
    program.wait_ready();
    redis.kill();
    program.wait_unready("the store cannot be reached");
    program.signal("TERM");
    let (status, log) = program.ended();
    assert!(status.success(), "{log}");
}
