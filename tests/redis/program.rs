//! The program, as a process of its own: what it logs, how it answers, how it ends.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio_tungstenite::tungstenite::{self, WebSocket};

use crate::server::{Process, until};

/// A running `sockhop serve`.
pub(crate) struct Program {
    process: Mutex<Process>,
    log: Arc<Mutex<String>>,
    /// Ends when the program has written its last line.
    reader: Mutex<Option<thread::JoinHandle<()>>>,
    address: Mutex<mpsc::Receiver<SocketAddr>>,
    listening: std::sync::OnceLock<SocketAddr>,
}

/// How long the program may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

impl Program {
    /// Starts it with the test services and a store, and further flags.
    pub(crate) fn start(store: &str, flags: &[&str]) -> Self {
        Self::start_with(store, flags, &[])
    }

    /// Starts it with variables in its environment.
    pub(crate) fn start_with(store: &str, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockhop"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("SOCKHOP_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--test-services", "--page=false", "--store", store])
            .args(flags)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sockhop starts");
        let log = Arc::<Mutex<String>>::default();
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let lines = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let (announce, address) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listening on http://")
                    && let Ok(address) = url.trim_end_matches('/').parse()
                {
                    let _ = announce.send(address);
                }
            }
        });
        let address = Mutex::new(address);
        Self {
            process: Mutex::new(Process::guard(child)),
            log,
            reader: Mutex::new(Some(reader)),
            address,
            listening: std::sync::OnceLock::new(),
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_log(&self, text: &str) {
        until(&format!("logged: {text}"), || self.log().contains(text));
    }

    /// Waits until it is ready.
    pub(crate) fn wait_ready(&self) {
        until("ready", || self.get("/readyz") == (200, "ready\n".to_owned()));
    }

    /// Waits until it says that it is not ready, for this reason.
    pub(crate) fn wait_unready(&self, reason: &str) {
        until(reason, || {
            let (status, body) = self.get("/readyz");
            status == 503 && body.contains(reason)
        });
    }

    pub(crate) fn address(&self) -> SocketAddr {
        *self.listening.get_or_init(|| {
            let announced = self.address.lock().unwrap_or_else(PoisonError::into_inner);
            announced.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it listens:\n{}", self.log()))
        })
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], "").expect("an answer")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        self.request("POST", path, headers, body).expect("an answer")
    }

    /// One request on a connection of its own; `None` where it is closed without a byte.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, String)> {
        let mut connection = self.connection();
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        if method == "POST" {
            request += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        // Whoever refuses the headers may close before all of them are read.
        let _ = connection.write_all(format!("{request}\r\n{body}").as_bytes());
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().expect("a status");
        Some((status, body.to_owned()))
    }

    /// A WebSocket of the service at this path.
    pub(crate) fn socket(&self, service: &str) -> WebSocket<TcpStream> {
        let url = format!("ws://{}{service}/websocket", self.address());
        tungstenite::client(url, self.connection()).expect("a handshake").0
    }

    fn connection(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address()).expect("it listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        connection
    }

    /// Waits for it to end by itself; how it did, and what it had logged.
    pub(crate) fn ended(&self) -> (ExitStatus, String) {
        let mut status = None;
        until("it ends", || {
            status = self.process().child.try_wait().expect("a status");
            status.is_some()
        });
        if let Some(reader) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reader.join().expect("its log is read to the end");
        }
        (status.expect("ended"), self.log())
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.process().child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process().child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }

    /// One poll's frame, without its line feed.
    pub(crate) fn poll(&self, session: &str) -> String {
        let (status, body) = self.post(&format!("/ledger/000/{session}/xhr"), &[], "");
        assert_eq!(status, 200, "{body}");
        body.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(std::io::stderr(), "the program's log:\n{log}");
        }
    }
}
