//! How often and how long.

use clap::Args;

use crate::scenario::Scenario;
use crate::server::Contender;

/// Peers are there for orientation: they take part in no more rounds than this.
const PEER_ROUNDS: u32 = 3;

/// Memory hardly varies: idle scenarios take no more rounds than this.
pub(crate) const IDLE_ROUNDS: u32 = 3;

/// Length of a comparison.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Milliseconds of load before the measured time.
    pub(crate) warm_up: u64,
    /// Milliseconds of measured time.
    pub(crate) duration: u64,
    pub(crate) idle_sessions: Option<u32>,
}

/// Where the command line departs from the full plan.
#[derive(Args)]
pub(crate) struct Overrides {
    /// A coarse comparison in less than a minute.
    #[arg(long)]
    quick: bool,
    /// Runs of each server in each scenario (idle ones: at most 3).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Milliseconds of measured time in a run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    duration: Option<u64>,
    /// Sessions of the idle scenarios.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    idle_sessions: Option<u32>,
}

impl Overrides {
    /// The plan that results.
    pub(crate) fn plan(&self) -> Plan {
        let (rounds, warm_up, duration, idle_sessions) =
            if self.quick { (2, 250, 1_000, Some(1_000)) } else { (5, 500, 3_000, None) };
        Plan {
            rounds: self.rounds.unwrap_or(rounds),
            warm_up,
            duration: self.duration.unwrap_or(duration),
            idle_sessions: self.idle_sessions.or(idle_sessions),
        }
    }
}

impl Plan {
    /// Rounds of a scenario.
    pub(crate) fn rounds(&self, scenario: &Scenario) -> u32 {
        if scenario.is_idle() { self.rounds.min(IDLE_ROUNDS) } else { self.rounds }
    }

    /// Rounds of a scenario in which `contender` takes part.
    pub(crate) fn rounds_of(&self, contender: &Contender, scenario: &Scenario) -> u32 {
        match contender {
            Contender::Bare | Contender::Sockhop(_) => self.rounds(scenario),
            Contender::SockjsNode(_) => self.rounds(scenario).min(PEER_ROUNDS),
        }
    }

    /// Sessions of a scenario.
    pub(crate) fn sessions(&self, scenario: &Scenario) -> u32 {
        match self.idle_sessions {
            Some(sessions) if scenario.is_idle() => sessions,
            _ => scenario.sessions,
        }
    }

    /// The plan in a sentence.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} rounds of {:.1} s after {:.2} s of warm-up; the servers take turns within a round.",
            self.rounds,
            self.duration as f64 / 1e3,
            self.warm_up as f64 / 1e3,
        )
    }
}
