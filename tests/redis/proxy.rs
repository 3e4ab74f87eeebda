//! An address in front of servers, as a virtual address or a name is, for servers that take each other's place, or whose
//! answers are to be lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;

pub(crate) struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    is_held: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let (target, is_held) = (Arc::new(AtomicU16::new(port)), Arc::<AtomicBool>::default());
        let (towards, held) = (Arc::clone(&target), Arc::clone(&is_held));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", towards.load(Ordering::SeqCst))) else {
                    continue;
                };
                for end in [&client, &server] {
                    let _ = end.set_nodelay(true);
                }
                let ends = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                thread::spawn(move || copy(client, server, &AtomicBool::new(false)));
                let held = Arc::clone(&held);
                thread::spawn(move || copy(ends.1, ends.0, &held));
            }
        });
        Self { port: own, target, is_held }
    }

    /// Moves new connections to another server; those that are there stay with theirs.
    pub(crate) fn switch(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// Loses all answers from now on: who has asked knows nothing of what became of it.
    pub(crate) fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Copies until one side is gone; nothing more as soon as it is held.
fn copy(mut from: TcpStream, mut to: TcpStream, is_held: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_held.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
