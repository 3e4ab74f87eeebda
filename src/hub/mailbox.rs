//! What waits for one attached receiver: its wake-up, its follows, and for a WebSocket its own frames.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use smallvec::SmallVec;
use sockhop_transports::{CloseReason, Message};

use super::channel::{Channel, FollowerId};
use crate::store::{Feed, Own, Position};

/// The meeting point of whoever has news for a receiver and the receiver itself.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    news: News,
    follows: Vec<Slot>,
    /// Slots of `follows` whose channel has news.
    fresh: SmallVec<[u32; 4]>,
    /// Frames of the session's own. Where the session lives in the store, such as came early: see `early_from`.
    own: VecDeque<Message>,
    own_bytes: usize,
    /// Where `own` begins in the session's log in the store.
    early_from: u64,
    end: Option<Ending>,
}

/// A place for one follow; its number is what a channel calls back with.
enum Slot {
    Free,
    /// Its follow is being made.
    Reserved,
    Taken(Follow),
}

/// What a receiver has to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The session's state in the store.
    pub(crate) changed: bool,
    /// Another attachment holds the session.
    pub(crate) fenced: bool,
    /// The node ends.
    pub(crate) draining: bool,
    /// Frames of the session's own came early.
    pub(crate) early: bool,
}

/// How a session that lives in the mailbox alone is over.
enum Ending {
    /// After what waits; whether channels have been read since.
    Closed { reason: CloseReason, read: bool },
    /// At once: its client does not read.
    TooSlow,
}

/// One channel that the receiver follows.
#[derive(Clone)]
pub(crate) struct Follow {
    pub(crate) channel: Arc<Channel>,
    /// How its entries are rendered; see [`Feed`].
    pub(crate) tag: Option<Arc<str>>,
    pub(crate) follower: FollowerId,
    pub(crate) generation: u64,
    /// The last entry handed out.
    pub(crate) cursor: Position,
}

/// What a look into the mailbox found, beside the frames taken.
pub(crate) enum Drawn {
    Nothing,
    /// Channels have news.
    Fresh,
    /// The session is over, and nothing of its own waits before that, or in spite of it.
    Over(CloseReason),
}

/// Frames for which a mailbox keeps room while it is empty.
const OWN_CAPACITY: usize = 64;

/// Bytes of early frames that a mailbox keeps; what is more is read from the store.
const EARLY_BYTES: usize = 64 * 1024;

/// Why a frame was not put into a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The session is over.
    Over,
    /// It is now, since too much waits.
    TooSlow,
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes the receiver.
    fn wake<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, waker) = {
            let mut state = self.lock();
            (change(&mut state), state.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }

    pub(crate) fn changed(&self) {
        self.wake(|state| state.news.changed = true);
    }

    pub(crate) fn fence(&self) {
        self.wake(|state| state.news.fenced = true);
    }

    pub(crate) fn drain(&self) {
        self.wake(|state| state.news.draining = true);
    }

    /// The channel in `slot` has news.
    pub(super) fn fresh(&self, slot: u32) {
        self.wake(|state| state.fresh.push(slot));
    }

    /// Appends frames of the session's own; its mailbox is all there is of the session.
    pub(crate) fn push(&self, messages: impl IntoIterator<Item = Message>, limit: usize) -> Result<(), Refused> {
        self.wake(|state| {
            if state.end.is_some() {
                return Err(Refused::Over);
            }
            let waits = state.own_bytes > 0;
            for message in messages {
                state.own_bytes += message.weight();
                state.own.push_back(message);
            }
            if waits && state.own_bytes > limit {
                state.end_too_slow();
                return Err(Refused::TooSlow);
            }
            Ok(())
        })
    }

    /// Frames that were appended to the session's log in the store, from index `from` on.
    pub(crate) fn frames(&self, from: Own, frames: &[Message]) {
        self.wake(|state| {
            let weight = crate::store::size_of(frames);
            if state.own.is_empty() {
                state.early_from = from.0;
            }
            if from.0 != state.early_from + state.own.len() as u64 || state.own_bytes + weight > EARLY_BYTES {
                // The store has them.
                state.news.changed = true;
                return;
            }
            state.own_bytes += weight;
            state.own.extend(frames.iter().cloned());
        });
    }

    /// Takes the frames that came early, and where they begin.
    pub(crate) fn take_early(&self) -> (Own, VecDeque<Message>) {
        let mut state = self.lock();
        state.own_bytes = 0;
        (Own(state.early_from), std::mem::take(&mut state.own))
    }

    /// Ends the session after what waits; whether it was open.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        self.wake(|state| {
            let open = state.end.is_none();
            if open {
                state.end = Some(Ending::Closed { reason, read: false });
            }
            open
        })
    }

    pub(crate) fn end_too_slow(&self) {
        self.wake(State::end_too_slow);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Why the session is over, whatever waits.
    pub(crate) fn end_reason(&self) -> Option<CloseReason> {
        match &self.lock().end {
            Some(Ending::TooSlow) => Some(CloseReason::TOO_SLOW),
            Some(Ending::Closed { reason, .. }) => Some(reason.clone()),
            None => None,
        }
    }

    /// Whether the receiver is to be ended at once, since it does not read.
    pub(crate) fn is_too_slow(&self) -> bool {
        matches!(self.lock().end, Some(Ending::TooSlow))
    }

    /// Registers the receiver's task, and says what it has to look at.
    pub(crate) fn listen(&self, cx: &Context<'_>) -> News {
        let mut state = self.lock();
        state.register(cx);
        let news = News { early: !state.own.is_empty(), ..state.news };
        state.news.changed = false;
        news
    }

    /// All that a session which lives in its mailbox needs to know, at one look: registers the task, and takes frames
    /// of its own, at least one where there is one, then up to `bytes` of them. Nothing is taken into `None`.
    pub(crate) fn draw<E: Extend<Message>>(&self, cx: &Context<'_>, bytes: usize, into: Option<&mut E>) -> Drawn {
        let mut state = self.lock();
        state.register(cx);
        let Some(into) = into else {
            return match &state.end {
                Some(Ending::TooSlow) => Drawn::Over(CloseReason::TOO_SLOW),
                _ => Drawn::Nothing,
            };
        };
        let mut taken = 0;
        while taken < bytes {
            let Some(message) = state.own.pop_front() else { break };
            taken += message.weight();
            into.extend([message]);
        }
        state.own_bytes -= taken;
        if state.own.is_empty() && state.own.capacity() > OWN_CAPACITY {
            state.own = VecDeque::new();
        }
        let fresh = taken < bytes && !state.fresh.is_empty();
        match &mut state.end {
            Some(Ending::TooSlow) => Drawn::Over(CloseReason::TOO_SLOW),
            // Once: a busy channel must not put off the close for ever.
            Some(Ending::Closed { read, .. }) if fresh && !*read => {
                *read = true;
                Drawn::Fresh
            }
            Some(Ending::Closed { reason, .. }) if taken == 0 => Drawn::Over(reason.clone()),
            None if fresh => Drawn::Fresh,
            _ => Drawn::Nothing,
        }
    }

    /// Whether channels have news, or the session's state in the store.
    pub(crate) fn has_news(&self) -> bool {
        let state = self.lock();
        state.news.changed || !state.fresh.is_empty()
    }

    /// A slot with news, and what is followed there.
    pub(crate) fn next_fresh(&self) -> Option<(u32, Follow)> {
        let mut state = self.lock();
        // From the front: a busy channel comes again behind the others.
        while !state.fresh.is_empty() {
            let slot = state.fresh.remove(0);
            if state.fresh.is_empty() && state.fresh.spilled() {
                state.fresh = SmallVec::new();
            }
            if let Some(Slot::Taken(follow)) = state.follows.get(slot as usize) {
                return Some((slot, follow.clone()));
            }
        }
        None
    }

    /// Entries up to `position` were handed out. False if the follow is another one by now.
    pub(crate) fn advance(&self, slot: u32, generation: u64, position: Position) -> bool {
        match self.lock().follows.get_mut(slot as usize) {
            Some(Slot::Taken(follow)) if follow.generation == generation => {
                follow.cursor = position;
                true
            }
            _ => false,
        }
    }

    /// Looks at the channel in `slot` again.
    pub(crate) fn again(&self, slot: u32) {
        self.lock().fresh.push(slot);
    }

    /// Makes room for a follow: its slot.
    pub(super) fn reserve(&self) -> u32 {
        let mut state = self.lock();
        let free = state.follows.iter().position(|slot| matches!(slot, Slot::Free));
        let slot = free.unwrap_or(state.follows.len());
        match free {
            Some(free) => state.follows[free] = Slot::Reserved,
            None => {
                if state.follows.len() == state.follows.capacity() {
                    // Not doubled: most receivers follow few channels.
                    let more = (state.follows.len() / 4).max(2);
                    state.follows.reserve_exact(more);
                }
                state.follows.push(Slot::Reserved);
            }
        }
        slot as u32
    }

    /// Gives a reserved slot back.
    pub(super) fn free(&self, slot: u32) {
        self.lock().follows[slot as usize] = Slot::Free;
    }

    /// Puts a follow into its reserved slot, and has the receiver look at it.
    pub(super) fn insert(&self, slot: u32, follow: Follow) {
        self.wake(|state| {
            state.follows[slot as usize] = Slot::Taken(follow);
            state.fresh.push(slot);
        });
    }

    /// Takes out the follow of a feed.
    pub(crate) fn remove(&self, feed: &Feed) -> Option<Follow> {
        let mut state = self.lock();
        let slot =
            state.follows.iter_mut().find(|slot| matches!(slot, Slot::Taken(follow) if follow.is_of(feed)))?;
        match std::mem::replace(slot, Slot::Free) {
            Slot::Taken(follow) => Some(follow),
            Slot::Free | Slot::Reserved => None,
        }
    }

    /// All follows.
    pub(crate) fn follows(&self) -> Vec<Follow> {
        let taken = |slot: &Slot| match slot {
            Slot::Taken(follow) => Some(follow.clone()),
            Slot::Free | Slot::Reserved => None,
        };
        self.lock().follows.iter().filter_map(taken).collect()
    }
}

impl State {
    fn register(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    fn end_too_slow(&mut self) {
        if !matches!(self.end, Some(Ending::TooSlow)) {
            self.end = Some(Ending::TooSlow);
            self.own = VecDeque::new();
            self.own_bytes = 0;
        }
    }
}
