//! Handler calls in Redis: one of a session at a time, and its end behind the last.

use std::time::Duration;

use sockhop_transports::{CloseReason, Message};

use super::Inner;
use super::answers::{held, read_info};
use super::reply::Reply;
use super::script::{self, Argument, arguments};
use super::sessions::random;
use super::signals::Letter;
use crate::id::{NodeId, SessionKey};
use crate::store::{
    Begin, Begun, Ended, Gone, Hold, Kept, Push, SessionRef, Signal, StoreError, Turn, given_up_on,
};

/// How long a call that waits for another trusts to be told of its end.
const RECALL: Duration = Duration::from_secs(1);

impl Inner {
    pub(super) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let keys = self.keys.session(begin.key);
        let (node, token) = (begin.node.to_bytes(), random());
        let turn = u64::from_be_bytes(token);
        let request = begin.request.map(crate::id::RequestId::to_bytes);
        let request = request.as_ref().map_or(&[][..], |request| &request[..]);
        let rate = u64::from(begin.rate.unwrap_or(0));
        let mut dead: Option<u64> = None;
        loop {
            let over = self.calls.over(begin.key);
            let dead_turn = dead.map(u64::to_be_bytes);
            let dead_turn = dead_turn.as_ref().map_or(&[][..], |turn| &turn[..]);
            let attempt = begin.attempt.unwrap_or(0);
            let arguments = arguments![&node, request, &token, u64::from(begin.count), rate, dead_turn, attempt];
            let mut reply = self.session(&script::BEGIN, &keys, &arguments).await?;
            match reply.text()?.as_str() {
                "run" => {
                    let session = SessionRef { key: begin.key, life: u64::from_be_bytes(reply.id()?) };
                    let (origin, attributes) = read_info(&mut reply.list()?)?;
                    let opening = reply.count()? == 1;
                    self.calls.begun(turn, begin.node);
                    return Ok(Begun::Run { session, origin, attributes, turn: Turn(turn), opening });
                }
                "finished" => return Ok(Begun::Done),
                "closed" => return Ok(Begun::Closed),
                "unknown" => return Ok(Begun::Unknown),
                "many" => {
                    let (holder, attachment) = (reply.some_id()?, reply.count()?);
                    let session = SessionRef { key: begin.key, life: u64::from_be_bytes(reply.id()?) };
                    if let Some(holder) = holder {
                        let changed = Signal::Changed(Hold { session, attachment });
                        self.tell(NodeId::from_bytes(holder), Letter::Signal(changed)).await;
                    }
                    return Ok(Begun::TooMany(self.some_ended(&mut reply, begin.key)?));
                }
                "wait" => {
                    let life = u64::from_be_bytes(reply.id()?);
                    let runner = NodeId::from_bytes(reply.id()?);
                    let running = u64::from_be_bytes(reply.id()?);
                    if tokio::time::timeout(RECALL, over).await.is_err() {
                        let session = SessionRef { key: begin.key, life };
                        dead = self.dead_turn(session, runner, running, keys.slot).await;
                    }
                }
                _ => return reply.error(),
            }
        }
    }

    /// A handler call that others wait for for long: names it, if it will never end.
    async fn dead_turn(&self, session: SessionRef, runner: NodeId, turn: u64, slot: u16) -> Option<u64> {
        if self.is_local(runner) {
            return (!self.calls.is_running(turn)).then_some(turn);
        }
        if self.is_dead(runner, slot).await {
            return Some(turn);
        }
        self.tell(runner, Letter::CheckTurn(session, turn)).await;
        None
    }

    pub(super) async fn finish(
        &self,
        session: SessionRef,
        turn: u64,
        push: &Push,
        kept: &Kept,
        node: NodeId,
        given_up: bool,
    ) -> Result<Option<Ended>, StoreError> {
        let keys = self.keys.session(session.key);
        let (life, node, token) = (session.life.to_be_bytes(), node.to_bytes(), turn.to_be_bytes());
        let frames: Vec<_> = push.messages.iter().map(Message::frame).collect();
        let terms = kept.terms.map(|terms| terms.text()).unwrap_or_default();
        let mut arguments =
            arguments![&life, &token, &node, push.limit, push.most_kept, given_up, kept.terms.is_some(), &terms]
                .to_vec();
        arguments.push(kept.attributes.len().into());
        for (name, value) in &kept.attributes {
            // A value, or none, which is not the same as an empty one.
            arguments.extend(arguments![name, value.is_some(), value.as_deref().unwrap_or_default()]);
        }
        arguments.extend(frames.iter().map(|frame| Argument::from(&frame[..])));
        let answer = self.session(&script::FINISH, &keys, &arguments).await;
        // Whatever the answer: this node does not run it any more.
        self.calls.ended(turn);
        let mut reply = answer?;
        match held(&mut reply) {
            Ok(()) => {}
            Err(Gone::Fenced) => return Err(given_up_on()),
            Err(_) => return Ok(None),
        }
        if kept.terms.is_some() {
            self.changed(&mut reply, session).await?;
            let _ = reply.number()?;
        } else if push.messages.is_empty() {
            let _ = (reply.some_id()?, reply.count()?, reply.number()?);
        } else {
            self.appended(&mut reply, session, &push.messages).await?;
        }
        let waiting = reply.bytes()?;
        for node in waiting.chunks_exact(8) {
            let node = NodeId::from_bytes(u64::from_be_bytes(node.try_into().unwrap_or_default()).to_be_bytes());
            self.tell(node, Letter::TurnOver(session.key)).await;
        }
        self.some_ended(&mut reply, session.key)
    }

    pub(super) async fn closed(&self, session: SessionRef) -> Result<(), StoreError> {
        let keys = self.keys.session(session.key);
        let life = session.life.to_be_bytes();
        let closed = self.session(&script::CLOSED, &keys, &arguments![&life, keys.member()]).await;
        self.calls.handled(session);
        closed.map(drop)
    }

    /// An end that was given to this node, and whose `on_close` it does not run: given again.
    pub(super) async fn take_end(&self, session: SessionRef, node: NodeId) -> Result<Option<Ended>, StoreError> {
        let keys = self.keys.session(session.key);
        let (life, node) = (session.life.to_be_bytes(), node.to_bytes());
        let mut reply = self.session(&script::END, &keys, &arguments![&life, &node]).await?;
        if held(&mut reply).is_err() || self.calls.is_given(session) {
            return Ok(None);
        }
        self.some_ended(&mut reply, session.key)
    }

    /// The end of a session, where a script gave it to this node.
    pub(super) fn some_ended(&self, reply: &mut Reply, key: SessionKey) -> Result<Option<Ended>, StoreError> {
        if !reply.has_more() {
            return Ok(None);
        }
        let mut ended = reply.list()?;
        let session = SessionRef { key, life: u64::from_be_bytes(ended.id()?) };
        let code = u16::try_from(ended.number()?).unwrap_or(1000);
        let reason = CloseReason::from_parts(code, ended.text()?);
        let (origin, attributes) = read_info(&mut ended.list()?)?;
        // Two scripts may have said so one after the other.
        Ok(self.calls.given(session).then_some(Ended { session, origin, attributes, reason }))
    }
}
