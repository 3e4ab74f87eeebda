//! The load generator: clients of one kind against one server or several, on one thread. It counts and checks every
//! message, and prints what the server spent as one line for the runner.
//!
//! It is written lean, so that one core of it can keep one core of a fast server busy. It does not answer
//! heartbeats, so a run has to be shorter than the server's heartbeat interval (25 seconds as a rule).
#![forbid(unsafe_code)]

mod api;
mod chunks;
mod delivery;
mod fan_out;
mod frames;
mod http;
mod idle;
mod input;
mod message;
mod open;
mod run;
mod stomp;
mod target;
mod ws;
mod ws_echo;
mod xhr;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sockhop_bench::in_time;
use sockhop_bench::record::{Footprint, Record};

use crate::frames::Dialect;
use crate::run::Timing;
use crate::target::Target;

/// No run takes longer than this, whatever the server does.
const DEADLINE: Duration = Duration::from_secs(120);

/// Drives one server with one kind of load and prints what the server spent on it.
#[derive(Parser)]
struct Options {
    /// The kind of load.
    scenario: Scenario,
    /// Base URL of the service, such as `http://127.0.0.1:8081/echo`. May be given again for more servers, among which
    /// requests and connections go around.
    #[arg(long, required = true)]
    url: Vec<Target>,
    /// Process whose CPU seconds and memory are read. May be given again.
    #[arg(long, required = true)]
    server_pid: Vec<u32>,
    /// The Redis server below, whose CPU seconds and commands are told apart.
    #[arg(long)]
    redis: Option<SocketAddr>,
    /// What websocket messages hold. HTTP transports always speak SockJS.
    #[arg(long, value_enum, default_value_t = Dialect::Sockjs)]
    dialect: Dialect,
    /// Connections or sessions.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    sessions: u32,
    /// Subscriptions of each idle session that speaks STOMP.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=200))]
    subscriptions: u32,
    /// Messages of each websocket (fan-out: of the publisher) that may be under way at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=512))]
    in_flight: u32,
    /// Milliseconds of load before the first reading.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=5_000))]
    warm_up: u64,
    /// Milliseconds between the two readings.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    duration: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Each websocket keeps its messages in flight and gets them back.
    WsEcho,
    /// Each session sends by xhr_send and reads its echo from a stream; one message at a time.
    XhrStreaming,
    /// Each session polls, sends by xhr_send and reads its echo from the poll; one message at a time.
    XhrPolling,
    /// One of the websockets publishes to all of them.
    FanOut,
    /// One message at a time: sent to the first server, waited for at the last.
    Delivery,
    /// Each connection publishes over the HTTP API, as many messages a call as may be under way.
    ApiPublish,
    /// Websocket sessions that say nothing.
    IdleWs,
    /// Streaming sessions that say nothing.
    IdleXhrStreaming,
    /// Websocket sessions that speak STOMP and say nothing but what they subscribe to.
    IdleStomp,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    sockhop_bench::limits::allow_open_files(u64::from(options.sessions) * 2 + 1_000)?;
    println!("{}", in_time(DEADLINE, measured(&options)).await?);
    Ok(())
}

async fn measured(options: &Options) -> anyhow::Result<Record> {
    let timing = Timing {
        servers: options.server_pid.clone(),
        redis: options.redis,
        warm_up: Duration::from_millis(options.warm_up),
        duration: Duration::from_millis(options.duration),
    };
    let (targets, sessions) = (&options.url[..], options.sessions);
    let (dialect, in_flight) = (options.dialect, options.in_flight);
    let traffic = match options.scenario {
        Scenario::WsEcho => ws_echo::run(targets, dialect, sessions, in_flight, timing).await?,
        Scenario::FanOut => fan_out::run(targets, dialect, sessions, in_flight, timing).await?,
        Scenario::XhrStreaming => xhr::run(targets, xhr::Kind::Streaming, sessions, timing).await?,
        Scenario::XhrPolling => xhr::run(targets, xhr::Kind::Polling, sessions, timing).await?,
        Scenario::ApiPublish => api::run(targets, sessions, in_flight, timing).await?,
        Scenario::Delivery => return Ok(Record::Delay(delivery::run(targets, dialect, timing).await?)),
        Scenario::IdleWs => return Ok(Record::Footprint(idle_ws(options).await?)),
        Scenario::IdleXhrStreaming => return Ok(Record::Footprint(idle_xhr(options).await?)),
        Scenario::IdleStomp => return Ok(Record::Footprint(idle_stomp(options).await?)),
    };
    Ok(Record::Traffic(traffic))
}

async fn idle_ws(options: &Options) -> anyhow::Result<Footprint> {
    let open = |id| ws::Socket::open(target::turn(&options.url, id, 0).clone(), options.dialect, id);
    idle::run(&options.server_pid, options.sessions, open).await
}

async fn idle_stomp(options: &Options) -> anyhow::Result<Footprint> {
    let each = options.subscriptions;
    let open = |id| ws::Socket::open_stomp(target::turn(&options.url, id, 0).clone(), id, each);
    idle::run(&options.server_pid, options.sessions, open).await
}

async fn idle_xhr(options: &Options) -> anyhow::Result<Footprint> {
    let open = |id| xhr::Receiver::open(options.url.clone(), xhr::Kind::Streaming, id);
    idle::run(&options.server_pid, options.sessions, open).await
}
