//! A blocking HTTP/1 client that shows every byte: tests decide what goes out and see what came back, framing included.
//! Reading is strict: an answer that breaks the rules of message framing fails the test that reads it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::server::PATIENCE;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self::bare(method, target).header("Host", "localhost")
    }

    /// Without any header.
    pub(crate) fn bare(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "1.1",
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn options(target: &str) -> Self {
        Self::new("OPTIONS", target)
    }

    /// A POST that declares its length; for one without a body or length use [`Request::new`].
    pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut request = Self::new("POST", target).header("Content-Length", body.len().to_string());
        request.body = body.to_vec();
        request
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// HTTP/1.0, where a server must not chunk and closes unless asked to keep alive.
    pub(crate) fn http10(mut self) -> Self {
        self.version = "1.0";
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/{}\r\n", self.method, self.target, self.version).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header that may stand at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands more than once: {self:?}");
        first
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("the body is not UTF-8: {self:?}"))
    }

    /// The elements of a comma-separated header, lower case.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let value = self.header(name).unwrap_or_default();
        let elements = value.split(',').map(|element| element.trim().to_ascii_lowercase());
        elements.filter(|element| !element.is_empty()).collect()
    }

    pub(crate) fn says_close(&self) -> bool {
        self.list("Connection").contains(&"close".to_owned())
    }

    pub(crate) fn says_keep_alive(&self) -> bool {
        self.list("Connection").contains(&"keep-alive".to_owned())
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("Transfer-Encoding").is_some()
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    /// Received, but not yet consumed by the test.
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("set the write time-out");
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.try_write(bytes) {
            panic!("cannot write to the server: {error}");
        }
    }

    /// For tests in which the server may rightly have closed the connection already.
    pub(crate) fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(crate) fn send(&mut self, request: &Request) {
        self.write(request.bytes());
    }

    pub(crate) fn exchange(&mut self, request: &Request) -> Response {
        self.send(request);
        self.response()
    }

    /// A whole answer; interim answers such as 100 are not skipped.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        if matches!(response.status, 100..=199 | 204 | 304) {
            assert!(!response.is_chunked(), "a bodyless status is chunked: {response:?}");
            let length = response.header("Content-Length");
            assert!(response.status == 304 || matches!(length, None | Some("0")), "{response:?}");
        } else if response.is_chunked() {
            while let Some(chunk) = self.chunk() {
                response.body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = response.header("Content-Length") {
            let length = length.parse().expect("Content-Length is a number");
            response.body = self.take(length);
        } else {
            assert!(response.version == "HTTP/1.0" || response.says_close() || !response.says_keep_alive());
            response.body = self.rest();
        }
        response
    }

    /// Status line and headers, up to the empty line.
    pub(crate) fn head(&mut self) -> Response {
        let status_line = self.line();
        let (version, rest) =
            status_line.split_once(' ').unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "not a status line: {status_line:?}");
        let status = rest
            .get(..3)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("no status code in {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
            assert!(!name.is_empty() && !name.contains(char::is_whitespace), "not a header name: {line:?}");
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let response = Response { version: version.to_owned(), status, headers, body: Vec::new() };
        assert!(
            !(response.is_chunked() && response.header("Content-Length").is_some()),
            "both framings: {response:?}"
        );
        response
    }

    /// The next chunk of a chunked body, or `None` at its proper end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length =
            usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not the length of a chunk: {line:?}"));
        let bytes = self.take(length);
        assert_eq!(self.line(), "", "a chunk is longer than it says");
        (length > 0).then_some(bytes)
    }

    /// One line without its CR LF; a CR or LF elsewhere in it fails the test.
    fn line(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.truncate(end);
                assert_eq!(line.pop(), Some(b'\r'), "a line ends with a bare LF");
                assert!(!line.contains(&b'\r'), "a bare CR in {line:?}");
                return String::from_utf8_lossy(&line).into_owned();
            }
            self.fill(deadline, "a line");
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < length {
            self.fill(deadline, "the rest of a body");
        }
        self.unread.drain(..length).collect()
    }

    fn fill(&mut self, deadline: Instant, wanted: &str) {
        match self.read_some(deadline) {
            Ok(0) => panic!(
                "the server closed the connection before {wanted}; unread: {:?}",
                String::from_utf8_lossy(&self.unread)
            ),
            Ok(_) => {}
            Err(error) => {
                panic!("waiting for {wanted}: {error}; unread: {:?}", String::from_utf8_lossy(&self.unread))
            }
        }
    }

    /// One read from the socket; 0 is the end of the stream.
    pub(crate) fn read_some(&mut self, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16 * 1024];
        let length = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..length]);
        Ok(length)
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Everything up to the end of the stream, which must come in good time; a reset counts as an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read_some(deadline) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the server did not close the connection: {error}"),
            }
        }
        std::mem::take(&mut self.unread)
    }

    /// The server closes, having said nothing more.
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Not one byte arrives for so long, and the connection stays open.
    pub(crate) fn expect_silence(&mut self, how_long: Duration) {
        let read = match self.unread.len() {
            0 => self.read_some(Instant::now() + how_long),
            already => Ok(already),
        };
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("expected silence: {error}"),
            Ok(0) => panic!("expected silence, but the server closed the connection"),
            Ok(_) => panic!("expected silence, but got {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// Waits until these bytes lie in the socket, and leaves them there: closing then resets the connection.
    pub(crate) fn wait_unread_in_socket(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        self.stream.set_read_timeout(Some(PATIENCE)).expect("set the read time-out");
        let mut seen = [0; 16 * 1024];
        loop {
            let length = self.stream.peek(&mut seen).expect("peek at the answer");
            let found = seen[..length].windows(wanted.len()).any(|window| window == wanted.as_bytes());
            if found {
                return;
            }
            assert!(length > 0 && Instant::now() < deadline, "{wanted:?} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Says that nothing more will be sent, and goes on listening.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shut the write side down");
    }
}
