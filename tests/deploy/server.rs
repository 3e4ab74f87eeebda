//! Whatever answers at an address: a proxy, or a node.

use std::net::SocketAddr;
use std::time::Duration;

use crate::http::{Connection, Request, Response};

/// How long anything may take before a test calls it missing: generous, as a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
}

impl Server {
    /// What listens at this port of this machine.
    pub(crate) fn at(port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn fetch(&self, request: &Request) -> Response {
        self.connect().exchange(request)
    }

    pub(crate) fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.fetch(&Request::post(target, body))
    }
}
