//! Random lives of one session, against what its client must see: each message exactly once and in order, whatever
//! is repeated, taken over or comes too late.

use proptest::prelude::*;
use sockhop::Message;
use sockhop::store::{Attached, Hold, Own, Pending, Position, Sent, Takeover};

use crate::lives;
use crate::world::{Node, World, channel, publish, push};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The application sends to the session.
    Send,
    /// Somebody publishes to the session's channel.
    Publish,
    /// The client polls; the request reaches the node and is held.
    Poll(usize),
    /// The balancer repeats the held or last request on another node, whose answer the client gets.
    Repeat(usize),
    /// The receiver hands out what there is, releases, and the client gets it.
    Answer,
    /// The same, but the answer is lost between node and balancer, which repeats the request.
    AnswerLost(usize),
    /// A command of an earlier attachment arrives late.
    Late,
    /// The session subscribes anew, from now on; a receiver that holds it does not learn so in time.
    Resubscribe,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Send),
        4 => Just(Step::Publish),
        4 => (0..3usize).prop_map(Step::Poll),
        1 => (0..3usize).prop_map(Step::Repeat),
        4 => Just(Step::Answer),
        2 => (0..3usize).prop_map(Step::AnswerLost),
        2 => Just(Step::Late),
        1 => Just(Step::Resubscribe),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A receiver at a node.
struct Held {
    hold: Hold,
    pending: Pending,
    /// What it reads of the channel is of a subscription that is no more.
    stale: bool,
}

struct Life {
    world: World,
    nodes: Vec<Node>,
    held: Option<Held>,
    earlier: Vec<Hold>,
    request: u32,
    /// What was sent, and published since the newest subscribe.
    sent: Vec<String>,
    published: Vec<String>,
    /// What the client got.
    opened: u32,
    got: Vec<String>,
    heard: Vec<String>,
}

impl Life {
    async fn new(world: World) -> Self {
        let nodes = vec![world.join(), world.join(), world.join()];
        let hold = nodes[0].open("s", Some("0")).await;
        let mut life = Self {
            world,
            nodes,
            held: Some(Held { hold, pending: Pending::default(), stale: false }),
            earlier: Vec::new(),
            request: 0,
            sent: Vec::new(),
            published: Vec::new(),
            opened: 0,
            got: Vec::new(),
            heard: Vec::new(),
        };
        life.resubscribe().await;
        life
    }

    async fn resubscribe(&mut self) {
        let head = self.world.store.heads(&[channel("c")]).await.unwrap()[0];
        let session = self.held.as_ref().map_or_else(|| self.earlier[0].session, |held| held.hold.session);
        self.world.store.unsubscribe(session, &channel("c").into()).await.unwrap();
        self.world.store.subscribe(session, &channel("c").into(), head, 10).await.unwrap();
        if let Some(held) = &mut self.held {
            held.stale = true;
        }
        self.published.clear();
        self.heard.clear();
    }

    async fn attach(&mut self, node: usize) {
        let request = self.request.to_string();
        match self.nodes[node].try_attach("s", Some(&request), Takeover::Never).await {
            Attached::Held(hold, pending) => {
                if let Some(before) = self.held.replace(Held { hold, pending, stale: false }) {
                    self.earlier.push(before.hold);
                }
            }
            other => panic!("the session is known and free or this very request's: {other:?}"),
        }
    }

    /// What the receiver hands out, and whether the store lets it.
    async fn answer(&mut self) -> Option<(bool, Vec<Message>, Vec<Message>)> {
        let held = self.held.take()?;
        let opening = held.pending.from == Own(0);
        let mut own = Vec::new();
        let mut heard = Vec::new();
        let mut committed = Sent { own: Own(held.pending.from.0.max(1)), ..Sent::default() };
        if !opening {
            own = self.world.store.pending(held.hold, held.pending.from).await.unwrap().messages;
            committed.own.0 += own.len() as u64;
            for subscription in &held.pending.subscriptions {
                let read =
                    self.world.store.read(&subscription.feed.channel, subscription.cursor, 1 << 20).await.unwrap();
                assert!(!read.gap);
                let seq = subscription.cursor.seq + read.entries.len() as u64;
                let at = Position { epoch: read.epoch, seq };
                committed.channels.push((subscription.feed.clone(), subscription.generation, at));
                if !held.stale {
                    heard.extend(read.entries.into_iter().map(|entry| entry.message));
                }
            }
        }
        self.world.store.release(held.hold, committed).await.unwrap();
        self.earlier.push(held.hold);
        Some((opening, own, heard))
    }

    async fn deliver(&mut self) {
        if let Some((opening, own, heard)) = self.answer().await {
            self.opened += u32::from(opening);
            self.got.extend(own.iter().map(|message| message.text().to_owned()));
            self.heard.extend(heard.iter().map(|message| message.text().to_owned()));
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Send => {
                let text = format!("own {}", self.sent.len());
                let session = self.held.as_ref().map_or_else(|| self.earlier[0].session, |held| held.hold.session);
                self.world.store.push(session, push(&[&text])).await.unwrap();
                self.sent.push(text);
            }
            Step::Publish => {
                let text = format!("channel {}", self.published.len());
                publish(&self.world.store, "c", &text).await;
                self.published.push(text);
            }
            Step::Poll(node) => {
                if self.held.is_none() {
                    self.request += 1;
                    self.attach(node).await;
                }
            }
            Step::Repeat(node) => {
                if self.held.is_some() {
                    self.attach(node).await;
                }
            }
            Step::Answer => self.deliver().await,
            Step::AnswerLost(node) => {
                if self.answer().await.is_some() {
                    self.attach(node).await;
                }
            }
            Step::Late => {
                let newest = self.earlier.len().checked_sub(1).filter(|_| self.held.is_none());
                for (index, hold) in self.earlier.iter().enumerate() {
                    let all = Sent { own: Own(u64::MAX), ..Sent::default() };
                    let released = self.world.store.release(*hold, all).await;
                    assert_eq!(
                        released.is_ok(),
                        newest == Some(index),
                        "releasing twice is no error, and no change"
                    );
                    assert!(self.world.store.pending(*hold, Own(u64::MAX)).await.is_err());
                    assert!(self.world.store.lost(*hold).await.is_err());
                }
            }
            Step::Resubscribe => self.resubscribe().await,
        }
        assert!(self.sent.starts_with(&self.got), "got {:?} of {:?}", self.got, self.sent);
        assert!(self.published.starts_with(&self.heard), "heard {:?} of {:?}", self.heard, self.published);
    }

    /// The client goes on until nothing waits.
    async fn end(mut self) {
        for _ in 0..2 {
            self.deliver().await;
            self.step(Step::Poll(0)).await;
        }
        self.deliver().await;
        assert_eq!((self.opened, self.got, self.heard), (1, self.sent, self.published));
    }
}

async fn run(world: World, steps: &[Step]) {
    let mut life = Life::new(world).await;
    for step in steps {
        life.step(*step).await;
    }
    life.end().await;
}

#[test]
fn each_message_arrives_exactly_once_and_in_order() {
    lives::in_memory(400, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}

#[test]
fn each_message_in_redis_arrives_exactly_once_and_in_order() {
    lives::in_redis(60, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}
