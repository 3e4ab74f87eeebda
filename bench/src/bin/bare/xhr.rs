//! Echo over pairs of HTTP requests: one receives, the other sends. The bodies are shaped as SockJS
//! frames so that one client fits all servers, but nothing in them is looked at.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::path::FullPath;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::mailbox::{Mailbox, Mailboxes};

/// Bytes of frames after which a stream ends, as a SockJS server ends it.
const STREAM_LIMIT: usize = 128 * 1024;

/// First frame of an id.
const OPEN: &[u8] = b"o\n";

/// What goes before the frames of each stream: 2048 times `h`, and a line end.
static PRELUDE: [u8; 2049] = {
    let mut bytes = [b'h'; 2049];
    bytes[2048] = b'\n';
    bytes
};

/// `…/<id>/xhr_streaming` and `…/<id>/xhr_send`.
pub(crate) fn streaming() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let mailboxes = Mailboxes::default();
    request().map(move |path: FullPath, body: Bytes| match id_and_endpoint(&path) {
        Some((id, "xhr_send")) => accept(&mailboxes, id, &body),
        Some((id, "xhr_streaming")) => {
            let frames = Frames::of(mailboxes.find_or_open(id, OPEN));
            as_javascript(warp::reply::stream(frames).into_response())
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

/// `…/<id>/xhr` and `…/<id>/xhr_send`.
pub(crate) fn polling() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let mailboxes = Mailboxes::default();
    request().then(move |path: FullPath, body: Bytes| {
        let mailboxes = mailboxes.clone();
        async move {
            match id_and_endpoint(&path) {
                Some((id, "xhr_send")) => accept(&mailboxes, id, &body),
                Some((id, "xhr")) => {
                    let mailbox = mailboxes.find_or_open(id, OPEN);
                    let frame = poll_fn(|context| mailbox.poll_pop(context)).await;
                    as_javascript(Response::new(frame.into()))
                }
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        }
    })
}

fn request() -> impl Filter<Extract = (FullPath, Bytes), Error = Rejection> + Clone + Send + Sync {
    warp::path::full().and(warp::body::bytes())
}

fn id_and_endpoint(path: &FullPath) -> Option<(&str, &str)> {
    let (rest, endpoint) = path.as_str().rsplit_once('/')?;
    let (_, id) = rest.rsplit_once('/')?;
    Some((id, endpoint))
}

/// A send: `["x"]` becomes the frame `a["x"]`, unread.
fn accept(mailboxes: &Mailboxes, id: &str, body: &[u8]) -> Response {
    let Some(mailbox) = mailboxes.find(id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut frame = BytesMut::with_capacity(body.len() + 2);
    frame.put_u8(b'a');
    frame.put_slice(body);
    frame.put_u8(b'\n');
    mailbox.push(frame.freeze());
    StatusCode::NO_CONTENT.into_response()
}

fn as_javascript(mut response: Response) -> Response {
    let javascript = HeaderValue::from_static("application/javascript; charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, javascript);
    response
}

/// The body of a stream: the prelude, then each frame as it comes, up to the limit.
struct Frames {
    mailbox: Arc<Mailbox>,
    progress: Progress,
}

enum Progress {
    Prelude,
    Sent(usize),
}

impl Frames {
    fn of(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox, progress: Progress::Prelude }
    }
}

impl Stream for Frames {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.progress {
            Progress::Prelude => {
                self.progress = Progress::Sent(0);
                Poll::Ready(Some(Ok(Bytes::from_static(&PRELUDE))))
            }
            Progress::Sent(bytes) if bytes >= STREAM_LIMIT => Poll::Ready(None),
            Progress::Sent(bytes) => {
                let frame = ready!(self.mailbox.poll_pop(context));
                self.progress = Progress::Sent(bytes + frame.len());
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}
