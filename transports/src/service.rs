//! A service at its prefix: from a request to its answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf;
use http::header::{ALLOW, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::{self, Body};
use crate::callback::Callback;
use crate::iframe::IframePage;
use crate::options::{Options, Origins};
use crate::receive::{self, Unwritten};
use crate::route::{self, Endpoint, Route};
use crate::sessions::{ClientRequest, Sessions, Transport};
use crate::socket::{self, Framing};
use crate::transport::eventsource::Eventsource;
use crate::transport::htmlfile::Htmlfile;
use crate::transport::jsonp::Jsonp;
use crate::transport::jsonp_send::JSONP_SEND;
use crate::transport::raw_websocket::RawWebsocket;
use crate::transport::websocket::Websocket;
use crate::transport::xhr::Xhr;
use crate::transport::xhr_send::XHR_SEND;
use crate::transport::xhr_streaming::XhrStreaming;
use crate::{headers, info, send, upgrade};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// The address of a request's client, where the server put it into the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAddr(pub SocketAddr);

/// All SockJS endpoints of one service. Cloning is cheap.
pub struct SockJs<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    prefix: String,
    options: Options,
    iframe: IframePage,
    sessions: S,
}

impl<S> Clone for SockJs<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> std::fmt::Debug for SockJs<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SockJs").field("prefix", &self.shared.prefix).finish_non_exhaustive()
    }
}

impl<S: Sessions> SockJs<S> {
    /// A service below `prefix`, such as `/echo`; an empty one serves from the root.
    pub fn new(prefix: impl Into<String>, options: Options, sessions: S) -> Self {
        let iframe = IframePage::new(&options.iframe_client_url);
        let prefix = prefix.into().trim_end_matches('/').to_owned();
        Self { shared: Arc::new(Shared { prefix, options, iframe, sessions }) }
    }

    /// The prefix, without a slash at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    /// The layer that keeps the sessions.
    #[must_use]
    pub fn sessions(&self) -> &S {
        &self.shared.sessions
    }

    /// Whether a path belongs to this service: the prefix itself, or anything below it.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request whose path [belongs](Self::serves) to the service.
    ///
    /// Dropping the future, or the answer's body, says that the client's connection is lost.
    ///
    /// # Errors
    /// [`Unwritten`]: close the connection without a byte.
    pub fn respond<'a, B>(
        &'a self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, Unwritten>> + use<'a, S, B>
    where
        B: http_body::Body<Data: Buf>,
    {
        let remote = request.extensions().get::<RemoteAddr>().map(|remote| remote.0);
        self.respond_to(remote, request)
    }

    /// Answers a request as [`respond`](Self::respond) does, for a client whose address is known.
    ///
    /// # Errors
    /// [`Unwritten`]: close the connection without a byte.
    pub async fn respond_to<B>(
        &self,
        remote: Option<SocketAddr>,
        request: Request<B>,
    ) -> Result<Response<Body>, Unwritten>
    where
        B: http_body::Body<Data: Buf>,
    {
        let (mut head, body) = request.into_parts();
        let options = &self.shared.options;
        let path = head.uri.path();
        let found = path.strip_prefix(self.prefix()).and_then(route::target);
        let Some(target) = found.filter(|target| self.offers(target.endpoint)) else {
            return Ok(failure(StatusCode::NOT_FOUND, "Page not found.", HeaderMap::new()));
        };
        let route = target.endpoint.route();
        if head.method != route.verb.method() {
            return Ok(match route.preflight {
                Some(methods) if head.method == Method::OPTIONS => {
                    empty(StatusCode::NO_CONTENT, headers::preflight(methods, options, &head.headers))
                }
                _ => not_allowed(route),
            });
        }
        let common = headers::common(route, options, &head.headers);
        if !matches!(target.endpoint, Endpoint::Greeting | Endpoint::Iframe)
            && !headers::origin_allowed(options, &head.headers)
        {
            return Ok(failure(StatusCode::FORBIDDEN, "This origin is not allowed here.", common));
        }
        let on_upgrade = head.extensions.remove::<OnUpgrade>();
        let client = |transport| ClientRequest {
            transport,
            session: target.session,
            request_id: self.request_id(&head.headers),
            remote,
            head: &head,
        };
        match route.endpoint {
            Endpoint::Greeting => Ok(plain("Welcome to SockJS!\n", common)),
            Endpoint::Iframe => Ok(self.iframe_page(common, &head.headers)),
            Endpoint::Info => {
                Ok(whole(HeaderValue::from_static("application/json; charset=UTF-8"), info::body(options), common))
            }
            Endpoint::RawWebsocket => {
                Ok(self.upgrade::<RawWebsocket>(client(Transport::RawWebsocket), on_upgrade))
            }
            Endpoint::Websocket => Ok(self.upgrade::<Websocket>(client(Transport::Websocket), on_upgrade)),
            Endpoint::Xhr => self.receive(Xhr, client(Transport::Xhr), body, common).await,
            Endpoint::XhrStreaming => {
                self.receive(XhrStreaming, client(Transport::XhrStreaming), body, common).await
            }
            Endpoint::Eventsource => self.receive(Eventsource, client(Transport::Eventsource), body, common).await,
            Endpoint::Htmlfile => match callback(&head) {
                Ok(callback) => self.receive(Htmlfile(callback), client(Transport::Htmlfile), body, common).await,
                Err(refused) => Ok(refused.into_response(common)),
            },
            Endpoint::Jsonp => match callback(&head) {
                Ok(callback) => {
                    let mut common = common;
                    common.insert(
                        HeaderName::from_static("x-content-type-options"),
                        HeaderValue::from_static("nosniff"),
                    );
                    self.receive(Jsonp(callback), client(Transport::Jsonp), body, common).await
                }
                Err(refused) => Ok(refused.into_response(common)),
            },
            Endpoint::XhrSend => {
                let request = client(Transport::Xhr);
                send::respond(&XHR_SEND, self.sessions(), request, body, common, options).await
            }
            Endpoint::JsonpSend => {
                let request = client(Transport::Jsonp);
                send::respond(&JSONP_SEND, self.sessions(), request, body, common, options).await
            }
        }
    }

    fn offers(&self, endpoint: Endpoint) -> bool {
        self.shared.options.websocket || !matches!(endpoint, Endpoint::Websocket | Endpoint::RawWebsocket)
    }

    fn request_id<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.shared.options.request_id_header.as_ref()?;
        headers.get(name)?.to_str().ok().filter(|id| !id.is_empty())
    }

    fn iframe_page(&self, mut headers: HeaderMap, request: &HeaderMap) -> Response<Body> {
        let page = &self.shared.iframe;
        headers.insert(ETAG, page.etag.clone());
        if let Origins::Only(origins) = &self.shared.options.origins {
            let policy = format!("frame-ancestors 'self' {}", origins.join(" "));
            if let Ok(policy) = HeaderValue::from_str(&policy) {
                headers.insert(http::header::CONTENT_SECURITY_POLICY, policy);
            }
        }
        if page.is(request.get(IF_NONE_MATCH)) {
            return empty(StatusCode::NOT_MODIFIED, headers);
        }
        whole(HeaderValue::from_static("text/html; charset=UTF-8"), page.body.clone(), headers)
    }

    async fn receive<W, B>(
        &self,
        wire: W,
        request: ClientRequest<'_>,
        body: B,
        headers: HeaderMap,
    ) -> Result<Response<Body>, Unwritten>
    where
        W: receive::Wire,
        B: http_body::Body<Data: Buf>,
    {
        let options = &self.shared.options;
        // A body means nothing here, but while it is unread nobody notices that the client goes away.
        if let Err(error) = body::read(body, options.body_limit, options.body_timeout).await {
            return Ok(failure(error.status(), error.text(), headers));
        }
        let attached = self.sessions().attach(request).await;
        receive::respond(wire, attached, request.head.version, headers, options).await
    }

    fn upgrade<F: Framing>(&self, request: ClientRequest<'_>, on_upgrade: Option<OnUpgrade>) -> Response<Body> {
        let accept = match upgrade::accept(&request.head.headers) {
            Ok(accept) => accept,
            Err(refused) => return *refused,
        };
        let Some(on_upgrade) = on_upgrade else {
            let text = "This connection cannot be upgraded.";
            return failure(StatusCode::BAD_REQUEST, text, HeaderMap::new());
        };
        let subprotocol = upgrade::subprotocol(&request.head.headers, &self.shared.options.subprotocols);
        let socket = match self.sessions().connect(request) {
            Ok(socket) => socket,
            Err(reason) => return unavailable(reason, HeaderMap::new()),
        };
        let shared = Arc::clone(&self.shared);
        self.sessions().spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    Box::pin(socket::run::<F>(TokioIo::new(upgraded), socket, &shared.options)).await;
                }
                Err(error) => tracing::debug!(%error, "upgrade failed"),
            }
        });
        upgrade::switching(accept, subprotocol)
    }
}

struct BadCallback(crate::CallbackError);

impl BadCallback {
    fn into_response(self, headers: HeaderMap) -> Response<Body> {
        failure(StatusCode::INTERNAL_SERVER_ERROR, self.0.text(), headers)
    }
}

fn callback(head: &request::Parts) -> Result<Callback, BadCallback> {
    Callback::from_query(head.uri.query().unwrap_or_default()).map_err(BadCallback)
}

/// An answer with a short text that says what is wrong.
pub(crate) fn failure(status: StatusCode, text: &'static str, headers: HeaderMap) -> Response<Body> {
    tracing::debug!(status = status.as_u16(), reason = text, "request refused");
    let mut response = plain(text, headers);
    *response.status_mut() = status;
    response
}

pub(crate) fn unavailable(reason: crate::Unavailable, mut headers: HeaderMap) -> Response<Body> {
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    failure(StatusCode::SERVICE_UNAVAILABLE, reason.0, headers)
}

fn plain(text: &'static str, headers: HeaderMap) -> Response<Body> {
    whole(PLAIN, text, headers)
}

fn whole(content_type: HeaderValue, body: impl Into<Body>, mut headers: HeaderMap) -> Response<Body> {
    headers.insert(CONTENT_TYPE, content_type);
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}

fn empty(status: StatusCode, headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// 405 with what is allowed, and neither a body nor a content type.
fn not_allowed(route: &Route) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(ALLOW, HeaderValue::from_static(route.allow));
    empty(StatusCode::METHOD_NOT_ALLOWED, headers)
}
