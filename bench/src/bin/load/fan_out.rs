//! Websocket fan-out: one of the connections publishes, all receive.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::frames::Dialect;
use crate::message::Template;
use crate::open;
use crate::run::{self, Counters, Timing};
use crate::target::{self, Target};
use crate::ws::{self, Reader, Socket};
use sockhop_bench::record::Traffic;

/// What the publisher and the receivers share.
struct Room {
    counters: Counters,
    members: u64,
    /// Published messages that may be under way, counted by their deliveries.
    window: u64,
    /// Wakes the publisher when one more message has been delivered to all, on average.
    progress: Notify,
}

/// Runs one publisher to `members` receivers, who are spread over the servers.
pub(crate) async fn run(
    targets: &[Target],
    dialect: Dialect,
    members: u32,
    window: u32,
    timing: Timing,
) -> anyhow::Result<Traffic> {
    let room = Arc::new(Room {
        counters: Counters::default(),
        members: u64::from(members),
        window: u64::from(window),
        progress: Notify::new(),
    });
    let sockets =
        open::all(0..members, |id| Socket::open(target::turn(targets, id, 0).clone(), dialect, id)).await?;
    let mut clients = JoinSet::new();
    let mut writers = Vec::new();
    for socket in sockets {
        clients.spawn(receive(socket.reader, room.clone()));
        writers.push(socket.writer);
    }
    // The other write halves stay here: dropping one would close its connection.
    if let Some(writer) = writers.pop() {
        clients.spawn(publish(writer, ws::template(dialect), room.clone()));
    }
    run::measure(clients, &room.counters, room.members, timing).await
}

async fn receive(mut reader: Reader, room: Arc<Room>) -> anyhow::Result<()> {
    loop {
        let count = reader.messages().await?;
        let before = room.counters.received(count);
        if (before + count) / room.members > before / room.members {
            room.progress.notify_one();
        }
    }
}

/// Sends as many messages as the window allows, at once, again and again.
async fn publish(mut writer: OwnedWriteHalf, template: Template, room: Arc<Room>) -> anyhow::Result<()> {
    let mut out = Vec::new();
    let mut sent = 0;
    loop {
        let allowed = room.counters.total_received() / room.members + room.window;
        if sent == allowed {
            room.progress.notified().await;
            continue;
        }
        if !room.counters.may_send(allowed - sent) {
            // Kept open until the last delivery; the measurement ends this task.
            return std::future::pending().await;
        }
        out.clear();
        for number in sent..allowed {
            template.append(number, &mut out);
        }
        writer.write_all(&out).await?;
        sent = allowed;
    }
}
