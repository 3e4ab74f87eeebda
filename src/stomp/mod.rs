//! STOMP 1.0, 1.1 and 1.2 over every transport: the messaging that frontends of Spring and of RabbitMQ speak.
//!
//! A STOMP service is a SockJS service whose messages are STOMP frames. Clients connect with sockjs-client at its prefix,
//! or with a plain WebSocket at `…/websocket`.
//!
//! ```
//! use sockhop::Node;
//! use sockhop::stomp::{Broker, Stomp};
//!
//! # tokio_test::block_on(async {
//! let node = Node::new();
//! let service = Stomp::new().service("/ws").build(&node);
//! // From anywhere in the application:
//! Broker::new(&node).send("/topic/news", "hello").await.unwrap();
//! # let _ = service;
//! # });
//! ```
//!
//! # Destinations
//! | destination | who gets it |
//! | --- | --- |
//! | `/topic/…` | each subscriber |
//! | `/queue/…` | one of the subscribers: it is kept until one has acknowledged it; see [`Queues`] |
//! | `/app/…` | the application: a handler of [`Stomp::app`]; who subscribes there gets one answer, of [`Stomp::app_subscribe`] |
//! | `/presence/topic/…` | who subscribes is told who is in `/topic/…`, where [`Stomp::presence`] keeps that |
//! | `/user/NAME/queue/…`, `/user/NAME/topic/…` | every session of the user that is subscribed to `/user/queue/…`, `/user/topic/…` |
//!
//! A destination is a channel of the node's store: its messages are kept for a while, have positions and arrive in the
//! order in which the store accepted them, on whatever node. The `message-id` of a MESSAGE is its position: a SUBSCRIBE
//! with the header `after: MESSAGE-ID` first gets all that came since, and one with `history: N` the newest N.
//!
//! In a subscription to topics `*` stands for what is between two of `/` and `.`, `**` for anything: see
//! [`NodeBuilder::max_topics`](crate::NodeBuilder::max_topics).
//!
//! # Users and rights
//! With [`Stomp::tokens`] a client's user comes from a JSON Web Token, with [`Stomp::on_connect`] the application says who
//! it is; with [`Stomp::rules`] it may do what they allow, and nothing else.

mod acked;
mod acks;
mod app;
mod broker;
mod connect;
mod cursor;
mod destination;
mod disconnect;
mod entry;
mod history;
mod hooks;
mod jwks;
mod pattern;
mod presence;
mod queues;
mod refusal;
mod rules;
mod sessions;
mod state;
mod stays;
mod tag;
mod tokens;
mod turn;
mod users;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderValue;
use sockhop_stomp::{HeartBeat, Limits, Version};

pub use self::app::{AppError, AppHandler, AppMessage, AppSubscribeHandler};
pub use self::broker::{Broker, BrokerError, StompMessage};
pub use self::connect::{Admission, Connect, ConnectError, ConnectHandler};
pub use self::cursor::Cursor;
pub(crate) use self::destination::user_destination;
pub use self::disconnect::{Disconnect, DisconnectHandler};
pub use self::history::{History, HistoryError, Page, PastMessage};
pub use self::hooks::{HttpHook, HttpHookBuilder, InvalidHook, PublishList, WorkerList};
pub use self::jwks::InvalidJwks;
pub use self::presence::{InvalidPresencePattern, Presence, PresenceError, PresencePattern, PresentMember};
pub use self::queues::Queues;
pub use self::rules::{InvalidRule, Rule};
pub use self::sessions::{SessionInfo, Sessions};
pub use self::tokens::{InvalidKey, Tokens};
pub use self::users::Principal;
use crate::handler::{AnyHandler, Call, guard};
use crate::{ServiceBuilder, Session};

/// What a STOMP service does, and the way to make one.
#[derive(Debug)]
pub struct Stomp {
    state: State,
}

/// What all sessions of a STOMP service share.
#[derive(Debug)]
struct State {
    limits: Limits,
    heart_beat: HeartBeat,
    transaction_limit: usize,
    tokens: Option<Tokens>,
    anonymous: bool,
    rules: Vec<Rule>,
    apps: app::Apps,
    app_answers: app::Apps<dyn AppSubscribeHandler>,
    connect: Option<connect::Handler>,
    disconnect: Option<disconnect::Handler>,
    presence: Vec<PresencePattern>,
    all_known: bool,
    /// What clients are known to have of what they consume, on its way into the store.
    receipts: Arc<queues::Receipts>,
}

impl Default for Stomp {
    fn default() -> Self {
        Self::new()
    }
}

impl Stomp {
    /// A service with the default options.
    #[must_use]
    pub fn new() -> Self {
        let ten = Duration::from_secs(10);
        let state = State {
            limits: Limits::default(),
            heart_beat: HeartBeat { sends: ten, wants: ten },
            transaction_limit: 256 * 1024,
            tokens: None,
            anonymous: false,
            rules: Vec::new(),
            apps: app::Apps::default(),
            app_answers: app::Apps::default(),
            connect: None,
            disconnect: None,
            presence: Vec::new(),
            all_known: false,
            receipts: Arc::default(),
        };
        Self { state }
    }

    /// Silence after which this side sends a heart-beat, and after which it would like one; zero for none. Default: 10 s
    /// each. A client that wants fewer gets fewer. Clients on a WebSocket whose promised heart-beats stay out for three
    /// times as long, and for 90 s at least, are closed with 4512; over HTTP the transports notice a client that is gone.
    #[must_use]
    pub fn heart_beat(mut self, sends: Duration, wants: Duration) -> Self {
        self.state.heart_beat = HeartBeat { sends, wants };
        self
    }

    /// Bytes of one frame of a client. Default 64 KiB. A longer one is an error.
    #[must_use]
    pub fn frame_limit(mut self, bytes: usize) -> Self {
        self.state.limits.frame = bytes;
        self
    }

    /// Headers of one frame of a client. Default 100. More are an error.
    #[must_use]
    pub fn max_headers(mut self, headers: usize) -> Self {
        self.state.limits.headers = headers;
        self
    }

    /// Bytes of the command and headers of a client's frame. Default 16 KiB. More are an error.
    #[must_use]
    pub fn header_limit(mut self, bytes: usize) -> Self {
        self.state.limits.head = bytes;
        self
    }

    /// Bytes of frames that may wait in a session's open transactions. Default 256 KiB. More are an error.
    #[must_use]
    pub fn transaction_limit(mut self, bytes: usize) -> Self {
        self.state.transaction_limit = bytes;
        self
    }

    /// How clients show who they are. Without it all are anonymous; with it, all must have a token, unless
    /// [`anonymous`](Self::anonymous) says otherwise.
    #[must_use]
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.state.tokens = Some(tokens);
        self
    }

    /// Whether clients may connect without a token where there are [`tokens`](Self::tokens). Default false. A token that
    /// is there and wrong is an error anyway.
    #[must_use]
    pub fn anonymous(mut self, allowed: bool) -> Self {
        self.state.anonymous = allowed;
        self
    }

    /// Who may do what. Without rules, everybody may do everything; as soon as there is one, what none allows is
    /// forbidden.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.state.rules.extend(rules);
        self
    }

    /// Has `handler` handle what clients send to a destination of the application, such as `/app/hello`. In the pattern
    /// `{name}` and `*` stand for what is between two slashes, `**` at the end for anything. The first that fits gets a
    /// message.
    ///
    /// ```
    /// use sockhop::stomp::{AppError, AppMessage, Stomp};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Say {
    ///     text: String,
    /// }
    ///
    /// async fn say(message: AppMessage) -> Result<(), AppError> {
    ///     let Say { text } = message.json()?;
    ///     let room = message.variable("room").unwrap_or_default();
    ///     let name = message.user().map_or("somebody", |user| user.name());
    ///     message.send(&format!("/topic/rooms/{room}"), format!("{name}: {text}")).await?;
    ///     message.reply("/queue/answers", "said").await?;
    ///     Ok(())
    /// }
    ///
    /// let stomp = Stomp::new().app("/app/rooms/{room}/say", say);
    /// ```
    ///
    /// # Panics
    /// The pattern does not begin with `/app/`.
    #[must_use]
    pub fn app(mut self, pattern: &str, handler: impl AppHandler) -> Self {
        assert_is_app(pattern);
        self.state.apps.add(pattern, Arc::new(handler));
        self
    }

    /// Has `handler` answer those who subscribe to a destination of the application, as Spring's `@SubscribeMapping`
    /// does: the client gets one MESSAGE for that subscription, and nothing else ever comes there. Patterns are as those of
    /// [`app`](Self::app), and have a list of their own.
    ///
    /// ```
    /// use sockhop::stomp::{AppError, AppMessage, Stomp, StompMessage};
    ///
    /// async fn members(message: AppMessage) -> Result<StompMessage, AppError> {
    ///     match message.variable("room") {
    ///         Some("lobby") => Ok(StompMessage::json(&["ann", "bob"])?),
    ///         _ => Err(AppError::refused("There is no such room.")),
    ///     }
    /// }
    ///
    /// let stomp = Stomp::new().app_subscribe("/app/rooms/{room}/members", members);
    /// ```
    ///
    /// # Panics
    /// The pattern does not begin with `/app/`.
    #[must_use]
    pub fn app_subscribe(mut self, pattern: &str, handler: impl AppSubscribeHandler) -> Self {
        assert_is_app(pattern);
        self.state.app_answers.add(pattern, Arc::new(handler));
        self
    }

    /// Has `handler` say who a connecting client is and what it may do. [`tokens`](Self::tokens) are verified before, and
    /// the handler is told whose one was.
    ///
    /// ```
    /// use sockhop::stomp::{Admission, Connect, ConnectError, Stomp};
    ///
    /// async fn admit(connect: Connect) -> Result<Admission, ConnectError> {
    ///     match (connect.login(), connect.passcode()) {
    ///         (None, None) => Ok(Admission::anonymous().rule("subscribe /topic/news/** anyone".parse().unwrap())),
    ///         (Some(name), Some("open sesame")) => Ok(Admission::user(name).claim("roles", ["reader"])),
    ///         _ => Err(ConnectError::refused("wrong name or passcode")),
    ///     }
    /// }
    ///
    /// let stomp = Stomp::new().on_connect(admit);
    /// ```
    #[must_use]
    pub fn on_connect(mut self, handler: impl ConnectHandler) -> Self {
        self.state.connect = Some(connect::Handler(Arc::new(handler)));
        self
    }

    /// Has `handler` told of the end of each session that has connected, once: again only if the node that runs it dies.
    ///
    /// ```
    /// use sockhop::stomp::{Disconnect, Stomp};
    ///
    /// async fn gone(disconnect: Disconnect) {
    ///     let name = disconnect.user().map_or("somebody", |user| user.name());
    ///     println!("{name} has left: {}", disconnect.reason().code());
    /// }
    ///
    /// let stomp = Stomp::new().on_disconnect(gone);
    /// ```
    #[must_use]
    pub fn on_disconnect(mut self, handler: impl DisconnectHandler) -> Self {
        self.state.disconnect = Some(disconnect::Handler(Arc::new(handler)));
        self
    }

    /// Of which destinations below `/topic/` it is kept who is there: each session that is subscribed, counted by users.
    /// Those who subscribe to `/presence` and the destination are told: first who is there, then each join and leave.
    /// [`Broker::here`] says it to the application.
    ///
    /// A session is there from its SUBSCRIBE until its UNSUBSCRIBE or its end, on whatever node, and also if its node
    /// dies.
    ///
    /// ```
    /// let stomp = sockhop::stomp::Stomp::new().presence(["/topic/rooms/**".parse().unwrap()]);
    /// # let _ = stomp;
    /// ```
    #[must_use]
    pub fn presence(mut self, destinations: impl IntoIterator<Item = PresencePattern>) -> Self {
        self.state.presence.extend(destinations);
        self
    }

    /// Whether [`Broker::sessions`] knows of all sessions that have connected. Default false: then it does not know of
    /// those on WebSockets without resume that have no user and are in no destination with presence. To be known costs such a
    /// session some commands to the store when it begins and ends, and a kilobyte there.
    #[must_use]
    pub fn all_sessions_known(mut self, known: bool) -> Self {
        self.state.all_known = known;
        self
    }

    /// A service below `prefix`, such as `/ws`, whose other options can be set before it is built.
    #[must_use]
    pub fn service(self, prefix: impl Into<String>) -> ServiceBuilder {
        let subprotocols = Version::ALL.iter().rev().map(|version| version.subprotocol());
        let cookie = self.state.tokens.as_ref().and_then(Tokens::cookie_name).map(str::to_owned);
        let state = Arc::new(self.state);
        ServiceBuilder::of_parts(prefix.into(), state.clone(), Some(Arc::new(entry::Frames)))
            .track(state)
            .subprotocols(subprotocols.map(HeaderValue::from_static))
            .max_subscriptions(MOST_SUBSCRIPTIONS)
            .keep_cookie(cookie)
    }
}

fn assert_is_app(pattern: &str) {
    assert!(
        pattern.starts_with("/app/"),
        "{pattern:?} is no pattern of application destinations: they begin with /app/"
    );
}

/// Subscriptions that a session may have, unless its service says otherwise.
const MOST_SUBSCRIPTIONS: usize = 200;

impl AnyHandler for State {
    fn run(self: Arc<Self>, session: Session, call: Call) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match call {
                // A session begins with its CONNECT.
                Call::Open => {}
                Call::Close(reason) => {
                    queues::give_back(&self, &session).await;
                    guard(&session, stays::end(&session)).await;
                    guard(&session, disconnect::tell(&self, &session, reason)).await;
                }
                Call::Tend => {
                    queues::renew(&session).await;
                    guard(&session, stays::renew(&session)).await;
                }
                Call::Messages(texts) => guard(&session, turn::handle(&self, &session, texts)).await,
            }
        })
    }
}
