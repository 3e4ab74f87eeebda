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
use crate::target::{self, Target};

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

/// Runs `sessions` echo clients. Of several servers, each request of a session goes to the next one.
pub(crate) async fn run(targets: &[Target], kind: Kind, sessions: u32, timing: Timing) -> anyhow::Result<Traffic> {
    let counters = Arc::<Counters>::default();
    let opened = open::all(0..sessions, |id| {
        let targets = targets.to_vec();
        async move {
            let sender = Sender::open(&targets, id).await?;
            Ok((Receiver::open(targets, kind, id).await?, sender))
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

/// The connections that send, one to each server.
struct Sender {
    lines: Vec<(Connection, Template)>,
    request: Vec<u8>,
}

impl Sender {
    async fn open(targets: &[Target], id: u32) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for number in 0..targets.len() as u32 {
            // Sends stand between polls, each of which is one further.
            let target = target::turn(targets, id, 2 * number + 1);
            let before = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n[\"",
                target.path(id, "xhr_send"),
                target.host(),
                message::LENGTH + 4,
            );
            lines.push((Connection::open(target).await?, Template::new(before.as_bytes(), b"\"]")));
        }
        Ok(Self { lines, request: Vec::new() })
    }

    async fn send(&mut self, number: u64) -> anyhow::Result<()> {
        let turn = number as usize % self.lines.len();
        let (connection, template) = &mut self.lines[turn];
        self.request.clear();
        template.append(number, &mut self.request);
        connection.send(&self.request).await?;
        connection.answer(204).await
    }
}

/// The connections that receive, one to each server.
pub(crate) struct Receiver {
    kind: Kind,
    lines: Vec<(Connection, String)>,
    /// The one whose turn it is.
    turn: usize,
    progress: Progress,
    input: Vec<u8>,
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
    pub(crate) async fn open(targets: Vec<Target>, kind: Kind, id: u32) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for number in 0..targets.len() as u32 {
            let target = target::turn(&targets, id, 2 * number);
            let request = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
                target.path(id, kind.endpoint()),
                target.host(),
            );
            lines.push((Connection::open(target).await?, request));
        }
        let mut receiver = Self {
            kind,
            lines,
            turn: 0,
            progress: Progress::Idle,
            input: Vec::new(),
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
        let (connection, request) = &mut self.lines[self.turn];
        self.progress = match self.progress {
            Progress::Idle => {
                connection.send(request.as_bytes()).await?;
                Progress::Asked
            }
            Progress::Asked => {
                connection.answer(200).await?;
                Progress::Answered
            }
            Progress::Answered if connection.body(&mut self.input).await? => Progress::Answered,
            Progress::Answered => {
                self.turn = (self.turn + 1) % self.lines.len();
                Progress::Idle
            }
        };
        Ok(())
    }

    fn take_lines(&mut self) -> anyhow::Result<u64> {
        let mut count = 0;
        let mut taken = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.input[taken..]) {
            count += self.inbox.take(&self.input[taken..taken + length])?;
            taken += length + 1;
        }
        self.input.drain(..taken);
        Ok(count)
    }
}

impl Silent for Receiver {
    fn stream(&self) -> &TcpStream {
        self.lines[self.turn].0.stream()
    }
}
