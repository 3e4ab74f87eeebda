//! What hostile and broken clients get, and that the others never notice them.

mod connections;
mod headers;
mod injection;
mod oversize;
mod rates;
mod slow_readers;
mod slow_senders;

use std::time::Instant;

use crate::http::Connection;
use crate::server::PATIENCE;

/// Writes until the server has had enough; returns the status of the answer that it gave, if any, before it closed.
/// Fails if it takes as much as `at_most` bytes.
fn write_until_refused(connection: &mut Connection, piece: &[u8], at_most: usize) -> Option<u16> {
    let began = Instant::now();
    let mut written = 0;
    while connection.try_write(piece).is_ok() {
        written += piece.len();
        assert!(written < at_most, "the server took {written} bytes");
        assert!(began.elapsed() < PATIENCE, "the server is still taking bytes");
    }
    status_before_end(connection)
}

/// The status line's code of whatever the server says before it closes the connection.
fn status_before_end(connection: &mut Connection) -> Option<u16> {
    let said = String::from_utf8_lossy(&connection.rest()).into_owned();
    let code = said.strip_prefix("HTTP/1.1 ").or_else(|| said.strip_prefix("HTTP/1.0 "))?;
    code.get(..3)?.parse().ok()
}
