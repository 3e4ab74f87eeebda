//! A server whose answers can be kept from its clients: who has asked knows nothing of what became of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A server that does what it is told, and whose answers may be kept from whoever has asked.
pub(crate) struct Held {
    port: u16,
    is_held: Arc<AtomicBool>,
}

impl Held {
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let is_held = Arc::<AtomicBool>::default();
        let held = Arc::clone(&is_held);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let ends = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                thread::spawn(move || copy(client, server, &AtomicBool::new(false)));
                let held = Arc::clone(&held);
                thread::spawn(move || copy(ends.1, ends.0, &held));
            }
        });
        Self { port, is_held }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
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
