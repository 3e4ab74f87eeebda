//! The server under test: started as a process of its own, so that the tests see only its wire.
//!
//! `SOCKHOP_TEST_ADDR=host:port` puts a running server in the place of the shared one; `SOCKHOP_BIN` names another binary.
//! Servers with options of their own are always started here.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::http::{Connection, Request, Response};

/// How long anything may take before a test calls it missing: generous, as a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Server {
    address: SocketAddr,
    /// None for a server that runs elsewhere, or has been stopped.
    process: Mutex<Option<Process>>,
    log: Arc<Mutex<String>>,
    /// What it says of itself at its start.
    said: Arc<Mutex<String>>,
}

struct Process {
    child: Child,
    /// Kills the server when this test process ends without unwinding.
    watchdog: Child,
}

type Flags = &'static [&'static str];

/// The server with default options that all tests share.
pub(crate) fn shared() -> &'static Server {
    shared_with(&[])
}

/// The server with these flags that all tests share; it is stopped when the last test that uses it has ended.
pub(crate) fn shared_with(flags: Flags) -> &'static Server {
    thread_local! {
        // Each test runs on a thread of its own.
        static USED: RefCell<Vec<Use>> = const { RefCell::new(Vec::new()) };
    }
    USED.with_borrow_mut(|used| {
        if let Some(found) = used.iter().find(|used| used.flags == flags) {
            return found.server;
        }
        let server = begin_use(flags);
        used.push(Use { flags, server });
        server
    })
}

/// One test's use of a shared server.
struct Use {
    flags: Flags,
    server: &'static Server,
}

struct Shared {
    flags: Flags,
    server: &'static Server,
    users: usize,
}

static SHARED: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

fn begin_use(flags: Flags) -> &'static Server {
    let mut all = lock(&SHARED);
    if let Some(shared) = all.iter_mut().find(|shared| shared.flags == flags) {
        shared.users += 1;
        return shared.server;
    }
    let server = match env::var("SOCKHOP_TEST_ADDR") {
        Ok(address) if flags.is_empty() => Server::running_at(&address),
        _ => Server::start(flags),
    };
    // Only what describes the server is leaked: the process is stopped.
    let server = Box::leak(Box::new(server));
    all.push(Shared { flags, server, users: 1 });
    server
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut all = lock(&SHARED);
        if let Some(index) = all.iter().position(|shared| shared.flags == self.flags) {
            all[index].users -= 1;
            if all[index].users == 0 {
                all.swap_remove(index);
                lock(&self.server.process).take();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn running_at(address: &str) -> Self {
        let address = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .unwrap_or_else(|| panic!("SOCKHOP_TEST_ADDR is not an address: {address}"));
        Self { address, process: Mutex::new(None), log: Arc::default(), said: Arc::default() }
    }

    /// Starts a server on a free port with the test services and these further flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let binary = binary();
        let mut command = Command::new(&binary);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("SOCKHOP_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--test-services"])
            .args(if flags.contains(&"--log-level") { &[][..] } else { &["--log-level", "warn"] })
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
        let watchdog = watch(child.id());
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        // Its log is shown as ours; a handle of its own would look leaked whenever it outlives us for a moment.
        let log = Arc::<Mutex<String>>::default();
        let written = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stderr(), "{line}");
                let mut log = lock(&written);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let process = Process { child, watchdog };

        let (announce, announced) = mpsc::channel();
        let said = Arc::<Mutex<String>>::default();
        let says = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lock(&says).push_str(&format!("{line}\n"));
                if let Some(address) = listening_address(&line) {
                    let _ = announce.send(address);
                }
            }
        });
        let address = announced.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the server with {flags:?} did not print where it listens within {PATIENCE:?}")
        });
        Self { address, process: Mutex::new(Some(process)), log, said }
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// The rest of the line that begins so, among those that the server says at its start.
    pub(crate) fn said(&self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = lock(&self.said).lines().find_map(|line| line.strip_prefix(start).map(str::to_owned));
            match found {
                Some(rest) => return rest,
                None if Instant::now() > deadline => panic!("the server did not say {start:?}"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn fetch(&self, request: &Request) -> Response {
        self.connect().exchange(request)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.fetch(&Request::get(target))
    }

    pub(crate) fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.fetch(&Request::post(target, body))
    }

    /// The first thing to look at when a test wants to know that others are undisturbed.
    pub(crate) fn expect_still_serving(&self) {
        let greeting = self.get("/echo");
        assert_eq!((greeting.status, greeting.text()), (200, "Welcome to SockJS!\n"));
    }

    fn with_child<T>(&self, look: impl FnOnce(&mut Child) -> T) -> T {
        let mut process = lock(&self.process);
        look(&mut process.as_mut().expect("the test needs its own server").child)
    }

    fn pid(&self) -> u32 {
        self.with_child(|child| child.id())
    }

    /// Memory that the server process has resident right now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .unwrap_or_else(|| panic!("no VmRSS in {path}"));
        kilobytes.parse::<u64>().expect("VmRSS is a number") * 1024
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.with_child(|child| child.try_wait().expect("wait for the server")) {
                return status;
            }
            assert!(Instant::now() < deadline, "the server is still running after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(10));
        }
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

/// A shell that waits for a line from us: an end of file in its place means that this process is gone.
fn watch(pid: u32) -> Child {
    Command::new("sh")
        .args(["-c", "read -r _ || kill -9 \"$1\"", "watchdog", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the watchdog shell")
}

fn binary() -> PathBuf {
    env::var_os("SOCKHOP_BIN")
        .map(PathBuf::from)
        .or_else(|| option_env!("CARGO_BIN_EXE_sockhop").map(PathBuf::from))
        .expect("no server binary known: set SOCKHOP_BIN")
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, url) = line.split_once("listening on http://")?;
    url.split(['/', ' ']).next()?.parse().ok()
}
