//! What the scripts of sessions answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use sockhop_transports::{CloseReason, Message};

use super::origin;
use super::reply::Reply;
use crate::store::{
    Again, Epoch, Feed, Gone, Origin, Own, Pending, Position, Replay, StoreError, Subscription, Terms,
};

/// Whether the session is there, and held as was said.
pub(super) fn held(reply: &mut Reply) -> Result<(), Gone> {
    match reply.text()?.as_str() {
        "over" => Err(Gone::Over),
        "fenced" => Err(Gone::Fenced),
        _ => Ok(()),
    }
}

/// Origin and attributes of a session.
pub(super) fn read_info(info: &mut Reply) -> Result<(Arc<Origin>, BTreeMap<String, String>), StoreError> {
    let (mut origin, mut attributes) = (None, BTreeMap::new());
    while info.has_more() {
        let (name, value) = (info.text()?, info.bytes()?);
        match name.strip_prefix('a') {
            None => origin = origin::decode(&value),
            Some(name) => {
                attributes.insert(name.to_owned(), String::from_utf8_lossy(&value).into_owned());
            }
        }
    }
    match origin {
        Some(origin) => Ok((origin, attributes)),
        None => info.error(),
    }
}

/// The attachment, and what waits for it.
pub(super) fn read_snapshot(reply: &mut Reply) -> Result<(u64, Pending), StoreError> {
    let (attachment, from) = (reply.count()?, reply.count()?);
    let Some(replay) = Replay::from_number(reply.count()?) else { return reply.error() };
    let (code, text, confirmed) = (reply.count()?, reply.text()?, reply.count()?);
    let mut frames = reply.list()?;
    let mut messages = Vec::new();
    while frames.has_more() {
        match Message::from_frame(frames.bytes()?.into()) {
            Some(message) => messages.push(message),
            None => return frames.error(),
        }
    }
    let mut rows = reply.list()?;
    let mut subscriptions = Vec::new();
    while rows.has_more() {
        let (feed, packed) = (rows.text()?, rows.bytes()?);
        let subscription = Feed::from_text(&feed).and_then(|feed| read_row(feed, &packed, confirmed));
        match subscription {
            Some(subscription) => subscriptions.push(subscription),
            None => return rows.error(),
        }
    }
    let closed = (code != 0).then(|| CloseReason::from_parts(u16::try_from(code).unwrap_or(1000), text));
    let terms = Terms::from_text(&reply.text()?);
    let (batched, own) = (reply.count()? == 1, Own(reply.count()?));
    let Some(then) = Replay::from_number(reply.count()?) else { return reply.error() };
    let again = batched.then_some(Again { own, replay: then });
    Ok((attachment, Pending { replay, from: Own(from), messages, subscriptions, closed, terms, again }))
}

/// A subscription, as `session.lua` packs it.
fn read_row(feed: Feed, packed: &[u8], confirmed: u64) -> Option<Subscription> {
    let number = |at: std::ops::Range<usize>| {
        Some(packed.get(at)?.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte)))
    };
    let generation = number(0..4)?;
    let before = Position { epoch: Epoch(number(4..12)?), seq: number(12..18)? };
    let newest = Position { epoch: Epoch(number(18..26)?), seq: number(26..32)? };
    let by = number(32..36)?;
    Some(Subscription { feed, generation, cursor: if by <= confirmed { newest } else { before }, sent: newest })
}
