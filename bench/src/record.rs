//! The figures of one run as a line of `key=value` words: printed by the generator, read by the runner.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::redis::Spent;

/// What one run of a scenario gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record {
    /// A run that moved messages for a while.
    Traffic(Traffic),
    /// A run that opened sessions and left them idle.
    Footprint(Footprint),
    /// A run that sent one message at a time and took its time.
    Delay(Delay),
}

/// Messages that arrived within the measured time, and what the server spent on them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Messages that the clients received (fan-out: deliveries).
    pub messages: u64,
    /// Wall-clock seconds between the two readings.
    pub seconds: f64,
    /// CPU seconds of the server, or of all servers, between the same two readings.
    pub server_cpu_seconds: f64,
    /// What Redis spent between them, if it was looked at.
    pub redis: Spent,
}

impl Traffic {
    /// CPU seconds of the server per million messages: the figure that is compared.
    #[must_use]
    pub fn cpu_seconds_per_million(&self) -> f64 {
        self.server_cpu_seconds * 1e6 / self.messages as f64
    }

    /// CPU seconds of Redis per million messages.
    #[must_use]
    pub fn redis_cpu_seconds_per_million(&self) -> f64 {
        self.redis.cpu_seconds * 1e6 / self.messages as f64
    }

    /// Messages per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.messages as f64 / self.seconds
    }
}

/// Resident memory of the server without and with a number of idle sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Sessions opened between the two readings.
    pub sessions: u64,
    /// Resident bytes before.
    pub bytes_before: u64,
    /// Resident bytes after, when they no longer changed.
    pub bytes_after: u64,
}

impl Footprint {
    /// Resident bytes that one idle session costs.
    #[must_use]
    pub fn bytes_per_session(&self) -> f64 {
        (self.bytes_after as f64 - self.bytes_before as f64) / self.sessions as f64
    }
}

/// How long messages took on their way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Messages.
    pub samples: u64,
    /// Microseconds within which half of them arrived.
    pub p50: f64,
    /// Microseconds within which 99 of 100 arrived.
    pub p99: f64,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traffic(run) => write!(
                f,
                "messages={} seconds={:.6} server_cpu_seconds={:.6} redis_cpu_seconds={:.6} scripts={} hints={}",
                run.messages,
                run.seconds,
                run.server_cpu_seconds,
                run.redis.cpu_seconds,
                run.redis.scripts,
                run.redis.hints
            ),
            Self::Delay(run) => write!(f, "samples={} p50={:.3} p99={:.3}", run.samples, run.p50, run.p99),
            Self::Footprint(run) => write!(
                f,
                "sessions={} bytes_before={} bytes_after={}",
                run.sessions, run.bytes_before, run.bytes_after
            ),
        }
    }
}

impl FromStr for Record {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        if line.starts_with("messages=") {
            let run = Traffic {
                messages: value(line, "messages")?,
                seconds: value(line, "seconds")?,
                server_cpu_seconds: value(line, "server_cpu_seconds")?,
                redis: Spent {
                    cpu_seconds: value(line, "redis_cpu_seconds")?,
                    scripts: value(line, "scripts")?,
                    hints: value(line, "hints")?,
                },
            };
            if run.messages == 0 {
                bail!("a run without a single message: `{line}`");
            }
            Ok(Self::Traffic(run))
        } else if line.starts_with("samples=") {
            Ok(Self::Delay(Delay {
                samples: value(line, "samples")?,
                p50: value(line, "p50")?,
                p99: value(line, "p99")?,
            }))
        } else {
            Ok(Self::Footprint(Footprint {
                sessions: value(line, "sessions")?,
                bytes_before: value(line, "bytes_before")?,
                bytes_after: value(line, "bytes_after")?,
            }))
        }
    }
}

fn value<T>(line: &str, key: &str) -> anyhow::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(name, text)| (name == key).then_some(text))
        .with_context(|| format!("no `{key}` in the record `{line}`"))?;
    text.parse().with_context(|| format!("`{key}` of the record `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_printed() {
        let redis = Spent { cpu_seconds: 0.75, scripts: 3, hints: 2 };
        let traffic =
            Record::Traffic(Traffic { messages: 1_500_000, seconds: 3.25, server_cpu_seconds: 2.97, redis });
        let delay = Record::Delay(Delay { samples: 7, p50: 1.5, p99: 20.125 });
        let footprint =
            Record::Footprint(Footprint { sessions: 5_000, bytes_before: 4_096_000, bytes_after: 34_096_000 });
        for record in [traffic, footprint, delay] {
            assert_eq!(record.to_string().parse::<Record>().unwrap(), record);
        }
    }

    #[test]
    fn figures_are_per_million_messages_and_per_session() {
        let redis = Spent { cpu_seconds: 5.0, ..Spent::default() };
        let traffic = Traffic { messages: 2_000_000, seconds: 4.0, server_cpu_seconds: 3.0, redis };
        assert_eq!(traffic.cpu_seconds_per_million(), 1.5);
        assert_eq!(traffic.redis_cpu_seconds_per_million(), 2.5);
        assert_eq!(traffic.throughput(), 500_000.0);
        let footprint = Footprint { sessions: 1_000, bytes_before: 1_000_000, bytes_after: 7_000_000 };
        assert_eq!(footprint.bytes_per_session(), 6_000.0);
    }

    #[test]
    fn a_line_that_is_no_record_is_refused() {
        assert!("".parse::<Record>().is_err());
        assert!("messages=0 seconds=1 server_cpu_seconds=1".parse::<Record>().is_err());
        assert!("messages=5 seconds=x server_cpu_seconds=1".parse::<Record>().is_err());
        assert!("sessions=5 bytes_before=1".parse::<Record>().is_err());
    }
}
