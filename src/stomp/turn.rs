//! One call for a client's messages: frames in, frames out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sockhop_stomp::{Command, Frame, HeartBeat, Incoming, Version};
use sockhop_transports::{Message, Texts};

use super::State;
use super::acked::Acked;
use super::app::AppMessage;
use super::broker::Broker;
use super::connect::{Admitted, Connect};
use super::destination::{Source, Target, session_channel, session_text, user_channel};
use super::entry;
use super::pattern::{self, Pattern};
use super::presence;
use super::refusal::{Refusal, shown};
use super::rules::{Action, Rule};
use super::state::{
    Connected, Conversation, MOST_TRANSACTIONS, Phase, SUBSCRIPTIONS, Subscribed, TransactionError,
};
use super::stays;
use super::tag::{self, AckMode, Tag};
use super::tokens::Tokens;
use super::users::Principal;
use crate::hub::Render;
use crate::store::{Feed, Position, SubscribeError, Terms};
use crate::{AttributeError, CloseReason, RequestInfo, Session};

/// A call under way.
pub(super) struct Turn<'a> {
    pub(super) state: &'a State,
    pub(super) session: &'a Session,
    pub(super) conversation: Conversation,
    /// What goes to the client with the call's end.
    out: Vec<Message>,
}

/// Whether the session goes on.
enum Flow {
    Go,
    End(CloseReason),
}

/// Bytes of a client's own names: of subscriptions, transactions, receipts.
const LONGEST_NAME: usize = 256;

/// Handles a client's messages: all that they lead to is written down with the call's end.
pub(super) async fn handle(state: &State, session: &Session, texts: Texts) {
    let conversation = match Conversation::load(session, state.limits) {
        Ok(conversation) => conversation,
        Err(error) => {
            tracing::error!(%error, "a STOMP session cannot go on");
            let _ = session.close(CloseReason::INTERNAL_ERROR).await;
            return;
        }
    };
    if conversation.user().is_some_and(Principal::has_expired) {
        let _ = session.close(CloseReason::EXPIRED).await;
        return;
    }
    let mut turn = Turn { state, session, conversation, out: Vec::new() };
    let flow = AssertUnwindSafe(turn.run(texts)).catch_unwind().await;
    let Turn { mut conversation, out, .. } = turn;
    let flow = match flow {
        Ok(flow) => flow,
        Err(panic) => {
            if session.is_local() {
                // Its end is yet to be told.
                conversation.end_all();
                conversation.save(session);
            }
            std::panic::resume_unwind(panic);
        }
    };
    let subscriptions = conversation.subscriptions().len();
    conversation.save(session);
    note_subscriptions(session, subscriptions).await;
    if !out.is_empty() {
        // Fails only if the session is over, or will be.
        let _ = session.send_all(out).await;
    }
    if let Flow::End(reason) = flow
        && let Err(error) = session.close(reason).await
    {
        tracing::warn!(%error, "could not close a STOMP session");
    }
}

/// Of a session in memory that the store knows, others see how many subscriptions it has.
async fn note_subscriptions(session: &Session, count: usize) {
    if !session.is_anchored() {
        return;
    }
    let count = count.to_string();
    if session.attribute(SUBSCRIPTIONS).unwrap_or_else(|| "0".to_owned()) == count {
        return;
    }
    if let Err(AttributeError::Store(error)) = session.write_attribute(SUBSCRIPTIONS, Some(count)).await {
        tracing::warn!(%error, "could not write down how many subscriptions a session has");
    }
}

impl Turn<'_> {
    async fn run(&mut self, texts: Texts) -> Flow {
        for text in texts {
            if self.conversation.is_over() {
                break;
            }
            self.conversation.decoder.feed(text.as_bytes());
            loop {
                match self.conversation.decoder.next() {
                    Ok(None) => break,
                    Ok(Some(Incoming::HeartBeat)) => {}
                    Ok(Some(Incoming::Frame(frame))) => {
                        if let Flow::End(reason) = self.frame(frame).await {
                            self.conversation.end_all();
                            return Flow::End(reason);
                        }
                        // Many frames in one request must not keep a thread from everybody else.
                        tokio::task::consume_budget().await;
                    }
                    Err(error) => return self.refuse(&error.into(), None),
                }
            }
        }
        Flow::Go
    }

    /// One frame, and its receipt.
    async fn frame(&mut self, frame: Frame) -> Flow {
        let receipt = frame.headers.get("receipt").map(str::to_owned);
        if receipt.as_ref().is_some_and(|receipt| receipt.len() > LONGEST_NAME) {
            let refusal = Refusal::invalid("receipt", format!("It is longer than {LONGEST_NAME} bytes."));
            return self.refuse(&refusal, None);
        }
        let command = frame.command;
        match self.apply(frame).await {
            Ok(()) => {}
            Err(refusal) => return self.refuse(&refusal, receipt.as_deref()),
        }
        if let Some(receipt) = receipt.filter(|_| !matches!(command, Command::Connect | Command::Stomp)) {
            self.send(&Frame::new(Command::Receipt).with("receipt-id", receipt));
        }
        if command == Command::Disconnect { Flow::End(CloseReason::NORMAL) } else { Flow::Go }
    }

    fn send(&mut self, frame: &Frame) {
        self.out.push(Message::new(&frame.encode(self.conversation.version())));
    }

    fn refuse(&mut self, refusal: &Refusal, receipt: Option<&str>) -> Flow {
        tracing::debug!(
            session = ?self.session.identity(), message = refusal.message, detail = refusal.detail, "a STOMP frame is refused"
        );
        let frame = refusal.frame(receipt);
        let version = match self.conversation.phase {
            Phase::Connected(_) => self.conversation.version(),
            // What the client speaks is not known: it may not know of escapes.
            Phase::Fresh | Phase::Over(_) => Version::V1_0,
        };
        self.out.push(Message::new(&frame.encode(version)));
        self.conversation.end_all();
        Flow::End(CloseReason::STOMP_ERROR)
    }

    async fn apply(&mut self, frame: Frame) -> Result<(), Refusal> {
        let is_connect = matches!(frame.command, Command::Connect | Command::Stomp);
        match &self.conversation.phase {
            Phase::Fresh if !is_connect => {
                let detail = format!("The first frame must be CONNECT or STOMP, not {}.", frame.command);
                return Err(Refusal::new("not connected", detail));
            }
            Phase::Connected(_) if is_connect && self.session.can_resume() => self.restart().await?,
            Phase::Connected(_) if is_connect => {
                return Err(Refusal::new("already connected", "A connection has one CONNECT frame."));
            }
            _ => {}
        }
        match frame.command {
            Command::Connect | Command::Stomp => self.connect(&frame).await,
            Command::Send => self.send_or_buffer(frame).await,
            Command::Subscribe => self.subscribe(&frame).await,
            Command::Unsubscribe => self.unsubscribe(&frame).await,
            Command::Ack | Command::Nack => self.acknowledge(frame).await,
            Command::Begin => {
                let name = self.transaction_name(&frame)?;
                self.conversation.begin(name).map_err(|error| refused_transaction(name, error, 0))
            }
            Command::Commit => self.commit(&frame).await,
            Command::Abort => {
                let name = self.transaction_name(&frame)?;
                self.conversation.end(name).map(drop).map_err(|error| refused_transaction(name, error, 0))
            }
            Command::Disconnect => Ok(()),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                Err(Refusal::new("unexpected frame", format!("A client does not send {}.", frame.command)))
            }
        }
    }

    /// A client that has come back to its session connects anew, and subscribes again.
    async fn restart(&mut self) -> Result<(), Refusal> {
        self.conversation.forget_acked_elsewhere();
        self.cancel_all().await?;
        while let Some(subscribed) = self.conversation.unsubscribe_any() {
            self.end_subscription(&subscribed).await?;
        }
        self.conversation.restart();
        stays::leave_all(self.session).await
    }

    async fn connect(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let version = Version::negotiate(frame.headers.get("accept-version")).map_err(|error| {
            Refusal::new("unsupported version", format!("{error}.")).with("version", "1.0,1.1,1.2")
        })?;
        let theirs = match frame.headers.get("heart-beat") {
            Some(value) => HeartBeat::parse(value)
                .map_err(|error| Refusal::invalid("heart-beat", format!("{:?}: {error}.", shown(value))))?,
            None => HeartBeat::default(),
        };
        let ours = self.state.heart_beat;
        let (sends, gets) = ours.with(theirs);
        let Admitted { user, rules } = self.admit(frame).await?;
        let until = user.as_ref().and_then(|user| user.until);
        let mut connected = Frame::new(Command::Connected)
            .with("version", version.number())
            .with("heart-beat", ours.to_string())
            .with("server", concat!("sockhop/", env!("CARGO_PKG_VERSION")));
        if let Some(user) = &user {
            connected = connected.with("user-name", user.name());
        }
        self.conversation.connect(Connected { version, user, rules });
        self.make_known().await?;
        // A little early: the client counts from what it got last.
        let terms = Terms { beat: sends.map(|beat| beat - beat / 10), until };
        let patience = gets.map(|silence| (silence * 3).max(LEAST_PATIENCE));
        if terms != Terms::default() || patience.is_some() {
            self.session.keep_terms(terms, patience);
        }
        self.send(&connected);
        Ok(())
    }

    /// Has the store know of a session in memory whose user or end is of interest elsewhere.
    async fn make_known(&self) -> Result<(), Refusal> {
        let (Some(connected), State { disconnect, all_known, .. }) = (self.conversation.connected(), self.state)
        else {
            return Ok(());
        };
        if connected.user.is_none() && disconnect.is_none() && !all_known {
            return Ok(());
        }
        if self.session.is_local() {
            connected.write_down(self.session).await?;
        }
        self.session.anchor().await?;
        match &connected.user {
            Some(user) => stays::enter(self.session, Some(user), &stays::of_user(user.name())?).await,
            None => Ok(()),
        }
    }

    /// Who the client is and what it may do, as its token shows and the application says.
    async fn admit(&self, frame: &Frame) -> Result<Admitted, Refusal> {
        let user = self.token_user(frame).await?;
        match &self.state.connect {
            None => Ok(Admitted { user, rules: Box::default() }),
            Some(handler) => {
                let connect = Connect::new(self.session, user.clone(), &frame.headers);
                Ok(handler.0.handle(connect).await?.check(user.as_ref())?)
            }
        }
    }

    /// Who the client is, where it has to show it.
    async fn token_user(&self, frame: &Frame) -> Result<Option<Principal>, Refusal> {
        let Some(tokens) = &self.state.tokens else { return Ok(None) };
        let refused = |detail: String| Refusal::new("authentication failed", detail);
        match token(frame, tokens, self.session.request()) {
            Some(token) => tokens.verify(&token).await.map(Some).map_err(|error| refused(format!("{error}."))),
            None if self.state.anonymous => Ok(None),
            None => Err(refused("A token is needed: Authorization: Bearer TOKEN, or passcode.".to_owned())),
        }
    }

    /// Whether the rules let the client do this.
    fn check_rules(&self, action: Action, destination: &str) -> Result<(), Refusal> {
        let user = self.conversation.user();
        if self.is_allowed(|rule| rule.allows(action, destination, user)) {
            return Ok(());
        }
        let does = match action {
            Action::Subscribe => "subscribe",
            Action::Send => "send",
        };
        Err(Refusal::new("forbidden", format!("No rule lets {} {does} to {destination}.", self.who())))
    }

    /// Whether one of the rules lets the client subscribe to whatever a pattern stands for, now or later.
    fn check_rules_for_all(&self, pattern: &str) -> Result<(), Refusal> {
        let (user, wanted) = (self.conversation.user(), Pattern::new(pattern));
        if self.is_allowed(|rule| rule.allows_all(wanted, user)) {
            return Ok(());
        }
        let detail = format!("No one rule lets {} subscribe to all that {pattern} stands for.", self.who());
        Err(Refusal::new("forbidden", detail))
    }

    /// Whether a rule of the service or of the session itself allows it, or there are none.
    fn is_allowed(&self, allows: impl FnMut(&Rule) -> bool) -> bool {
        let own = self.conversation.connected().map_or(&[][..], |connected| &connected.rules);
        let mut rules = self.state.rules.iter().chain(own).peekable();
        rules.peek().is_none() || rules.any(allows)
    }

    fn who(&self) -> String {
        let user = self.conversation.user();
        user.map_or_else(|| "clients without a user".to_owned(), |user| format!("user {}", user.name()))
    }

    async fn send_or_buffer(&mut self, frame: Frame) -> Result<(), Refusal> {
        let destination =
            frame.headers.get("destination").ok_or_else(|| Refusal::missing("destination", frame.command))?;
        // Refused where it is sent, not where it is committed.
        let target = Target::parse(destination)?;
        self.check_rules(Action::Send, destination)?;
        match frame.headers.get("transaction").map(str::to_owned) {
            Some(transaction) => self.buffer(&transaction, frame),
            None => self.deliver(target, &frame).await,
        }
    }

    pub(super) fn buffer(&mut self, transaction: &str, frame: Frame) -> Result<(), Refusal> {
        let most = self.state.transaction_limit;
        self.conversation
            .add(transaction, frame, most)
            .map_err(|error| refused_transaction(transaction, error, most))
    }

    async fn deliver(&mut self, target: Target, frame: &Frame) -> Result<(), Refusal> {
        let (channel, is_queue) = match target {
            Target::Topic(channel) => (channel, false),
            Target::Queue(queue) => (queue, self.has_queues()),
            Target::User { name, path } => (user_channel(&name, &path)?, false),
            Target::App => return self.call_app(frame).await,
        };
        let entry = match self.conversation.user() {
            Some(user) => entry::encode_from(user.name(), &frame.headers, &frame.body),
            None => entry::encode(&frame.headers, &frame.body, None),
        };
        let node = self.session.node();
        let accepted = if is_queue {
            node.enqueue_all(&channel, &[entry]).await
        } else {
            node.publish(&channel, entry).await
        };
        Ok(accepted.map(drop)?)
    }

    /// Hands a message to the application.
    async fn call_app(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let destination = frame.headers.get("destination").unwrap_or_default();
        let (handler, variables) = self.state.apps.find(destination).ok_or_else(|| {
            Refusal::new("unknown destination", format!("The application handles nothing at {destination}."))
        })?;
        let number = self.conversation.count_call();
        let message = AppMessage::new(self.session, self.conversation.user(), variables, frame, number);
        Ok(handler.handle(message).await?)
    }

    async fn commit(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let name = self.transaction_name(frame)?;
        let frames = self.conversation.end(name).map_err(|error| refused_transaction(name, error, 0))?;
        for frame in frames {
            if frame.command == Command::Send {
                let target = Target::parse(frame.headers.get("destination").unwrap_or_default())?;
                self.deliver(target, &frame).await?;
            } else {
                self.settle_committed(&frame).await?;
            }
        }
        Ok(())
    }

    fn transaction_name<'f>(&self, frame: &'f Frame) -> Result<&'f str, Refusal> {
        let name =
            frame.headers.get("transaction").ok_or_else(|| Refusal::missing("transaction", frame.command))?;
        check_name("transaction", name)?;
        Ok(name)
    }

    async fn subscribe(&mut self, frame: &Frame) -> Result<(), Refusal> {
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
        let subscribed = Subscribed { id: id.into(), destination: destination.into(), ack };
        self.conversation.subscribe(subscribed);
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
        let (handler, variables) = self.state.app_answers.find(destination).ok_or_else(|| {
            let detail = format!("The application answers nothing to subscriptions to {destination}.");
            Refusal::new("unknown destination", detail)
        })?;
        let number = self.conversation.count_call();
        let message = AppMessage::new(self.session, self.conversation.user(), variables, frame, number);
        let answer = handler.answer(message).await?;
        let tag = Tag { version: self.conversation.version(), ack, session: None, queue: None, id };
        let message_id = format!("{}{:016x}", entry::ANSWER, rand::random::<u64>());
        self.send(&entry::direct(&tag, destination, &message_id, &answer));
        Ok(())
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

    async fn unsubscribe(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let id = self.subscription_id(frame)?;
        // Ending what has ended is no error: clients do it when they tidy up.
        let Some(subscribed) = self.conversation.unsubscribe(id) else { return Ok(()) };
        self.conversation.forget_acked(&subscribed.id);
        self.end_subscription(&subscribed).await
    }

    async fn end_subscription(&mut self, subscribed: &Subscribed) -> Result<(), Refusal> {
        let Subscribed { id, destination, ack } = subscribed;
        match Source::parse(destination)? {
            Source::Topics(pattern) => {
                let tag = self.tag(id, *ack);
                // This first: it leads to no more of the others then.
                self.session.unsubscribe_from(&self.stem(&pattern, &tag)).await?;
                Ok(self.session.unsubscribe_tag(&tag).await?)
            }
            Source::Queue(_) if self.has_queues() => self.cancel(id).await,
            source => {
                let is_topic = matches!(source, Source::Topic(_));
                self.session.unsubscribe_from(&self.feed(source, id, *ack)?).await?;
                let others = self.conversation.subscriptions();
                if is_topic && !others.iter().any(|other| other.destination == *destination) {
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

/// Silence that a client is granted whatever it promised: browsers run the timers of hidden pages once a minute.
const LEAST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// Where a client has put its token.
fn token(frame: &Frame, tokens: &Tokens, request: &RequestInfo) -> Option<String> {
    let authorization = frame.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if let Some((_, value)) = authorization {
        // Without its scheme it is none, which verifying it tells.
        let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        return Some(value[scheme.map_or(0, str::len)..].trim().to_owned());
    }
    if let Some(passcode) = frame.headers.get("passcode").filter(|passcode| !passcode.is_empty()) {
        return Some(passcode.to_owned());
    }
    if let Some(name) = tokens.query_name()
        && let Some(value) = parameter(request.query(), name)
    {
        return Some(value);
    }
    let cookie = request.header("cookie")?;
    Some(cookie.strip_prefix(tokens.cookie_name()?)?.strip_prefix('=')?.to_owned())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn not_kept(detail: &str, after: Position, oldest: Position) -> Refusal {
    Refusal::new("position not kept", detail).with("after", after.to_string()).with("oldest", oldest.to_string())
}

fn check_name(header: &str, name: &str) -> Result<(), Refusal> {
    if name.len() > LONGEST_NAME {
        return Err(Refusal::invalid(header, format!("It is longer than {LONGEST_NAME} bytes.")));
    }
    Ok(())
}

fn refused_transaction(name: &str, error: TransactionError, most: usize) -> Refusal {
    Refusal::invalid(
        "transaction",
        match error {
            TransactionError::Known => format!("Transaction {name:?} has begun already."),
            TransactionError::Unknown => format!("There is no transaction {name:?}."),
            TransactionError::TooMany => format!("A session may have {MOST_TRANSACTIONS} transactions open."),
            TransactionError::TooLarge => format!("The frames of open transactions have more than {most} bytes."),
        },
    )
}
