//! How long a message is on its way: one at a time, from a websocket of the first server to one of the last. With one
//! server and an echo service it is the echo to the same websocket.

use std::time::Duration;

use sockhop_bench::clock;
use sockhop_bench::delays::Delays;
use sockhop_bench::record::Delay;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use crate::frames::Dialect;
use crate::run::Timing;
use crate::target::Target;
use crate::ws::{self, Socket};

/// Between two messages everything comes to rest.
const PAUSE: Duration = Duration::from_millis(3);

/// A message that takes longer does not come.
const LONGEST: Duration = Duration::from_secs(10);

/// Sends messages from the first target to the last for as long as `timing` says.
pub(crate) async fn run(targets: &[Target], dialect: Dialect, timing: Timing) -> anyhow::Result<Delay> {
    let mut sender = Socket::open(targets[0].clone(), dialect, 0).await?;
    let mut receiver = match targets {
        [_] => None,
        [.., last] => Some(Socket::open(last.clone(), dialect, 1).await?),
        [] => None,
    };
    let template = ws::template(dialect);
    let (mut delays, mut out) = (Delays::default(), Vec::new());
    let (begin, end) = (Instant::now() + timing.warm_up, Instant::now() + timing.warm_up + timing.duration);
    for number in 0.. {
        sleep(PAUSE).await;
        if Instant::now() > end {
            break;
        }
        out.clear();
        template.append(number, &mut out);
        let sent = clock::nanoseconds();
        sender.writer.write_all(&out).await?;
        if let Some(receiver) = &mut receiver {
            arrival(receiver, number).await?;
        } else {
            arrival(&mut sender, number).await?;
        }
        let taken = clock::nanoseconds() - sent;
        if receiver.is_some() {
            arrival(&mut sender, number).await?;
        }
        if Instant::now() > begin {
            delays.add(taken);
        }
    }
    delays.record()
}

/// Waits until the message of this number has come.
async fn arrival(socket: &mut Socket, number: u64) -> anyhow::Result<()> {
    while socket.reader.inbox.received() <= number {
        timeout(LONGEST, socket.reader.messages()).await??;
    }
    Ok(())
}
