//! Sessions in Redis: each operation one script.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sockhop_transports::{CloseReason, Message};

use super::answers::{held, read_info, read_snapshot};
use super::keys::{Keys, SessionKeys, member_of, session_of};
use super::reply::Reply;
use super::script::{self, Argument, Script, arguments};
use super::signals::{Letter, MOST};
use super::{Inner, origin};
use crate::id::{NodeId, SessionKey};
use crate::store::{
    Anchor, Attach, Attached, Branch, Branched, Ended, Feed, First, Gone, Hold, Holder, Intent, Known, Own,
    Pending, Position, Push, Sent, SessionRef, Signal, StoreError, SubscribeError, Takeover, Turn, size_of,
};

impl Inner {
    pub(super) async fn session(
        &self,
        script: &Script,
        keys: &SessionKeys,
        arguments: &[Argument<'_>],
    ) -> Result<Reply, StoreError> {
        let answer = self.runner.run_plain(keys.slot, script, &keys.keys, arguments).await?;
        Reply::new(script.operation, answer)
    }

    pub(super) async fn attach(self: &Arc<Self>, attach: Attach<'_>) -> Result<Attached, StoreError> {
        self.is_a_member(attach.node).await?;
        let keys = self.keys.session(attach.key);
        let (node, token) = (attach.node.to_bytes(), random());
        let request = attach.request.map(crate::id::RequestId::to_bytes);
        let (take_life, take) = match attach.takeover {
            Takeover::Never => ([0; 8], 0),
            Takeover::From(hold) => (hold.session.life.to_be_bytes(), hold.attachment),
        };
        let origin = (attach.create)();
        self.notice_delay(origin.as_ref());
        let encoded = origin.as_ref().map(origin::encode).unwrap_or_default();
        let delay = origin.as_ref().map_or(0, |origin| origin.disconnect_delay.as_millis() as u64);
        let life = random();
        let arguments = arguments![
            keys.member(),
            &node,
            request.as_ref().map_or(&[][..], |request| &request[..]),
            &take_life,
            take,
            &token,
            &life,
            attach.first == First::Released,
            attach.attempt.map_or(0, |attempt| attempt.number),
            &encoded[..],
            delay,
            attach.attempt.is_some_and(|attempt| attempt.intent == Intent::Resume),
        ];
        // Whoever stops waiting for the answer, which may have been lost, must not go on to hold the session.
        let disowned = Disowned { store: self, key: attach.key, token, armed: true };
        let mut reply = self.session(&script::ATTACH, &keys, &arguments).await?;
        disowned.settle();
        let outcome = reply.text()?;
        let session = |reply: &mut Reply| {
            let life = u64::from_be_bytes(reply.id()?);
            Ok::<_, StoreError>(SessionRef { key: attach.key, life })
        };
        Ok(match outcome.as_str() {
            "created" => {
                let hold = Hold { session: session(&mut reply)?, attachment: reply.count()? };
                let turn = u64::from_be_bytes(token);
                self.calls.begun(turn, attach.node);
                self.count_opened(attach.node);
                match origin {
                    Some(origin) => Attached::Created(hold, Arc::new(origin), Turn(turn)),
                    None => return reply.error(),
                }
            }
            "held" => {
                let session = session(&mut reply)?;
                let (attachment, pending) = read_snapshot(&mut reply.list()?)?;
                if let Some(holder) = reply.some_id()? {
                    let fenced = Hold { session, attachment: reply.count()? };
                    self.tell(NodeId::from_bytes(holder), Letter::Signal(Signal::Fenced(fenced))).await;
                }
                Attached::Held(Hold { session, attachment }, pending)
            }
            "busy" => {
                let session = session(&mut reply)?;
                let hold = Hold { session, attachment: reply.count()? };
                Attached::Busy(Holder { node: NodeId::from_bytes(reply.id()?), hold })
            }
            "full" => Attached::Full,
            "superseded" => Attached::Superseded,
            "gone" => Attached::Gone,
            "stale" => Attached::Stale,
            _ => return reply.error(),
        })
    }

    pub(super) async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone> {
        self.is_a_member(anchor.node).await?;
        let keys = self.keys.session(anchor.session.key);
        let (node, life) = (anchor.node.to_bytes(), anchor.session.life.to_be_bytes());
        let origin = origin::encode(anchor.origin);
        let delay = anchor.origin.disconnect_delay.as_millis() as u64;
        let mut arguments = arguments![keys.member(), &node, &life, &origin[..], delay].to_vec();
        for (name, value) in anchor.attributes {
            arguments.extend(arguments![name, value]);
        }
        let mut reply = self.session(&script::ANCHOR, &keys, &arguments).await?;
        match reply.text()?.as_str() {
            "done" => {
                self.count_opened(anchor.node);
                Ok(())
            }
            "over" => Err(Gone::Over),
            _ => reply.error().map_err(Gone::from),
        }
    }

    /// The keys of the sessions in a bucket.
    pub(super) async fn session_keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError> {
        let keys = [self.keys.deadlines(bucket)];
        let answer = self.runner.run_plain(Keys::bucket_slot(bucket), &script::KEYS, &keys, &[]).await?;
        let mut reply = Reply::new("list", answer)?;
        let mut found = Vec::new();
        while reply.has_more() {
            if let Some((key, None)) = session_of(&reply.bytes()?) {
                found.push(key);
            }
        }
        Ok(found)
    }

    pub(super) async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError> {
        let keys = self.keys.session(key);
        let names: Vec<_> = attributes.iter().map(|name| Argument::from(*name)).collect();
        let mut reply = self.session(&script::KNOWN, &keys, &names).await?;
        if reply.text()? == "none" {
            return Ok(None);
        }
        let session = SessionRef { key, life: u64::from_be_bytes(reply.id()?) };
        let node = reply.some_id()?.map(NodeId::from_bytes);
        let subscriptions = reply.count()? as usize;
        let (origin, attributes) = read_info(&mut reply.list()?)?;
        Ok(Some(Known { session, origin, attributes, node, subscriptions }))
    }

    /// The shorter a session may be away, the closer is looked after sessions.
    fn notice_delay(&self, origin: Option<&crate::store::Origin>) {
        if let Some(origin) = origin {
            let delay = origin.disconnect_delay.as_millis() as u64;
            self.shortest_delay.fetch_min(delay, Ordering::Relaxed);
        }
    }

    async fn disown_by_token(&self, key: SessionKey, token: [u8; 8]) {
        let keys = self.keys.session(key);
        let done = self.session(&script::DISOWN, &keys, &arguments!["", 0u64, &token, keys.member()]).await;
        if let Err(error) = done {
            tracing::warn!(%error, "could not disown an attach whose answer was lost");
        }
    }

    pub(super) async fn disown(&self, hold: Hold) -> Result<(), Gone> {
        let keys = self.keys.session(hold.session.key);
        let life = hold.session.life.to_be_bytes();
        let arguments = arguments![&life, hold.attachment, "", keys.member()];
        held(&mut self.session(&script::DISOWN, &keys, &arguments).await?)
    }

    pub(super) async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        let keys = self.keys.session(hold.session.key);
        let life = hold.session.life.to_be_bytes();
        let mut reply = self.session(&script::PENDING, &keys, &arguments![&life, hold.attachment, own.0]).await?;
        held(&mut reply)?;
        Ok(read_snapshot(&mut reply.list()?)?.1)
    }

    pub(super) async fn release(&self, hold: Hold, sent: &Sent) -> Result<(), Gone> {
        let member = member_of(hold.session.key);
        self.note(&script::RELEASE, hold, sent, Some(&member)).await
    }

    pub(super) async fn commit(&self, hold: Hold, received: &Sent) -> Result<(), Gone> {
        self.note(&script::COMMIT, hold, received, None).await
    }

    async fn note(&self, script: &Script, hold: Hold, sent: &Sent, member: Option<&str>) -> Result<(), Gone> {
        let keys = self.keys.session(hold.session.key);
        let life = hold.session.life.to_be_bytes();
        let fields: Vec<_> = sent.channels.iter().map(|(feed, ..)| feed.text()).collect();
        let epochs: Vec<_> = sent.channels.iter().map(|(_, _, at)| at.epoch.0.to_be_bytes()).collect();
        let mut arguments = arguments![&life, hold.attachment, sent.own.0, sent.replay.to_number()].to_vec();
        arguments.extend(member.map(Argument::from));
        for (((_, generation, at), field), epoch) in sent.channels.iter().zip(&fields).zip(&epochs) {
            arguments.extend(arguments![&**field, *generation, epoch, at.seq]);
        }
        held(&mut self.session(script, &keys, &arguments).await?)
    }

    /// The client's connection was lost, or closed for a reason.
    pub(super) async fn lost(
        &self,
        hold: Hold,
        node: NodeId,
        reason: Option<&CloseReason>,
    ) -> Result<Option<Ended>, Gone> {
        let keys = self.keys.session(hold.session.key);
        let (life, node) = (hold.session.life.to_be_bytes(), node.to_bytes());
        // The same for the same hold: where an answer was lost, the next one brings what it has.
        let token = hold.session.life.rotate_left(32).wrapping_add(hold.attachment).to_be_bytes();
        let mut arguments = arguments![&life, hold.attachment, &node, &token, keys.member()].to_vec();
        if let Some(reason) = reason {
            arguments.extend(arguments![u64::from(reason.code()), reason.text()]);
        }
        let mut reply = self.session(&script::LOST, &keys, &arguments).await?;
        held(&mut reply)?;
        if self.calls.is_given(hold.session) {
            return Ok(None);
        }
        self.some_ended(&mut reply, hold.session.key).map_err(Gone::from)
    }

    pub(super) async fn push(
        &self,
        session: SessionRef,
        push: &Push,
        node: NodeId,
    ) -> Result<Option<Ended>, Gone> {
        let keys = self.keys.session(session.key);
        let (life, node, token) = (session.life.to_be_bytes(), node.to_bytes(), random());
        let frames: Vec<_> = push.messages.iter().map(Message::frame).collect();
        let mut arguments = arguments![&life, &token, push.limit, push.most_kept, &node].to_vec();
        arguments.extend(frames.iter().map(|frame| Argument::from(&frame[..])));
        let mut reply = self.session(&script::PUSH, &keys, &arguments).await?;
        held(&mut reply)?;
        self.appended(&mut reply, session, &push.messages).await?;
        Ok(self.some_ended(&mut reply, session.key)?)
    }

    /// Tells the holder of frames that were appended: holder, attachment, and where; -1 stands for other news.
    pub(super) async fn appended(
        &self,
        reply: &mut Reply,
        session: SessionRef,
        frames: &[Message],
    ) -> Result<(), StoreError> {
        let (holder, attachment, from) = (reply.some_id()?, reply.count()?, reply.number()?);
        if let Some(holder) = holder {
            let hold = Hold { session, attachment };
            let news = match u64::try_from(from) {
                Ok(from) if size_of(frames) <= MOST => Letter::Frames(hold, Own(from), frames.to_vec()),
                _ => Letter::Signal(Signal::Changed(hold)),
            };
            self.tell(NodeId::from_bytes(holder), news).await;
        }
        Ok(())
    }

    /// Tells the holder that its session has changed.
    pub(super) async fn changed(&self, reply: &mut Reply, session: SessionRef) -> Result<(), StoreError> {
        let (holder, attachment) = (reply.some_id()?, reply.count()?);
        if let Some(holder) = holder {
            let changed = Signal::Changed(Hold { session, attachment });
            self.tell(NodeId::from_bytes(holder), Letter::Signal(changed)).await;
        }
        Ok(())
    }

    pub(super) async fn close(
        &self,
        session: SessionRef,
        reason: &CloseReason,
        node: NodeId,
    ) -> Result<Option<Ended>, Gone> {
        let keys = self.keys.session(session.key);
        let (life, node, token) = (session.life.to_be_bytes(), node.to_bytes(), random());
        let arguments = arguments![&life, u64::from(reason.code()), reason.text(), &node, &token];
        let mut reply = self.session(&script::CLOSE, &keys, &arguments).await?;
        held(&mut reply)?;
        self.changed(&mut reply, session).await?;
        Ok(self.some_ended(&mut reply, session.key)?)
    }

    pub(super) async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        let keys = self.keys.session(session.key);
        let (life, epoch) = (session.life.to_be_bytes(), at.epoch.0.to_be_bytes());
        let field = feed.text();
        let arguments = arguments![&life, &*field, &epoch, at.seq, most];
        let mut reply = self.session(&script::SUBSCRIBE, &keys, &arguments).await?;
        match reply.text()?.as_str() {
            "over" => return Err(SubscribeError::Over),
            "many" => return Err(SubscribeError::TooMany(most)),
            _ => {}
        }
        Ok(self.changed(&mut reply, session).await?)
    }

    pub(super) async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        let keys = self.keys.session(session.key);
        let life = session.life.to_be_bytes();
        let field = feed.text();
        let mut reply = self.session(&script::UNSUBSCRIBE, &keys, &arguments![&life, &*field]).await?;
        held(&mut reply)?;
        Ok(self.changed(&mut reply, session).await?)
    }

    pub(super) async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        let keys = self.keys.session(hold.session.key);
        let (life, epoch) = (hold.session.life.to_be_bytes(), branch.at.epoch.0.to_be_bytes());
        let ((stem, generation), field) = ((branch.stem.0.text(), branch.stem.1), branch.feed.text());
        let arguments =
            arguments![&life, hold.attachment, &*stem, generation, &*field, &epoch, branch.at.seq, most];
        match self.session(&script::BRANCH, &keys, &arguments).await?.text()?.as_str() {
            "over" => Err(Gone::Over),
            "fenced" => Err(Gone::Fenced),
            "many" => Ok(Branched::TooMany),
            _ => Ok(Branched::Done),
        }
    }

    pub(super) async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        let keys = self.keys.session(session.key);
        let life = session.life.to_be_bytes();
        let mut reply = self.session(&script::UNTAG, &keys, &arguments![&life, tag]).await?;
        held(&mut reply)?;
        Ok(self.changed(&mut reply, session).await?)
    }

    pub(super) async fn set_attribute(
        &self,
        session: SessionRef,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), Gone> {
        let keys = self.keys.session(session.key);
        let life = session.life.to_be_bytes();
        let mut arguments = arguments![&life, name].to_vec();
        arguments.extend(value.map(Argument::from));
        held(&mut self.session(&script::ATTRIBUTE, &keys, &arguments).await?)
    }
}

/// Disowns an attach, unless its answer came.
struct Disowned<'a> {
    store: &'a Arc<Inner>,
    key: SessionKey,
    token: [u8; 8],
    armed: bool,
}

impl Disowned<'_> {
    fn settle(mut self) {
        self.armed = false;
    }
}

impl Drop for Disowned<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (store, key, token) = (Arc::clone(self.store), self.key, self.token);
            runtime.spawn(async move { store.disown_by_token(key, token).await });
        }
    }
}

pub(super) fn random() -> [u8; 8] {
    rand::random()
}
