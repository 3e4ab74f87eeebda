//! Publishers inside a node: tasks that publish to channels in Redis through the library, each one message at a time.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use sockhop::store::RedisStore;
use sockhop::{ChannelName, Node};
use sockhop_bench::record::{Record, Traffic};
use sockhop_bench::redis::{Redis, Spent};
use sockhop_bench::{in_time, process};
use tokio::task::JoinSet;

/// No run takes longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

/// Publishes for a while, and prints what it cost as one line. `server_cpu_seconds` are those of this process.
#[derive(Parser)]
struct Options {
    #[arg(long)]
    redis: SocketAddr,
    /// Tasks that publish.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    /// Channels among which they go around.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    channels: u32,
    /// Milliseconds of publishing before the first reading.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=5_000))]
    warm_up: u64,
    /// Milliseconds between the two readings.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    duration: u64,
    /// What stands before the keys.
    #[arg(long, default_value = "sockhop-bench")]
    prefix: String,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // As the server runs: a thread for each core, of which this process has one.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let record = runtime.block_on(in_time(DEADLINE, run(&options)))?;
    println!("{}", Record::Traffic(record));
    Ok(())
}

async fn run(options: &Options) -> anyhow::Result<Traffic> {
    let store = RedisStore::builder(&format!("redis://{}", options.redis))?.prefix(&options.prefix).build();
    store.started().await?;
    let node = Node::builder().store(Arc::new(store)).build();
    let (published, stopping) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut publishers = JoinSet::new();
    for number in 0..options.publishers {
        let channel = ChannelName::new(&format!("bench-{}", number % options.channels))?;
        publishers.spawn(publish(node.clone(), channel, Arc::clone(&published), Arc::clone(&stopping)));
    }
    let mut redis = Redis::connect(options.redis)?;
    tokio::time::sleep(Duration::from_millis(options.warm_up)).await;
    let before = Reading::take(&published, &mut redis)?;
    tokio::time::sleep(Duration::from_millis(options.duration)).await;
    let after = Reading::take(&published, &mut redis)?;
    stopping.store(true, Ordering::Relaxed);
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    node.drain(Duration::from_secs(2)).await;
    Ok(after.since(&before))
}

/// Publishes one message after the other, each when the one before is accepted.
async fn publish(
    node: Node,
    channel: ChannelName,
    published: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    while !stopping.load(Ordering::Relaxed) {
        node.publish(&channel, MESSAGE).await?;
        published.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// 64 bytes.
const MESSAGE: &str = "0123456789 is this message's number; the rest only fills it up..";

struct Reading {
    at: Instant,
    messages: u64,
    cpu_seconds: f64,
    redis: Spent,
}

impl Reading {
    fn take(published: &AtomicU64, redis: &mut Redis) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            messages: published.load(Ordering::Relaxed),
            cpu_seconds: process::cpu_seconds(std::process::id())?,
            redis: redis.spent()?,
        })
    }

    fn since(&self, before: &Self) -> Traffic {
        Traffic {
            messages: self.messages - before.messages,
            seconds: (self.at - before.at).as_secs_f64(),
            server_cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            redis: self.redis.since(&before.redis),
        }
    }
}
