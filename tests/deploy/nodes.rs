//! Three nodes on one Redis, each behind a relay, as processes that can be killed, stopped, drained and restarted.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use crate::redis_server::{Redis, free_port, until};
use crate::relay::Relay;
use crate::server::{PATIENCE, Server};

/// A process that ends with its guard, also when this process is killed, and with it what it has started: a proxy's workers.
pub(crate) struct Process {
    child: Child,
    watchdog: Child,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _ || kill -9 \"-$1\"", "watchdog", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the watchdog shell");
        Self { child, watchdog }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says, which must be piped and untaken.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is piped")
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }

    /// Whether it has ended, and if so whether well.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().expect("wait for a child").map(|status| status.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-9", "--", &group]).status();
            let _ = self.child.wait();
        }
        if let Some(mut stand_down) = self.watchdog.stdin.take() {
            let _ = stand_down.write_all(b"\n");
        }
        let _ = self.watchdog.wait();
    }
}

/// One node at its place.
pub(crate) struct Node {
    store: String,
    options: &'static [&'static str],
    port: u16,
    relay_port: u16,
    process: Option<Process>,
    pub(crate) relay: Option<Relay>,
}

impl Node {
    fn new(redis: &Redis, options: &'static [&'static str]) -> Self {
        let (port, relay_port) = (free_port(), free_port());
        let mut node = Self { store: redis.url(), options, port, relay_port, process: None, relay: None };
        node.start();
        node
    }

    /// The node itself, past its relay.
    pub(crate) fn direct(&self) -> Server {
        Server::at(self.port)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node runs")
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockhop"));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SOCKHOP_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--test-services", "--show-node", "--log-level", "warn", "--page=false"]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--store", &self.store]);
        command.args(["--store-lease", "6s", "--request-id-header", "x-request-id"]);
        command.args(self.options);
        let mut process = Process::start({
            command.stdout(Stdio::piped());
            command
        });
        let out = process.stdout();
        let (announce, announced) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(out).lines();
            let _ = announce.send(lines.next());
            lines.for_each(drop);
        });
        let first = announced.recv_timeout(PATIENCE).ok().flatten().and_then(Result::ok);
        assert!(first.is_some_and(|line| line.contains("listening on")), "the node did not start");
        self.process = Some(process);
        self.relay = Some(Relay::start(self.relay_port, self.port));
    }

    /// Ends it as a crash does; then its address refuses connections.
    pub(crate) fn kill(&mut self) {
        self.process = None;
        self.relay = None;
    }

    /// Asks it to drain, waits for its end, and has its address refuse connections from the moment that it does.
    pub(crate) fn drain(&mut self) {
        self.process().signal("TERM");
        let port = self.port;
        until("the drained node closes its listener", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
        });
        self.relay = None;
        let process = self.process();
        until("the drained node ends", || process.ended().is_some());
        assert_eq!(self.process().ended(), Some(true), "a drained node ends well");
        self.process = None;
    }

    /// The ids of the requests for this target that the proxy has sent here.
    pub(crate) fn ids(&self, target: &str) -> Vec<String> {
        let heads = self.relay.iter().flat_map(|relay| relay.heads(target));
        heads.map(|head| crate::relay::value(&head, "x-request-id").to_owned()).collect()
    }
}

/// Redis and three nodes.
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) redis: Redis,
}

impl Nodes {
    /// Nodes with further options.
    pub(crate) fn start(options: &'static [&'static str]) -> Self {
        let redis = Redis::start();
        let nodes = (0..3).map(|_| Node::new(&redis, options)).collect();
        Self { nodes, redis }
    }

    /// Where the proxy reaches each.
    pub(crate) fn ports(&self) -> [u16; 3] {
        [0, 1, 2].map(|index: usize| self.nodes[index].relay_port)
    }

    /// The node that a request for this target has come to, other than some.
    pub(crate) fn reached(&self, target: &str, but: &[usize]) -> usize {
        let mut found = None;
        until("a request reaches a node", || {
            found = (0..3).find(|index| !but.contains(index) && !self.nodes[*index].ids(target).is_empty());
            found.is_some()
        });
        found.expect("waited for")
    }
}
