//! Bare servers: the least that a warp filter must do for one kind of traffic. They know no sessions,
//! no heartbeats, no limits and no close frames, and so stand for the limit that a SockJS server on the
//! same libraries can approach. Nobody should run them for anything else.
#![forbid(unsafe_code)]

mod accept;
mod api;
mod fan_out;
mod mailbox;
mod upgrade;
mod ws_echo;
mod xhr;

use std::net::SocketAddr;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;
use tokio::runtime;

/// A bare server; its address stands in the line it prints when it is ready.
#[derive(Parser)]
struct Options {
    /// What it serves.
    mode: Mode,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The tokio runtime. `multi-thread` has one worker.
    #[arg(long, value_enum, default_value_t = Runtime::CurrentThread)]
    runtime: Runtime,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Each websocket gets its text messages back.
    WsEcho,
    /// `POST …/<id>/xhr_send` comes back on the stream of `POST …/<id>/xhr_streaming`.
    XhrStreaming,
    /// `POST …/<id>/xhr_send` comes back as the answer to `POST …/<id>/xhr`.
    XhrPolling,
    /// Each websocket gets the text messages of all.
    FanOut,
    /// `POST …/publish` with a message or a batch of them is read and answered.
    ApiPublish,
}

#[derive(Clone, Copy, ValueEnum)]
enum Runtime {
    CurrentThread,
    MultiThread,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    sockhop_bench::limits::allow_open_files(12_000)?;
    let mut builder = match options.runtime {
        Runtime::CurrentThread => runtime::Builder::new_current_thread(),
        Runtime::MultiThread => runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("listening on {}", options.listen))?;
    println!("bare server listening on http://{}/", listener.local_addr()?);
    match options.mode {
        Mode::WsEcho => accept::run(listener, warp::service(ws_echo::filter())).await,
        Mode::XhrStreaming => accept::run(listener, warp::service(xhr::streaming())).await,
        Mode::XhrPolling => accept::run(listener, warp::service(xhr::polling())).await,
        Mode::FanOut => accept::run(listener, warp::service(fan_out::filter())).await,
        Mode::ApiPublish => accept::run(listener, warp::service(api::filter())).await,
    }
}
