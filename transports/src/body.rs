//! Bodies: what answers carry, and how requests are read within their limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Whole(Bytes),
    Stream(sync_wrapper::SyncWrapper<Pin<Box<dyn HttpBody<Data = Bytes, Error = Cut> + Send>>>),
}

/// A streaming response was cut off, because another receiver had taken its session over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another receiver has taken the session over")
    }
}

impl std::error::Error for Cut {}

impl Body {
    pub(crate) fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    /// All of a body that is not a stream.
    pub(crate) fn whole(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::Whole(bytes) => Ok(bytes),
            stream @ Kind::Stream(_) => Err(Self(stream)),
        }
    }

    pub(crate) fn stream(stream: impl HttpBody<Data = Bytes, Error = Cut> + Send + 'static) -> Self {
        Self(Kind::Stream(sync_wrapper::SyncWrapper::new(Box::pin(stream))))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(Kind::Whole(bytes.into()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(stream) => stream.get_mut().as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) => SizeHint::new(),
        }
    }
}

/// Why a request's body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than it may have.
    TooLarge,
    /// It had not arrived in time.
    TooSlow,
    /// It broke off.
    Broken,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for BodyError {}

impl BodyError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "Request body too large.",
            Self::TooSlow => "Request body came too slowly.",
            Self::Broken => "Request body is broken.",
        }
    }
}

/// Reads a whole body of at most `limit` bytes that arrives within `timeout`.
///
/// # Errors
/// See [`BodyError`].
pub async fn read<B>(body: B, limit: usize, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data: Buf>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    tokio::time::timeout(timeout, collect(body, limit)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data: Buf>,
{
    let mut body = std::pin::pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Ok(mut data) = frame.into_data() else { continue };
        if read.len() + data.remaining() > limit {
            return Err(BodyError::TooLarge);
        }
        // Most bodies come as one piece, which is then not copied.
        if read.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(data.remaining()));
        }
        read.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(read.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full, StreamBody};

    const SOON: Duration = Duration::from_secs(5);

    fn pieces(pieces: &'static [&'static str]) -> impl HttpBody<Data = Bytes, Error = std::convert::Infallible> {
        StreamBody::new(futures_util::stream::iter(
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))),
        ))
    }

    #[tokio::test]
    async fn bodies_are_read_up_to_the_limit_and_not_beyond() {
        assert_eq!(read(Empty::<Bytes>::new(), 3, SOON).await, Ok(Bytes::new()));
        assert_eq!(read(Full::new(Bytes::from("abc")), 3, SOON).await, Ok(Bytes::from("abc")));
        assert_eq!(read(Full::new(Bytes::from("abcd")), 3, SOON).await, Err(BodyError::TooLarge));
        assert_eq!(read(pieces(&["a", "", "bc"]), 3, SOON).await, Ok(Bytes::from("abc")));
        assert_eq!(read(pieces(&["ab", "cd"]), 3, SOON).await, Err(BodyError::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up_on() {
        let endless = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Cut>>());
        assert_eq!(read(endless, 3, SOON).await, Err(BodyError::TooSlow));
    }
}
