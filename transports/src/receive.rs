//! The one receive loop of all HTTP transports.
//!
//! A *poll* says nothing, not even headers, until its one frame is ready and the session is released: as long as no
//! byte went out, a balancer may repeat the request on another node. A *stream* writes its prelude at once and then a
//! chunk per frame, until its limit is reached.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::Frame as BodyFrame;
use tokio::time::{Instant, Sleep};

use crate::body::{Body, Cut};
use crate::sessions::{Attached, Fenced, Next, Receiver};
use crate::{Frame, Options};

/// How one transport writes frames.
pub(crate) trait Wire: Send + Unpin + 'static {
    const CONTENT_TYPE: &'static str;
    const KIND: Kind;

    /// What a streaming response begins with; not counted in its limit.
    fn prelude(&self) -> Bytes {
        Bytes::new()
    }

    /// The same for a client that must not take it for a heartbeat.
    fn quiet_prelude(&self) -> Bytes {
        self.prelude()
    }

    /// The frame as it stands in the response.
    fn wrap(&self, frame: &Frame) -> Bytes;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One frame a response.
    Poll,
    /// Frames until the limit.
    Stream,
}

/// The answer must stay unwritten: whoever serves the connection closes it without a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritten;

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request is to be repeated elsewhere, its answer stays unwritten")
    }
}

impl std::error::Error for Unwritten {}

/// Answers a receiver request.
pub(crate) async fn respond<W: Wire, R: Receiver>(
    wire: W,
    attached: Attached<R>,
    version: Version,
    mut headers: HeaderMap,
    options: &Options,
) -> Result<Response<Body>, Unwritten> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(W::CONTENT_TYPE));
    let body = match (attached, W::KIND) {
        (Attached::Unwritten, _) => return Err(Unwritten),
        (Attached::NotOffered, _) => {
            let text = "This transport is not for sessions that can be resumed.";
            return Ok(crate::service::failure(StatusCode::NOT_FOUND, text, headers));
        }
        (Attached::Unavailable(reason), _) => return Ok(crate::service::unavailable(reason, headers)),
        (Attached::Refused(reason), Kind::Poll) => wire.wrap(&Frame::Close(reason)).into(),
        (Attached::Held(receiver), Kind::Poll) => {
            let polled = poll(receiver, options.heartbeat).await?;
            if polled.draining {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            wire.wrap(&polled.frame).into()
        }
        (Attached::Refused(reason), Kind::Stream) => {
            Body::stream(Streaming::<W, R>::new(wire, Phase::Refused(Frame::Close(reason)), options))
        }
        (Attached::Held(receiver), Kind::Stream) => {
            Body::stream(Streaming::new(wire, Phase::Open(receiver), options))
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    if W::KIND == Kind::Stream && version < Version::HTTP_11 {
        // Without chunks, the end of the connection is the end of the body: hyper must not keep it alive.
        *response.version_mut() = Version::HTTP_10;
    }
    Ok(response)
}

struct Polled {
    frame: Frame,
    draining: bool,
}

async fn poll(mut receiver: impl Receiver, heartbeat: Duration) -> Result<Polled, Unwritten> {
    let next = tokio::time::timeout(heartbeat, poll_fn(|cx| receiver.poll_next(cx))).await;
    let polled = match next {
        Err(_silence) => Polled { frame: Frame::Heartbeat, draining: false },
        Ok(Next::Frame(frame)) => Polled { frame, draining: false },
        Ok(Next::End) => Polled { frame: Frame::Heartbeat, draining: true },
        Ok(Next::Fenced) => return Err(Unwritten),
    };
    match receiver.release().await {
        Ok(()) => Ok(polled),
        Err(Fenced) => Err(Unwritten),
    }
}

/// A streaming response: prelude, frames, a proper end once the session is released.
struct Streaming<W, R> {
    wire: W,
    phase: Phase<R>,
    prelude: Prelude,
    /// Bytes that may still be written before the response ends.
    left: usize,
    heartbeat: Duration,
    silence: Pin<Box<Sleep>>,
}

enum Phase<R> {
    Open(R),
    /// Only this frame is written.
    Refused(Frame),
    Releasing(BoxFuture<'static, Result<(), Fenced>>),
    Done,
}

enum Prelude {
    Due,
    Written,
}

impl<W: Wire, R: Receiver> Streaming<W, R> {
    fn new(wire: W, phase: Phase<R>, options: &Options) -> Self {
        let heartbeat = options.heartbeat;
        let silence = Box::pin(tokio::time::sleep(heartbeat));
        Self { wire, phase, prelude: Prelude::Due, left: options.response_limit, heartbeat, silence }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>, receiver: &mut R) -> Poll<Next> {
        if let Poll::Ready(next) = receiver.poll_next(cx) {
            return Poll::Ready(next);
        }
        self.silence.as_mut().poll(cx).map(|()| Next::Frame(Frame::Heartbeat))
    }

    fn chunk(&mut self, frame: &Frame) -> Bytes {
        let chunk = self.wire.wrap(frame);
        self.left = self.left.saturating_sub(chunk.len());
        chunk
    }
}

impl<W: Wire, R: Receiver> http_body::Body for Streaming<W, R> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if matches!(this.prelude, Prelude::Due) {
            this.prelude = Prelude::Written;
            let quiet = matches!(&this.phase, Phase::Open(receiver) if receiver.is_replaying());
            let prelude = if quiet { this.wire.quiet_prelude() } else { this.wire.prelude() };
            return Poll::Ready(Some(Ok(BodyFrame::data(prelude))));
        }
        loop {
            match std::mem::replace(&mut this.phase, Phase::Done) {
                Phase::Open(mut receiver) => {
                    if this.left == 0 {
                        this.phase = Phase::Releasing(Box::pin(receiver.release()));
                        continue;
                    }
                    let Poll::Ready(next) = this.poll_frame(cx, &mut receiver) else {
                        this.phase = Phase::Open(receiver);
                        return Poll::Pending;
                    };
                    match next {
                        Next::Frame(frame) => {
                            let chunk = this.chunk(&frame);
                            if matches!(frame, Frame::Close(_)) {
                                this.left = 0;
                            }
                            this.silence.as_mut().reset(Instant::now() + this.heartbeat);
                            this.phase = Phase::Open(receiver);
                            return Poll::Ready(Some(Ok(BodyFrame::data(chunk))));
                        }
                        Next::End => this.left = 0,
                        Next::Fenced => return Poll::Ready(Some(Err(Cut))),
                    }
                    this.phase = Phase::Open(receiver);
                }
                Phase::Refused(frame) => {
                    let chunk = this.chunk(&frame);
                    return Poll::Ready(Some(Ok(BodyFrame::data(chunk))));
                }
                Phase::Releasing(mut releasing) => {
                    let Poll::Ready(released) = releasing.as_mut().poll(cx) else {
                        this.phase = Phase::Releasing(releasing);
                        return Poll::Pending;
                    };
                    return Poll::Ready(released.err().map(|Fenced| Err(Cut)));
                }
                Phase::Done => return Poll::Ready(None),
            }
        }
    }
}

/// A wrapped frame as text, for the tests of the wires.
#[cfg(test)]
pub(crate) fn wrapped(wire: &impl Wire, frame: &Frame) -> String {
    String::from_utf8(wire.wrap(frame).to_vec()).unwrap()
}
