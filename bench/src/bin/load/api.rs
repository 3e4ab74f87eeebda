//! Publishing over the HTTP API: each connection makes one call after the other.

use std::sync::Arc;

use anyhow::ensure;
use sockhop_bench::record::Traffic;
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::run::{self, Counters, Timing};
use crate::target::{self, Target};

/// What the servers' keys are: `bench/api.keys`.
const KEY: &str = "bench-key-0123456789";
/// Destinations among which connections go around.
const DESTINATIONS: u32 = 8;
/// 64 bytes, as publishers inside a node have them.
const MESSAGE: &str = "0123456789 is this message's number; the rest only fills it up..";

/// Runs so many connections, each with `batch` messages a call.
pub(crate) async fn run(
    targets: &[Target],
    connections: u32,
    batch: u32,
    timing: Timing,
) -> anyhow::Result<Traffic> {
    let counters = Arc::<Counters>::default();
    let mut callers = JoinSet::new();
    for id in 0..connections {
        let target = target::turn(targets, id, 0);
        let (connection, request) = (Connection::open(target).await?, request(target, id, batch));
        callers.spawn(publish(connection, request, u64::from(batch), counters.clone()));
    }
    run::measure(callers, &counters, 1, timing).await
}

async fn publish(
    mut connection: Connection,
    request: Vec<u8>,
    batch: u64,
    counters: Arc<Counters>,
) -> anyhow::Result<()> {
    let mut answer = Vec::new();
    while counters.may_send(batch) {
        connection.send(&request).await?;
        connection.answer(200).await?;
        answer.clear();
        while connection.body(&mut answer).await? {}
        let accepted = memchr::memmem::find_iter(&answer, b"\"messageId\":").count() as u64;
        ensure!(accepted == batch, "{accepted} of {batch} messages were accepted");
        counters.received(batch);
    }
    Ok(())
}

fn request(target: &Target, id: u32, batch: u32) -> Vec<u8> {
    let message = format!("{{\"destination\":\"/topic/bench-{}\",\"body\":\"{MESSAGE}\"}}", id % DESTINATIONS);
    let (call, body) = match batch {
        1 => ("publish", message),
        _ => {
            let messages = vec![message; batch as usize].join(",");
            ("publish/batch", format!("{{\"messages\":[{messages}]}}"))
        }
    };
    let head = format!(
        "POST {}/v1/{call} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        target.base(),
        target.host(),
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}
