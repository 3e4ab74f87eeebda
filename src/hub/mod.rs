//! A node's local fan-out: which receivers here follow which channels.
//!
//! A channel's entries are kept once, in a short ring; a receiver is told that there is news and reads on from its own
//! cursor. So no receiver has a queue that could grow, and a message is shared by all that get it.

mod channel;
mod mailbox;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use channel::{Ahead, Channel, Farewell, Lead, Render, Rendering};
pub(crate) use mailbox::{Drawn, Follow, Mailbox, Refused};

use crate::id::{ChannelName, NodeId};
use crate::store::{Entry, Epoch, Feed, Position, Store, StoreError};

/// The channels that a node follows.
#[derive(Default)]
pub(crate) struct Hub {
    channels: Mutex<HashMap<ChannelName, Arc<Channel>>>,
    tags: Mutex<Tags>,
}

/// Tags, each kept once however many follows have it: most clients name their subscriptions alike.
#[derive(Default)]
struct Tags(HashSet<Arc<str>>);

/// Tags that are looked for among those of other follows.
const MOST_TAGS: usize = 1024;

/// How long a channel that nobody here follows is kept: polls come back.
const LINGER: Duration = Duration::from_secs(30);

impl Hub {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelName, Arc<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries came from the store.
    pub(crate) fn deliver(&self, channel: &ChannelName, epoch: Epoch, entries: &[Entry]) {
        let followed = self.lock().get(channel).map(Arc::clone);
        if let Some(followed) = followed {
            followed.deliver(epoch, entries);
        }
    }

    /// The store says where a channel stands: entries before that may have been missed.
    pub(crate) fn notice(&self, channel: &ChannelName, head: Position) {
        let followed = self.lock().get(channel).map(Arc::clone);
        if let Some(followed) = followed {
            followed.notice(head);
        }
    }

    /// Follows a channel from `from` on, or from now on where `from` is `None`; where it then stands.
    pub(crate) async fn follow(
        &self,
        store: &dyn Store,
        node: NodeId,
        feed: &Feed,
        from: Option<Position>,
        follower: NewFollower<'_>,
    ) -> Result<Position, StoreError> {
        let name = &feed.channel;
        let channel =
            Arc::clone(self.lock().entry(name.clone()).or_insert_with(|| Arc::new(Channel::new(name.clone()))));
        // Added before the store is asked: whoever sweeps idle channels leaves this one alone.
        let slot = follower.mailbox.reserve();
        let id = channel.add(Arc::clone(follower.mailbox), slot, follower.limit);
        let reserved = Reserved { mailbox: follower.mailbox, slot, channel: &channel, follower: id };
        channel
            .followed
            .get_or_try_init(|| async {
                channel.start(store.follow(node, name).await?);
                Ok::<_, StoreError>(())
            })
            .await?;
        std::mem::forget(reserved);
        let cursor = from.or_else(|| channel.head()).unwrap_or(Position { epoch: Epoch(0), seq: 0 });
        let tag = feed.tag.as_ref().map(|tag| self.share(tag));
        let follow = Follow { channel, tag, follower: id, generation: follower.generation, cursor };
        follower.mailbox.insert(slot, follow);
        Ok(cursor)
    }

    fn share(&self, tag: &Arc<str>) -> Arc<str> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).share(tag)
    }

    /// Ends all follows of a receiver.
    pub(crate) fn unfollow_all(mailbox: &Mailbox) {
        mailbox.follows().iter().for_each(Follow::end);
    }

    /// Ends the receivers here that do not keep up with what they follow.
    pub(crate) fn end_slow(&self, now: Instant) {
        let channels: Vec<_> = self.lock().values().map(Arc::clone).collect();
        channels.iter().for_each(|channel| channel.end_slow(now));
    }

    /// Takes out the channels that nobody has followed for a while.
    pub(crate) fn take_idle(&self, now: Instant) -> Vec<ChannelName> {
        let mut idle = Vec::new();
        self.lock().retain(|name, channel| {
            let keep = match channel.idle_since() {
                Some(since) => now.duration_since(since) < LINGER || Arc::strong_count(channel) > 1,
                None => true,
            };
            // One that the store was never asked about is not to be undone there.
            if !keep && channel.followed.initialized() {
                idle.push(name.clone());
            }
            keep
        });
        idle
    }
}

impl Tags {
    /// The tag as another follow has it, if one does.
    fn share(&mut self, tag: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(tag) {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST_TAGS {
            // One that two follows have is the table's beside.
            self.0.retain(|tag| Arc::strong_count(tag) > 2);
            if self.0.len() > MOST_TAGS / 2 {
                self.0.clear();
            }
        }
        // One of its own: others than follows have what was given, too.
        let own: Arc<str> = Arc::from(&**tag);
        self.0.insert(Arc::clone(&own));
        own
    }
}

/// A follow that is being made: undone, unless it is.
struct Reserved<'a> {
    mailbox: &'a Mailbox,
    slot: u32,
    channel: &'a Channel,
    follower: channel::FollowerId,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.channel.remove(self.follower);
        self.mailbox.free(self.slot);
    }
}

impl Follow {
    /// Whether this is the follow of a feed.
    pub(crate) fn is_of(&self, feed: &Feed) -> bool {
        *self.channel.name() == feed.channel && self.tag == feed.tag
    }

    pub(crate) fn feed(&self) -> Feed {
        Feed { channel: self.channel.name().clone(), tag: self.tag.clone() }
    }

    /// The channel forgets the receiver.
    pub(crate) fn end(&self) {
        self.channel.remove(self.follower);
    }
}

/// Who begins to follow.
pub(crate) struct NewFollower<'a> {
    pub(crate) mailbox: &'a Arc<Mailbox>,
    pub(crate) generation: u64,
    /// Bytes that the channel may be ahead of it.
    pub(crate) limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(tags: &mut Tags, text: &str) -> Arc<str> {
        tags.share(&Arc::from(text))
    }

    #[test]
    fn follows_with_equal_tags_share_one() {
        let mut tags = Tags::default();
        let first = shared(&mut tags, "2a sub-0");
        assert!(Arc::ptr_eq(&first, &shared(&mut tags, "2a sub-0")));
        assert_eq!(&*shared(&mut tags, "2a sub-1"), "2a sub-1");
    }

    #[test]
    fn tags_that_one_follow_has_make_room_for_others() {
        let mut tags = Tags::default();
        let common = [(); 2].map(|()| shared(&mut tags, "common"));
        let rare: Vec<_> = (0..10 * MOST_TAGS).map(|number| shared(&mut tags, &number.to_string())).collect();
        assert!(tags.0.len() <= MOST_TAGS, "{}", tags.0.len());
        assert!(Arc::ptr_eq(&common[0], &shared(&mut tags, "common")));
        let pairs: Vec<_> = rare.iter().flat_map(|tag| [(); 2].map(|()| shared(&mut tags, tag))).collect();
        assert!(tags.0.len() <= MOST_TAGS && pairs.len() == 2 * rare.len(), "{}", tags.0.len());
    }
}
