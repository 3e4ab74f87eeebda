//! The batch of a response whose request a balancer has repeated.
//!
//! Nobody knows whether the first answer arrived. So the repeat is given the very same: whichever of the two the client
//! gets, its next request confirms one and the same batch.

use std::collections::VecDeque;
use std::sync::Arc;

use sockhop_transports::{CloseReason, Frame, Messages, Next};

use super::reader::Missed;
use crate::hub::Render;
use crate::node::NodeInner;
use crate::store::{Again, Own, Pending, Position, Sent, StoreError, Subscription};

/// A batch, to be handed out again.
pub(super) struct Batch {
    frames: VecDeque<Frame>,
    /// As its first release said.
    pub(super) sent: Sent,
}

/// Bytes read from a channel in one go.
const READ: usize = 256 * 1024;

impl Batch {
    /// Puts the batch together; `None` where entries of it are not kept any longer.
    pub(super) async fn gather(
        node: &NodeInner,
        render: Option<&Arc<dyn Render>>,
        pending: &Pending,
        again: Again,
    ) -> Result<Option<Self>, StoreError> {
        let first = pending.from.max(Own(1));
        let own = pending.messages.iter().take(again.own.0.saturating_sub(first.0) as usize);
        let mut messages: Messages = own.cloned().collect();
        let mut channels = Vec::new();
        for subscription in &pending.subscriptions {
            if read(node, render, subscription, &mut messages).await? == Err(Missed) {
                return Ok(None);
            }
            channels.push((subscription.feed.clone(), subscription.generation, subscription.sent));
        }
        let mut frames = VecDeque::new();
        if pending.replay.opens() {
            frames.push_back(Frame::Open);
        }
        if !messages.is_empty() {
            frames.push_back(Frame::Messages(messages));
        }
        if frames.is_empty() {
            frames.push_back(pending.closed.clone().map_or(Frame::Heartbeat, Frame::Close));
        }
        let sent = Sent { own: again.own, channels, replay: again.replay };
        Ok(Some(Self { frames, sent }))
    }

    /// A batch that cannot be given again: the client is told so.
    pub(super) fn lost(sent: Sent) -> Self {
        Self { frames: [Frame::Close(CloseReason::MISSED_MESSAGES)].into(), sent }
    }

    pub(super) fn next(&mut self) -> Next {
        self.frames.pop_front().map_or(Next::End, Next::Frame)
    }
}

/// Reads what a subscription was sent beyond its cursor.
async fn read(
    node: &NodeInner,
    render: Option<&Arc<dyn Render>>,
    subscription: &Subscription,
    messages: &mut Messages,
) -> Result<Result<(), Missed>, StoreError> {
    let Subscription { feed, cursor, sent, .. } = subscription;
    let mut at = *cursor;
    while at != *sent {
        let slice = node.store.read(&feed.channel, at, READ).await?;
        if slice.gap || slice.entries.is_empty() {
            return Ok(Err(Missed));
        }
        for entry in slice.entries {
            at = Position { epoch: slice.epoch, seq: entry.seq };
            match (&feed.tag, render) {
                (Some(tag), Some(render)) => {
                    messages.extend(render.render(tag, &feed.channel, at, &entry.message));
                }
                _ => messages.push(entry.message),
            }
            if at == *sent {
                break;
            }
        }
    }
    Ok(Ok(()))
}
