//! Pages of history: a destination of 100,000 messages, and how long one page of 100 takes.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use sockhop::Node;
use sockhop::stomp::{Broker, Cursor, History, Page};
use sockhop::store::{RedisStore, Retention};
use sockhop_bench::clock;
use sockhop_bench::delays::Delays;
use sockhop_bench::in_time;
use sockhop_bench::record::{Delay, Record};

/// No run takes longer than this.
const DEADLINE: Duration = Duration::from_secs(120);
/// Messages in all, and of a page.
const MESSAGES: usize = 100_000;
const PAGE: usize = 100;
/// Messages published at once.
const AT_ONCE: usize = 4;
const DESTINATION: &str = "/topic/bench";

/// Fills the destination unless it is full, reads one page again and again, and prints how long that took as one line.
#[derive(Parser)]
struct Options {
    /// The store; without it, memory.
    #[arg(long)]
    redis: Option<SocketAddr>,
    /// Which page, counted from the newest messages.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    page: u64,
    /// Without a cursor: what is newer is read, and thrown away.
    #[arg(long)]
    offset: bool,
    /// How often it is read.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    times: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let record = runtime.block_on(in_time(DEADLINE, run(&options)))?;
    println!("{}", Record::Delay(record));
    Ok(())
}

async fn run(options: &Options) -> anyhow::Result<Delay> {
    let keep = Retention { entries: 2 * MESSAGES, bytes: 1 << 30, age: Duration::from_secs(3600) };
    let mut node = Node::builder().retention(keep);
    if let Some(redis) = options.redis {
        let store = RedisStore::builder(&format!("redis://{redis}"))?.prefix("sockhop-bench").build();
        store.started().await?;
        node = node.store(Arc::new(store));
    }
    let node = node.build();
    let broker = Broker::new(&node);
    if broker.history(DESTINATION, Page::newest(1)).await?.messages.is_empty() {
        for at in (0..MESSAGES).step_by(AT_ONCE) {
            let send = |number: usize| {
                let broker = &broker;
                async move { broker.send(DESTINATION, format!("{number:0>64}")).await }
            };
            try_join_all((at..at + AT_ONCE).map(send)).await?;
        }
    }
    let cursor = walk(&broker, options.page - 1).await?;
    let mut delays = Delays::default();
    for _ in 0..options.times {
        let begin = clock::nanoseconds();
        let page = match options.offset {
            true => read(&broker, walk(&broker, options.page - 1).await?).await?,
            false => read(&broker, cursor.clone()).await?,
        };
        delays.add(clock::nanoseconds() - begin);
        let newest = MESSAGES - (options.page as usize - 1) * PAGE - 1;
        let last = page.messages.last().context("an empty page")?;
        ensure!(page.messages.len() == PAGE && last.body == format!("{newest:0>64}"), "another page came");
    }
    node.drain(Duration::from_secs(2)).await;
    delays.record()
}

/// Where the page behind so many newer ones ends.
async fn walk(broker: &Broker, pages: u64) -> anyhow::Result<Option<Cursor>> {
    let mut cursor = None;
    for _ in 0..pages {
        cursor = Some(read(broker, cursor).await?.previous.context("there are fewer messages")?);
    }
    Ok(cursor)
}

async fn read(broker: &Broker, before: Option<Cursor>) -> anyhow::Result<History> {
    let page = before.map_or_else(|| Page::newest(PAGE), |before| Page::before(before, PAGE));
    Ok(broker.history(DESTINATION, page).await?)
}
