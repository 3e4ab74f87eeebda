//! Telling clients beyond the limits why they are refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    TooMany,
    TooManyOfAddress,
}

impl Refusal {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::TooMany => "Too many connections.",
            Self::TooManyOfAddress => "Too many connections from this address.",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::TooMany => "503 Service Unavailable",
            Self::TooManyOfAddress => "429 Too Many Requests",
        }
    }

    fn response(self) -> String {
        let (status, text) = (self.status(), self.text());
        let length = text.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=UTF-8\r\ncontent-length: {length}\r\n\
             retry-after: 5\r\nconnection: close\r\n\r\n{text}\n"
        )
    }
}

/// Clients that are being told: few at once, each for a short time, so that the limit stays one.
pub(super) struct Refusing(Arc<Semaphore>);

const AT_ONCE: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(1);

impl Default for Refusing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Refusing {
    /// The work of telling one client; none if too many are being told, whose connection is then just closed.
    pub(super) fn tell(
        &self,
        mut stream: TcpStream,
        refusal: Refusal,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(async move {
            let _permit = permit;
            let telling = async {
                stream.write_all(refusal.response().as_bytes()).await?;
                stream.shutdown().await?;
                // What the client has sent must be read, or the close becomes a reset that takes the answer along.
                let mut dropped = [0; 512];
                while stream.read(&mut dropped).await? > 0 {}
                std::io::Result::Ok(())
            };
            // A client that goes away first needs no answer.
            let _ = tokio::time::timeout(TIMEOUT, telling).await;
        })
    }
}
