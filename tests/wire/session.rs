//! A SockJS session over the HTTP transports, and its receivers, each transport's wrapping taken off.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::{Connection, Request, Response};
use crate::server::Server;

/// What each streaming answer of the xhr transport opens with.
pub(crate) const XHR_PRELUDE_LENGTH: usize = 2049;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Xhr,
    XhrStreaming,
    EventSource,
    HtmlFile,
    Jsonp,
}

impl Transport {
    pub(crate) const ALL: [Self; 5] =
        [Self::Xhr, Self::XhrStreaming, Self::EventSource, Self::HtmlFile, Self::Jsonp];
    pub(crate) const STREAMS: [Self; 3] = [Self::XhrStreaming, Self::EventSource, Self::HtmlFile];
    pub(crate) const POLLS: [Self; 2] = [Self::Xhr, Self::Jsonp];

    pub(crate) fn is_stream(self) -> bool {
        Self::STREAMS.contains(&self)
    }

    /// The request that receives for the session at this URL.
    pub(crate) fn request(self, url: &str) -> Request {
        match self {
            Self::Xhr => Request::new("POST", &format!("{url}/xhr")),
            Self::XhrStreaming => Request::new("POST", &format!("{url}/xhr_streaming")),
            Self::EventSource => Request::get(&format!("{url}/eventsource")),
            Self::HtmlFile => Request::get(&format!("{url}/htmlfile?c=cb")),
            Self::Jsonp => Request::get(&format!("{url}/jsonp?c=cb")),
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::Jsonp => "application/javascript; charset=UTF-8",
            Self::EventSource => "text/event-stream",
            Self::HtmlFile => "text/html; charset=UTF-8",
        }
    }

    /// What the prelude's chunk ends with: proof that a stream has begun.
    pub(crate) fn prelude_end(self) -> &'static str {
        match self {
            Self::XhrStreaming => "hhhh\n\r\n",
            Self::EventSource => "\r\n2\r\n\r\n\r\n",
            Self::HtmlFile => "</script>",
            Self::Xhr | Self::Jsonp => "",
        }
    }

    /// The frame inside one chunk of a stream or the body of a poll.
    pub(crate) fn unwrap(self, wrapped: &[u8]) -> String {
        let text = std::str::from_utf8(wrapped).expect("a frame is UTF-8");
        let inner = |before: &str, after: &str| {
            text.strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .unwrap_or_else(|| panic!("not one wrapped frame of {self:?}: {text:?}"))
        };
        let frame = match self {
            Self::Xhr | Self::XhrStreaming => inner("", "\n").to_owned(),
            Self::EventSource => percent_decoded(inner("data: ", "\r\n\r\n")),
            Self::HtmlFile => from_javascript(inner("<script>\np(", ");\n</script>\r\n")),
            Self::Jsonp => from_javascript(inner("/**/cb(", ");\r\n")),
        };
        assert!(!frame.contains(['\r', '\n']), "more than one frame: {frame:?}");
        frame
    }
}

fn from_javascript(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_else(|error| panic!("not a string literal ({error}): {literal}"))
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let digits = std::str::from_utf8(&digits).expect("hex digits");
            decoded.push(u8::from_str_radix(digits, 16).expect("a percent escape"));
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).expect("percent-decoded UTF-8")
}

pub(crate) struct Session<'a> {
    server: &'a Server,
    pub(crate) url: String,
}

impl<'a> Session<'a> {
    /// An id that no session has had; nothing is sent yet.
    pub(crate) fn fresh(server: &'a Server, base: &str) -> Self {
        Self { server, url: format!("{base}/000/{}", unused_id()) }
    }

    /// A session by its URL.
    pub(crate) fn at_url(server: &'a Server, url: String) -> Self {
        Self { server, url }
    }

    /// A session that is open and has no receiver.
    pub(crate) fn open(server: &'a Server, base: &str) -> Self {
        let session = Self::fresh(server, base);
        assert_eq!(session.poll(), "o\n");
        session
    }

    pub(crate) fn at(&self, endpoint: &str) -> String {
        format!("{}/{endpoint}", self.url)
    }

    /// One poll; the body of its answer.
    pub(crate) fn poll(&self) -> String {
        let response = self.server.post(&self.at("xhr"), "");
        assert_eq!(response.status, 200, "{response:?}");
        response.text().to_owned()
    }

    pub(crate) fn send(&self, payload: &str) {
        let response = self.try_send(payload);
        assert_eq!((response.status, response.text()), (204, ""), "{payload}");
    }

    pub(crate) fn try_send(&self, payload: impl AsRef<[u8]>) -> Response {
        self.server.post(&self.at("xhr_send"), payload)
    }

    /// Sends a receiver's request and reads nothing yet.
    pub(crate) fn receive(&self, transport: Transport) -> Receiver {
        let mut connection = self.server.connect();
        connection.send(&transport.request(&self.url));
        Receiver { transport, connection, begun: false }
    }

    /// A receiver that is known to hold the session, as far as that shows: a stream's prelude was read.
    pub(crate) fn attach(&self, transport: Transport) -> Receiver {
        let mut receiver = self.receive(transport);
        if transport.is_stream() {
            receiver.begin();
        } else {
            receiver.connection.expect_silence(SETTLE);
        }
        receiver
    }
}

/// A poll that waits shows no sign of having been attached; the server gets this long to do so.
pub(crate) const SETTLE: std::time::Duration = std::time::Duration::from_millis(150);

pub(crate) fn unused_id() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("id{:x}_{:x}_{count:x}", std::process::id(), since_epoch.as_nanos())
}

pub(crate) struct Receiver {
    transport: Transport,
    pub(crate) connection: Connection,
    begun: bool,
}

impl Receiver {
    /// Reads the head, and of a stream the prelude.
    pub(crate) fn begin(&mut self) -> Response {
        assert!(!self.begun, "the receiver has begun already");
        self.begun = true;
        let head = self.connection.head();
        assert_eq!(head.status, 200, "{head:?}");
        if self.transport.is_stream() {
            self.connection.chunk().expect("a prelude");
        }
        head
    }

    /// The next frame: of a stream its next chunk, of a poll its whole answer.
    pub(crate) fn frame(&mut self) -> String {
        if !self.transport.is_stream() {
            let response = self.connection.response();
            assert_eq!(response.status, 200, "{response:?}");
            return self.transport.unwrap(&response.body);
        }
        let chunk = self.raw_chunk().expect("a frame, not the end");
        self.transport.unwrap(&chunk)
    }

    /// The next chunk of a stream as it stands; `None` at its proper end.
    pub(crate) fn raw_chunk(&mut self) -> Option<Vec<u8>> {
        if !self.begun {
            self.begin();
        }
        self.connection.chunk()
    }

    /// A stream ends here, properly; a poll has ended with its frame.
    pub(crate) fn expect_proper_end(&mut self) {
        if self.transport.is_stream() {
            let more = self.raw_chunk();
            assert!(more.is_none(), "{:?} goes on: {more:?}", self.transport);
        }
    }
}
