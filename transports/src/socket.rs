//! The loop of a WebSocket connection: one task reads, runs the handler, writes, and keeps the heartbeat.
//!
//! While the handler is busy nothing is read, and while the client does not read nothing is taken from the session:
//! a connection never holds more than one message and one write buffer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Wire, protocol::frame::Frame as WireFrame};

use crate::heard::Heard;
use crate::sessions::{Next, Room, Socket, SocketEnd};
use crate::{CloseReason, Frame, Options, Texts};

/// How a WebSocket's messages carry the session's.
pub(crate) trait Framing: Send + 'static {
    /// Whether SockJS frames go out (`o`, `h`, `c`), or messages alone.
    const FRAMED: bool;

    /// The messages in one text message of the client.
    fn decode(text: &str) -> Result<Texts, CloseReason>;

    /// Hands the text messages that carry `frame` to `write`.
    fn encode(frame: Frame, write: impl FnMut(Bytes));
}

/// Bytes that wait for one write to the connection.
const WRITE_BUFFER: usize = 8 * 1024;
/// Client messages handled before what they led to is written.
const READ_AHEAD: usize = 64;
/// How long a peer may take to finish the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client that does not read is waited for when it is told so.
const BLOCKED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long what a peer still sends is read after its protocol error, so that the close frame is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Serves an upgraded connection until it or its session ends.
pub(crate) async fn run<F: Framing>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send,
    socket: impl Socket,
    options: &Options,
) {
    // Boxed, as is the end: what lives only at first or at last shall not make every idle connection larger.
    let mut connection = Box::pin(Connection::<_, _, F>::open(io, socket, options)).await;
    let end = poll_fn(|cx| connection.poll(cx)).await;
    Box::pin(connection.end(end)).await;
}

struct Connection<IO, S, F> {
    stream: WebSocketStream<Heard<IO>>,
    socket: S,
    /// The handler at work.
    turn: Option<BoxFuture<'static, ()>>,
    write: Write,
    pulse: Pulse,
    heartbeat: Duration,
    pong_timeout: Duration,
    binary_text: bool,
    framing: std::marker::PhantomData<F>,
}

#[derive(PartialEq, Eq)]
enum Write {
    Clean,
    /// Something waits in the write buffer.
    Dirty,
}

/// Heartbeats, and whether the client answers them.
struct Pulse {
    timer: Pin<Box<Sleep>>,
    /// When the next heartbeat is due.
    next: Instant,
    /// Until when the client must have answered a ping.
    answer_by: Option<Instant>,
}

impl Pulse {
    fn new(heartbeat: Duration) -> Self {
        let next = Instant::now() + heartbeat;
        Self { timer: Box::pin(tokio::time::sleep_until(next)), next, answer_by: None }
    }
}

/// How a connection came to its end.
enum End {
    /// The session is over: the client is told, then the closing handshake.
    Session(CloseReason),
    /// The client does not read, so that telling it may fail.
    Blocked(CloseReason),
    /// The client sent what it must not.
    Violation(CloseCode, CloseReason),
    /// The client began the closing handshake, on purpose or since its page went away.
    ByClient(SocketEnd),
    /// The connection is gone.
    Lost,
}

impl End {
    /// As the session is told.
    fn of_session(&self) -> SocketEnd {
        match self {
            Self::Session(reason) | Self::Blocked(reason) | Self::Violation(_, reason) => {
                SocketEnd::Closed(reason.clone())
            }
            Self::ByClient(end) => end.clone(),
            Self::Lost => SocketEnd::Lost,
        }
    }
}

impl<IO, S, F> Connection<IO, S, F>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Socket,
    F: Framing,
{
    async fn open(io: IO, socket: S, options: &Options) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(options.websocket_buffer)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(options.message_limit))
            .max_frame_size(Some(options.message_limit));
        Self {
            stream: WebSocketStream::from_raw_socket(Heard::new(io), Role::Server, Some(config)).await,
            turn: Some(socket.opened()),
            socket,
            write: Write::Clean,
            pulse: Pulse::new(options.heartbeat),
            heartbeat: options.heartbeat,
            pong_timeout: options.pong_timeout,
            binary_text: options.binary_text,
            framing: std::marker::PhantomData,
        }
    }

    /// Lets the handler finish and hear of the end, and the connection come to its own.
    async fn end(self, end: End) {
        let Self { stream, turn, socket, .. } = self;
        let of_session = end.of_session();
        let handler = async {
            if let Some(turn) = turn {
                turn.await;
            }
            socket.ended(of_session).await;
        };
        futures_util::future::join(handler, finish::<F, _>(stream, end)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let mut read = 0;
            loop {
                let handled = self.turn.is_some();
                let idle = self.poll_turn(cx).is_ready();
                // Before the next read: a client that closes is no longer written to, and has yet to get its answers.
                // Without a waker: what the handler sends in this very task need not wake it.
                if handled && let Poll::Ready(Some(end)) = self.poll_frame(&mut Context::from_waker(Waker::noop()))
                {
                    return Poll::Ready(end);
                }
                if !idle || read == READ_AHEAD {
                    break;
                }
                match Pin::new(&mut self.stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(message))) => {
                        if let Some(end) = self.received(message) {
                            return Poll::Ready(end);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(end_of(&error)),
                    Poll::Ready(None) => return Poll::Ready(End::Lost),
                    Poll::Pending => break,
                }
                read += 1;
            }
            if let Some(end) = self.poll_outgoing(cx) {
                return Poll::Ready(end);
            }
            if let Some(end) = self.poll_pulse(cx) {
                return Poll::Ready(end);
            }
            if let Some(end) = self.poll_flush(cx) {
                return Poll::Ready(end);
            }
            if read < READ_AHEAD {
                return Poll::Pending;
            }
        }
    }

    /// Ready while the handler is idle.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(turn) = &mut self.turn {
            if turn.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.turn = None;
        }
        Poll::Ready(())
    }

    fn received(&mut self, message: Wire) -> Option<End> {
        // Whatever comes shows that the client is there.
        self.pulse.answer_by = None;
        match message {
            Wire::Text(text) => match F::decode(text.as_str()) {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => self.turn = Some(self.socket.message_in(messages)),
                Err(reason) => return Some(End::Violation(CloseCode::from(reason.code()), reason)),
            },
            Wire::Binary(bytes) if self.binary_text && !F::FRAMED => return self.binary(&bytes),
            Wire::Binary(_) => {
                return Some(End::Violation(CloseCode::Unsupported, CloseReason::BROKEN_FRAMING));
            }
            // The answer was queued while reading.
            Wire::Ping(_) => self.write = Write::Dirty,
            Wire::Close(frame) => return Some(End::ByClient(closed_by_client(frame.as_ref()))),
            Wire::Pong(number) => {
                if let Ok(number) = number[..].try_into() {
                    self.socket.pong(u64::from_be_bytes(number));
                }
            }
            Wire::Frame(_) => {}
        }
        None
    }

    /// A binary message that stands for a text.
    fn binary(&mut self, bytes: &[u8]) -> Option<End> {
        let decoded = match std::str::from_utf8(bytes) {
            Ok(text) => F::decode(text),
            Err(_) => return Some(End::Violation(CloseCode::Invalid, CloseReason::BROKEN_FRAMING)),
        };
        match decoded {
            Ok(messages) if messages.is_empty() => None,
            Ok(messages) => {
                self.turn = Some(self.socket.message_in(messages));
                None
            }
            Err(reason) => Some(End::Violation(CloseCode::from(reason.code()), reason)),
        }
    }

    /// Writes what the session has for the client, until it has no more or the client does not read.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Option<End> {
        loop {
            match self.poll_frame(cx) {
                Poll::Ready(Some(end)) => return Some(end),
                Poll::Ready(None) => {}
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(number) = self.socket.poll_ping(cx) {
            self.ping(Some(number));
        }
        None
    }

    fn ping(&mut self, number: Option<u64>) {
        let payload = number.map_or_else(Bytes::new, |number| Bytes::copy_from_slice(&number.to_be_bytes()));
        let _ = Pin::new(&mut self.stream).start_send(Wire::Ping(payload));
        self.write = Write::Dirty;
        self.stream.get_mut().take_heard();
        self.pulse.answer_by.get_or_insert(Instant::now() + self.pong_timeout);
    }

    /// Writes one frame, or says how the connection ends.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let room = match Pin::new(&mut self.stream).poll_ready(cx) {
            Poll::Ready(Ok(())) => Room::Free,
            Poll::Ready(Err(error)) => return Poll::Ready(Some(end_of(&error))),
            Poll::Pending => Room::Blocked,
        };
        self.socket.poll_next(cx, room).map(|next| match next {
            Next::Frame(Frame::Close(reason)) if room == Room::Blocked => Some(End::Blocked(reason)),
            Next::Frame(Frame::Close(reason)) => Some(End::Session(reason)),
            Next::Frame(frame) => {
                self.send(frame);
                None
            }
            Next::End => Some(End::Session(CloseReason::GOING_AWAY)),
            Next::Fenced => Some(End::Lost),
        })
    }

    fn send(&mut self, frame: Frame) {
        F::encode(frame, |text| {
            let message = WireFrame::message(text, OpCode::Data(Data::Text), true);
            // A failed write shows again, with its reason, in the next flush.
            let _ = Pin::new(&mut self.stream).start_send(Wire::Frame(message));
        });
        self.write = Write::Dirty;
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.write == Write::Clean {
            return None;
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.write = Write::Clean;
                None
            }
            Poll::Ready(Err(error)) => Some(end_of(&error)),
            Poll::Pending => None,
        }
    }

    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Option<End> {
        while self.pulse.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let late = self.pulse.answer_by.is_some_and(|answer_by| answer_by <= now);
            if late && (self.turn.is_some() || self.stream.get_mut().take_heard()) {
                // While the handler is busy nothing is read, and behind a long message the answer has yet to come.
                self.pulse.answer_by = Some(now + self.pong_timeout);
            } else if late {
                return Some(End::Violation(CloseCode::Library(3000), CloseReason::NO_HEARTBEAT));
            }
            if self.pulse.next <= now {
                // Both: the frame for the client's own events, the ping to find a peer that is gone.
                if F::FRAMED {
                    self.send(Frame::Heartbeat);
                }
                let number = self.socket.beat();
                self.ping(number);
                self.pulse.next = now + self.heartbeat;
            }
            let next = self.pulse.answer_by.map_or(self.pulse.next, |answer_by| answer_by.min(self.pulse.next));
            self.pulse.timer.as_mut().reset(next);
        }
        None
    }
}

/// What a client means by its close frame: pages that go away, and proxies, say 1001 or what went wrong.
fn closed_by_client(frame: Option<&CloseFrame>) -> SocketEnd {
    match frame.map(|frame| frame.code) {
        None | Some(CloseCode::Normal) => SocketEnd::ByClient,
        Some(_) => SocketEnd::Left,
    }
}

fn end_of(error: &Error) -> End {
    let violation = |code| End::Violation(code, CloseReason::BROKEN_FRAMING);
    match error {
        Error::Capacity(_) => violation(CloseCode::Size),
        Error::Utf8(_) => violation(CloseCode::Invalid),
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            End::Lost
        }
        Error::Protocol(_) | Error::AttackAttempt => violation(CloseCode::Protocol),
        _ => End::Lost,
    }
}

/// Brings the connection to its end, in bounded time.
async fn finish<F: Framing, IO: AsyncRead + AsyncWrite + Unpin>(mut stream: WebSocketStream<IO>, end: End) {
    match end {
        End::Session(reason) => {
            let _ = timeout(CLOSE_TIMEOUT, async {
                close::<F, IO>(&mut stream, &reason).await?;
                drain(&mut stream).await
            })
            .await;
        }
        End::Blocked(reason) => {
            let _ = timeout(BLOCKED_CLOSE_TIMEOUT, close::<F, IO>(&mut stream, &reason)).await;
        }
        End::ByClient(_) => {
            let _ = timeout(CLOSE_TIMEOUT, drain(&mut stream)).await;
        }
        End::Violation(code, reason) => {
            let text = if F::FRAMED || u16::from(code) >= 3000 { reason.text() } else { "" };
            let frame = CloseFrame { code, reason: text.into() };
            if matches!(timeout(CLOSE_TIMEOUT, stream.close(Some(frame))).await, Ok(Ok(()))) {
                let _ = timeout(LINGER, linger(stream.into_inner())).await;
            }
        }
        End::Lost => {}
    }
}

/// Tells the client why, and begins the closing handshake.
async fn close<F: Framing, IO: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut WebSocketStream<IO>,
    reason: &CloseReason,
) -> Result<(), Error> {
    let frame = if F::FRAMED {
        // The code went in the frame; the handshake's own is 1000, as the reference server's.
        let text = Frame::Close(reason.clone()).encode();
        stream.feed(Wire::Frame(WireFrame::message(text, OpCode::Data(Data::Text), true))).await?;
        CloseFrame { code: CloseCode::Normal, reason: "Normal closure".into() }
    } else {
        CloseFrame { code: CloseCode::from(reason.code()), reason: reason.text().into() }
    };
    stream.close(Some(frame)).await
}

/// Reads until the handshake is done.
async fn drain<IO: AsyncRead + AsyncWrite + Unpin>(stream: &mut WebSocketStream<IO>) -> Result<(), Error> {
    let mut stream = pin!(stream);
    while let Some(message) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        message?;
    }
    Ok(())
}

/// Ends the writing side, then reads and drops what still comes.
async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    if io.shutdown().await.is_err() {
        return;
    }
    let mut dropped = [0; 1024];
    while matches!(io.read(&mut dropped).await, Ok(count) if count > 0) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::StreamExt;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::Texts;
    use crate::transport::websocket::Websocket;

    /// A session whose handler takes a minute for each call, and which remembers its end.
    struct Slow(Arc<AtomicBool>);

    impl Socket for Slow {
        fn poll_next(&mut self, _cx: &mut Context<'_>, _room: Room) -> Poll<Next> {
            Poll::Pending
        }

        fn opened(&self) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }

        fn message_in(&self, _messages: Texts) -> BoxFuture<'static, ()> {
            Box::pin(tokio::time::sleep(Duration::from_secs(60)))
        }

        async fn ended(self, _end: SocketEnd) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A served connection: the client's end, and whether the session is over.
    fn served() -> (DuplexStream, Arc<AtomicBool>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let over = Arc::new(AtomicBool::new(false));
        let socket = Slow(Arc::clone(&over));
        tokio::spawn(async move { run::<Websocket>(near, socket, &Options::default()).await });
        (far, over)
    }

    async fn client(io: DuplexStream) -> WebSocketStream<DuplexStream> {
        WebSocketStream::from_raw_socket(io, Role::Client, None).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_answer_a_ping_is_gone() {
        let (_silent, over) = served();
        tokio::time::sleep(Duration::from_secs(34)).await;
        assert!(!over.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(over.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_stays_though_its_handler_is_busy() {
        let (io, over) = served();
        let mut client = client(io).await;
        client.send(Wire::text("[\"work\"]")).await.unwrap();
        // Reading answers the pings.
        let reading = async { while client.next().await.is_some() {} };
        assert!(timeout(Duration::from_secs(200), reading).await.is_err());
        assert!(!over.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_in_the_middle_of_a_long_message_stays() {
        let (mut io, over) = served();
        // A masked text frame of 60,000 bytes, a hundred of which come each second.
        io.write_all(&[0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0]).await.unwrap();
        for _ in 0..200 {
            io.write_all(&[b'x'; 100]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!over.load(Ordering::Relaxed));
        }
    }
}
