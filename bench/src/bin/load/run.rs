//! One measured run: warm up, read the server's clock, wait, read again, stop, and see that nothing is lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sockhop_bench::process;
use sockhop_bench::record::Traffic;
use sockhop_bench::redis::{Redis, Spent};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How long the last messages may take to arrive.
const LAST_MESSAGES: Duration = Duration::from_secs(10);

/// How much longer than asked for a run may take until its first message arrives: short runs on a machine
/// with other work to do.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Whose clocks are read, and when.
#[derive(Clone)]
pub(crate) struct Timing {
    /// The server's processes.
    pub(crate) servers: Vec<u32>,
    /// The Redis server below it.
    pub(crate) redis: Option<SocketAddr>,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What all clients of a run have sent and received. Everything runs on one thread, so relaxed
/// operations suffice, and nothing can come between a client's check and its count.
#[derive(Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    stopping: AtomicBool,
    arrival: Notify,
}

impl Counters {
    /// Counts `count` messages as sent, unless the run is ending: then nothing more may be sent.
    #[must_use]
    pub(crate) fn may_send(&self, count: u64) -> bool {
        let allowed = !self.stopping.load(Ordering::Relaxed);
        if allowed {
            self.sent.fetch_add(count, Ordering::Relaxed);
        }
        allowed
    }

    /// Counts `count` messages as received; gives how many had been received before.
    pub(crate) fn received(&self, count: u64) -> u64 {
        let before = self.received.fetch_add(count, Ordering::Relaxed);
        self.arrival.notify_one();
        before
    }

    /// How many messages all clients have received.
    pub(crate) fn total_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn total_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Lets the clients run and reads the server's CPU seconds at both ends of the measured time. In the end
/// each message that was sent has been received by `receivers` clients.
///
/// # Errors
/// When a client fails, a message is missing, or the server cannot be looked at.
pub(crate) async fn measure(
    mut clients: JoinSet<anyhow::Result<()>>,
    counters: &Counters,
    receivers: u64,
    timing: Timing,
) -> anyhow::Result<Traffic> {
    let mut clocks = Clocks::of(&timing)?;
    undisturbed(&mut clients, timing.warm_up).await?;
    let before = clocks.read(counters)?;
    undisturbed(&mut clients, timing.duration).await?;
    timeout(FIRST_MESSAGE, arrived(&mut clients, counters, before.messages + 1))
        .await
        .with_context(|| format!("no message had arrived {FIRST_MESSAGE:?} after the measured time"))??;
    let after = clocks.read(counters)?;
    counters.stopping.store(true, Ordering::Relaxed);
    let expected = counters.total_sent() * receivers;
    timeout(LAST_MESSAGES, arrived(&mut clients, counters, expected)).await.with_context(|| {
        let total = counters.total_received();
        format!("{LAST_MESSAGES:?} after the last send {total} of {expected} messages had arrived")
    })??;
    let total = counters.total_received();
    ensure!(total == expected, "{total} messages arrived, {expected} were expected");
    Ok(Traffic {
        messages: after.messages - before.messages,
        seconds: (after.at - before.at).as_secs_f64(),
        server_cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        redis: after.redis.since(&before.redis),
    })
}

/// What is read at both ends of the measured time.
struct Clocks {
    servers: Vec<u32>,
    redis: Option<Redis>,
}

struct Reading {
    at: Instant,
    messages: u64,
    cpu_seconds: f64,
    redis: Spent,
}

impl Clocks {
    fn of(timing: &Timing) -> anyhow::Result<Self> {
        let redis = timing.redis.map(Redis::connect).transpose()?;
        Ok(Self { servers: timing.servers.clone(), redis })
    }

    fn read(&mut self, counters: &Counters) -> anyhow::Result<Reading> {
        let mut cpu_seconds = 0.0;
        for server in &self.servers {
            cpu_seconds += process::cpu_seconds(*server)?;
        }
        let redis = self.redis.as_mut().map(Redis::spent).transpose()?.unwrap_or_default();
        Ok(Reading { at: Instant::now(), messages: counters.total_received(), cpu_seconds, redis })
    }
}

/// Lets time pass; a client that ends meanwhile is an error.
async fn undisturbed(clients: &mut JoinSet<anyhow::Result<()>>, time: Duration) -> anyhow::Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = clients.join_next() => {
            ended??;
            bail!("a client ended before its time")
        }
    }
}

/// Waits until `wanted` messages have been received.
async fn arrived(
    clients: &mut JoinSet<anyhow::Result<()>>,
    counters: &Counters,
    wanted: u64,
) -> anyhow::Result<()> {
    while counters.total_received() < wanted {
        tokio::select! {
            () = counters.arrival.notified() => {}
            Some(ended) = clients.join_next() => ended??,
        }
    }
    Ok(())
}
