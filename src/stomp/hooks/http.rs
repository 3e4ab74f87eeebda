//! The application behind a URL.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use metrics::counter;
use rand::Rng;
use tokio::time::Instant;

use super::answer::{self, Handled, Nonsense};
use super::event::Event;
use super::permits::{Permits, Waiting};
use super::signature::{self, SHORTEST, Secret};
use crate::http_client::{HttpClient, NoAnswer, Server, shown};
use crate::stomp::{
    Admission, AppError, AppHandler, AppMessage, AppSubscribeHandler, Connect, ConnectError, ConnectHandler,
    Disconnect, DisconnectHandler, StompMessage,
};

/// An application that is asked with a POST of JSON to a URL: what clients send to it, who connects, who has left.
///
/// It is any of the three handlers of a [`Stomp`](super::super::Stomp) service. What is sent and answered stands in
/// `docs/backend.md`.
///
/// ```
/// use sockhop::stomp::{HttpHook, Stomp};
///
/// # tokio_test::block_on(async {
/// let hook = HttpHook::builder("http://127.0.0.1:9000/sockhop")
///     .unwrap()
///     .secret(b"a secret of at least thirty-two bytes")
///     .unwrap()
///     .build();
/// let stomp = Stomp::new().on_connect(hook.clone()).app("/app/**", hook.clone()).on_disconnect(hook);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct HttpHook(Arc<Inner>);

struct Inner {
    client: HttpClient,
    secret: Option<Secret>,
    timeout: Duration,
    answer_limit: usize,
    /// For what clients wait for.
    permits: Permits,
    /// For ends, which no client waits for.
    ends: Permits,
    /// Ends that are yet to be told.
    telling: AtomicUsize,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("url", &self.client.shown()).finish_non_exhaustive()
    }
}

/// Makes an [`HttpHook`].
pub struct HttpHookBuilder {
    server: Server,
    secret: Option<Secret>,
    timeout: Duration,
    answer_limit: usize,
    concurrency: usize,
}

impl std::fmt::Debug for HttpHookBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpHookBuilder")
            .field("url", &shown(&self.server.url.to_string()))
            .finish_non_exhaustive()
    }
}

/// A hook cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHook {
    /// It is no URL of a server.
    #[error(
        "{0:?} is no http or https URL without user and password, such as https://backend.example.com/sockhop"
    )]
    Url(String),
    /// A shorter one could be found by trying.
    #[error("a secret needs at least {SHORTEST} bytes")]
    ShortSecret,
}

/// What one call has come to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum CallError {
    /// It was not made.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been handled.
    #[error("{0}")]
    Unknown(String),
    /// The application is at fault.
    #[error("{0}")]
    Failed(String),
}

impl CallError {
    fn name(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown",
            Self::Failed(_) => "failed",
        }
    }
}

impl From<CallError> for AppError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unavailable(_) => Self::Unavailable,
            CallError::Unknown(_) => Self::Unknown,
            CallError::Failed(_) => Self::Failed,
        }
    }
}

impl From<NoAnswer> for CallError {
    fn from(error: NoAnswer) -> Self {
        let text = error.to_string();
        match error {
            NoAnswer::Unreachable(_) => Self::Unavailable(text),
            NoAnswer::Broken(_) => Self::Unknown(text),
            NoAnswer::TooLarge(_) => Self::Failed(text),
        }
    }
}

impl From<Nonsense> for CallError {
    fn from(error: Nonsense) -> Self {
        Self::Failed(error.to_string())
    }
}

/// When a call is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Where nothing was done.
    IfNotMade,
    /// Where it may have been made, too: it may be made twice.
    IfUnanswered,
}

/// Pauses before a call is made again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The same for ends, and how long one is tried to be told.
const END_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Calls that may wait for one to end, for each that may be under way; and ends that may.
const WAITING_PER_CALL: usize = 16;
const MOST_ENDS_WAITING: usize = 10_000;

impl HttpHookBuilder {
    /// Signs each call with this secret, so that the application can see that it comes from here.
    ///
    /// # Errors
    /// It has fewer than 32 bytes.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, InvalidHook> {
        self.secret = Some(Secret::new(secret).ok_or(InvalidHook::ShortSecret)?);
        Ok(self)
    }

    /// How long an answer is waited for, all tries and waiting for others included. Default 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Calls at once of this node. Default 64. Sixteen times as many may wait; more are refused as unavailable.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Bytes of an answer. Default 256 KiB. A longer one is none.
    #[must_use]
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    /// The hook.
    #[must_use]
    pub fn build(self) -> HttpHook {
        let Self { server, secret, timeout, answer_limit, concurrency } = self;
        let client = HttpClient::new(server, timeout.mul_f32(0.75));
        HttpHook(Arc::new(Inner {
            client,
            secret,
            timeout,
            answer_limit,
            permits: Permits::new(concurrency, concurrency.saturating_mul(WAITING_PER_CALL)),
            ends: Permits::new(concurrency, MOST_ENDS_WAITING),
            telling: AtomicUsize::new(0),
        }))
    }
}

impl HttpHook {
    /// A hook at an `http` or `https` URL. Servers with TLS are verified with the authorities that the system trusts.
    ///
    /// # Errors
    /// It is no such URL, or holds a user or a password.
    pub fn builder(url: &str) -> Result<HttpHookBuilder, InvalidHook> {
        Ok(HttpHookBuilder {
            server: Server::parse(url).map_err(|_| InvalidHook::Url(shown(url)))?,
            secret: None,
            timeout: Duration::from_secs(5),
            answer_limit: 256 * 1024,
            concurrency: 64,
        })
    }

    /// Asks the application, within the time and the number of calls.
    async fn call(&self, event: &Event<'_>) -> Result<Bytes, CallError> {
        let body = Bytes::from(event.json());
        let deadline = Instant::now() + self.0.timeout;
        let again = match event {
            Event::Message(_) => Again::IfNotMade,
            Event::Subscribe(_) | Event::Connect(_) | Event::Disconnect(_) => Again::IfUnanswered,
        };
        let Some(_permit) = self.0.permits.wait(deadline).await else {
            return Err(CallError::Unavailable("too many calls are under way".to_owned()));
        };
        let mut attempt = 0;
        loop {
            let error = match tokio::time::timeout_at(deadline, self.ask(&body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(CallError::Unknown(format!("no answer within {:?}", self.0.timeout))),
            };
            let is_safe = match error {
                CallError::Unavailable(_) => true,
                CallError::Unknown(_) => again == Again::IfUnanswered,
                CallError::Failed(_) => false,
            };
            let wait = pause(PAUSES, attempt);
            // The rest of the time is to do for a whole call.
            if !is_safe || Instant::now() + wait + self.0.timeout / 4 > deadline {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// One try.
    async fn ask(&self, body: &Bytes) -> Result<Bytes, CallError> {
        let Inner { client, secret, answer_limit, .. } = &*self.0;
        let seconds = signature::now();
        let mut request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("sockhop/", env!("CARGO_PKG_VERSION")))
            .header("x-sockhop-timestamp", seconds);
        if let Some(secret) = secret {
            request = request.header("x-sockhop-signature", secret.sign(seconds, body));
        }
        let request =
            request.body(Full::new(body.clone())).map_err(|error| CallError::Failed(error.to_string()))?;
        match client.ask(request, *answer_limit).await? {
            (status, answer) if status.is_success() => Ok(answer),
            (status @ StatusCode::SERVICE_UNAVAILABLE, _) => {
                Err(CallError::Unavailable(format!("status {status}")))
            }
            (status, _) => Err(CallError::Failed(format!("status {status}"))),
        }
    }

    /// Notes what a call has come to.
    fn note<T>(&self, kind: &'static str, outcome: Result<T, CallError>) -> Result<T, CallError> {
        let name = outcome.as_ref().err().map_or("answered", CallError::name);
        counter!("sockhop_hook_calls_total", "hook" => kind, "outcome" => name).increment(1);
        if let Err(error) = &outcome {
            tracing::warn!(url = %self.0.client.shown(), hook = kind, error = ?error.to_string(), "a hook has failed");
        }
        outcome
    }

    /// Tells of an end, however often it takes within bounds.
    async fn tell(&self, disconnect: &Disconnect) {
        let told = match Waiting::begin(&self.0.telling, MOST_ENDS_WAITING) {
            Some(_waiting) => self.try_to_tell(&Event::disconnect(disconnect)).await,
            None => Err(CallError::Unavailable("too many ends wait to be told".to_owned())),
        };
        if let Err(error) = told {
            counter!("sockhop_hook_disconnects_lost_total").increment(1);
            let (session, error) = (disconnect.session(), error.to_string());
            tracing::error!(?session, ?error, "the end of a session could not be told to the application");
        }
    }

    async fn try_to_tell(&self, event: &Event<'_>) -> Result<(), CallError> {
        let deadline = Instant::now() + END_PATIENCE;
        let mut attempt = 0;
        loop {
            let told = match self.0.ends.wait(deadline).await {
                Some(_permit) => self.note("disconnect", self.call(event).await.map(drop)),
                None => return Err(CallError::Unavailable("other ends took all the time".to_owned())),
            };
            let wait = pause(END_PAUSES, attempt);
            if told.is_ok() || Instant::now() + wait > deadline {
                return told;
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }
}

/// Longer and longer, and not all at once.
fn pause((first, longest): (Duration, Duration), attempt: u32) -> Duration {
    let whole = first.saturating_mul(1 << attempt.min(16)).min(longest);
    whole.mul_f32(rand::rng().random_range(0.5..1.0))
}

impl AppHandler for HttpHook {
    fn handle(&self, message: AppMessage) -> BoxFuture<'static, Result<(), AppError>> {
        let hook = self.clone();
        Box::pin(async move {
            let answered = hook.call(&Event::message(&message)).await;
            let handled = answered.and_then(|answer| Ok(Handled::parse(&answer)?));
            match hook.note("message", handled) {
                Ok(handled) => handled.carry_out(&message).await,
                Err(error) => Err(error.into()),
            }
        })
    }
}

impl AppSubscribeHandler for HttpHook {
    fn answer(&self, message: AppMessage) -> BoxFuture<'static, Result<StompMessage, AppError>> {
        let hook = self.clone();
        Box::pin(async move {
            let answered = hook.call(&Event::subscribe(&message)).await;
            let subscribed = answered.and_then(|answer| Ok(answer::subscribed(&answer)?));
            hook.note("subscribe", subscribed)?
        })
    }
}

impl ConnectHandler for HttpHook {
    fn handle(&self, connect: Connect) -> BoxFuture<'static, Result<Admission, ConnectError>> {
        let hook = self.clone();
        Box::pin(async move {
            let answered = hook.call(&Event::connect(&connect)).await;
            let admitted = answered.and_then(|answer| Ok(answer::admission(&answer)?));
            // Who cannot be known is not let in.
            hook.note("connect", admitted).unwrap_or(Err(ConnectError::Unavailable))
        })
    }
}

impl DisconnectHandler for HttpHook {
    fn handle(&self, disconnect: Disconnect) -> BoxFuture<'static, ()> {
        let hook = self.clone();
        Box::pin(async move { hook.tell(&disconnect).await })
    }
}
