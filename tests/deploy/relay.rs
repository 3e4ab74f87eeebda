//! Stands between a proxy and a node, changes no byte, and keeps what the proxy said: which requests it sent there, and
//! under which id.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub(crate) struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What came on each connection.
    said: Mutex<Vec<Vec<u8>>>,
    closed: AtomicBool,
}

impl Relay {
    /// Relays what comes to `port` to a node at another port, until it is dropped.
    pub(crate) fn start(port: u16, node: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a relay's port");
        let shared = Arc::new(Shared::default());
        let relay = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for proxy in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    break;
                }
                // A node that is not there ends the proxy's connection, too.
                let Ok(node) = TcpStream::connect(("127.0.0.1", node)) else { continue };
                shared.carry(&proxy, &node);
            }
        });
        relay
    }

    /// The heads of all requests for this target so far, in the order of their connections.
    pub(crate) fn heads(&self, target: &str) -> Vec<String> {
        let said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = said.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        texts.flat_map(|text| heads(&text, target)).collect()
    }
}

/// The heads of requests for a target, in all that was said on one connection.
fn heads(text: &str, target: &str) -> Vec<String> {
    let line = format!(" {target} HTTP/1.1\r\n");
    let of = |(at, _): (usize, &str)| {
        let head = text[at..].split("\r\n\r\n").next().unwrap_or_default();
        head.to_owned()
    };
    text.match_indices(&line).map(of).collect()
}

/// The value of a header that stands in a head once.
pub(crate) fn value<'a>(head: &'a str, name: &str) -> &'a str {
    let mut found = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let value = found.next().unwrap_or_else(|| panic!("no {name} in {head:?}")).1;
    assert!(found.next().is_none(), "{name} stands twice in {head:?}");
    value
}

impl Shared {
    fn carry(self: &Arc<Self>, proxy: &TcpStream, node: &TcpStream) {
        let index = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push(Vec::new());
            said.len() - 1
        };
        let shared = Arc::clone(self);
        let keep = move |bytes: &[u8]| {
            shared.said.lock().unwrap_or_else(PoisonError::into_inner)[index].extend_from_slice(bytes);
        };
        pump(proxy, node, keep);
        pump(node, proxy, |_| {});
    }
}

/// Hands on what comes, and its end.
fn pump(from: &TcpStream, to: &TcpStream, seen: impl Fn(&[u8]) + Send + 'static) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let _ = to.set_nodelay(true);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            seen(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then closes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}
