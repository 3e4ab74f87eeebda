//! Reading on in the channels that a receiver follows.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sockhop_transports::Messages;

use crate::hub::{Ahead, Follow, Mailbox, Render, Rendering};
use crate::node::NodeInner;
use crate::store::{Position, Slice, size_of};

/// The cursors of a receiver, driven.
pub(super) struct Reader {
    node: Arc<NodeInner>,
    pub(super) mailbox: Arc<Mailbox>,
    /// How entries of tagged feeds are rendered.
    render: Option<Arc<dyn Render>>,
    /// A read from the store, for a channel whose ring does not reach back to the cursor.
    reading: Option<BoxFuture<'static, (u32, Follow, Slice)>>,
}

/// Entries that a session should have got are gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed;

/// How long a store that failed is left alone.
pub(super) const RETRY: Duration = Duration::from_millis(500);

impl Reader {
    pub(super) fn new(node: Arc<NodeInner>, mailbox: Arc<Mailbox>, render: Option<Arc<dyn Render>>) -> Self {
        Self { node, mailbox, render, reading: None }
    }

    /// Whether the store was asked, and has not answered.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Adds what came to `messages`, until they have `bytes` or there is no more.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        messages: &mut Messages,
    ) -> Result<(), Missed> {
        loop {
            let left = bytes.saturating_sub(size_of(messages));
            if left == 0 {
                return Ok(());
            }
            if let Some(reading) = &mut self.reading {
                let Poll::Ready((slot, follow, slice)) = reading.as_mut().poll(cx) else { return Ok(()) };
                self.reading = None;
                self.take(slot, &follow, slice, messages)?;
                continue;
            }
            let Some((slot, follow)) = self.mailbox.next_fresh() else { return Ok(()) };
            let before = messages.len();
            match follow.channel.after(follow.follower, follow.cursor, left, self.rendering(&follow), messages) {
                Ahead::Nothing => {}
                Ahead::Messages { last, all } => {
                    if !self.mailbox.advance(slot, follow.generation, last) {
                        messages.truncate(before);
                    } else if !all {
                        self.mailbox.again(slot);
                        return Ok(());
                    }
                }
                Ahead::Unknown => self.reading = Some(Box::pin(read(Arc::clone(&self.node), slot, follow, left))),
            }
        }
    }

    fn rendering<'a>(&'a self, follow: &'a Follow) -> Option<Rendering<'a>> {
        Some(Rendering { tag: follow.tag.as_ref()?, render: self.render.as_deref()? })
    }

    fn take(&self, slot: u32, follow: &Follow, slice: Slice, messages: &mut Messages) -> Result<(), Missed> {
        if slice.gap {
            // Of a follow that is another one by now, nothing was missed.
            let still_followed = self.mailbox.advance(slot, follow.generation, follow.cursor);
            return if still_followed { Err(Missed) } else { Ok(()) };
        }
        if let Some(last) = slice.entries.last() {
            let last = Position { epoch: slice.epoch, seq: last.seq };
            if self.mailbox.advance(slot, follow.generation, last) {
                match self.rendering(follow) {
                    None => messages.extend(slice.entries.into_iter().map(|entry| entry.message)),
                    Some(Rendering { render, tag }) => messages.extend(slice.entries.iter().filter_map(|entry| {
                        let at = Position { epoch: slice.epoch, seq: entry.seq };
                        render.render(tag, follow.channel.name(), at, &entry.message)
                    })),
                }
                self.mailbox.again(slot);
            }
        }
        Ok(())
    }
}

async fn read(node: Arc<NodeInner>, slot: u32, follow: Follow, bytes: usize) -> (u32, Follow, Slice) {
    loop {
        match node.store.read(follow.channel.name(), follow.cursor, bytes).await {
            Ok(slice) => return (slot, follow, slice),
            Err(error) => {
                tracing::warn!(%error, channel = %follow.channel.name(), "could not read a channel");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
