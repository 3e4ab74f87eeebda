//! SUBSCRIBE and UNSUBSCRIBE: what a client follows, and from where on.

use std::sync::Arc;

use sockhop_stomp::{Frame, Version};

use super::{Turn, check_name};
use crate::hub::Render;
use crate::stomp::acked::Acked;
use crate::stomp::app::AppMessage;
use crate::stomp::broker::Broker;
use crate::stomp::destination::{Source, session_channel, session_text, user_channel};
use crate::stomp::pattern;
use crate::stomp::refusal::{Refusal, shown};
use crate::stomp::rules::Action;
use crate::stomp::state::Subscribed;
use crate::stomp::tag::{self, AckMode, Tag};
use crate::stomp::{entry, presence, stays};
use crate::store::{Feed, Position, SubscribeError};

impl Turn<'_> {
    pub(super) async fn subscribe(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let destination =
            frame.headers.get("destination").ok_or_else(|| Refusal::missing("destination", frame.command))?;
        let source = Source::parse(destination)?;
        match &source {
            Source::Topics(pattern) => self.check_rules_for_all(pattern)?,
            _ => self.check_rules(Action::Subscribe, destination)?,
        }
        let id = self.subscription_id(frame)?;
        if self.conversation.subscription(id).is_some() {
            return Err(Refusal::invalid("id", format!("There is a subscription {id:?} already.")));
        }
        let ack = frame.headers.get("ack");
        let ack = AckMode::parse(ack).ok_or_else(|| {
            Refusal::invalid(
                "ack",
                format!("{:?}: use auto, client or client-individual.", shown(ack.unwrap_or_default())),
            )
        })?;
        let joins = matches!(source, Source::Topic(_)) && presence::is_kept(&self.state.presence, destination);
        match source {
            // Answered once: there is nothing to remember.
            Source::App => return self.answer_subscription(frame, destination, id, ack).await,
            Source::Topics(pattern) => self.subscribe_to_all(frame, &pattern, id, ack).await?,
            Source::Presence(_) => self.subscribe_to_presence(frame, source, id, ack).await?,
            Source::Queue(queue) if self.has_queues() => self.consume(frame, queue, id, ack).await?,
            source => self.follow(frame, source, destination, id, ack).await?,
        }
        self.conversation.subscribe(Subscribed::new(id, destination, ack));
        if joins {
            let roster = presence::roster_of(destination)?;
            stays::enter(self.session, self.conversation.user(), &roster).await?;
        }
        Ok(())
    }

    /// Has the application answer a subscription.
    async fn answer_subscription(
        &mut self,
        frame: &Frame,
        destination: &str,
        id: &str,
        ack: AckMode,
    ) -> Result<(), Refusal> {
        let (handler, variables) =
            self.state.app_answers.find(destination).ok_or_else(|| self.unanswered(destination))?;
        let number = self.conversation.count_call();
        let message = AppMessage::new(self.session, self.conversation.user(), variables, frame.clone(), number);
        let answer = handler.answer(message).await?;
        let tag = Tag { version: self.conversation.version(), ack, session: None, queue: None, id };
        let message_id = format!("{}{:016x}", entry::ANSWER, rand::random::<u64>());
        self.send(&entry::direct(&tag, destination, &message_id, &answer));
        Ok(())
    }

    /// Why nobody answers a subscription.
    fn unanswered(&self, destination: &str) -> Refusal {
        let detail = match self.state.apps.find(destination) {
            Some(_) => format!(
                "The application takes what is sent to {destination}, and answers no subscriptions there: send to it, and \
                 subscribe to /user/queue/... for what it answers."
            ),
            None => format!("The application answers nothing to subscriptions to {destination}."),
        };
        Refusal::new("unknown destination", detail)
    }

    /// Subscribes to all topics that a pattern stands for: to those that there are, and to the news of others, each of
    /// which is then followed from its beginning.
    async fn subscribe_to_all(&self, frame: &Frame, pattern: &str, id: &str, ack: AckMode) -> Result<(), Refusal> {
        if frame.headers.get("after").is_some() {
            let detail = format!(
                "It names a place in one destination, and {pattern} stands for many: use history, or subscribe to \
                 each with its own after."
            );
            return Err(Refusal::invalid("after", detail));
        }
        let history = history(frame)?;
        let (node, most) = (self.session.node(), self.session.max_subscriptions());
        let listed = node.inner.catalogue.listed(&node.inner).await?;
        if !listed.complete {
            return Err(Refusal::too_many_topics());
        }
        // Beside the news.
        let channels = pattern::find(pattern, &listed.names, most.saturating_sub(1))
            .await
            .ok_or_else(|| Refusal::too_many_for(pattern, most))?;
        let tag = self.tag(id, ack);
        let too_many = |error| match error {
            SubscribeError::TooMany(most) => Refusal::too_many_for(pattern, most),
            error => error.into(),
        };
        self.session.subscribe_to(&self.stem(pattern, &tag), Some(listed.at)).await.map_err(too_many)?;
        let tag: Arc<str> = tag.into();
        let subscribing = channels.into_iter().map(|channel| {
            let feed = Feed { channel, tag: Some(Arc::clone(&tag)) };
            let store = &node.inner.store;
            async move {
                let from = match history {
                    Some(history) => Some(store.tail(&feed.channel, history.into()).await?),
                    None => None,
                };
                self.session.subscribe_to(&feed, from).await
            }
        });
        futures_util::future::try_join_all(subscribing).await.map(drop).map_err(too_many)
    }

    /// Subscribes to who is in a destination: first the client is told who that is, then what changes.
    async fn subscribe_to_presence(
        &mut self,
        frame: &Frame,
        source: Source,
        id: &str,
        ack: AckMode,
    ) -> Result<(), Refusal> {
        let destination = frame.headers.get("destination").unwrap_or_default();
        let of = presence::presence_of(destination).unwrap_or(destination);
        if !presence::is_kept(&self.state.presence, of) {
            return Err(Refusal::new("unknown destination", format!("Who is in {of} is not kept.")));
        }
        let feed = self.feed(source, id, ack)?;
        let from = match self.start(frame, &feed).await? {
            Some(from) => from,
            None => self.tell_presence(&feed).await?,
        };
        Ok(self.session.subscribe_to(&feed, Some(from)).await?)
    }

    /// Tells who is in a destination, ahead of all that its events tell: from where these follow.
    async fn tell_presence(&mut self, feed: &Feed) -> Result<Position, Refusal> {
        let (snapshot, at) = Broker::new(&self.session.node()).snapshot(&feed.channel).await?;
        let tag = feed.tag.as_deref().unwrap_or_default();
        self.out.extend(entry::Frames.render(tag, &feed.channel, at, &snapshot));
        // What an event tells must not overtake it.
        self.session.send_now(std::mem::take(&mut self.out)).await?;
        Ok(at)
    }

    /// Makes a subscription of which each message is for all who have one.
    async fn follow(
        &mut self,
        frame: &Frame,
        source: Source,
        destination: &str,
        id: &str,
        ack: AckMode,
    ) -> Result<(), Refusal> {
        let feed = self.feed(source, id, ack)?;
        let is_remembered = ack != AckMode::Auto && self.session.can_resume() && !self.session.is_local();
        let mut from = self.start(frame, &feed).await?;
        if is_remembered {
            from = Some(match from {
                Some(from) => from,
                None => self.acked_start(&feed, id, destination).await?,
            });
        }
        self.session.subscribe_to(&feed, from).await?;
        if let Some(from) = from.filter(|_| is_remembered) {
            self.conversation.remember_acked(Acked::new(id, destination, from));
        }
        Ok(())
    }

    /// Where a subscription of a client that acknowledges starts: behind what it has acknowledged before it came back.
    async fn acked_start(&mut self, feed: &Feed, id: &str, destination: &str) -> Result<Position, Refusal> {
        let store = &self.session.node().inner.store;
        let Some(acked) = self.conversation.acked(id, destination) else {
            return Ok(store.tail(&feed.channel, 0).await?);
        };
        if !store.read(&feed.channel, acked, 1).await?.gap {
            return Ok(acked);
        }
        self.conversation.forget_acked(id);
        let oldest = store.tail(&feed.channel, u64::MAX).await?;
        Err(not_kept("Messages that were not acknowledged are not kept any more. Subscribe anew.", acked, oldest))
    }

    pub(super) async fn unsubscribe(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let id = self.subscription_id(frame)?;
        // Ending what has ended is no error: clients do it when they tidy up.
        let Some(subscribed) = self.conversation.unsubscribe(id) else { return Ok(()) };
        self.conversation.forget_acked(subscribed.id());
        self.end_subscription(&subscribed).await
    }

    pub(super) async fn end_subscription(&mut self, subscribed: &Subscribed) -> Result<(), Refusal> {
        let (id, destination, ack) = (subscribed.id(), subscribed.destination(), subscribed.ack);
        match Source::parse(destination)? {
            Source::Topics(pattern) => {
                let tag = self.tag(id, ack);
                // This first: it leads to no more of the others then.
                self.session.unsubscribe_from(&self.stem(&pattern, &tag)).await?;
                Ok(self.session.unsubscribe_tag(&tag).await?)
            }
            Source::Queue(_) if self.has_queues() => self.cancel(id).await,
            source => {
                let is_topic = matches!(source, Source::Topic(_));
                self.session.unsubscribe_from(&self.feed(source, id, ack)?).await?;
                let others = self.conversation.subscriptions();
                if is_topic && !others.iter().any(|other| other.destination() == destination) {
                    stays::leave(self.session, &presence::roster_of(destination)?).await?;
                }
                Ok(())
            }
        }
    }

    /// The client's name of a subscription; in 1.0 the destination may stand for it.
    fn subscription_id<'f>(&self, frame: &'f Frame) -> Result<&'f str, Refusal> {
        let id = match (frame.headers.get("id"), self.conversation.version()) {
            (Some(id), _) => id,
            (None, Version::V1_0) => {
                frame.headers.get("destination").ok_or_else(|| Refusal::missing("destination", frame.command))?
            }
            (None, _) => return Err(Refusal::missing("id", frame.command)),
        };
        check_name("id", id)?;
        Ok(id)
    }

    /// What a subscription follows.
    fn feed(&self, source: Source, id: &str, ack: AckMode) -> Result<Feed, Refusal> {
        let identity = self.session.identity();
        let (channel, session) = match source {
            Source::Topic(channel) | Source::Presence(channel) | Source::Queue(channel) => (channel, None),
            // Nobody remembers a subscription to one.
            Source::App => return Err(Refusal::new("unknown destination", "It is the application's.")),
            // Its own way of subscribing knows what it follows.
            Source::Topics(pattern) => return Ok(self.stem(&pattern, &self.tag(id, ack))),
            Source::Own { path } => match self.conversation.user() {
                Some(user) => (user_channel(user.name(), &path)?, Some(session_text(identity))),
                None => (session_channel(identity, &path)?, None),
            },
        };
        let tag = Tag { version: self.conversation.version(), ack, session: session.as_deref(), queue: None, id };
        Ok(Feed { channel, tag: Some(tag.text().into()) })
    }

    /// The tag of all that a subscription with wildcards leads to.
    fn tag(&self, id: &str, ack: AckMode) -> String {
        Tag { version: self.conversation.version(), ack, session: None, queue: None, id }.text()
    }

    /// What a subscription with wildcards follows itself: the news of topics.
    fn stem(&self, pattern: &str, tag: &str) -> Feed {
        let channel = self.session.node().inner.catalogue.channel().clone();
        Feed { channel, tag: Some(tag::stem(pattern, tag).into()) }
    }

    /// Where a subscription starts: now, or where `after` or `history` say.
    async fn start(&self, frame: &Frame, feed: &Feed) -> Result<Option<Position>, Refusal> {
        // Where a message's id says more than where it stands, that comes first.
        let position = |id: &str| id.split(' ').next().unwrap_or_default().parse::<Position>();
        let after = frame.headers.get("after").map(position).transpose();
        let after = after.map_err(|error| Refusal::invalid("after", format!("{error}.")))?;
        let history = history(frame)?;
        let store = &self.session.node().inner.store;
        if let Some(after) = after
            && !store.read(&feed.channel, after, 1).await?.gap
        {
            return Ok(Some(after));
        }
        match (after, history) {
            (_, Some(history)) => Ok(Some(store.tail(&feed.channel, history.into()).await?)),
            (Some(after), None) => {
                let oldest = store.tail(&feed.channel, u64::MAX).await?;
                let detail = "Messages after this position are not kept any more. Subscribe without after, or with \
                              history as well, which then counts.";
                Err(not_kept(detail, after, oldest))
            }
            (None, None) => Ok(None),
        }
    }
}

/// How many of the newest messages come first.
fn history(frame: &Frame) -> Result<Option<u32>, Refusal> {
    let Some(count) = frame.headers.get("history") else { return Ok(None) };
    let none = |_| Refusal::invalid("history", format!("{:?} is no number of messages.", shown(count)));
    count.parse().map(Some).map_err(none)
}

fn not_kept(detail: &str, after: Position, oldest: Position) -> Refusal {
    Refusal::new("position not kept", detail).with("after", after.to_string()).with("oldest", oldest.to_string())
}
