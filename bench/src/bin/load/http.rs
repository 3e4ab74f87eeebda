//! A raw HTTP/1.1 client connection: one request at a time, kept alive.

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::chunks::Chunks;
use crate::input::Input;
use crate::target::Target;

/// A kept-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    input: Input,
    body: Body,
}

/// What is still to come of the current response's body.
#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Sized(usize),
    Chunked(Chunks),
}

impl Body {
    fn is_complete(&self) -> bool {
        matches!(self, Self::Sized(0) | Self::Chunked(Chunks::Done))
    }

    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> anyhow::Result<usize> {
        match self {
            Self::Chunked(chunks) => chunks.decode(input, out),
            Self::Sized(left) => {
                let count = (*left).min(input.len());
                out.extend_from_slice(&input[..count]);
                *left -= count;
                Ok(count)
            }
        }
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        Ok(Self { stream: target.connect().await?, input: Input::new(), body: Body::Sized(0) })
    }

    /// The socket below.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a whole request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        debug_assert!(self.body.is_complete());
        self.stream.write_all(request).await?;
        Ok(())
    }

    /// Waits for the head of the answer, which has to bear this status.
    pub(crate) async fn answer(&mut self, status: u16) -> anyhow::Result<()> {
        loop {
            if let Some(head) = head(self.input.unused())? {
                self.input.used(head.length);
                ensure!(head.status == status, "status {status} expected, {} came", head.status);
                self.body = head.body;
                return Ok(());
            }
            self.input.read_from(&mut self.stream).await?;
        }
    }

    /// Appends more of the body to `out`; false when the body is complete and has been handed out.
    pub(crate) async fn body(&mut self, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        let before = out.len();
        loop {
            let used = self.body.decode(self.input.unused(), out)?;
            self.input.used(used);
            if out.len() > before {
                return Ok(true);
            }
            if self.body.is_complete() {
                return Ok(false);
            }
            self.input.read_from(&mut self.stream).await?;
        }
    }
}

/// The head of a response.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes that the head takes.
    pub(crate) length: usize,
    body: Body,
}

/// The head at the beginning of `bytes`, if it is complete.
pub(crate) fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.context("a response without a status")?;
    let body = match status {
        100..=199 | 204 | 304 => Body::Sized(0),
        _ => body(response.headers)?,
    };
    Ok(Some(Head { status, length, body }))
}

fn body(headers: &[httparse::Header<'_>]) -> anyhow::Result<Body> {
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(header.value.eq_ignore_ascii_case(b"chunked"), "an unknown coding");
            return Ok(Body::Chunked(Chunks::default()));
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value)?.trim().parse()?;
            return Ok(Body::Sized(length));
        }
    }
    anyhow::bail!("a response without Content-Length or chunked coding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_its_status_its_length_and_how_the_body_ends() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let expected = Head { status: 200, length: text.len() - 5, body: Body::Sized(5) };
        assert_eq!(head(text).unwrap(), Some(expected));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = head(chunked).unwrap().unwrap().body;
        assert_eq!(body, Body::Chunked(Chunks::Size));
        let bodyless = head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert!(bodyless.body.is_complete());
    }

    #[test]
    fn an_incomplete_head_is_waited_for_and_an_endless_body_refused() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"SMTP\r\n\r\n").is_err());
    }

    #[test]
    fn a_sized_body_ends_after_its_size() {
        let mut body = Body::Sized(3);
        let mut out = Vec::new();
        assert_eq!(body.decode(b"ab", &mut out).unwrap(), 2);
        assert!(!body.is_complete());
        assert_eq!(body.decode(b"cHTTP", &mut out).unwrap(), 1);
        assert!(body.is_complete());
        assert_eq!(out, b"abc");
    }
}
