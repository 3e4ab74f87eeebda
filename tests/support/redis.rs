//! Real redis-server processes for tests: each on a free port, in a folder of its own, gone with its guard, also when a
//! test panics or its process is killed.
//!
//! All calls block; in asynchronous tests they need a runtime of several threads where a store of the same process has to
//! go on meanwhile.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use ::redis::{Client, RedisError, Value};
use rand::Rng;
use tempfile::TempDir;

/// How long anything may take before a test calls it missing: generous, as a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A redis-server, a replica, a server of a cluster, or a sentinel.
pub(crate) struct Redis {
    port: u16,
    password: Option<String>,
    folder: TempDir,
    sentinel: bool,
    process: Mutex<Option<Process>>,
}

/// A process that ends with its guard.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Kills it when this test process ends without unwinding.
    watchdog: Child,
}

impl Process {
    pub(crate) fn guard(child: Child) -> Self {
        let watchdog = watch(child.id());
        Self { child, watchdog }
    }
}

impl Redis {
    /// A server with nothing saved and nothing special.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with further lines of configuration; `{folder}` in them is its folder.
    pub(crate) fn with(lines: &[&str]) -> Self {
        Self::launch(lines, false)
    }

    /// A replica of this server, in sync with it.
    pub(crate) fn replica(&self, lines: &[&str]) -> Self {
        let of = format!("replicaof 127.0.0.1 {}", self.port);
        let password = self.password.as_ref().map(|password| format!("masterauth {password}"));
        let mut all = vec![&*of, "repl-diskless-sync-delay 0", "repl-diskless-load on-empty-db"];
        all.extend(password.as_deref());
        all.extend(lines);
        let replica = Self::with(&all);
        replica.wait_in_sync();
        replica
    }

    /// Waits until a replica follows its primary.
    pub(crate) fn wait_in_sync(&self) {
        until("the replica is in sync", || {
            self.info("replication").is_ok_and(|info| info.get("master_link_status").is_some_and(|up| up == "up"))
        });
    }

    fn launch(lines: &[&str], sentinel: bool) -> Self {
        let password = lines.iter().find_map(|line| line.strip_prefix("requirepass ")).map(str::to_owned);
        for _ in 0..20 {
            let folder = tempfile::Builder::new().prefix("redis-").tempdir().expect("a folder");
            let port = free_port();
            fs::write(folder.path().join("redis.conf"), configuration(lines, port, folder.path(), sentinel))
                .expect("the configuration");
            let server = Self { port, password: password.clone(), folder, sentinel, process: Mutex::new(None) };
            if server.run() {
                return server;
            }
            // Somebody else was quicker to take the port.
        }
        panic!("no free port for a redis-server");
    }

    /// Runs the process, and waits until it answers; whether it did, rather than found its port taken.
    fn run(&self) -> bool {
        let mut command = Command::new("redis-server");
        command.arg(self.folder.path().join("redis.conf"));
        if self.sentinel {
            command.arg("--sentinel");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start redis-server: {error}; it is in Debian's package redis-server")
        });
        *self.process() = Some(Process::guard(child));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.answers() {
                return true;
            }
            let ended = self
                .process()
                .as_mut()
                .is_none_or(|process| process.child.try_wait().is_ok_and(|status| status.is_some()));
            if ended {
                self.kill();
                let log = self.log();
                assert!(log.contains("Address already in use"), "redis-server did not start:\n{log}");
                return false;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        match self.try_command(&["PING"]) {
            Ok(_) => true,
            // It answers, if only to decline.
            Err(error) => matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS" | "MASTERDOWN")),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a replica has all that its primary has written.
    pub(crate) fn wait_caught_up(&self, primary: &Self) {
        let offset = |server: &Self, name: &str| server.info("replication").ok()?.get(name).cloned();
        until("the replica has everything", || {
            let written = offset(primary, "master_repl_offset");
            written.is_some() && written == offset(self, "slave_repl_offset")
        });
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1` and the port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it is, with its password if it has one.
    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{}", self.host()),
            None => format!("redis://{}", self.host()),
        }
    }

    /// One command over a connection of its own; what it answers.
    pub(crate) fn command<A: AsRef<[u8]>>(&self, words: &[A]) -> Value {
        self.try_command(words).unwrap_or_else(|error| panic!("{}: {error}", shown(words)))
    }

    /// One command over a connection of its own.
    pub(crate) fn try_command<A: AsRef<[u8]>>(&self, words: &[A]) -> Result<Value, RedisError> {
        let mut connection = Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(2))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut command = ::redis::Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        command.query(&mut connection)
    }

    /// One command that answers a text.
    pub(crate) fn text<A: AsRef<[u8]>>(&self, words: &[A]) -> String {
        ::redis::from_redis_value(self.command(words)).unwrap_or_else(|error| panic!("{}: {error}", shown(words)))
    }

    /// One command that answers texts.
    pub(crate) fn texts<A: AsRef<[u8]>>(&self, words: &[A]) -> Vec<String> {
        ::redis::from_redis_value(self.command(words)).unwrap_or_else(|error| panic!("{}: {error}", shown(words)))
    }

    /// One command that answers a number.
    pub(crate) fn number<A: AsRef<[u8]>>(&self, words: &[A]) -> i64 {
        ::redis::from_redis_value(self.command(words)).unwrap_or_else(|error| panic!("{}: {error}", shown(words)))
    }

    /// The fields of a section of `INFO`.
    pub(crate) fn info(&self, section: &str) -> Result<HashMap<String, String>, RedisError> {
        let text: String = ::redis::from_redis_value(self.try_command(&["INFO", section])?)?;
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(text.lines().filter_map(field).collect())
    }

    /// How often each command was called, by its name.
    pub(crate) fn calls(&self) -> HashMap<String, u64> {
        let stats = self.info("commandstats").expect("commandstats");
        let calls = |(name, stats): (String, String)| {
            let calls = stats.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.strip_prefix("cmdstat_")?.to_owned(), calls))
        };
        stats.into_iter().filter_map(calls).collect()
    }

    /// All keys that begin so, as far as they are text.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let keys: Vec<Vec<u8>> =
            ::redis::from_redis_value(self.command(&["KEYS", &format!("{prefix}*")])).expect("keys");
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// Kills it at once.
    pub(crate) fn kill(&self) {
        drop(self.process().take());
    }

    /// Ends it in order, saving what is to be saved.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
        until("redis-server has ended", || {
            self.process()
                .as_mut()
                .is_none_or(|process| process.child.try_wait().is_ok_and(|status| status.is_some()))
        });
        self.kill();
    }

    /// Halts it: connections stay open, nothing is answered.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets a halted one go on.
    pub(crate) fn cont(&self) {
        self.signal("CONT");
    }

    /// Starts it again, with the same port and folder, after it was killed.
    pub(crate) fn restart(&self) {
        self.kill();
        assert!(self.run(), "the port {} was taken meanwhile", self.port);
    }

    fn signal(&self, name: &str) {
        let pid = self.process().as_ref().expect("a running server").child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut stand_down) = self.watchdog.stdin.take() {
            let _ = stand_down.write_all(b"\n");
        }
        let _ = self.watchdog.wait();
    }
}

/// Sentinels that look after a primary.
pub(crate) struct Sentinels {
    pub(crate) sentinels: Vec<Redis>,
}

/// What the sentinels call their primary.
pub(crate) const PRIMARY: &str = "main";

impl Sentinels {
    /// As many sentinels for a primary and its replicas; they have seen each other and all replicas.
    pub(crate) fn start(primary: &Redis, replicas: usize, count: usize) -> Self {
        let quorum = count / 2 + 1;
        let mut lines = vec![
            format!("sentinel monitor {PRIMARY} 127.0.0.1 {} {quorum}", primary.port),
            format!("sentinel down-after-milliseconds {PRIMARY} 1000"),
            format!("sentinel failover-timeout {PRIMARY} 10000"),
        ];
        lines.extend(primary.password.as_ref().map(|password| format!("sentinel auth-pass {PRIMARY} {password}")));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let sentinels: Vec<_> = (0..count).map(|_| Redis::launch(&lines, true)).collect();
        for sentinel in &sentinels {
            until("the sentinels know everybody", || {
                let state: HashMap<String, String> =
                    ::redis::from_redis_value(sentinel.command(&["SENTINEL", "MASTER", PRIMARY]))
                        .unwrap_or_default();
                let is =
                    |name: &str, number: usize| state.get(name).is_some_and(|value| *value == number.to_string());
                is("num-slaves", replicas) && is("num-other-sentinels", count - 1)
            });
        }
        Self { sentinels }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(Redis::host).collect();
        format!("redis-sentinel://{}/{PRIMARY}", hosts.join(","))
    }

    /// The port of the primary, as the sentinels see it.
    pub(crate) fn primary(&self) -> u16 {
        let address = self.sentinels[0].texts(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY]);
        address[1].parse().expect("a port")
    }
}

/// A Redis Cluster: first its primaries, then their replicas.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Redis>,
}

impl Cluster {
    /// A cluster whose every server finds it in order.
    pub(crate) fn start(primaries: usize, replicas_each: usize) -> Self {
        let count = primaries * (1 + replicas_each);
        let servers: Vec<_> = (0..count).map(|_| Self::server(&[])).collect();
        for (index, server) in servers.iter().enumerate() {
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for (index, server) in servers[..primaries].iter().enumerate() {
            let (first, next) = (16_384 * index / primaries, 16_384 * (index + 1) / primaries);
            server.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()]);
        }
        let cluster = Self { servers };
        for server in &cluster.servers[1..] {
            cluster.meet(server);
        }
        cluster.wait_known(count);
        for (index, replica) in cluster.servers[primaries..].iter().enumerate() {
            let primary = cluster.servers[index % primaries].text(&["CLUSTER", "MYID"]);
            until("the replica knows its primary", || {
                replica.try_command(&["CLUSTER", "REPLICATE", &primary]).is_ok()
            });
        }
        cluster.wait_whole();
        cluster.servers[primaries..].iter().for_each(Redis::wait_in_sync);
        cluster
    }

    /// A server that can be made one of a cluster.
    pub(crate) fn server(lines: &[&str]) -> Redis {
        let bus = format!("cluster-port {}", free_port());
        let mut all = vec![
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            "cluster-node-timeout 2000",
            "repl-diskless-sync-delay 0",
            &bus,
        ];
        all.extend(lines);
        Redis::with(&all)
    }

    /// Introduces a server to the cluster.
    pub(crate) fn meet(&self, server: &Redis) {
        let bus: HashMap<String, String> =
            ::redis::from_redis_value(self.servers[0].command(&["CONFIG", "GET", "cluster-port"]))
                .expect("a port");
        server.command(&["CLUSTER", "MEET", "127.0.0.1", &self.servers[0].port.to_string(), &bus["cluster-port"]]);
    }

    /// Waits until every server knows so many.
    pub(crate) fn wait_known(&self, count: usize) {
        for server in &self.servers {
            until("all servers know each other", || {
                let nodes = server.text(&["CLUSTER", "NODES"]);
                nodes.lines().count() == count && !nodes.contains("handshake")
            });
        }
    }

    /// Waits until every running server finds the cluster in order.
    pub(crate) fn wait_whole(&self) {
        for server in self.servers.iter().filter(|server| server.process().is_some()) {
            until("the cluster is in order", || {
                server.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && server.texts_of_slots().is_some_and(|slots| slots == 16_384)
            });
        }
    }

    /// A store's URL that names all servers.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.servers.iter().map(Redis::host).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The running server that has a slot, as the running servers see it.
    pub(crate) fn owner(&self, slot: u16) -> &Redis {
        // What it says of itself is newer than what others have heard of it.
        let running = || self.servers.iter().filter(|server| server.process().is_some());
        if let Some(owner) = running().find(|server| server.port_of_slot(slot) == Some(server.port)) {
            return owner;
        }
        let asked = self.servers.iter().find(|server| server.process().is_some()).expect("a running server");
        let port = asked.port_of_slot(slot).unwrap_or_else(|| panic!("nobody has the slot {slot}"));
        self.servers.iter().find(|server| server.port == port).expect("one of the cluster")
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        u16::try_from(self.servers[0].number(&["CLUSTER", "KEYSLOT", key])).expect("a slot")
    }

    /// Moves a slot with all its keys to another primary, as a resharding does.
    pub(crate) fn move_slot(&self, slot: u16, to: &Redis) {
        let (from, number) = (self.owner(slot), slot.to_string());
        let (from_id, to_id) = (from.text(&["CLUSTER", "MYID"]), to.text(&["CLUSTER", "MYID"]));
        to.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from_id]);
        from.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to_id]);
        loop {
            let keys = from.texts(&["CLUSTER", "GETKEYSINSLOT", &number, "10"]);
            if keys.is_empty() {
                break;
            }
            let port = to.port.to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            from.command(&words);
        }
        for server in [to, from].into_iter().chain(&self.servers) {
            server.command(&["CLUSTER", "SETSLOT", &number, "NODE", &to_id]);
        }
        // What they hear of each other may be older than what they were told.
        until("all servers agree who has the slot", || {
            self.servers.iter().all(|server| server.port_of_slot(slot) == Some(to.port))
        });
    }

    /// The primaries that run.
    pub(crate) fn primaries(&self) -> Vec<&Redis> {
        let is_primary = |server: &&Redis| {
            server.process().is_some() && server.info("replication").is_ok_and(|info| info["role"] == "master")
        };
        self.servers.iter().filter(is_primary).collect()
    }
}

impl Redis {
    /// Makes a cluster's replica the primary in place of its own, without any loss.
    pub(crate) fn take_over(&self) {
        let mut asked: Option<Instant> = None;
        until("the replica is the primary", || {
            if self.info("replication").is_ok_and(|info| info["role"] == "master") {
                return true;
            }
            // A server gives an attempt up after five seconds, for example when the others did not vote in time.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                asked = self.try_command(&["CLUSTER", "FAILOVER"]).is_ok().then(Instant::now);
            }
            false
        });
    }

    /// Ranges of slots and who has them.
    fn slots(&self) -> Option<Vec<(u16, u16, u16)>> {
        let Value::Array(rows) = self.try_command(&["CLUSTER", "SLOTS"]).ok()? else { return None };
        let row = |row: Value| {
            let Value::Array(fields) = row else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &fields[..] else {
                return None;
            };
            let Some(Value::Int(port)) = primary.get(1) else { return None };
            Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, u16::try_from(*port).ok()?))
        };
        rows.into_iter().map(row).collect()
    }

    fn texts_of_slots(&self) -> Option<usize> {
        Some(self.slots()?.iter().map(|(first, last, _)| usize::from(last - first) + 1).sum())
    }

    fn port_of_slot(&self, slot: u16) -> Option<u16> {
        let slots = self.slots()?;
        slots.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, port)| *port)
    }
}

fn configuration(lines: &[&str], port: u16, folder: &Path, sentinel: bool) -> String {
    let folder = folder.display().to_string();
    let mut all = vec![
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {folder}"),
        format!("logfile {folder}/redis.log"),
    ];
    if !sentinel {
        all.push("save \"\"".to_owned());
    }
    all.extend(lines.iter().map(|line| line.replace("{folder}", &folder)));
    all.join("\n") + "\n"
}

/// A port that nobody uses, below those from which systems take the ports of outgoing connections: it is still free when
/// a server that was killed comes back to it.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits for what is going to be so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn shown<A: AsRef<[u8]>>(words: &[A]) -> String {
    words.iter().map(|word| word.as_ref().escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// A shell that waits for a line from us: an end of file in its place means that this process is gone.
fn watch(pid: u32) -> Child {
    let watchdog: io::Result<Child> = Command::new("sh")
        .args(["-c", "read -r _ || kill -9 \"$1\"", "watchdog", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    watchdog.expect("start the watchdog shell")
}
