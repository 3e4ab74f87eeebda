//! How much of each channel is kept, as it is given and as it is checked.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use sockhop::ChannelPattern;
use sockhop::store::Retention;

use crate::file::unknown_option;
use crate::settings::{at_least, time};
use crate::units::{Size, Time};

/// How much of a channel is kept.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Keeping {
    /// Messages that a channel keeps for clients that were away; older ones go [default: 16384]
    #[arg(long, env = "SOCKHOP_RETENTION_MESSAGES", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_messages: Option<usize>,

    /// Bytes that a channel keeps [default: 4MiB]
    #[arg(long, env = "SOCKHOP_RETENTION_BYTES", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_bytes: Option<Size>,

    /// How long a channel keeps a message [default: 5m]
    #[arg(long, env = "SOCKHOP_RETENTION_TIME", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_time: Option<Time>,
}

impl Keeping {
    /// What is said here, else what `base` says.
    pub(crate) fn over(&self, base: Retention) -> anyhow::Result<Retention> {
        let entries = self.retention_messages.unwrap_or(base.entries);
        let bytes = self.retention_bytes.map_or(base.bytes, |size| size.0);
        Ok(Retention {
            entries: at_least("retention-messages", entries, 1)?,
            bytes: at_least("retention-bytes", bytes, 1)?,
            age: time("retention-time", self.retention_time, base.age)?.max(SHORTEST),
        })
    }
}

/// No shorter time is kept: clients need it to ask again.
const SHORTEST: Duration = Duration::from_secs(1);

/// Some channels: a `[[channels]]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ChannelOptions {
    pub(crate) pattern: String,
    #[serde(flatten)]
    pub(crate) keeping: Keeping,
    /// What is none of the above: told, not ignored.
    #[serde(flatten, skip_serializing)]
    pub(crate) unknown: BTreeMap<String, serde::de::IgnoredAny>,
}

impl ChannelOptions {
    /// Which channels, and what they keep.
    pub(crate) fn check(&self, base: Retention) -> anyhow::Result<(ChannelPattern, Retention)> {
        let context = || format!("channels {:?}", self.pattern);
        let pattern = self.pattern.parse().with_context(context)?;
        if let Some(unknown) = self.unknown.keys().next() {
            return Err(unknown_option(unknown)).with_context(context);
        }
        Ok((pattern, self.keeping.over(base).with_context(context)?))
    }
}
