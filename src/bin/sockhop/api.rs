//! The HTTP API, as it is asked for and as it is checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use sockhop::Node;
use sockhop::api::{Api, ApiKey};

use crate::settings::{at_least, check_prefix};
use crate::units::Size;

/// Where the HTTP API is, and who may call.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ApiOptions {
    /// Serve the HTTP API for backends on an address of its own; needs --api-keys [default: no API]
    #[arg(long, env = "SOCKHOP_API_LISTEN", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_listen: Option<SocketAddr>,

    /// Serve the HTTP API below this path of the main address instead, such as /api [default: no API]
    #[arg(long, env = "SOCKHOP_API_PATH", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_path: Option<String>,

    /// File with the keys of the HTTP API, each a line like `shop publish,read KEY` [default: none]
    #[arg(long, env = "SOCKHOP_API_KEYS", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_keys: Option<PathBuf>,

    /// Bytes of one request of the HTTP API; more get 413 [default: 1MiB]
    #[arg(long, env = "SOCKHOP_API_BODY_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_body_limit: Option<Size>,
}

/// The HTTP API that is asked for.
#[derive(Debug)]
pub(crate) struct ApiSettings {
    pub(crate) place: ApiPlace,
    keys: Vec<ApiKey>,
    body_limit: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiPlace {
    /// On an address of its own.
    Address(SocketAddr),
    /// Below a path of the main address.
    Path(String),
}

impl ApiOptions {
    pub(crate) fn check(self) -> anyhow::Result<Option<ApiSettings>> {
        let place = match (self.api_listen, self.api_path) {
            (Some(_), Some(_)) => bail!("api-listen and api-path: use one of them"),
            (Some(address), None) => ApiPlace::Address(address),
            (None, Some(path)) => {
                check_prefix(&path).context("api-path")?;
                ApiPlace::Path(path)
            }
            (None, None) if self.api_keys.is_some() => {
                bail!("api-keys: there is no API: use api-listen or api-path as well")
            }
            (None, None) if self.api_body_limit.is_some() => {
                bail!("api-body-limit: there is no API: use api-listen or api-path as well")
            }
            (None, None) => return Ok(None),
        };
        let Some(file) = self.api_keys else {
            bail!("api-keys: the API needs a file with keys, each a line like `shop publish,read KEY`")
        };
        let body_limit = self.api_body_limit.map(|size| at_least("api-body-limit", size.0, 1)).transpose()?;
        Ok(Some(ApiSettings { place, keys: read_keys(&file)?, body_limit }))
    }
}

impl ApiSettings {
    pub(crate) fn build(&self, node: &Node) -> Api {
        let prefix = match &self.place {
            ApiPlace::Address(_) => "",
            ApiPlace::Path(path) => path,
        };
        let mut api = Api::builder(prefix);
        if let Some(bytes) = self.body_limit {
            api = api.body_limit(bytes);
        }
        self.keys.iter().cloned().fold(api, sockhop::api::ApiBuilder::key).build(node)
    }
}

/// Reads keys, a line each; empty lines and those that begin with `#` are none.
fn read_keys(file: &Path) -> anyhow::Result<Vec<ApiKey>> {
    let named = || format!("api-keys = {}", file.display());
    let text = std::fs::read_to_string(file).with_context(named)?;
    let mut keys: Vec<ApiKey> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The error does not hold the line: a key might be on its way into a log.
        let key: ApiKey = line.parse().with_context(|| format!("line {number}")).with_context(named)?;
        if keys.iter().any(|known| known.name() == key.name()) {
            bail!("{}: line {number}: {} is there twice", named(), key.name());
        }
        keys.push(key);
    }
    if keys.is_empty() {
        bail!("{}: there is no key in it", named());
    }
    Ok(keys)
}
