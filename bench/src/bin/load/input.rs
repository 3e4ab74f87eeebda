//! A growing read buffer.

use anyhow::ensure;
use tokio::io::{AsyncRead, AsyncReadExt};

/// First size: more than what one read usually brings, so that a read that fills it in part tells the
/// runtime that the socket is empty and saves a second system call.
const INITIAL: usize = 8 * 1024;

/// A server that sends more than this without a complete frame is out of order.
const MAXIMUM: usize = 1024 * 1024;

/// Bytes that were read and not yet used.
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; INITIAL], start: 0, end: 0 }
    }

    /// What has been read and not been used.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the next `count` bytes as used.
    pub(crate) fn used(&mut self, count: usize) {
        debug_assert!(self.start + count <= self.end);
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// When the connection ends or fails, or the buffer is full to its maximum.
    pub(crate) async fn read_from(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
        if self.end == self.bytes.len() {
            self.make_room()?;
        }
        let count = stream.read(&mut self.bytes[self.end..]).await?;
        ensure!(count > 0, "the server closed the connection");
        self.end += count;
        Ok(())
    }

    fn make_room(&mut self) -> anyhow::Result<()> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return Ok(());
        }
        let larger = self.bytes.len() * 2;
        ensure!(larger <= MAXIMUM, "{MAXIMUM} bytes came without a complete frame");
        self.bytes.resize(larger, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_used_is_kept_while_the_buffer_moves_and_grows() {
        let sent: Vec<u8> = (0..INITIAL * 3).map(|at| at as u8).collect();
        let mut source = &sent[..];
        let mut input = Input::new();
        input.read_from(&mut source).await.unwrap();
        input.used(10);
        while input.unused().len() < sent.len() - 10 {
            input.read_from(&mut source).await.unwrap();
        }
        assert_eq!(input.unused(), &sent[10..]);
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_an_error() {
        assert!(Input::new().read_from(&mut &b""[..]).await.is_err());
    }
}
