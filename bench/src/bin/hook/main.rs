//! What a hook adds to a message: a round trip to the application, and how much beside.
//!
//! One node in memory, one client on a WebSocket, one application that answers at once, each message after the receipt of
//! the one before. In turns: a message to the application, one to a topic, and a bare POST of the same size to the
//! application on a kept connection.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use sockhop::Node;
use sockhop::server::{Drain, Limits, Server};
use sockhop::stomp::{HttpHook, Stomp};
use sockhop_bench::delays::Delays;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use warp::Filter;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages of each kind.
    #[arg(long, default_value_t = 5000)]
    messages: usize,
}

type Socket = WebSocketStream<TcpStream>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { messages } = Arguments::parse();
    let application = application().await?;
    let mut socket = connected(node(application)?).await?;
    let mut bare = BufReader::new(TcpStream::connect(application).await?);
    bare.get_ref().set_nodelay(true)?;
    let (mut hook, mut topic, mut post) = (Delays::default(), Delays::default(), Delays::default());
    // The first of each opens connections.
    for number in 0..messages + 100 {
        let note = |delays: &mut Delays, since: Instant| {
            if number >= 100 {
                delays.add(since.elapsed().as_nanos() as u64);
            }
        };
        let since = Instant::now();
        receipted(&mut socket, "/app/x").await?;
        note(&mut hook, since);
        let since = Instant::now();
        receipted(&mut socket, "/topic/x").await?;
        note(&mut topic, since);
        let since = Instant::now();
        asked(&mut bare).await?;
        note(&mut post, since);
    }
    let (hook, topic, post) = (hook.record()?, topic.record()?, post.record()?);
    for (name, delay) in [("message to the application", hook), ("message to a topic", topic), ("bare POST", post)]
    {
        println!("{name}: half {:.0} us, 99 of 100 {:.0} us", delay.p50, delay.p99);
    }
    println!("a hook adds {:.2} bare round trips", (hook.p50 - topic.p50) / post.p50);
    Ok(())
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
