//! Echo over the xhr transports: one connection receives, the other sends.

use std::sync::Arc;

use sockhop_bench::record::Traffic;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::frames::{Dialect, Inbox};
use crate::http::Connection;
use crate::idle::Silent;
use crate::message::{self, Template};
use crate::open;
use crate::run::{self, Counters, Timing};
use crate::target::Target;

/// How a session receives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// `xhr_streaming`: one response carries frames until the server ends it.
    Streaming,
    /// `xhr`: one response, one frame.
    Polling,
}

impl Kind {
    fn endpoint(self) -> &'static str {
        match self {
            Self::Streaming => "xhr_streaming",
            Self::Polling => "xhr",
        }
    }
}

/// Runs `sessions` echo clients.
pub(crate) async fn run(target: &Target, kind: Kind, sessions: u32, timing: Timing) -> anyhow::Result<Traffic> {
    let counters = Arc::<Counters>::default();
    let opened = open::all(0..sessions, |id| {
        let target = target.clone();
        async move {
            let sender = Sender::open(&target, id).await?;
            Ok((Receiver::open(target, kind, id).await?, sender))
        }
    })
    .await?;
    let mut clients = JoinSet::new();
    for (receiver, sender) in opened {
        clients.spawn(echo(receiver, sender, counters.clone()));
    }
    run::measure(clients, &counters, 1, timing).await
}

async fn echo(mut receiver: Receiver, mut sender: Sender, counters: Arc<Counters>) -> anyhow::Result<()> {
    while counters.may_send(1) {
        receiver.listen().await?;
        sender.send(receiver.inbox.received()).await?;
        let count = receiver.messages().await?;
        counters.received(count);
    }
    Ok(())
}

/// The connection that sends.
struct Sender {
    connection: Connection,
    template: Template,
    request: Vec<u8>,
}

impl Sender {
    async fn open(target: &Target, id: u32) -> anyhow::Result<Self> {
        let before = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n[\"",
            target.path(id, "xhr_send"),
            target.host(),
            message::LENGTH + 4,
        );
        Ok(Self {
            connection: Connection::open(target).await?,
            template: Template::new(before.as_bytes(), b"\"]"),
            request: Vec::new(),
        })
    }

    async fn send(&mut self, number: u64) -> anyhow::Result<()> {
        self.request.clear();
        self.template.append(number, &mut self.request);
        self.connection.send(&self.request).await?;
        self.connection.answer(204).await
    }
}

/// The connection that receives.
pub(crate) struct Receiver {
    kind: Kind,
    connection: Connection,
    request: String,
    progress: Progress,
    lines: Vec<u8>,
    inbox: Inbox,
}

#[derive(Clone, Copy)]
enum Progress {
    /// No request is under way.
    Idle,
    /// The request is sent, nothing has come back.
    Asked,
    /// The answer's head has come.
    Answered,
}

impl Receiver {
    /// Connects, asks, and waits until the session is open.
    pub(crate) async fn open(target: Target, kind: Kind, id: u32) -> anyhow::Result<Self> {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
            target.path(id, kind.endpoint()),
            target.host(),
        );
        let mut receiver = Self {
            kind,
            connection: Connection::open(&target).await?,
            request,
            progress: Progress::Idle,
            lines: Vec::new(),
            inbox: Inbox::new(Dialect::Sockjs),
        };
        while !receiver.inbox.is_open() {
            receiver.advance().await?;
            receiver.take_lines()?;
        }
        Ok(receiver)
    }

    /// Sees to it that a receiving request is under way, before a message is sent.
    async fn listen(&mut self) -> anyhow::Result<()> {
        // A poll's body is over with its frame; the end of a stream is noticed when it is read on.
        while self.kind == Kind::Polling && matches!(self.progress, Progress::Answered) {
            self.advance().await?;
        }
        if matches!(self.progress, Progress::Idle) {
            self.advance().await?;
        }
        Ok(())
    }

    /// Waits for messages; gives their number, which is not 0.
    async fn messages(&mut self) -> anyhow::Result<u64> {
        loop {
            let count = self.take_lines()?;
            if count > 0 {
                return Ok(count);
            }
            self.advance().await?;
        }
    }

    /// One step: ask, see the answer, or read on.
    async fn advance(&mut self) -> anyhow::Result<()> {
        self.progress = match self.progress {
            Progress::Idle => {
                self.connection.send(self.request.as_bytes()).await?;
                Progress::Asked
            }
            Progress::Asked => {
                self.connection.answer(200).await?;
                Progress::Answered
            }
            Progress::Answered if self.connection.body(&mut self.lines).await? => Progress::Answered,
            Progress::Answered => Progress::Idle,
        };
        Ok(())
    }

    fn take_lines(&mut self) -> anyhow::Result<u64> {
        let mut count = 0;
        let mut taken = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.lines[taken..]) {
            count += self.inbox.take(&self.lines[taken..taken + length])?;
            taken += length + 1;
        }
        self.lines.drain(..taken);
        Ok(count)
    }
}

impl Silent for Receiver {
    fn stream(&self) -> &TcpStream {
        self.connection.stream()
    }
}
