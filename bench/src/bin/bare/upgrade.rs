//! A websocket out of a warp filter: hyper's upgrade, taken from the request's extensions.

use std::future::Future;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use warp::http::StatusCode;
use warp::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use warp::reply::Response;
use warp::{Filter, Rejection};

/// Read and write buffer of each connection. tungstenite zeroes the whole read buffer before each
/// read, so its default of 128 KiB would cost both memory and time.
const BUFFER: usize = 4 * 1024;

/// A server-side websocket.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers each upgrade request with 101, whatever its path, and hands the socket to `serve` in a task.
pub(crate) fn filter<S, F>(serve: S) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync
where
    S: Fn(Socket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    warp::header::<String>("sec-websocket-key").and(warp::ext::get::<OnUpgrade>()).map(
        move |key: String, upgrade: OnUpgrade| {
            let serve = serve.clone();
            tokio::spawn(async move {
                if let Ok(upgraded) = upgrade.await {
                    serve(socket(upgraded).await).await;
                }
            });
            switching_protocols(&key)
        },
    )
}

async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

fn switching_protocols(key: &str) -> Response {
    warp::http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(Default::default())
        .expect("constant names and a base64 value are valid header parts")
}
