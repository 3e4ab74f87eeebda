//! What a hook adds to a message: a round trip to the application, and how much beside.
//!
//! One node in memory, one client on a WebSocket, one application that answers at once, each message after the receipt of
//! the one before. In turns: a message to the application, one to a topic, and a bare POST of the same size to the
//! application on a kept connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use sockhop::Node;
use sockhop::server::{Drain, Limits, Server};
use sockhop::stomp::{HttpHook, Stomp};
use sockhop_bench::delays::Delays;
use sockhop_bench::in_time;
use sockhop_bench::record::Record;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use warp::Filter;

/// Prints how long messages to the application took, then those to a topic, then bare POSTs, each as one line.
#[derive(Debug, Parser)]
struct Arguments {
    /// Milliseconds of measuring.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    duration: u64,
}

/// Messages that are sent before those that count: the first of each kind opens connections.
const WARM_UP: u32 = 100;
/// No run takes longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    for delays in in_time(DEADLINE, measured(&arguments)).await? {
        println!("{}", Record::Delay(delays.record()?));
    }
    Ok(())
}

async fn measured(arguments: &Arguments) -> anyhow::Result<[Delays; 3]> {
    let application = application().await?;
    let mut socket = connected(node(application)?).await?;
    let mut bare = BufReader::new(TcpStream::connect(application).await?);
    bare.get_ref().set_nodelay(true)?;
    for _ in 0..WARM_UP {
        one_of_each(&mut socket, &mut bare).await?;
    }
    let mut delays: [Delays; 3] = Default::default();
    let end = Instant::now() + Duration::from_millis(arguments.duration);
    while Instant::now() < end {
        let took = one_of_each(&mut socket, &mut bare).await?;
        delays.iter_mut().zip(took).for_each(|(delays, took)| delays.add(took.as_nanos() as u64));
    }
    Ok(delays)
}

/// A message to the application, one to a topic, a bare POST: what each took.
async fn one_of_each(socket: &mut Socket, bare: &mut BufReader<TcpStream>) -> anyhow::Result<[Duration; 3]> {
    let start = Instant::now();
    receipted(socket, "/app/x").await?;
    let answered = Instant::now();
    receipted(socket, "/topic/x").await?;
    let published = Instant::now();
    asked(bare).await?;
    Ok([answered - start, published - answered, published.elapsed()])
}

/// A node with its application behind a hook.
fn node(application: SocketAddr) -> anyhow::Result<SocketAddr> {
    let node = Node::new();
    let hook = HttpHook::builder(&format!("http://{application}/"))?.build();
    let service = Stomp::new().app("/app/**", hook).service("/ws").build(&node);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default())?;
    let address = server.local_addr()?;
    let rest = warp::any().map(|| warp::reply::Reply::into_response("")).boxed();
    tokio::spawn(async move {
        server.serve(&node, vec![service], rest, std::future::pending(), Drain::default()).await
    });
    Ok(address)
}

/// An application that answers every call with nothing to do.
async fn application() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut stream = BufReader::new(stream);
                while body(&mut stream).await.is_ok() {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    if stream.get_mut().write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(address)
}

/// Reads a message of HTTP to its end.
async fn body(stream: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line).await? > 0, "the connection has ended");
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(())
}

async fn connected(address: SocketAddr) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/ws/websocket"), stream).await?;
    socket.send(Message::text("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\0")).await?;
    expect(&mut socket, "CONNECTED").await?;
    Ok(socket)
}

/// Sends a message and waits for its receipt.
async fn receipted(socket: &mut Socket, destination: &str) -> anyhow::Result<()> {
    let body = "x".repeat(64);
    socket.send(Message::text(format!("SEND\ndestination:{destination}\nreceipt:r\n\n{body}\0"))).await?;
    expect(socket, "RECEIPT").await
}

async fn expect(socket: &mut Socket, command: &str) -> anyhow::Result<()> {
    loop {
        match socket.next().await.context("the connection goes on")?? {
            Message::Text(text) if text.starts_with(command) => return Ok(()),
            Message::Text(text) => bail!("{text}"),
            _ => {}
        }
    }
}

/// The same to the application itself: a POST with a body of the size that a hook has.
async fn asked(stream: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let body = "x".repeat(320);
    let request = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(request.as_bytes()).await?;
    self::body(stream).await
}
