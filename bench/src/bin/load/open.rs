//! Opening many sessions.

use std::ops::Range;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Sessions that are being opened at the same time.
const AT_ONCE: usize = 100;

/// How long one session may take to open.
const LONGEST: Duration = Duration::from_secs(10);

/// Opens a session for each of `ids` with `open`; they come in the order in which they opened.
///
/// # Errors
/// When one does not open, or not in time.
pub(crate) async fn all<S, F>(mut ids: Range<u32>, open: impl Fn(u32) -> F) -> anyhow::Result<Vec<S>>
where
    S: Send + 'static,
    F: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    let mut opened = Vec::with_capacity(ids.len());
    let mut opening = JoinSet::new();
    for id in ids.by_ref().take(AT_ONCE) {
        opening.spawn(timeout(LONGEST, open(id)));
    }
    while let Some(session) = opening.join_next().await {
        let session = session?.with_context(|| format!("a session had not opened after {LONGEST:?}"))?;
        opened.push(session.context("opening a session")?);
        if let Some(id) = ids.next() {
            opening.spawn(timeout(LONGEST, open(id)));
        }
    }
    Ok(opened)
}
