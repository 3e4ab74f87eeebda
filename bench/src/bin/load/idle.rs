//! What an idle session costs in memory: the server's resident bytes before and after many are opened.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{bail, ensure};
use sockhop_bench::process;
use sockhop_bench::record::Footprint;
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::open;

/// Sessions that are open before the first reading, so that what is allocated once is not counted.
const WARM_UP: u32 = 200;

/// Memory counts as settled when this many readings in a row lie within [`STEADY`] bytes.
const READINGS: usize = 6;
const STEADY: u64 = 64 * 1024;
const BETWEEN_READINGS: Duration = Duration::from_millis(100);
const MOST_READINGS: usize = 100;

/// An open session that nobody reads from.
pub(crate) trait Silent: Send + 'static {
    /// Its socket.
    fn stream(&self) -> &TcpStream;
}

/// Opens `sessions` sessions with `open` and compares the resident bytes of `servers`.
pub(crate) async fn run<S, O, F>(servers: &[u32], sessions: u32, open: O) -> anyhow::Result<Footprint>
where
    S: Silent,
    O: Fn(u32) -> F,
    F: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    let mut opened = open::all(0..WARM_UP, &open).await?;
    let bytes_before = settled_bytes(servers).await?;
    opened.extend(open::all(WARM_UP..WARM_UP + sessions, &open).await?);
    let bytes_after = settled_bytes(servers).await?;
    for session in &opened {
        still_open(session.stream())?;
    }
    Ok(Footprint { sessions: u64::from(sessions), bytes_before, bytes_after })
}

async fn settled_bytes(servers: &[u32]) -> anyhow::Result<u64> {
    let mut recent = VecDeque::with_capacity(READINGS);
    let mut ticks = interval(BETWEEN_READINGS);
    for _ in 0..MOST_READINGS {
        ticks.tick().await;
        if recent.len() == READINGS {
            recent.pop_front();
        }
        let mut bytes = 0;
        for server in servers {
            bytes += process::resident_bytes(*server)?;
        }
        recent.push_back(bytes);
        let spread = recent.iter().max().unwrap_or(&0) - recent.iter().min().unwrap_or(&0);
        if recent.len() == READINGS && spread <= STEADY {
            return Ok(bytes);
        }
    }
    bail!("the server's memory did not settle: {recent:?} bytes");
}

/// Heartbeats may have come; an end may not.
fn still_open(stream: &TcpStream) -> anyhow::Result<()> {
    match stream.try_read(&mut [0; 1024]) {
        Ok(count) => ensure!(count > 0, "the server closed an idle session"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
