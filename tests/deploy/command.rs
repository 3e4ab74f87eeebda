//! `sockhop cluster`, run for real.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, thread};

use serde_json::Value;

use crate::http::{Request, Response};
use crate::nodes::Process;
use crate::redis_server::until;
use crate::server::{PATIENCE, Server};
use crate::ws::WebSocket;

#[test]
fn the_page_answers_and_requests_hop() {
    let cluster = Cluster::start(&["--nodes", "2"]);
    let page = cluster.server.fetch(&Request::get("/"));
    assert!(page.status == 200 && page.text().contains("Transport lab"), "{page:?}");
    let nodes: BTreeSet<_> = (0..4)
        .map(|_| cluster.server.fetch(&Request::get("/demo/echo/info")))
        .filter_map(|info| info.header("x-sockhop-node").map(str::to_owned))
        .collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert_eq!(nodes, cluster.state().iter().filter_map(|node| text(&node["id"])).collect());
}

#[test]
fn a_session_goes_on_while_nodes_are_drained_killed_and_started_by_order() {
    let cluster = Cluster::start(&[]);
    let url = "/demo/echo/000/alive";
    assert_eq!(cluster.server.post(&format!("{url}/xhr"), "").text(), "o\n");
    for (number, order, how) in [(1, "drain", "was drained and ended in order"), (2, "kill", "was killed")] {
        let before = cluster.state()[number - 1]["id"].clone();
        assert_eq!(cluster.order(number, order).status, 202);
        cluster.wait_for(number, "ended");
        let ended = cluster.state()[number - 1].clone();
        assert!(text(&ended["how"]).is_some_and(|said| said.starts_with(how)), "{ended}");
        assert_eq!(cluster.order(number, order).status, 409, "it cannot be told that again");
        cluster.expect_echo(url, order);

        assert_eq!(cluster.order(number, "start").status, 202);
        cluster.wait_for(number, "running");
        assert_ne!(cluster.state()[number - 1]["id"], before, "another process has another id");
        cluster.expect_echo(url, "again");
    }
}

#[test]
fn a_node_that_somebody_else_kills_is_shown_as_ended_and_can_be_started() {
    let cluster = Cluster::start(&["--nodes", "2"]);
    let pid = cluster.state()[1]["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().is_ok_and(|status| status.success()));
    cluster.wait_for(2, "ended");
    assert_eq!(text(&cluster.state()[1]["how"]).as_deref(), Some("was ended by signal 9"));
    assert_eq!(cluster.order(2, "start").status, 202);
    cluster.wait_for(2, "running");
}

#[test]
fn only_the_page_gives_orders() {
    let cluster = Cluster::start(&["--nodes", "1"]);
    let token = cluster.token();
    let order = |host: &str, headers: &[(&str, &str)]| {
        let mut request = Request::bare("POST", "/cluster/nodes/1/drain").header("Host", host);
        for (name, value) in headers.iter().chain(&[("Content-Length", "0")]) {
            request = request.header(name, value);
        }
        cluster.server.fetch(&request).status
    };
    let host = format!("localhost:{}", cluster.server.address.port());
    assert_eq!(order(&host, &[]), 403);
    assert_eq!(order("evil.example", &[("X-Cluster-Token", &token)]), 403);
    assert_eq!(order(&host, &[("X-Cluster-Token", &token), ("Origin", "http://evil.example")]), 403);
    let own = format!("http://{host}");
    assert_eq!(order(&host, &[("X-Cluster-Token", &token), ("Origin", &own)]), 202);
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let mut cluster = Cluster::start(&["--", "--heartbeat", "7s"]);
    let mut pids: Vec<String> = cluster.state().iter().map(|node| node["pid"].to_string()).collect();
    pids.extend(cluster.children());
    let folder = PathBuf::from(cluster.said("files"));
    assert!(pids.len() >= 5 && folder.is_dir(), "{pids:?} {folder:?}");
    cluster.process.signal("TERM");
    let process = &mut cluster.process;
    until("the cluster ends", || process.ended().is_some());
    assert_eq!(process.ended(), Some(true));
    for pid in pids {
        assert!(!lives(&pid), "process {pid} is left");
    }
    assert!(!folder.exists(), "{} is left", folder.display());
}

#[test]
fn clients_are_told_when_it_ends() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    let mut socket = WebSocket::open(&cluster.server, "/demo/echo/000/told/websocket");
    socket.expect_text("o");
    let url = "/demo/echo/000/polled/xhr";
    assert_eq!(cluster.server.post(url, "").text(), "o\n");
    let mut poll = cluster.server.connect();
    poll.send(&Request::post(url, ""));
    poll.expect_silence(Duration::from_millis(100));
    cluster.process.signal("INT");
    socket.expect_text("c[4505,\"Server is going away\"]");
    assert_eq!(poll.response().status, 200);
    let process = &mut cluster.process;
    until("the cluster ends", || process.ended().is_some());
    assert_eq!(process.ended(), Some(true));
}

#[test]
fn its_parts_do_not_outlive_it_when_it_is_killed() {
    let mut cluster = Cluster::start(&["--nodes", "2"]);
    let pids = cluster.children();
    assert!(pids.len() >= 4 && pids.iter().all(|pid| lives(pid)), "{pids:?}");
    let folder = PathBuf::from(cluster.said("files"));
    cluster.process.signal("KILL");
    let process = &mut cluster.process;
    until("the cluster ends", || process.ended().is_some());
    until("all that it started ends", || !pids.iter().any(|pid| lives(pid)));
    // Nobody was left to do it.
    std::fs::remove_dir_all(folder).expect("its files");
}

/// Whether there is such a process, other than one that has ended and that nobody asked about.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    for (arguments, parts) in [
        (&["--nodes", "0"][..], &["--nodes", "1..=9"][..]),
        (&["--listen", &address], &["could not listen", &address]),
        (&["--", "--heartbeat", "soon"], &["the nodes' options", "soon", "25s"]),
        (&["--", "--store", "memory"], &["the nodes' options", "--store"]),
        (&["--", "--service", "chat=echo"], &["the nodes' options", "/chat"]),
    ] {
        let output = failed(command().args(arguments));
        let said = String::from_utf8_lossy(&output.stderr);
        for part in parts {
            assert!(said.contains(part), "{arguments:?} says {said}");
        }
    }
}

#[test]
fn programs_that_are_missing_are_named_with_the_package_that_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = failed(command().args(["--listen", "127.0.0.1:0"]).env("PATH", folder.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("redis-server") && said.contains("package"), "{said}");
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockhop"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SOCKHOP_")) {
        command.env_remove(name);
    }
    command.arg("cluster");
    command
}

fn failed(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("sockhop runs");
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    output
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A running `sockhop cluster`. If it is killed, its nodes find their guard: they are ended here as well.
struct Cluster {
    process: Process,
    server: Server,
    announced: Vec<String>,
}

impl Cluster {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped());
        let mut process = Process::start(command);
        let out = process.stdout();
        let (announce, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = announce.send(line);
            }
        });
        let mut announced = Vec::new();
        while !announced.last().is_some_and(|line: &String| line.starts_with("  stop")) {
            announced.push(lines.recv_timeout(PATIENCE).expect("the cluster starts"));
        }
        let address =
            announced[0].split_once("listening on http://").expect("its address").1.trim_end_matches('/');
        let server = Server { address: address.parse().expect("an address") };
        Self { process, server, announced }
    }

    /// What it said at its start under a name.
    fn said(&self, name: &str) -> String {
        let line = self.announced.iter().find_map(|line| line.trim_start().strip_prefix(name));
        line.expect("it says so").trim().to_owned()
    }

    fn ask(&self) -> Value {
        let host = self.server.address.to_string();
        let answer = self.server.fetch(&Request::bare("GET", "/cluster/state").header("Host", host));
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(answer.text()).expect("JSON")
    }

    fn state(&self) -> Vec<Value> {
        self.ask()["nodes"].as_array().expect("nodes").clone()
    }

    fn token(&self) -> String {
        text(&self.ask()["token"]).expect("a token")
    }

    fn order(&self, number: usize, order: &str) -> Response {
        let request = Request::bare("POST", &format!("/cluster/nodes/{number}/{order}"))
            .header("Host", self.server.address.to_string())
            .header("Content-Length", "0")
            .header("X-Cluster-Token", self.token());
        self.server.fetch(&request)
    }

    fn wait_for(&self, number: usize, phase: &str) {
        until(phase, || self.state()[number - 1]["phase"] == phase);
    }

    fn expect_echo(&self, url: &str, word: &str) {
        assert_eq!(self.server.post(&format!("{url}/xhr_send"), format!("[\"{word}\"]")).status, 204);
        assert_eq!(self.server.post(&format!("{url}/xhr"), "").text(), format!("a[\"{word}\"]\n"));
    }

    /// The processes that it started.
    fn children(&self) -> Vec<String> {
        let output =
            Command::new("pgrep").args(["-P", &self.process.pid().to_string()]).output().expect("pgrep runs");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Cluster {
    /// Ends it in order: only then it ends what it has started.
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            self.process.signal("TERM");
            let process = &mut self.process;
            until("the cluster ends", || process.ended().is_some());
        }
    }
}
