//! A connection that remembers whether anything came from its peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and whether bytes were read from it since somebody last asked: a peer that is in the middle of a long
/// message is there, though its answer to a ping stands behind that message.
pub(crate) struct Heard<IO> {
    io: IO,
    heard: bool,
}

impl<IO> Heard<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self { io, heard: false }
    }

    /// Whether anything came since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Heard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.heard |= buf.filled().len() > before;
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Heard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_read_is_remembered_once() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Heard::new(near);
        assert!(!near.take_heard());
        near.write_all(b"out").await.unwrap();
        assert!(!near.take_heard(), "writing is not hearing");
        far.write_all(b"in").await.unwrap();
        near.read_exact(&mut [0; 2]).await.unwrap();
        assert!(near.take_heard());
        assert!(!near.take_heard());
    }
}
