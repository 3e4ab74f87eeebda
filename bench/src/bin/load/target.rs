//! Where the server is.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context;
use tokio::net::TcpStream;

/// The base URL of a service, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    address: SocketAddr,
    base: String,
}

impl Target {
    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream =
            TcpStream::connect(self.address).await.with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Path of an endpoint of the session `id`.
    pub(crate) fn path(&self, id: u32, endpoint: &str) -> String {
        format!("{}/000/{:x}-{id}/{endpoint}", self.base, std::process::id())
    }

    /// What all paths begin with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What goes into the Host header.
    pub(crate) fn host(&self) -> SocketAddr {
        self.address
    }
}

/// The one of several servers that gets a client's request or connection of this number: each next one another.
pub(crate) fn turn(targets: &[Target], id: u32, number: u32) -> &Target {
    &targets[(id as usize + number as usize) % targets.len()]
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("the URL has to begin with http://")?;
        let (address, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = address.parse().context("the URL has to hold an IP address and a port")?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { address, base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_address_and_a_base_without_a_slash_at_its_end() {
        let target: Target = "http://127.0.0.1:8081/echo/".parse().unwrap();
        assert_eq!(target.host().to_string(), "127.0.0.1:8081");
        assert!(target.path(7, "xhr").starts_with("/echo/000/"));
        assert!(target.path(7, "xhr").ends_with("-7/xhr"));
        assert_eq!("http://127.0.0.1:8081".parse::<Target>().unwrap().base, "");
    }

    #[test]
    fn other_schemes_and_missing_ports_are_refused() {
        assert!("https://127.0.0.1:8081/echo".parse::<Target>().is_err());
        assert!("http://127.0.0.1/echo".parse::<Target>().is_err());
    }
}
