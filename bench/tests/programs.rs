//! The programs together: every kind of load against its bare server, in runs too short to say anything of
//! speed. What is checked is that nothing is lost, and that a loss would be noticed.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sockhop_bench::record::Record;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No program takes longer than this.
const LONGEST: Duration = Duration::from_secs(60);

/// A bare server; dropping it kills it.
struct Bare {
    child: Child,
    url: String,
}

impl Bare {
    async fn start(mode: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bare"))
            .arg(mode)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the bare server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = timeout(LONGEST, lines.next_line())
            .await
            .expect("the bare server says in time where it listens")
            .expect("its output is text")
            .expect("it does not end");
        let (_, url) = line.split_once(" listening on ").expect("the line names the address");
        Self { url: format!("{url}bench"), child }
    }

    /// Runs the generator against it, for a moment.
    async fn load(&self, arguments: &[&str]) -> Output {
        let run = Command::new(env!("CARGO_BIN_EXE_load"))
            .args(arguments)
            .args(["--warm-up", "20", "--duration", "200"])
            .args(["--url", &self.url])
            .args(["--server-pid", &self.child.id().expect("it runs").to_string()])
            .kill_on_drop(true)
            .output();
        timeout(LONGEST, run).await.expect("the generator ends in time").expect("the generator starts")
    }

    async fn record(&self, arguments: &[&str]) -> Record {
        let output = self.load(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("a record is text");
        text.trim().parse().expect("the generator prints one record")
    }
}

#[tokio::test]
async fn every_kind_of_traffic_arrives_complete_and_in_order() {
    for (mode, arguments) in [
        ("ws-echo", &["ws-echo", "--dialect", "plain", "--sessions", "7", "--in-flight", "10"][..]),
        ("xhr-streaming", &["xhr-streaming", "--sessions", "3"]),
        ("xhr-polling", &["xhr-polling", "--sessions", "3"]),
        ("fan-out", &["fan-out", "--dialect", "plain", "--sessions", "20", "--in-flight", "8"]),
        ("api-publish", &["api-publish", "--sessions", "3"]),
        ("api-publish", &["api-publish", "--sessions", "3", "--in-flight", "5"]),
    ] {
        let record = Bare::start(mode).await.record(arguments).await;
        let Record::Traffic(run) = record else {
            panic!("{mode} gave {record}");
        };
        assert!(run.messages > 0, "{mode} moved nothing");
    }
}

#[tokio::test]
async fn idle_sessions_are_counted_in_resident_bytes() {
    for (mode, scenario) in [("ws-echo", "idle-ws"), ("xhr-streaming", "idle-xhr-streaming")] {
        let server = Bare::start(mode).await;
        let record = server.record(&[scenario, "--dialect", "plain", "--sessions", "300"]).await;
        let Record::Footprint(run) = record else {
            panic!("{scenario} gave {record}");
        };
        assert_eq!(run.sessions, 300);
        assert!(run.bytes_after > run.bytes_before, "{scenario}: {record}");
    }
}

#[tokio::test]
async fn a_message_too_many_fails_the_run() {
    // In a fan-out each echo client also gets what the other one sends.
    let server = Bare::start("fan-out").await;
    let output = server.load(&["ws-echo", "--dialect", "plain", "--sessions", "2"]).await;
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("expected"), "{complaint}");
}

#[tokio::test]
async fn a_service_that_is_not_there_fails_the_run() {
    let server = Bare::start("xhr-polling").await;
    let output = server.load(&["xhr-streaming", "--sessions", "1"]).await;
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("status 200 expected, 404 came"), "{complaint}");
}

#[tokio::test]
async fn a_comparison_prints_a_table_and_writes_it_with_a_plot() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comparison");
    let _ = fs::remove_dir_all(&folder);
    let run = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--without-sockhop", "--only", "ws-echo-1", "--only", "idle-ws"])
        .args(["--rounds", "2", "--duration", "100", "--idle-sessions", "100", "--out"])
        .arg(&folder)
        .kill_on_drop(true)
        .output();
    let output = timeout(LONGEST, run).await.expect("the comparison ends in time").expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("the table is text");
    assert!(printed.contains("| websocket echo, 100 connections, 1 in flight |"), "{printed}");
    assert!(printed.contains("| idle websocket session |"), "{printed}");
    let written = fs::read_to_string(folder.join("RESULTS.md")).expect("the table is written");
    assert_eq!(written.trim(), printed.trim());
    let plot = fs::read_to_string(folder.join("results.svg")).expect("the plot is written");
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"), "{plot}");
}

#[tokio::test]
async fn messages_that_go_one_by_one_tell_how_long_they_took() {
    let server = Bare::start("ws-echo").await;
    let record = server.record(&["delivery", "--dialect", "plain"]).await;
    let Record::Delay(run) = record else {
        panic!("a delivery gave {record}");
    };
    assert!(run.samples > 0 && run.p50 > 0.0 && run.p99 >= run.p50, "{record}");
}

#[tokio::test]
async fn requests_and_connections_go_around_the_servers() {
    let (one, other) = (Bare::start("ws-echo").await, Bare::start("ws-echo").await);
    let record = one.record(&["ws-echo", "--dialect", "plain", "--sessions", "4", "--url", &other.url]).await;
    assert!(matches!(record, Record::Traffic(run) if run.messages > 0), "{record}");
    // Two servers that know nothing of each other have no sessions in common.
    let (one, other) = (Bare::start("xhr-polling").await, Bare::start("xhr-polling").await);
    let output = one.load(&["xhr-polling", "--sessions", "1", "--url", &other.url]).await;
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("204 expected, 404 came"), "{complaint}");
}

#[tokio::test]
async fn publishing_is_set_beside_redis_alone() {
    let run = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["redis", "--only", "publish-64", "--only", "publish-1", "--rounds", "1", "--duration", "100"])
        .kill_on_drop(true)
        .output();
    let output = timeout(LONGEST, run).await.expect("the comparison ends in time").expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("the table is text");
    assert!(printed.contains("| 64 publishers in one node, 8 channels |"), "{printed}");
    assert!(printed.contains("| one publisher |"), "{printed}");
}

#[tokio::test]
async fn a_hook_is_set_beside_a_bare_post() {
    let run = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["stomp", "--only", "hook", "--rounds", "1"])
        .kill_on_drop(true)
        .output();
    let output = timeout(LONGEST, run).await.expect("the comparison ends in time").expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("the table is text");
    assert!(printed.contains("| what a hook adds to a message from SEND to RECEIPT"), "{printed}");
}

#[tokio::test]
async fn a_missing_sockhop_is_named_with_the_way_out() {
    let run = Command::new(env!("CARGO_BIN_EXE_compare")).args(["--sockhop", "no/such/file"]).output();
    let output = timeout(LONGEST, run).await.expect("it ends in time").expect("it starts");
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("there is no sockhop at no/such/file"), "{complaint}");
}
