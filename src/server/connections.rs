//! The connections of a server: counted, and told when to end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use slab::Slab;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Limits;
use super::refuse::{self, Refusal};

/// All connections of a server.
pub(super) struct Connections {
    open: Mutex<Open>,
    most: usize,
    most_per_address: Option<usize>,
    /// Rung when the last one closes.
    empty: Notify,
    tasks: TaskTracker,
    refusing: refuse::Refusing,
    refused: Mutex<Refused>,
}

/// Connections refused since the last line about them.
#[derive(Default)]
struct Refused {
    logged: Option<Instant>,
    count: u64,
}

/// How often refused connections are logged.
const LOG_PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Open {
    controls: Slab<Arc<Control>>,
    addresses: HashMap<IpAddr, usize>,
}

/// Whether a connection may stay.
pub(super) enum Admission {
    Admitted(Connection),
    Refused(Refusal),
}

/// One connection: it counts until it is dropped, also when it was upgraded.
pub(super) struct Connection {
    connections: Arc<Connections>,
    index: usize,
    address: IpAddr,
    control: Arc<Control>,
}

/// Tells a connection to end after the answer it is writing.
#[derive(Default)]
pub(super) struct Control {
    ending: AtomicBool,
    waker: AtomicWaker,
}

impl Connections {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            empty: Notify::new(),
            tasks: TaskTracker::new(),
            refusing: refuse::Refusing::default(),
            refused: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection, unless there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let address = counted_as(address);
        let mut open = self.lock();
        if open.controls.len() >= self.most {
            return Admission::Refused(Refusal::TooMany);
        }
        if let Some(most) = self.most_per_address {
            let count = open.addresses.entry(address).or_default();
            if *count >= most {
                return Admission::Refused(Refusal::TooManyOfAddress);
            }
            *count += 1;
        }
        let control = Arc::<Control>::default();
        let index = open.controls.insert(Arc::clone(&control));
        Admission::Admitted(Connection { connections: Arc::clone(self), index, address, control })
    }

    /// Serves a connection in a task.
    pub(super) fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(serving);
    }

    /// Tells a client why it is refused, as long as not too many are told at once.
    pub(super) fn refuse(&self, stream: TcpStream, refusal: Refusal, remote: SocketAddr) {
        // One line a second, however many there are: peers shall not decide how much is logged.
        let due = {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.count += 1;
            let now = Instant::now();
            let due = refused.logged.is_none_or(|logged| now - logged >= LOG_PAUSE);
            due.then(|| {
                refused.logged = Some(now);
                std::mem::take(&mut refused.count)
            })
        };
        if let Some(count) = due {
            tracing::warn!(%remote, count, reason = refusal.text(), "connections refused");
        }
        if let Some(telling) = self.refusing.tell(stream, refusal) {
            self.tasks.spawn(telling);
        }
    }

    /// Has every connection end after the answer it is writing.
    pub(super) fn end(&self) {
        for (_, control) in &self.lock().controls {
            control.ending.store(true, Ordering::Release);
            control.waker.wake();
        }
    }

    /// Waits until all are closed; how many are not by the deadline.
    pub(super) async fn wait(&self, deadline: Instant) -> usize {
        let empty = async {
            loop {
                let empty = self.empty.notified();
                if self.lock().controls.is_empty() {
                    break;
                }
                empty.await;
            }
        };
        let _ = tokio::time::timeout_at(deadline, empty).await;
        self.lock().controls.len()
    }
}

impl Connection {
    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// The connection's stream, which counts as long as it is open.
    pub(super) fn over(self, stream: TcpStream) -> Counted {
        Counted { stream: TokioIo::new(stream), _connection: self }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.controls.try_remove(self.index);
        if self.connections.most_per_address.is_some()
            && let Some(count) = open.addresses.get_mut(&self.address)
        {
            *count -= 1;
            if *count == 0 {
                open.addresses.remove(&self.address);
            }
        }
        if open.controls.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}

impl Control {
    /// Drives a connection to its end; `end` is how it is told to.
    pub(super) async fn run<C: Future>(&self, mut connection: Pin<Box<C>>, end: fn(Pin<&mut C>)) -> C::Output {
        let mut told = false;
        let output = std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            if !told && self.ending.load(Ordering::Acquire) {
                told = true;
                end(connection.as_mut());
            }
            connection.as_mut().poll(cx)
        })
        .await;
        // An upgraded connection goes on elsewhere, and its control with it: the waker would keep this task's memory.
        drop(self.waker.take());
        output
    }
}

/// The address that a connection counts for: of IPv6 the network of 64 bits, all of which one client may have.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

/// A stream and its count.
pub(super) struct Counted {
    stream: TokioIo<TcpStream>,
    _connection: Connection,
}

impl Read for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_counts_by_its_network() {
        let counted = |address: &str| counted_as(address.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::9"));
        assert_ne!(counted("2001:db8:1:2::9"), counted("2001:db8:1:3::9"));
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
    }
}
