//! The catalogue of topics: which channels below `/topic/` there are, so that whoever follows them by a pattern of their
//! names finds the old ones, and is told of new ones.
//!
//! A name is in the catalogue before its channel's first entry: who publishes sees to that. What a node knows to be there
//! it does not enter again for a while, so publishing costs one command as ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockhop_transports::Message;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::id::ChannelName;
use crate::node::NodeInner;
use crate::store::{Enlist, Enlisted, Epoch, Listed, Position, Retention, StoreError};

/// A node's part in the catalogue.
pub(crate) struct Catalogue {
    channel: ChannelName,
    /// Names that it may hold.
    pub(crate) most: usize,
    /// How much of its news is kept, and of topics at most.
    retention: Retention,
    known: Mutex<Known>,
    /// Set once the store sends the catalogue's news here.
    followed: OnceCell<()>,
    /// What it held when it was last read.
    listed: Mutex<Option<(Instant, Arc<Listed>)>>,
}

/// What this node has seen to.
#[derive(Default)]
struct Known {
    /// The life of the catalogue in which that was.
    epoch: Option<Epoch>,
    /// How often it has been seen in that life.
    sights: u64,
    names: HashMap<ChannelName, Seen>,
    /// When it was last logged that there was no room.
    warned: Option<Instant>,
}

/// A name that need not be entered again.
struct Seen {
    until: Instant,
    /// The life of the channel.
    epoch: Epoch,
    /// The catalogue has been lost since: so may the name.
    doubted: bool,
    progress: Progress,
}

/// How far a channel came, as this node has published to it. The catalogue may be lost for a while before anybody notices,
/// and what is published meanwhile is told to no new follower: so they begin behind what was published before.
#[derive(Clone, Copy)]
struct Progress {
    /// How often the catalogue had been seen to be there.
    sights: u64,
    /// The last place before the last sight but one: that sight was asked for when this was published already.
    safe: u64,
    /// The last place before the last sight.
    seen: u64,
    /// The last place.
    last: u64,
}

impl Progress {
    fn at(seq: u64, sights: u64) -> Self {
        Self { sights, safe: seq, seen: seq, last: seq }
    }

    fn reach(&mut self, seq: u64, sights: u64) {
        match sights - self.sights {
            0 => {}
            1 => (self.safe, self.seen) = (self.seen, self.last),
            _ => (self.safe, self.seen) = (self.last, self.last),
        }
        (self.sights, self.last) = (sights, self.last.max(seq));
    }
}

/// What an entry of the catalogue's channel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// A channel is new: all its entries are behind this position.
    Channel(ChannelName, Position),
    /// There was no room for a name.
    Full,
}

/// The channels that are in the catalogue.
const PREFIX: &str = "/topic/";
/// How long names are kept beyond what their channels keep, and after how long who publishes enters them again: a name
/// is there as long as its channel has entries, with time to spare.
const LIFE: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(1200);
/// After how long a name is tried again that there was no room for, and how long the catalogue is then said not to be
/// whole: longer, so that whoever finds it whole is told of every name that is left out from then on.
const NO_ROOM: Duration = Duration::from_secs(60);
const INCOMPLETE: Duration = Duration::from_secs(180);
/// Names that a node remembers beside those that there is room for.
const REFUSED: usize = 4096;
/// How long a node trusts what it has read of the catalogue, if nothing new came.
const FRESH: Duration = Duration::from_secs(60);

impl Catalogue {
    /// A catalogue of at most so many names; `longest` is what any channel keeps at most.
    pub(crate) fn new(most: usize, longest: Retention) -> Self {
        Self {
            channel: ChannelName::fixed("catalogue:topics"),
            most,
            retention: longest,
            known: Mutex::default(),
            followed: OnceCell::new(),
            listed: Mutex::default(),
        }
    }

    /// The channel that brings its news.
    pub(crate) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that a channel's name is in the catalogue, if it belongs there; then, the channel's life as it is known.
    ///
    /// # Errors
    /// The store cannot be reached, or refuses: then nothing must be published.
    pub(crate) async fn enter(
        &self,
        node: &NodeInner,
        channel: &ChannelName,
    ) -> Result<Option<Epoch>, StoreError> {
        if !channel.as_str().starts_with(PREFIX) {
            return Ok(None);
        }
        if let Some(seen) = self.known().names.get(channel)
            && seen.until > Instant::now()
            && !seen.doubted
        {
            return Ok(Some(seen.epoch));
        }
        let [at, own] = node.heads([channel, &self.channel]).await?;
        self.stands_in(own.epoch);
        let at = self.begin(channel, at);
        self.enlist(node, channel, at).await?;
        Ok(Some(at.epoch))
    }

    /// Where followers of a channel begin that is entered when it stands at `head`. What was published before is not new, if
    /// anything was; but some of it may be where the catalogue was lost.
    fn begin(&self, channel: &ChannelName, head: Position) -> Position {
        match self.known().names.get(channel) {
            Some(seen) if seen.doubted && seen.epoch == head.epoch => {
                Position { seq: seen.progress.safe.min(head.seq), ..head }
            }
            Some(seen) if seen.doubted => Position { seq: 0, ..head },
            _ => head,
        }
    }

    /// Something was published to a channel, whose life was `known` when its name was entered. A new life means that the
    /// store has lost something, and perhaps the name: it is entered again.
    pub(crate) async fn published(
        &self,
        node: &NodeInner,
        channel: &ChannelName,
        known: Option<Epoch>,
        last: Position,
    ) {
        let Some(known) = known else { return };
        if known == last.epoch {
            return self.known().reach(channel, last);
        }
        self.known().names.remove(channel);
        // From the life's beginning on: others may have published in it already.
        if let Err(error) = self.enlist(node, channel, Position { seq: 0, ..last }).await {
            tracing::warn!(%error, %channel, "could not enter a channel into the catalogue again");
        }
    }

    async fn enlist(&self, node: &NodeInner, name: &ChannelName, at: Position) -> Result<(), StoreError> {
        self.followed
            .get_or_try_init(|| async {
                let head = node.store.follow(node.id, &self.channel).await?;
                self.stands_in(head.epoch);
                Ok::<_, StoreError>(())
            })
            .await?;
        let news = Message::new(&News::Channel(name.clone(), at).text());
        let full = Message::new(&News::Full.text());
        let enlist = Enlist {
            catalogue: &self.channel,
            name,
            news: &news,
            full: &full,
            most: self.most,
            life: LIFE + self.retention.age,
            incomplete: INCOMPLETE,
            retention: self.retention,
        };
        let enlisted = node.store.enlist(enlist).await?;
        self.see(name, at, enlisted);
        Ok(())
    }

    fn see(&self, name: &ChannelName, at: Position, enlisted: Enlisted) {
        let now = Instant::now();
        let mut known = self.known();
        if known.epoch.is_some_and(|epoch| epoch != enlisted.at.epoch) {
            // Which of the two is the newer, the next to be entered tells.
            known.doubt();
            return;
        }
        known.epoch = Some(enlisted.at.epoch);
        if known.names.len() >= self.most + REFUSED {
            known.names.retain(|_, seen| seen.until > now);
        }
        if known.names.len() >= self.most + REFUSED {
            known.names.clear();
        }
        let until = now + if enlisted.entered { AGAIN } else { NO_ROOM };
        let progress = Progress::at(at.seq, known.sights);
        known.names.insert(name.clone(), Seen { until, epoch: at.epoch, doubted: false, progress });
        if !enlisted.entered && known.warned.is_none_or(|warned| now - warned > NO_ROOM) {
            known.warned = Some(now);
            tracing::warn!(channel = %name, most = self.most, "no room in the catalogue: subscriptions with wildcards end");
        }
    }

    /// The catalogue is in this life of it. What was entered in another may be lost.
    pub(crate) fn stands_in(&self, epoch: Epoch) {
        let mut known = self.known();
        match known.epoch {
            Some(known_epoch) if known_epoch == epoch => known.sights += 1,
            Some(_) => known.doubt(),
            None => {}
        }
    }

    /// What the catalogue holds.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub(crate) async fn listed(&self, node: &NodeInner) -> Result<Arc<Listed>, StoreError> {
        let kept = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read, listed)) = kept
            && listed.complete
            && read.elapsed() < FRESH
            && node.head(&self.channel).await? == listed.at
        {
            return Ok(listed);
        }
        let listed = Arc::new(node.store.listed(&self.channel).await?);
        self.stands_in(listed.at.epoch);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&listed)));
        Ok(listed)
    }
}

impl Known {
    /// The catalogue is another one than it was: all names have to be entered again.
    fn doubt(&mut self) {
        self.epoch = None;
        self.names.values_mut().for_each(|seen| seen.doubted = true);
    }

    fn reach(&mut self, channel: &ChannelName, last: Position) {
        let sights = self.sights;
        if let Some(seen) = self.names.get_mut(channel)
            && seen.epoch == last.epoch
            && !seen.doubted
        {
            seen.progress.reach(last.seq, sights);
        }
    }
}

impl News {
    fn text(&self) -> String {
        match self {
            Self::Channel(name, at) => format!("+{at} {name}"),
            Self::Full => "!".to_owned(),
        }
    }

    /// What an entry says; `None` for one of another version of this program.
    pub(crate) fn read(entry: &Message) -> Option<Self> {
        let text = entry.text();
        if text == "!" {
            return Some(Self::Full);
        }
        let (at, name) = text.strip_prefix('+')?.split_once(' ')?;
        Some(Self::Channel(ChannelName::new(name).ok()?, at.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[test]
    fn news_come_back() {
        let at = Position { epoch: Epoch(0xab), seq: 7 };
        for news in [News::Channel(ChannelName::new("/topic/a b \"ü\"").unwrap(), at), News::Full] {
            assert_eq!(News::read(&Message::new(&news.text())), Some(news));
        }
        for wrong in ["", "+", "+ab-7", "+x /topic/a", "?ab-7 /topic/a"] {
            assert_eq!(News::read(&Message::new(wrong)), None, "{wrong}");
        }
    }

    async fn listed(node: &Node) -> Vec<String> {
        let listed = node.inner.store.listed(node.inner.catalogue.channel()).await.unwrap();
        let mut names: Vec<_> = listed.names.iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[tokio::test(start_paused = true)]
    async fn topics_are_entered_before_their_first_message_and_nothing_else_is() {
        let node = Node::new();
        for name in ["/topic/a", "/topic/a", "/user/x/queue/a", "room", "/topic/b"] {
            node.publish(&name.parse().unwrap(), "x").await.unwrap();
        }
        assert_eq!(listed(&node).await, ["/topic/a", "/topic/b"]);
        assert_eq!(node.inner.head(node.inner.catalogue.channel()).await.unwrap().seq, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_in_use_stays_in_the_catalogue_and_one_that_is_left_goes() {
        let node = Node::new();
        let name = |name: &str| name.parse().unwrap();
        node.publish(&name("/topic/left"), "x").await.unwrap();
        for _ in 0..12 {
            node.publish(&name("/topic/used"), "x").await.unwrap();
            tokio::time::advance(Duration::from_secs(600)).await;
        }
        assert_eq!(listed(&node).await, ["/topic/used"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_catalogue_of_another_life_knows_nothing() {
        let node = Node::new();
        let (inner, name) = (&node.inner, "/topic/a".parse().unwrap());
        node.publish(&name, "x").await.unwrap();
        let is_known = || !inner.catalogue.known().names[&name].doubted;
        assert!(is_known());
        inner.catalogue.stands_in(inner.head(inner.catalogue.channel()).await.unwrap().epoch);
        assert!(is_known());
        inner.catalogue.stands_in(Epoch(1));
        assert!(!is_known());
        node.publish(&name, "x").await.unwrap();
        assert!(is_known());
    }
}
