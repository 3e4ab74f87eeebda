//! The programs in docs/backend.md, run against nodes.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::hooks::Client;
use crate::program::Program;
use crate::server::{Cluster, Process, Redis, free_port, until};

const TEXT: &str = include_str!("../../docs/backend.md");
const SECRET: &str = "a secret of at least thirty-two bytes\n";

/// The block of a language that holds this.
pub(crate) fn block(language: &str, holding: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks = TEXT.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    let found: Vec<_> = blocks.filter(|block| block.contains(holding)).collect();
    assert_eq!(found.len(), 1, "one block of {language} holds {holding:?}");
    found[0]
}

fn run(program: &str, file: &Path, variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(program);
    command.arg(file).envs(variables.iter().copied()).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{program} runs: {error}"))
}

/// A hook as documented admits clients, handles messages, and takes no call that is not signed.
fn hook_works(program: &str, name: &str, text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join(name), folder.path().join("secret"));
    std::fs::write(&file, text).expect("written");
    std::fs::write(&secret, SECRET).expect("written");
    let (port, secret) = (free_port().to_string(), secret.display().to_string());
    let _hook = Process::guard(run(program, &file, &[("PORT", &port), ("HOOK_SECRET", &secret)]));
    until("the hook listens", || TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    let redis = Redis::start();
    let url = format!("http://127.0.0.1:{port}/");
    let app = format!("/app/** {url}");
    let start = |secret: &[&str]| {
        let flags =
            ["--service", "/ws=stomp", "--app-hooks", &app, "--connect-hook", &url, "--disconnect-hook", &url];
        let program = Program::start(&redis.url(), &[&flags[..], secret].concat());
        program.wait_ready();
        program
    };
    let node = start(&["--hook-secret", &secret]);
    let mut client = Client::connected(&node, "ann");
    client.say("SUBSCRIBE\nid:0\ndestination:/topic/said\nreceipt:r\n\n\0");
    assert!(client.hear().starts_with("RECEIPT"));
    client.say("SEND\ndestination:/app/say\n\nhéllo\0");
    assert_eq!(client.body(), "ann: héllo");
    // A node that does not know the secret is nobody.
    let stranger = start(&[]);
    let refused = Client::refused(&stranger, "ann");
    assert!(refused.contains("message:unavailable"), "{refused}");
}

#[test]
fn the_hook_in_python_works() {
    hook_works("python3", "hook.py", block("python", "HTTPServer"));
}

#[test]
fn the_hook_in_node_works() {
    hook_works("node", "hook.mjs", block("js", "createServer"));
}

/// The worker as documented does what it had begun first, and then the rest, in order.
fn worker_works(store: &str, server: &Redis, owner: &Redis) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("worker.py");
    std::fs::write(&file, block("python", "BLMOVE")).expect("written");
    let (list, own) = ("sockhop:{orders}", "sockhop:{orders}:worker:w1");
    let node =
        Program::start(store, &["--service", "/ws=stomp", "--app-hooks", "/app/orders/** redis:sockhop:{orders}"]);
    node.wait_ready();
    let mut client = Client::connected(&node, "ann");
    for text in ["one", "two"] {
        client.say(&format!("SEND\ndestination:/app/orders/new\nreceipt:r\n\n{text}\0"));
        assert!(client.hear().starts_with("RECEIPT"));
    }
    // As a worker leaves it that dies in the middle of its work.
    owner.text(&["LMOVE", list, own, "RIGHT", "LEFT"]);
    let port = server.port().to_string();
    let mut worker = run("python3", &file, &[("WORKER", "w1"), ("REDIS_PORT", &port)]);
    let lines = BufReader::new(worker.stdout.take().expect("piped")).lines();
    let _worker = Process::guard(worker);
    let done: Vec<_> = lines.map_while(Result::ok).take(2).collect();
    assert!(done[0].ends_with("/app/orders/new one") && done[1].ends_with("/app/orders/new two"), "{done:?}");
    until("all is done", || owner.number(&["EXISTS", list, own]) == 0);
}

#[test]
fn the_worker_in_python_works_and_goes_on_with_what_it_had_begun() {
    let redis = Redis::start();
    worker_works(&redis.url(), &redis, &redis);
}

#[test]
fn the_worker_in_python_works_in_a_cluster_whichever_server_it_asks() {
    let cluster = Cluster::start(3, 0);
    let owner = cluster.owner(cluster.slot("sockhop:{orders}"));
    let other = cluster.servers.iter().find(|server| server.port() != owner.port()).expect("another");
    worker_works(&cluster.url(), other, owner);
}

/// The line in Java, with a stand-in for Spring's template that has its signature, and says what it would push.
#[test]
fn the_line_in_java_pushes_what_is_published() {
    let line = block("java", "leftPush");
    let source = format!(
        "class Push {{
            static class Lists {{ Long leftPush(String key, String value) {{ System.out.println(key + \"\\n\" + value); return 1L; }} }}
            static class StringRedisTemplate {{ Lists opsForList() {{ return new Lists(); }} }}
            public static void main(String[] none) {{
                var redisTemplate = new StringRedisTemplate();
                {line}
            }}
        }}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("Push.java");
    std::fs::write(&file, source).expect("written");
    let Ok(output) = Command::new("java").arg(&file).output() else { return };
    let said = String::from_utf8(output.stdout).expect("text");
    let (list, item) = said.trim().split_once('\n').expect("a key and a value");
    let redis = Redis::start();
    let node = Program::start(&redis.url(), &["--service", "/ws=stomp", "--publish-list", list]);
    node.wait_ready();
    let mut witness = Client::subscribed(&node, "/topic/prices");
    redis.number(&["LPUSH", list, item]);
    assert_eq!(serde_json::from_str::<Value>(&witness.body()).expect("JSON")["price"], 7);
}
