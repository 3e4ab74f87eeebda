//! A bare Pub/Sub hop: one process publishes the time to Redis, another takes it from there and says how old it is.
//! Both do only what is needed; nothing that goes through Redis can be quicker.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use sockhop_bench::clock;
use sockhop_bench::delays::Delays;
use sockhop_bench::redis::Redis;

/// One side of a hop. The subscriber says `ready`, and in the end what the hops took, as one line.
#[derive(Parser)]
struct Options {
    side: Side,
    #[arg(long)]
    redis: SocketAddr,
    /// Milliseconds during which to publish.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    duration: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Side {
    Publish,
    Subscribe,
}

const CHANNEL: &str = "sockhop-bench-hop";
/// What ends the subscriber.
const END: &str = "end";
/// Between two messages everything comes to rest.
const PAUSE: Duration = Duration::from_millis(3);
/// Messages are as long as those of the other programs.
const LENGTH: usize = 64;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut redis = Redis::connect(options.redis)?;
    match options.side {
        Side::Publish => publish(&mut redis, Duration::from_millis(options.duration)),
        Side::Subscribe => subscribe(&mut redis),
    }
}

fn publish(redis: &mut Redis, duration: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        sleep(PAUSE);
        let now = format!("{:0LENGTH$}", clock::nanoseconds());
        redis.ask(&["PUBLISH", CHANNEL, &now])?;
    }
    redis.ask(&["PUBLISH", CHANNEL, END])?;
    Ok(())
}

fn subscribe(redis: &mut Redis) -> anyhow::Result<()> {
    redis.send(&["SUBSCRIBE", CHANNEL])?;
    message(redis)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    let mut delays = Delays::default();
    loop {
        let message = message(redis)?;
        let now = clock::nanoseconds();
        if message == END {
            break;
        }
        let sent: u64 = message.parse().context("a time")?;
        delays.add(now.saturating_sub(sent));
    }
    writeln!(out, "{}", sockhop_bench::record::Record::Delay(delays.record()?))?;
    Ok(())
}

/// What a subscription brings: its kind, its channel, and a payload.
fn message(redis: &mut Redis) -> anyhow::Result<String> {
    let fields = redis.list()?;
    let mut last = String::new();
    for _ in 0..fields {
        last = redis.answer()?;
    }
    Ok(last)
}
