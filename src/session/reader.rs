//! Reading on in the channels that a receiver follows.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sockhop_transports::{Message, Messages};

use super::lead::{Leader, Stem};
use super::track::{Track, Tracked};
use crate::hub::{Ahead, Follow, Mailbox, Render, Rendering};
use crate::node::NodeInner;
use crate::service::ServiceState;
use crate::store::{Position, Slice, size_of};

/// The cursors of a receiver, driven.
pub(super) struct Reader {
    node: Arc<NodeInner>,
    pub(super) mailbox: Arc<Mailbox>,
    /// How entries of tagged feeds are rendered.
    render: Option<Arc<dyn Render>>,
    /// Who wants to know what clients have.
    track: Option<Arc<dyn Track>>,
    /// What of that was handed out since it was last asked for.
    tracked: Option<Tracked>,
    /// What has to be done before there is more to hand out.
    work: Option<BoxFuture<'static, Done>>,
}

/// Work that is done, for the follow in a slot.
enum Done {
    /// A read from the store, for a channel whose ring does not reach back to the cursor.
    Read(u32, Follow, Slice),
    /// What entries up to there led to.
    Led(u32, Follow, Position),
    /// The session is over, or somebody else's: its receiver is told of it.
    Gone,
}

/// Entries that a session should have got are gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed;

/// How long a store that failed is left alone.
pub(super) const RETRY: Duration = Duration::from_millis(500);

impl Reader {
    pub(super) fn new(node: Arc<NodeInner>, mailbox: Arc<Mailbox>, service: &ServiceState) -> Self {
        let (render, track) = (service.render.clone(), service.track.clone());
        Self { node, mailbox, render, track, tracked: None, work: None }
    }

    /// Takes note of what was handed out of feeds that the service tracks.
    pub(super) fn take_tracked(&mut self) -> Option<Tracked> {
        self.tracked.take()
    }

    fn handed(&mut self, tag: Option<&Arc<str>>, entries: usize) {
        let window = tag.and_then(|tag| self.track.as_ref()?.window(tag));
        if let Some(window) = window.filter(|_| entries > 0) {
            let tracked = self.tracked.get_or_insert(Tracked { entries: 0, window });
            tracked.entries += entries;
            tracked.window = tracked.window.min(window);
        }
    }

    /// Whether the store was asked, and has not answered.
    pub(super) fn is_reading(&self) -> bool {
        self.work.is_some()
    }

    /// Adds what came to `messages`, until they have `bytes` or there is no more.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        messages: &mut Messages,
        leader: &dyn Leader,
    ) -> Result<(), Missed> {
        loop {
            let left = bytes.saturating_sub(size_of(messages));
            if left == 0 {
                return Ok(());
            }
            if let Some(work) = &mut self.work {
                let Poll::Ready(done) = work.as_mut().poll(cx) else { return Ok(()) };
                self.work = None;
                match done {
                    Done::Read(slot, follow, slice) => self.take(slot, follow, slice, messages, leader)?,
                    Done::Led(slot, follow, last) => self.pass(slot, &follow, last),
                    Done::Gone => {}
                }
                continue;
            }
            let Some((slot, follow)) = self.mailbox.next_fresh() else { return Ok(()) };
            let leads = self.leads(&follow);
            let mut entries = Messages::new();
            let into = if leads { &mut entries } else { &mut *messages };
            let before = into.len();
            let rendering = if leads { None } else { self.rendering(&follow) };
            match follow.channel.after(follow.follower, follow.cursor, left, rendering, into) {
                Ahead::Nothing => {}
                Ahead::Messages { last, .. } if leads => self.lead(slot, follow, last, &entries, leader),
                Ahead::Messages { last, all } => {
                    if !self.mailbox.advance(slot, follow.generation, last) {
                        messages.truncate(before);
                        continue;
                    }
                    self.handed(follow.tag.as_ref(), messages.len() - before);
                    if !all {
                        self.mailbox.again(slot);
                        return Ok(());
                    }
                }
                Ahead::Unknown => self.work = Some(Box::pin(read(Arc::clone(&self.node), slot, follow, left))),
            }
        }
    }

    /// Entries of this follow, which does not lead, are handed out as they were rendered; without a tag, as they are.
    fn rendering<'a>(&'a self, follow: &'a Follow) -> Option<Rendering<'a>> {
        Some(Rendering { tag: follow.tag.as_ref()?, render: self.render.as_deref()? })
    }

    /// Whether a follow is there for what its entries lead to.
    fn leads(&self, follow: &Follow) -> bool {
        self.render.as_ref().zip(follow.tag.as_ref()).is_some_and(|(render, tag)| render.leads(tag))
    }

    /// Does what entries lead to. Only then they are behind the receiver: whoever comes after it else does it again.
    fn lead<'e>(
        &mut self,
        slot: u32,
        follow: Follow,
        last: Position,
        entries: impl IntoIterator<Item = &'e Message>,
        leader: &dyn Leader,
    ) {
        let (Some(render), Some(tag)) = (&self.render, &follow.tag) else { return };
        let leads: Vec<_> = entries.into_iter().filter_map(|entry| render.lead(tag, entry)).collect();
        if leads.is_empty() {
            self.pass(slot, &follow, last);
            return;
        }
        let work = leader.act(Stem { feed: follow.feed(), generation: follow.generation }, leads);
        self.work =
            Some(Box::pin(async move { if work.await { Done::Led(slot, follow, last) } else { Done::Gone } }));
    }

    /// Goes on behind entries of which nothing is handed out.
    fn pass(&self, slot: u32, follow: &Follow, last: Position) {
        if self.mailbox.advance(slot, follow.generation, last) {
            self.mailbox.again(slot);
        }
    }

    fn take(
        &mut self,
        slot: u32,
        follow: Follow,
        slice: Slice,
        messages: &mut Messages,
        leader: &dyn Leader,
    ) -> Result<(), Missed> {
        if slice.gap {
            // Of a follow that is another one by now, nothing was missed.
            let still_followed = self.mailbox.advance(slot, follow.generation, follow.cursor);
            return if still_followed { Err(Missed) } else { Ok(()) };
        }
        let Some(last) = slice.entries.last() else { return Ok(()) };
        let last = Position { epoch: slice.epoch, seq: last.seq };
        if self.leads(&follow) {
            self.lead(slot, follow, last, slice.entries.iter().map(|entry| &entry.message), leader);
        } else if self.mailbox.advance(slot, follow.generation, last) {
            self.handed(follow.tag.as_ref(), slice.entries.len());
            match self.rendering(&follow) {
                None => messages.extend(slice.entries.into_iter().map(|entry| entry.message)),
                Some(Rendering { render, tag }) => messages.extend(slice.entries.iter().filter_map(|entry| {
                    let at = Position { epoch: slice.epoch, seq: entry.seq };
                    render.render(tag, follow.channel.name(), at, &entry.message)
                })),
            }
            self.mailbox.again(slot);
        }
        Ok(())
    }
}

async fn read(node: Arc<NodeInner>, slot: u32, follow: Follow, bytes: usize) -> Done {
    loop {
        match node.store.read(follow.channel.name(), follow.cursor, bytes).await {
            Ok(slice) => return Done::Read(slot, follow, slice),
            Err(error) => {
                tracing::warn!(%error, channel = %follow.channel.name(), "could not read a channel");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
