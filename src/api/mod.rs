//! The HTTP API for backends: publishing, history, presence, and sessions.
//!
//! ```no_run
//! use sockhop::Node;
//! use sockhop::api::Api;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::new();
//! let key = std::env::var("SHOP_KEY")?;
//! let api = Api::builder("/api").key(format!("shop publish,read {key}").parse()?).build(&node);
//! warp::serve(api.filter()).run(([127, 0, 0, 1], 8090)).await;
//! # Ok(())
//! # }
//! ```
//!
//! Callers show a key, `Authorization: Bearer KEY`, and may do what its [rights](Right) say; the rules of STOMP clients are
//! not theirs. No page of a browser may call: there are no CORS headers. `GET …/v1/openapi.json` describes all of it, and
//! errors are `application/problem+json`.

mod history;
mod keys;
mod presence;
mod problem;
mod publish;
mod request;
mod routes;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::Semaphore;
use warp::Filter;
use warp::path::FullPath;

use self::problem::Problem;
use self::routes::{Asked, Call};
use crate::stomp::Broker;
use crate::{Body, Node};

pub use self::keys::{ApiKey, InvalidApiKey, Right};

/// The HTTP API of a node, ready to be mounted. Cloning is cheap.
///
/// It is a [`tower_service::Service`], a warp [`filter`](Self::filter), and a part of a
/// [`Server`](crate::server::Server::api).
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    prefix: String,
    keys: Vec<ApiKey>,
    body_limit: usize,
    body_timeout: Duration,
    broker: Broker,
    document: String,
    calls: Semaphore,
}

/// Makes an [`Api`]. Every option says its unit and default.
#[derive(Debug)]
pub struct ApiBuilder {
    prefix: String,
    keys: Vec<ApiKey>,
    body_limit: usize,
    body_timeout: Duration,
}

/// Calls whose bodies are read or that are under way at once; more wait, and not for long.
const MOST_CALLS: usize = 256;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The document, in which `PREFIX` stands for the prefix.
const DOCUMENT: &str = include_str!("openapi.json");

impl Api {
    /// An API whose paths begin with `prefix`, such as `/api`; empty for none.
    pub fn builder(prefix: impl Into<String>) -> ApiBuilder {
        let prefix = prefix.into().trim_end_matches('/').to_owned();
        ApiBuilder { prefix, keys: Vec::new(), body_limit: 1024 * 1024, body_timeout: Duration::from_secs(30) }
    }

    /// Whether a path belongs to the API.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        path.strip_prefix(&self.0.prefix).is_some_and(|rest| rest.starts_with("/v1/"))
    }

    /// Answers a request.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data: Buf>,
    {
        self.answer(request).await.unwrap_or_else(|problem| problem.response())
    }

    /// The API as a warp filter; requests for other paths are rejected, so that other filters can follow.
    #[must_use]
    pub fn filter(&self) -> warp::filters::BoxedFilter<(warp::reply::Response,)> {
        let (api, mine) = (self.clone(), self.clone());
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        warp::path::full()
            .and_then(move |path: FullPath| {
                let serves = mine.serves(path.as_str());
                async move { if serves { Ok(path) } else { Err(warp::reject::not_found()) } }
            })
            .and(warp::method())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |path: FullPath, method: Method, query: String, headers: HeaderMap, body| {
                let api = api.clone();
                async move {
                    let frames = futures_util::TryStreamExt::map_ok(body, http_body::Frame::data);
                    let mut request = Request::new(http_body_util::StreamBody::new(frames));
                    *request.method_mut() = method;
                    let uri = format!("{}?{query}", path.as_str());
                    *request.uri_mut() = uri.parse().unwrap_or_default();
                    *request.headers_mut() = headers;
                    let (head, body) = api.respond(request).await.into_parts();
                    let bytes = http_body_util::BodyExt::collect(body).await.map(|body| body.to_bytes());
                    Response::from_parts(head, bytes.unwrap_or_default().into())
                }
            })
            .boxed()
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data: Buf>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix(&self.0.prefix).and_then(|path| path.strip_prefix("/v1/"));
        let asked = routes::find(&head.method, path.ok_or_else(routes::unknown)?)?;
        let Some(right) = asked.right else { return Ok(ok(self.0.document.clone())) };
        let caller = self.caller(&head.headers, right)?;
        // Before the body is read: what waits has none.
        let waited = tokio::time::timeout(LONGEST_WAIT, self.0.calls.acquire()).await;
        let Ok(Ok(_permit)) = waited else {
            let detail = format!("{MOST_CALLS} calls are under way. Nothing was done: try again.");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many calls at once", detail));
        };
        let answered = self.call(asked, &head, body).await;
        match &answered {
            Ok(_) => tracing::debug!(key = caller.name(), method = %head.method, "call of the API"),
            Err(problem) => {
                tracing::debug!(key = caller.name(), method = %head.method, ?problem, "call of the API refused");
            }
        }
        answered
    }

    async fn call<B>(&self, asked: Asked, head: &http::request::Parts, body: B) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data: Buf>,
    {
        let (inner, headers) = (&*self.0, &head.headers);
        let body = async || request::body(headers, body, inner.body_limit, inner.body_timeout).await;
        let query = head.uri.query().unwrap_or_default();
        let name = asked.names.first().map_or("", String::as_str);
        match asked.call {
            Call::Document => Ok(ok(inner.document.clone())),
            Call::Publish => json(&publish::one(&inner.broker, None, headers, &body().await?).await?),
            Call::PublishBatch => json(&publish::batch(&inner.broker, headers, &body().await?).await?),
            Call::PublishToUser => json(&publish::one(&inner.broker, Some(name), headers, &body().await?).await?),
            Call::History => json(&history::page(&inner.broker, query).await?),
            Call::Presence => json(&presence::here(&inner.broker, query).await?),
            Call::Sessions => json(&presence::sessions(&inner.broker, query).await?),
            Call::EndSession => json(&presence::end_session(&inner.broker, name, query).await?),
            Call::EndUser => json(&presence::end_user(&inner.broker, name, query).await?),
        }
    }

    /// Who calls, and may.
    fn caller(&self, headers: &HeaderMap, right: Right) -> Result<&ApiKey, Problem> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let Some(shown) = shown else {
            let detail = "Show a key: Authorization: Bearer KEY.";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-key", "A key is needed", detail));
        };
        let forbidden =
            |detail: String| Problem::new(StatusCode::FORBIDDEN, "forbidden", "This is not for you", detail);
        let key = keys::find(&self.0.keys, shown).ok_or_else(|| forbidden("Nobody has this key.".to_owned()))?;
        match key.may(right) {
            true => Ok(key),
            false => Err(forbidden(format!("This key lacks the right {}.", right.name()))),
        }
    }
}

/// The key of an `Authorization` header, if it shows one.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty()).then(|| key.trim())
}

fn json(answer: &impl Serialize) -> Result<Response<Body>, Problem> {
    serde_json::to_vec(answer).map(ok).map_err(|error| {
        tracing::error!(%error, "an answer of the API could not be written");
        let (title, detail) = ("Something is wrong here", "See the server's log.");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail)
    })
}

fn ok(body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl ApiBuilder {
    /// Lets the holder of a key call. Without any nobody can.
    #[must_use]
    pub fn key(mut self, key: ApiKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Bytes of a request's body. Default 1 MiB. Longer ones: 413.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Time in which a request's body must have arrived. Default 30 s. Slower ones: 408.
    #[must_use]
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// The API of a node.
    #[must_use]
    pub fn build(self, node: &Node) -> Api {
        let Self { prefix, keys, body_limit, body_timeout } = self;
        let document = DOCUMENT.replace("PREFIX", &prefix);
        let (broker, calls) = (Broker::new(node), Semaphore::new(MOST_CALLS));
        Api(Arc::new(Inner { prefix, keys, body_limit, body_timeout, broker, document, calls }))
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("prefix", &self.0.prefix).field("keys", &self.0.keys).finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for Api
where
    B: http_body::Body<Data: Buf + Send, Error: Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.respond(request).await) })
    }
}
