//! A service as a warp filter, and as a tower service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use futures_util::TryStreamExt;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::upgrade::OnUpgrade;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;

use crate::body::{Body, Cut};
use crate::receive::Unwritten;
use crate::service::{RemoteAddr, SockJs};
use crate::sessions::Sessions;

impl<S: Sessions> SockJs<S> {
    /// The service as a warp filter. Requests for other paths are rejected, so that other filters can follow.
    ///
    /// An answer that must stay [`Unwritten`] gets a body that fails at once: the server drops the connection.
    #[must_use]
    pub fn filter(&self) -> BoxedFilter<(warp::reply::Response,)> {
        let service = self.clone();
        let mine = self.clone();
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        warp::path::full()
            .and_then(move |path: FullPath| {
                let serves = mine.serves(path.as_str());
                async move { if serves { Ok(path) } else { Err(warp::reject::not_found()) } }
            })
            .and(warp::method())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::ext::optional::<OnUpgrade>())
            .and(warp::addr::remote())
            .and(warp::ext::optional::<RemoteAddr>())
            .and(warp::body::stream())
            .then(
                move |path: FullPath,
                      method: Method,
                      query: String,
                      headers: HeaderMap,
                      on_upgrade: Option<OnUpgrade>,
                      remote: Option<std::net::SocketAddr>,
                      told: Option<RemoteAddr>,
                      body| {
                    let service = service.clone();
                    async move {
                        let mut request = Request::new(as_body(body));
                        *request.method_mut() = method;
                        let uri = if query.is_empty() {
                            path.as_str().to_owned()
                        } else {
                            format!("{}?{query}", path.as_str())
                        };
                        *request.uri_mut() = uri.parse().unwrap_or_default();
                        *request.headers_mut() = headers;
                        if let Some(on_upgrade) = on_upgrade {
                            request.extensions_mut().insert(on_upgrade);
                        }
                        if let Some(remote) = told.or(remote.map(RemoteAddr)) {
                            request.extensions_mut().insert(remote);
                        }
                        into_reply(written(service.respond(request).await))
                    }
                },
            )
            .boxed()
    }
}

fn as_body<B: Buf>(
    stream: impl futures_util::Stream<Item = Result<B, warp::Error>> + Send,
) -> impl http_body::Body<Data = B, Error = warp::Error> + Send {
    StreamBody::new(stream.map_ok(Frame::data))
}

/// The body as warp's own type, which is made of whole bytes or of a stream.
fn into_reply(response: Response<Body>) -> warp::reply::Response {
    use warp::Reply;

    let (head, body) = response.into_parts();
    let body = match body.whole() {
        Ok(bytes) if bytes.is_empty() => warp::reply::Response::default().into_body(),
        Ok(bytes) => bytes.into(),
        Err(stream) => warp::reply::stream(stream.into_data_stream()).into_response().into_body(),
    };
    warp::reply::Response::from_parts(head, body)
}

/// A body that cannot be read.
struct Broken;

impl http_body::Body for Broken {
    type Data = bytes::Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Cut>>> {
        Poll::Ready(Some(Err(Cut)))
    }
}

fn written(answer: Result<Response<Body>, Unwritten>) -> Response<Body> {
    // A body that fails before its first byte has the server drop the connection.
    answer.unwrap_or_else(|Unwritten| Response::new(Body::stream(Broken)))
}

/// The service for axum, plain hyper and everything else that takes a [`tower_service::Service`]. Mount it where paths
/// arrive whole (axum: `route_service` or `fallback_service`), or give it an empty prefix where they arrive stripped
/// (axum: `nest_service`). The client's address is taken from a [`RemoteAddr`] in the request's extensions.
impl<S, B> tower_service::Service<Request<B>> for SockJs<S>
where
    S: Sessions,
    B: http_body::Body<Data: Buf + Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(written(service.respond(request).await)) })
    }
}
