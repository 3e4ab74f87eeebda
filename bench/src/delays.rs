//! How long messages took, and what is told of it.

use anyhow::Context;

use crate::record::Delay;

/// Times of single messages, in nanoseconds.
#[derive(Debug, Default)]
pub struct Delays(Vec<u64>);

impl Delays {
    /// Adds a message.
    pub fn add(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    /// The half and the 99th part of a hundred, in microseconds.
    ///
    /// # Errors
    /// When there is not a single message.
    pub fn record(mut self) -> anyhow::Result<Delay> {
        self.0.sort_unstable();
        let at = |share: f64| {
            let place = (self.0.len() as f64 * share) as usize;
            self.0.get(place).map(|nanoseconds| *nanoseconds as f64 / 1e3)
        };
        let (p50, p99) = at(0.5).zip(at(0.99)).context("not a single message came")?;
        Ok(Delay { samples: self.0.len() as u64, p50, p99 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut delays = Delays::default();
        for nanoseconds in (0..100).rev().map(|step| step * 1_000) {
            delays.add(nanoseconds);
        }
        assert_eq!(delays.record().unwrap(), Delay { samples: 100, p50: 50.0, p99: 99.0 });
        assert!(Delays::default().record().is_err());
    }
}
