//! The calls that send messages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::problem::Problem;
use super::request::{self, Object};
use crate::MessageId;
use crate::stomp::{Broker, StompMessage, user_destination};
use crate::store::{Once, Position, Published};

/// Messages of a batch.
pub(super) const MOST_MESSAGES: usize = 1000;
/// Headers of a message; characters of a header's name, and of an id; those of a header's value.
const MOST_HEADERS: usize = 64;
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 8192;

/// A message to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow)]
    destination: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(default)]
    headers: Headers,
    #[serde(default, borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    messages: Vec<Object<Message<'a>>>,
}

/// What the caller is told of a message that was sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    message_id: String,
    repeated: bool,
}

/// What the caller is told of each message of a batch.
#[derive(Serialize)]
pub(super) struct Outcomes {
    results: Vec<Option<Outcome>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Sent(Sent),
    Failed { problem: Value },
}

/// Headers in the order in which they came.
#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Headers, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Headers(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// Sends one message, to a user where one is named.
pub(super) async fn one(
    broker: &Broker,
    user: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Sent, Problem> {
    let message: Message<'_> = request::json(body)?;
    let id = id_of(&message, idempotency_key(headers)?)?;
    check(&message, "")?;
    let destination = match user {
        None => message.destination.clone(),
        Some(user) => user_destination(user, &message.destination).into(),
    };
    let message = stomp(message);
    match id {
        None => sent(Once::Published(broker.send(&destination, message).await?.last)),
        Some(id) => sent(broker.send_once(&destination, id.as_str(), message).await?),
    }
}

/// Sends many messages, in order, and says what became of each.
pub(super) async fn batch(broker: &Broker, headers: &HeaderMap, body: &[u8]) -> Result<Outcomes, Problem> {
    let Batch { messages } = request::json(body)?;
    if messages.is_empty() || messages.len() > MOST_MESSAGES {
        return Err(Problem::field("messages", format!("A batch has 1 to {MOST_MESSAGES} messages.")));
    }
    let key = idempotency_key(headers)?;
    for (index, Object(message)) in messages.iter().enumerate() {
        check(message, &format!("messages[{index}]."))?;
    }
    let mut groups: HashMap<String, Vec<Item>> = HashMap::new();
    let count = messages.len();
    for (index, Object(message)) in messages.into_iter().enumerate() {
        let id = message.id.as_deref().map(MessageId::of);
        let id = id.or_else(|| key.as_ref().map(|key| MessageId::of(&format!("{key}/{index}"))));
        let destination = message.destination.clone().into_owned();
        groups.entry(destination).or_default().push(Item { index, id, message: stomp(message) });
    }
    let groups = join_all(groups.into_iter().map(|(destination, items)| send_group(broker, destination, items)));
    let mut results = Vec::new();
    results.resize_with(count, || None);
    for (index, outcome) in groups.await.into_iter().flatten() {
        let failed = |problem: Problem| Outcome::Failed { problem: problem.json() };
        results[index] = Some(outcome.map_or_else(failed, Outcome::Sent));
    }
    Ok(Outcomes { results })
}

/// A message of a batch, and its place there.
struct Item {
    index: usize,
    id: Option<MessageId>,
    message: StompMessage,
}

/// Sends messages to one destination, in order: those with an id, and those without, as many at once as stand together.
async fn send_group(
    broker: &Broker,
    destination: String,
    items: Vec<Item>,
) -> Vec<(usize, Result<Sent, Problem>)> {
    let mut sent = Vec::with_capacity(items.len());
    let mut items = items.into_iter().peekable();
    while let Some(first) = items.peek() {
        let has_id = first.id.is_some();
        let mut run = Vec::new();
        while let Some(item) = items.next_if(|item| item.id.is_some() == has_id) {
            run.push(item);
        }
        let places: Vec<_> = run.iter().map(|item| item.index).collect();
        let outcomes = if has_id {
            let named = run.into_iter().filter_map(|item| Some((item.id?, item.message)));
            broker.send_all_once(&destination, named).await
        } else {
            let published = broker.send_all(&destination, run.into_iter().map(|item| item.message)).await;
            published.map(|Published { last, count }| {
                let place = |back| Once::Published(Position { seq: last.seq - back, ..last });
                (0..count).rev().map(place).collect()
            })
        };
        match outcomes {
            Ok(outcomes) => sent.extend(places.into_iter().zip(outcomes.into_iter().map(self::sent))),
            Err(error) => {
                let problem = Problem::from(error);
                sent.extend(places.into_iter().map(|place| (place, Err(problem.clone()))));
            }
        }
    }
    sent
}

fn stomp(message: Message<'_>) -> StompMessage {
    let sent = StompMessage::new(message.body);
    message.headers.0.into_iter().fold(sent, |sent, (name, value)| sent.with(name, value))
}

/// What the caller is told of a message.
fn sent(once: Once) -> Result<Sent, Problem> {
    let (at, repeated) = match once {
        Once::Published(at) => (at, false),
        Once::Repeated(at) => (at, true),
        Once::Conflict(at) => {
            let title = "The id belongs to another message";
            let detail = "A message with this id and another content was sent.";
            let problem = Problem::new(StatusCode::CONFLICT, "id-conflict", title, detail);
            return Err(problem.with("messageId", at.to_string()));
        }
    };
    Ok(Sent { message_id: at.to_string(), repeated })
}

/// Checks what a type cannot say. `place` is where the message stands in the request.
fn check(message: &Message<'_>, place: &str) -> Result<(), Problem> {
    let wrong = |field: &str, detail: String| Err(Problem::field(&format!("{place}{field}"), detail));
    if let Some(id) = &message.id
        && !is_name(id)
    {
        return wrong("id", format!("An id has 1 to {LONGEST_NAME} characters."));
    }
    let headers = &message.headers.0;
    if headers.len() > MOST_HEADERS {
        return wrong("headers", format!("A message has {MOST_HEADERS} headers at most."));
    }
    for (name, value) in headers {
        if !is_name(name) {
            return wrong("headers", format!("A header's name has 1 to {LONGEST_NAME} characters."));
        }
        if value.chars().count() > LONGEST_VALUE {
            return wrong(&format!("headers.{name}"), format!("A header has {LONGEST_VALUE} characters at most."));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST_NAME
}

/// The id of the one message of a call.
fn id_of(message: &Message<'_>, key: Option<String>) -> Result<Option<String>, Problem> {
    match (&message.id, key) {
        (Some(id), Some(key)) if *id != key => {
            let detail = "The field id and the header Idempotency-Key name different ids: use one of them.";
            Err(Problem::new(StatusCode::CONFLICT, "two-ids", "There are two ids", detail).with("field", "id"))
        }
        (Some(id), _) => Ok(Some(id.to_string())),
        (None, key) => Ok(key),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut keys = headers.get_all(NAME).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let text = key.to_str().ok().filter(|text| is_name(text) && text.bytes().all(|byte| byte.is_ascii_graphic()));
    match text {
        Some(text) if keys.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Problem::field(NAME, format!("One key of 1 to {LONGEST_NAME} visible ASCII characters."))),
    }
}
