//! A Redis server of its own for each run.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use sockhop_bench::redis::Redis;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long it may take to answer.
const START: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A port that was free a moment ago may be taken now.
const ATTEMPTS: usize = 5;

/// A running `redis-server`; dropping it kills it.
pub(super) struct Server {
    _child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts one that keeps nothing on disk. `place` runs what it is given on the core where the server is to live.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not answer.
    pub(super) async fn start(place: impl Fn(&mut Command) -> anyhow::Result<Child>) -> anyhow::Result<Self> {
        for _ in 0..ATTEMPTS {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
            command.args(["--save", "", "--appendonly", "no"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
            let mut child =
                place(&mut command).context("starting redis-server; is Redis 7 or later installed?")?;
            if answers(address, &mut child).await? {
                return Ok(Self { _child: child, address });
            }
        }
        bail!("redis-server ended {ATTEMPTS} times before it answered");
    }

    /// What nodes call it.
    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// Waits until the server answers; false when it has ended.
async fn answers(address: SocketAddr, child: &mut Child) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START;
    loop {
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        if let Ok(mut redis) = Redis::connect(address)
            && redis.ask(&["PING"]).is_ok_and(|answer| answer == "PONG")
        {
            return Ok(true);
        }
        if Instant::now() > deadline {
            bail!("redis-server had not answered after {START:?}");
        }
        sleep(ASK_AGAIN).await;
    }
}
