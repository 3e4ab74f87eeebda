//! `docker-compose.yml`, without Docker: the commands of its services are run as they stand, only with addresses of this
//! machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use yaml_rust2::{Yaml, YamlLoader};

use crate::http::Request;
use crate::nodes::Process;
use crate::proxy::{Kind, Proxy, exchange, shipped};
use crate::redis_server::{free_port, until};
use crate::server::Server;

#[test]
fn its_commands_make_a_cluster() {
    let compose = compose();
    let folder = tempfile::tempdir().expect("a folder");
    let redis_port = free_port();
    let mut redis = words(&compose["services"]["redis"]["command"]);
    redis.extend(["--port", &redis_port.to_string(), "--bind", "127.0.0.1"].map(str::to_owned));
    redis.extend(["--dir".to_owned(), folder.path().display().to_string()]);
    let _redis = run(&redis);
    let ask = |words: &[&str]| redis_cli(redis_port, words);
    until("Redis answers", || ask(&["PING"]) == "PONG");

    let ports = [free_port(), free_port(), free_port()];
    let mut nodes = Vec::new();
    for (number, port) in ports.into_iter().enumerate() {
        let node = &compose["services"][format!("node{}", number + 1).as_str()];
        let place = |word: &str| {
            let word = word.replace("redis:6379", &format!("127.0.0.1:{redis_port}"));
            word.replace("0.0.0.0:8081", &format!("127.0.0.1:{port}"))
        };
        let mut command = vec![env!("CARGO_BIN_EXE_sockhop").to_owned()];
        command.extend(words(&node["command"]).iter().map(|word| place(word)));
        let is_healthy = || healthy(&words(&node["healthcheck"]["test"]), "/8081", port);
        assert!(!is_healthy(), "nothing is there yet");
        nodes.push(run(&command));
        until("the node is healthy", is_healthy);
    }
    let proxy = Proxy::start(Kind::Nginx, ports, |text| text);
    let check = words(&compose["services"]["nginx"]["healthcheck"]["test"]);
    until("nginx is healthy", || healthy(&check, "/80", proxy.server().address.port()));
    let page = proxy.server().fetch(&Request::get("/"));
    assert!(page.status == 200 && page.text().contains("Transport lab"), "{page:?}");
    expect_hops(&proxy.server());
    // Saved, never evicted.
    for (setting, value) in [("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("maxmemory", "536870912")]
    {
        assert!(ask(&["CONFIG", "GET", setting]).ends_with(value), "{setting}");
    }
    assert!(ask(&["CONFIG", "GET", "client-output-buffer-limit"]).contains("pubsub 67108864 33554432 60"));
}

#[test]
fn its_proxy_has_the_shipped_file_and_its_nodes_the_time_to_drain() {
    let compose = compose();
    let volume = words(&compose["services"]["nginx"]["volumes"]).remove(0);
    let (file, rest) = volume.split_once(':').expect("a mounted file");
    assert_eq!(rest, "/etc/nginx/conf.d/default.conf:ro");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(root.join(file).canonicalize().expect("it is there"), shipped(Kind::Nginx));
    let text = fs::read_to_string(shipped(Kind::Nginx)).expect("its text");
    for number in 1..=3 {
        let name = format!("node{number}");
        let node = &compose["services"][name.as_str()];
        assert!(text.contains(&format!("server {name}:8081 ")), "{name} is before nginx");
        let drain = words(&node["command"]).iter().find_map(|word| {
            word.strip_prefix("--drain-timeout=").map(|time| humantime::parse_duration(time).expect("a time"))
        });
        let grace = node["stop_grace_period"].as_str().expect("a time");
        let grace = humantime::parse_duration(grace).expect("a time");
        assert!(drain.is_some_and(|drain| drain + Duration::from_secs(2) < grace), "{drain:?} {grace:?}");
    }
}

#[test]
fn dockers_own_tool_takes_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml");
    for tool in [&["docker", "compose"][..], &["docker-compose"]] {
        let there = Command::new(tool[0]).args(&tool[1..]).arg("version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let checked = Command::new(tool[0]).args(&tool[1..]).arg("-f").arg(&file).args(["config", "-q"]).output();
        let checked = checked.expect("it runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        return;
    }
    skip("Docker Compose is not installed, so that its file was not checked by it");
}

fn compose() -> Yaml {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml");
    let text = fs::read_to_string(file).expect("docker-compose.yml");
    YamlLoader::load_from_str(&text).expect("it is YAML").remove(0)
}

fn words(list: &Yaml) -> Vec<String> {
    let words = list.as_vec().unwrap_or_else(|| panic!("no list: {list:?}"));
    words.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("no text: {word:?}")).to_owned()).collect()
}

fn run(words: &[String]) -> Process {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(command)
}

/// Whether a health check, as Docker would run it in the container, is content with what is at a port.
fn healthy(check: &[String], its_port: &str, port: u16) -> bool {
    assert_eq!(check[0], "CMD");
    let line = exchange(check.last().expect("a command"), its_port, &format!("/{port}"));
    let checked =
        Command::new(&check[1]).args(&check[2..check.len() - 1]).arg(line).stderr(Stdio::null()).status();
    checked.expect("the check runs").success()
}

fn redis_cli(port: u16, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output();
    String::from_utf8_lossy(&output.expect("redis-cli runs").stdout).trim().to_owned()
}

/// A session's requests are answered by several nodes.
fn expect_hops(server: &Server) {
    let url = "/demo/echo/000/composed";
    assert_eq!(server.post(&format!("{url}/xhr"), "").text(), "o\n");
    let mut nodes = BTreeSet::new();
    for _ in 0..4 {
        let sent = server.post(&format!("{url}/xhr_send"), "[\"x\"]");
        assert_eq!(sent.status, 204);
        nodes.extend(sent.header("x-sockhop-node").map(str::to_owned));
        assert_eq!(server.post(&format!("{url}/xhr"), "").text(), "a[\"x\"]\n");
    }
    assert!(nodes.len() > 1, "{nodes:?}");
}

#[allow(clippy::print_stderr, reason = "a test that says why it did not run")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}
