//! Random lives of one queue, against what its consumers may be given: each message that was accepted is with one consumer,
//! or waits, or was handled; in the order in which they were accepted, whatever is repeated or comes too late.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sockhop::NodeId;
use sockhop::store::{
    Batch, ConsumeError, Consumer, ConsumerId, IdMemory, Once, Position, PublishError, Retention, SessionRef,
    Settle, Settled, Which,
};

use crate::lives;
use crate::queue_once::enqueue_once;
use crate::queues::enqueue_all;
use crate::world::{World, channel, key};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many messages are sent, and their batch again.
    Enqueue(u32, bool),
    /// So many messages are sent with ids, beside some that were sent before, and all of them again.
    Once(u32, u32, bool),
    /// A consumer comes, of this credit.
    Consume(u32),
    /// A consumer settles what it holds: which consumer, which message, how.
    Settle(usize, usize, Fate, Which),
    /// It says again what it said last.
    Again(usize),
    /// A consumer has received, and by that handled, what it was given.
    Receive(usize),
    /// A consumer goes, and its `consume` comes once more; whether what it has is handled.
    Cancel(usize, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Handled,
    Returned,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = prop_oneof![Just(Which::One), Just(Which::UpTo)];
    let fate = prop_oneof![2 => Just(Fate::Handled), 1 => Just(Fate::Returned)];
    let step = prop_oneof![
        5 => (1..4u32, any::<bool>()).prop_map(|(count, again)| Step::Enqueue(count, again)),
        4 => (1..4u32, 0..3u32, any::<bool>()).prop_map(|(count, old, again)| Step::Once(count, old, again)),
        2 => (1..5u32).prop_map(Step::Consume),
        6 => (0..4usize, 0..5usize, fate, which).prop_map(|(who, at, fate, which)| Step::Settle(who, at, fate, which)),
        1 => (0..4usize).prop_map(Step::Again),
        1 => (0..4usize).prop_map(Step::Receive),
        1 => (0..4usize, any::<bool>()).prop_map(|(who, handled)| Step::Cancel(who, handled)),
    ];
    proptest::collection::vec(step, 1..60)
}

struct Member {
    consumer: Consumer,
    credit: usize,
    /// How far its channel was read.
    read: Position,
    /// What it holds: the place, the message.
    held: BTreeMap<u64, u32>,
    said: Option<Settle>,
}

struct Life {
    world: World,
    node: NodeId,
    batch: u64,
    accepted: u32,
    /// Of those that had an id, where each is.
    named: BTreeMap<u32, Position>,
    /// Messages that nobody has, and how often each was given out.
    waiting: BTreeMap<u32, u32>,
    times: BTreeMap<u32, u32>,
    members: Vec<Member>,
    came: u64,
}

/// Messages that the queue takes.
const MOST: usize = 12;

impl Life {
    fn new(world: World) -> Self {
        let node = NodeId::random();
        Self {
            world,
            node,
            batch: 0,
            accepted: 0,
            named: BTreeMap::new(),
            waiting: BTreeMap::new(),
            times: BTreeMap::new(),
            members: Vec::new(),
            came: 0,
        }
    }

    fn kept(&self) -> usize {
        self.waiting.len() + self.members.iter().map(|member| member.held.len()).sum::<usize>()
    }

    async fn enqueue(&mut self, count: u32, again: bool) {
        self.batch += 1;
        let batch = Some(Batch { node: self.node, number: self.batch });
        let texts: Vec<_> = (1..=count).map(|number| (self.accepted + number).to_string()).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let retention = Retention { entries: MOST, ..Retention::default() };
        let outcome = enqueue_all(&self.world.store, &texts, retention, batch).await;
        if again {
            assert_eq!(enqueue_all(&self.world.store, &texts, retention, batch).await, outcome);
        }
        if self.kept() > 0 && self.kept() + count as usize > MOST {
            assert_eq!(outcome, Err(PublishError::Full));
            return;
        }
        assert_eq!(outcome.unwrap().last.seq, u64::from(self.accepted + count));
        for _ in 0..count {
            self.accepted += 1;
            self.waiting.insert(self.accepted, 0);
        }
    }

    async fn once(&mut self, count: u32, old: u32, again: bool) {
        let new: Vec<_> = (1..=count).map(|number| self.accepted + number).collect();
        // What was sent before is known, whatever has become of it.
        let repeated: Vec<_> = self.named.keys().rev().step_by(3).take(old as usize).copied().collect();
        let texts: Vec<_> = repeated.iter().chain(&new).map(u32::to_string).collect();
        let messages: Vec<_> = texts.iter().map(|text| (text.as_str(), text.as_str())).collect();
        let retention = Retention { entries: MOST, ..Retention::default() };
        let send = async || enqueue_once(&self.world.store, &messages, retention, IdMemory::default()).await;
        let outcome = send().await;
        if again && let Ok(first) = &outcome {
            let repeated: Vec<_> = first.iter().map(|once| Once::Repeated(once.position())).collect();
            assert_eq!(send().await.as_ref(), Ok(&repeated));
        }
        if self.kept() > 0 && self.kept() + count as usize > MOST {
            assert_eq!(outcome, Err(PublishError::Full));
            return;
        }
        let outcomes = outcome.unwrap();
        let (of_repeated, of_new) = outcomes.split_at(repeated.len());
        let known: Vec<_> = repeated.iter().map(|number| Once::Repeated(self.named[number])).collect();
        assert_eq!(of_repeated, known);
        for (number, outcome) in new.into_iter().zip(of_new) {
            let Once::Published(at) = outcome else { panic!("{number}: {outcome:?}") };
            assert_eq!(at.seq, u64::from(number));
            self.accepted = number;
            self.named.insert(number, *at);
            self.waiting.insert(number, 0);
        }
    }

    async fn consume(&mut self, credit: u32) {
        self.came += 1;
        let id = ConsumerId::of(SessionRef { key: key("s"), life: 1 }, self.came);
        let consumer = Consumer { queue: channel("/queue/a"), id };
        let outcome = self.world.store.consume(&consumer, credit, 4).await;
        if self.members.len() == 4 {
            assert_eq!(outcome, Err(ConsumeError::TooMany(4)));
            return;
        }
        let read = outcome.unwrap();
        assert_eq!(self.world.store.consume(&consumer, credit, 4).await, Ok(read), "again");
        self.members.push(Member { consumer, credit: credit as usize, read, held: BTreeMap::new(), said: None });
    }

    async fn settle(&mut self, who: usize, at: usize, fate: Fate, which: Which) {
        let Some(member) = self.members.get_mut(who) else { return };
        let Some(place) = member.held.keys().nth(at).copied() else { return };
        let at = Position { seq: place, ..member.read };
        let settle = match fate {
            Fate::Handled => Settle::Handled(at, which),
            Fate::Returned => Settle::Returned(at, which),
        };
        member.said = Some(settle);
        assert_eq!(self.world.store.settle(&member.consumer, settle).await.unwrap(), Settled::Done);
        let first = if which == Which::One { place } else { 0 };
        self.lets_go(who, first, place, fate);
    }

    fn lets_go(&mut self, who: usize, first: u64, last: u64, fate: Fate) {
        let held = std::mem::take(&mut self.members[who].held);
        for (place, message) in held {
            if place < first || place > last {
                self.members[who].held.insert(place, message);
            } else if fate == Fate::Returned {
                self.waiting.insert(message, self.times[&message]);
            }
        }
    }

    async fn again(&mut self, who: usize) {
        let Some(member) = self.members.get(who) else { return };
        let Some(settle) = member.said else { return };
        self.world.store.settle(&member.consumer, settle).await.unwrap();
        // What it was given meanwhile stands behind.
        if let Settle::Handled(at, Which::UpTo) | Settle::Returned(at, Which::UpTo) = settle {
            assert!(member.held.keys().all(|place| *place > at.seq));
        }
    }

    async fn receive(&mut self, who: usize) {
        let Some(member) = self.members.get(who) else { return };
        let settle = Settle::Received { at: member.read, handled: true };
        assert_eq!(self.world.store.settle(&member.consumer, settle).await.unwrap(), Settled::Done);
        let last = member.read.seq;
        self.lets_go(who, 0, last, Fate::Handled);
    }

    async fn cancel(&mut self, who: usize, handled: bool) {
        if who >= self.members.len() {
            return;
        }
        let up_to = handled.then_some(self.members[who].read);
        let consumer = self.members[who].consumer.clone();
        self.world.store.cancel(&consumer, up_to).await.unwrap();
        self.lets_go(who, 0, u64::MAX, if handled { Fate::Handled } else { Fate::Returned });
        self.members.remove(who);
        assert_eq!(self.world.store.consume(&consumer, 5, 4).await, Err(ConsumeError::Cancelled));
        self.world.store.cancel(&consumer, up_to).await.unwrap();
    }

    /// What consumers were given since the last look: what had waited longest, each in order.
    async fn look(&mut self) {
        let mut newest = 0;
        for member in &mut self.members {
            let read = self.world.store.read(&member.consumer.channel(), member.read, 1 << 20).await.unwrap();
            assert!(!read.gap);
            let mut before = 0;
            for entry in read.entries {
                member.read.seq = entry.seq;
                let text = entry.message.text();
                let (times, text) = match text.strip_prefix("\\!").and_then(|text| text.split_once('\n')) {
                    Some((times, text)) => (times.parse().unwrap(), text),
                    None => (1, text),
                };
                let message: u32 = text.parse().unwrap();
                let given = self.waiting.remove(&message).expect("a message that waits, and no other");
                assert_eq!(times, given + 1, "how often it was given out");
                assert!(message > before, "in order");
                before = message;
                newest = newest.max(message);
                self.times.insert(message, times);
                member.held.insert(entry.seq, message);
            }
            assert!(member.held.len() <= member.credit);
            let settle = Settle::Received { at: member.read, handled: false };
            self.world.store.settle(&member.consumer, settle).await.unwrap();
        }
        if let Some((oldest, _)) = self.waiting.first_key_value() {
            assert!(*oldest > newest, "{oldest} has waited while {newest} was given out");
            assert!(
                self.members.iter().all(|member| member.held.len() == member.credit),
                "somebody could have more"
            );
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Enqueue(count, again) => self.enqueue(count, again).await,
            Step::Once(count, old, again) => self.once(count, old, again).await,
            Step::Consume(credit) => self.consume(credit).await,
            Step::Settle(who, at, fate, which) => self.settle(who, at, fate, which).await,
            Step::Again(who) => self.again(who).await,
            Step::Receive(who) => self.receive(who).await,
            Step::Cancel(who, handled) => self.cancel(who, handled).await,
        }
        self.look().await;
    }

    /// All go but one that takes everything: it gets what nobody has handled, in the order in which it was accepted.
    async fn end(mut self) {
        while !self.members.is_empty() {
            self.cancel(0, false).await;
            self.look().await;
        }
        let waits: Vec<_> = self.waiting.keys().copied().collect();
        self.consume(1000).await;
        self.look().await;
        assert!(self.members[0].held.values().copied().eq(waits));
    }
}

async fn run(world: World, steps: &[Step]) {
    let mut life = Life::new(world);
    for step in steps {
        life.step(*step).await;
    }
    life.end().await;
}

#[test]
fn each_message_of_a_queue_is_handled_once_or_still_there() {
    lives::in_memory(400, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}

#[test]
fn each_message_of_a_queue_in_redis_is_handled_once_or_still_there() {
    lives::in_redis(60, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}
