//! The server under test: started as a process of its own, so that the tests see only its wire.
//!
//! `SOCKHOP_TEST_ADDR=host:port` puts a running server in the place of the shared one; `SOCKHOP_BIN` names another binary.
//! Servers with options of their own are always started here.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::http::{Connection, Request, Response};

/// How long anything may take before a test calls it missing: generous, as a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Server {
    address: SocketAddr,
    process: Option<Mutex<Process>>,
}

struct Process {
    child: Child,
    /// Kills the server when this test process ends in whatever way: a static is never dropped.
    watchdog: Child,
}

/// The one server with default options that all tests of this process share.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match env::var("SOCKHOP_TEST_ADDR") {
        Ok(address) => Server::running_at(&address),
        Err(_) => Server::start(&[]),
    })
}

impl Server {
    fn running_at(address: &str) -> Self {
        let address = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .unwrap_or_else(|| panic!("SOCKHOP_TEST_ADDR is not an address: {address}"));
        Self { address, process: None }
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
            .args(["--log-level", "warn"])
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
        thread::spawn(move || io::copy(&mut BufReader::new(stderr), &mut io::stderr()));
        let process = Process { child, watchdog };

        let (announce, announced) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = listening_address(&line) {
                    let _ = announce.send(address);
                }
            }
        });
        let address = announced.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the server with {flags:?} did not print where it listens within {PATIENCE:?}")
        });
        Self { address, process: Some(Mutex::new(process)) }
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

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        let process = self.process.as_ref().expect("the test needs its own server");
        process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Memory that the server process has resident right now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process().child.id());
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
        let pid = self.process().child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process().child.try_wait().expect("wait for the server") {
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
