//! Websocket echo: each connection keeps a number of messages in flight.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::frames::Dialect;
use crate::open;
use crate::run::{self, Counters, Timing};
use crate::target::{self, Target};
use crate::ws::{self, Socket};
use sockhop_bench::record::Traffic;

/// Runs `connections` echo clients.
pub(crate) async fn run(
    targets: &[Target],
    dialect: Dialect,
    connections: u32,
    in_flight: u32,
    timing: Timing,
) -> anyhow::Result<Traffic> {
    let counters = Arc::<Counters>::default();
    let sockets =
        open::all(0..connections, |id| Socket::open(target::turn(targets, id, 0).clone(), dialect, id)).await?;
    let mut clients = JoinSet::new();
    for socket in sockets {
        clients.spawn(echo(socket, dialect, u64::from(in_flight), counters.clone()));
    }
    run::measure(clients, &counters, 1, timing).await
}

/// Answers each message that comes back with the next one, until no more is to be sent.
async fn echo(
    mut socket: Socket,
    dialect: Dialect,
    in_flight: u64,
    counters: Arc<Counters>,
) -> anyhow::Result<()> {
    let template = ws::template(dialect);
    let mut out = Vec::new();
    let mut sent = 0;
    let mut to_send = in_flight;
    while counters.may_send(to_send) {
        out.clear();
        for _ in 0..to_send {
            template.append(sent, &mut out);
            sent += 1;
        }
        socket.writer.write_all(&out).await?;
        to_send = socket.reader.messages().await?;
        counters.received(to_send);
    }
    while socket.reader.inbox.received() < sent {
        let count = socket.reader.messages().await?;
        counters.received(count);
    }
    Ok(())
}
