//! Publishing by a list in Redis: a backend pushes, nodes publish.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::counter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{check_headers, message};
use crate::stomp::{Broker, BrokerError, StompMessage};
use crate::store::{ListName, Once, PublishError, RedisLists, StoreError, Taken, Waiting};
use crate::{MessageId, Node};

/// A list whose messages nodes publish, in its order: for a backend that only has a client for Redis.
///
/// Each item is JSON: `{"destination": …, "id": …, "headers": {…}, "body": …}`. One node at a time drains the list; items
/// stay in it until they are published, and another node goes on within seconds when that node dies. A message with an id
/// is published once, whatever happens; one without may be published twice when a node dies.
///
/// ```no_run
/// use sockhop::Node;
/// use sockhop::stomp::PublishList;
/// use sockhop::store::RedisStore;
///
/// # fn start(node: &Node, store: &RedisStore) {
/// PublishList::new(store.lists(), "sockhop:{publish}".parse().unwrap()).start(node);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PublishList {
    lists: RedisLists,
    name: ListName,
}

/// What a backend has pushed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    destination: String,
    id: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

/// How far a batch came.
#[derive(Debug, Default)]
struct Dealt {
    /// How many of the oldest items were published or refused.
    count: usize,
    refused: Vec<Vec<u8>>,
    /// Why it came no further.
    stopped: Option<BrokerError>,
}

/// How long the others wait for a node that drains the list and says nothing.
const LEASE: Duration = Duration::from_secs(5);
/// How often the others look whether it still does, and how long a failure is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of one item, and of one that is kept because it was refused.
const LARGEST: usize = 1024 * 1024;
const MOST_KEPT: usize = 4096;
/// Bytes of an id.
const LONGEST_ID: usize = 256;

impl PublishList {
    /// The list of this name.
    #[must_use]
    pub fn new(lists: RedisLists, name: ListName) -> Self {
        Self { lists, name }
    }

    /// Has a node take its turn at draining the list, until the node is drained itself.
    pub fn start(self, node: &Node) {
        let task = self.run(node.clone());
        node.inner.spawn(task);
    }

    async fn run(self, node: Node) {
        let broker = Broker::new(&node);
        let mut connection = None;
        while !node.inner.is_stopping() {
            if let Err(error) = self.step(&node, &broker, &mut connection).await {
                tracing::warn!(list = %self.name, %error, "a list cannot be drained now; trying again");
                node.inner.until_stopping(tokio::time::sleep(LOOK)).await;
            }
        }
        let _ = tokio::time::timeout(LOOK, self.lists.leave(&self.name, node.id())).await;
    }

    async fn step(
        &self,
        node: &Node,
        broker: &Broker,
        connection: &mut Option<Waiting>,
    ) -> Result<(), StoreError> {
        let token = rand::random();
        let items = match self.lists.take(&self.name, node.id(), token, LEASE).await? {
            Taken::Others(left) => {
                // Not before its lease is over, unless it ends in order.
                node.inner.until_stopping(tokio::time::sleep(left.clamp(LOOK / 20, LOOK))).await;
                return Ok(());
            }
            Taken::Ours(items) => items,
        };
        if items.is_empty() {
            let waiting = self.lists.wait(&self.name, connection);
            return node.inner.until_stopping(waiting).await.unwrap_or(Ok(()));
        }
        let dealt = self.keeping_lease(node, publish(broker, &items)).await;
        if !self.lists.done(&self.name, node.id(), token, dealt.count, &dealt.refused).await? {
            // Its items are published again by whoever drains the list now, those with ids once.
            tracing::warn!(list = %self.name, "another node has begun to drain a list");
        }
        if let Some(error) = dealt.stopped {
            tracing::warn!(list = %self.name, %error, "a message of a list cannot be published now; trying again");
            node.inner.until_stopping(tokio::time::sleep(LOOK)).await;
        }
        Ok(())
    }
}

impl PublishList {
    /// Does something that may take longer than the lease, which is renewed meanwhile.
    async fn keeping_lease<T>(&self, node: &Node, work: impl Future<Output = T>) -> T {
        let renewing = async {
            loop {
                tokio::time::sleep(LEASE / 4).await;
                if let Err(error) = self.lists.renew(&self.name, node.id(), LEASE).await {
                    tracing::warn!(list = %self.name, %error, "the lease of a list could not be renewed");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = renewing => never,
        }
    }
}

/// Publishes items in their order: those for one destination that follow one another at once.
async fn publish(broker: &Broker, items: &[Vec<u8>]) -> Dealt {
    let parsed: Vec<_> = items.iter().map(|item| Item::parse(item)).collect();
    let mut dealt = Dealt::default();
    let mut most = usize::MAX;
    while let Some(first) = parsed.get(dealt.count) {
        let first = match first {
            Ok(first) => first,
            Err(reason) => {
                dealt.refuse(&items[dealt.count], reason);
                continue;
            }
        };
        let run = parsed[dealt.count..].iter().map_while(|item| item.as_ref().ok());
        let run: Vec<_> = run.take_while(|item| item.goes_with(first)).take(most).collect();
        match send(broker, first, &run).await {
            Ok(outcomes) => {
                most = usize::MAX;
                for outcome in outcomes {
                    dealt.note(outcome, &items[dealt.count]);
                }
            }
            // A queue takes all of them or none, and may have room for some.
            Err(BrokerError::Publish(PublishError::Full)) if run.len() > 1 => most = run.len() / 2,
            Err(BrokerError::Publish(error)) => {
                dealt.stopped = Some(error.into());
                return dealt;
            }
            Err(error) => dealt.refuse(&items[dealt.count], &error.to_string()),
        }
    }
    dealt
}

/// Sends items that go together; what became of each, if it has an id.
async fn send(broker: &Broker, first: &Item, run: &[&Item]) -> Result<Vec<Option<Once>>, BrokerError> {
    let destination = &first.destination;
    if first.id.is_none() {
        broker.send_all(destination, run.iter().map(|item| item.message())).await?;
        return Ok(vec![None; run.len()]);
    }
    let with_id = |item: &&Item| (MessageId::of(item.id.as_deref().unwrap_or_default()), item.message());
    let outcomes = broker.send_all_once(destination, run.iter().map(with_id)).await?;
    Ok(outcomes.into_iter().map(Some).collect())
}

impl Dealt {
    fn note(&mut self, outcome: Option<Once>, item: &[u8]) {
        let outcome = match outcome {
            Some(Once::Conflict(_)) => return self.refuse(item, "its id was another message's"),
            Some(Once::Repeated(_)) => "repeated",
            Some(Once::Published(_)) | None => "published",
        };
        self.count += 1;
        counter!("sockhop_list_messages_total", "outcome" => outcome).increment(1);
    }

    fn refuse(&mut self, item: &[u8], reason: &str) {
        self.count += 1;
        counter!("sockhop_list_messages_total", "outcome" => "refused").increment(1);
        let shown = String::from_utf8_lossy(&item[..item.len().min(MOST_KEPT)]);
        let beginning: String = shown.chars().take(200).collect();
        tracing::warn!(reason, item = ?beginning, "an item of a list is refused");
        self.refused.push(json!({ "reason": reason, "item": shown }).to_string().into_bytes());
    }
}

impl Item {
    fn parse(item: &[u8]) -> Result<Self, String> {
        if item.len() > LARGEST {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
        let item: Self = serde_json::from_slice(item).map_err(|error| error.to_string())?;
        Broker::check(&item.destination).map_err(|error| error.to_string())?;
        check_headers(&item.headers).map_err(|_| "its headers cannot be sent".to_owned())?;
        match &item.id {
            Some(id) if id.is_empty() || id.len() > LONGEST_ID => {
                Err(format!("an id has 1 to {LONGEST_ID} bytes"))
            }
            _ => Ok(item),
        }
    }

    /// Whether both are published together.
    fn goes_with(&self, other: &Self) -> bool {
        self.destination == other.destination && self.id.is_some() == other.id.is_some()
    }

    fn message(&self) -> StompMessage {
        message(self.headers.clone(), self.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_are_published_once_each_and_those_that_cannot_be_say_why() {
        let node = Node::new();
        let broker = Broker::new(&node);
        let good = |id: &str, body: &str| json!({ "destination": "/topic/a", "id": id, "body": body }).to_string();
        let items = [
            good("1", "one"),
            "<xml>".to_owned(),
            good("1", "one"),
            good("1", "another"),
            json!({ "destination": "/nowhere" }).to_string(),
            json!({ "destination": "/topic/a", "ids": "2" }).to_string(),
            json!({ "destination": "/topic/a", "id": "" }).to_string(),
            "x".repeat(LARGEST + 1),
            good("2", "two"),
            json!({ "destination": "/topic/a", "body": { "no": "id" } }).to_string(),
            json!({ "destination": "/queue/a", "body": "job", "id": "1" }).to_string(),
            json!({ "destination": "/queue/a", "body": "job", "id": "1" }).to_string(),
        ]
        .map(String::into_bytes);
        let dealt = publish(&broker, &items).await;
        assert_eq!((dealt.count, dealt.stopped), (items.len(), None));
        let reasons: Vec<String> = dealt
            .refused
            .iter()
            .map(|kept| serde_json::from_slice::<Value>(kept).unwrap()["reason"].as_str().unwrap().to_owned())
            .collect();
        for (reason, part) in
            reasons.iter().zip(["expected value", "another message's", "/nowhere", "ids", "1 to 256", "1048576"])
        {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(reasons.len(), 6);
        assert!(dealt.refused.iter().all(|kept| kept.len() < 2 * MOST_KEPT));
        let channel = "/topic/a".parse().unwrap();
        let start = node.inner.store.tail(&channel, u64::MAX).await.unwrap();
        let kept = node.inner.store.read(&channel, start, usize::MAX).await.unwrap();
        assert_eq!(kept.entries.len(), 3, "one, two, and the one without an id");
    }

    #[tokio::test]
    async fn a_full_queue_holds_the_list_up_and_what_it_refuses_is_not_taken_for_sent() {
        let few = crate::store::Retention { entries: 1, ..Default::default() };
        let node = Node::builder().retention_of("/queue/*".parse().unwrap(), few).build();
        let broker = Broker::new(&node);
        let items = [("/queue/a", "1"), ("/topic/a", "2"), ("/queue/a", "3"), ("/topic/a", "4")]
            .map(|(to, id)| json!({ "destination": to, "id": id }).to_string().into_bytes());
        for rest in [&items[..], &items[2..]] {
            let dealt = publish(&broker, rest).await;
            assert_eq!(rest[dealt.count..], items[2..], "it comes no further than what is refused");
            assert_eq!((dealt.refused.len(), dealt.stopped), (0, Some(PublishError::Full.into())));
        }
        let taken = broker.send_once("/queue/a", "1", "").await.unwrap();
        assert!(matches!(taken, Once::Repeated(_)), "{taken:?}");
    }

    #[tokio::test]
    async fn of_neighbours_for_a_queue_as_many_are_sent_as_it_has_room_for() {
        let few = crate::store::Retention { entries: 4, ..Default::default() };
        let node = Node::builder().retention_of("/queue/*".parse().unwrap(), few).build();
        let broker = Broker::new(&node);
        broker.send("/queue/a", "before").await.unwrap();
        let items: Vec<_> = (1..=100)
            .map(|id: u32| json!({ "destination": "/queue/a", "id": id.to_string() }).to_string().into_bytes())
            .collect();
        let dealt = publish(&broker, &items).await;
        assert_eq!((dealt.count, dealt.stopped), (3, Some(PublishError::Full.into())));
    }
}
