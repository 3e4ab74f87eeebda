//! The figures of all rounds, and what is told of them.

use std::fmt;

use super::scenario::{Goal, Wanted};
use crate::figures::{Summary, summary};
use crate::plan::Plan;
use crate::report::{table, thousands};

/// What one round gave.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) yardstick: f64,
    pub(super) ours: f64,
    /// What else is worth knowing.
    pub(super) remark: String,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.ours / self.yardstick
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} beside {:.1}: {:.2} ({})", self.ours, self.yardstick, self.ratio(), self.remark)
    }
}

/// One figure in all rounds.
pub(super) struct Row {
    wanted: &'static Wanted,
    outcomes: Vec<Outcome>,
}

impl Row {
    pub(super) fn new(wanted: &'static Wanted) -> Self {
        Self { wanted, outcomes: Vec::new() }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    fn summary(&self, part: impl Fn(&Outcome) -> f64) -> Option<Summary> {
        summary(self.outcomes.iter().map(part).collect())
    }

    /// The round whose ratio is the median, or next to it.
    fn middle(&self) -> Option<&Outcome> {
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        outcomes.get(outcomes.len() / 2).copied()
    }

    fn cells(&self) -> Vec<String> {
        let (wanted, dash) = (self.wanted, || "-".to_owned());
        let figure = |all: Option<Summary>| all.map_or_else(dash, |all| thousands(all.median));
        let ratio = self.summary(Outcome::ratio);
        vec![
            wanted.title.to_owned(),
            format!("{} {}", figure(self.summary(|outcome| outcome.ours)), wanted.unit),
            format!("{}: {}", wanted.yardstick, figure(self.summary(|outcome| outcome.yardstick))),
            ratio.map_or_else(dash, |all| format!("{:.2} ({:.2} to {:.2})", all.median, all.lowest, all.highest)),
            match wanted.goal {
                Goal::AtLeast(least) => format!("at least {least}"),
                Goal::AtMost(most) => format!("at most {most}"),
                Goal::None => dash(),
            },
            match ratio.and_then(|all| wanted.goal.is_met(all.median)) {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => dash(),
            },
            self.middle().map_or_else(dash, |outcome| outcome.remark.clone()),
        ]
    }
}

/// The report.
pub(super) fn markdown(rows: &[Row], plan: &Plan, machine: &str) -> String {
    let head = ["scenario", "sockhop", "beside it", "ratio", "goal", "reached", "more"].map(str::to_owned);
    format!(
        "\nWritten by `bench/run redis`; README.md says what is measured and how.\n\n\
         Machine: {machine}; one core for the nodes and Redis, another for the generator. {}\n\n\
         Medians; the ratio is the median of the ratios within each round, with their range in brackets.\n\n{}",
        plan.describe(),
        table(&head, rows.iter().map(Row::cells)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    static WANTED: Wanted =
        Wanted { title: "a title", unit: "things", yardstick: "a stick", goal: Goal::AtLeast(2.0) };

    fn outcome(ours: f64, yardstick: f64) -> Outcome {
        Outcome { yardstick, ours, remark: format!("of {ours}") }
    }

    #[test]
    fn a_row_tells_medians_and_the_median_of_ratios_and_whether_that_reaches_the_goal() {
        let mut row = Row::new(&WANTED);
        for (ours, yardstick) in [(4000.0, 1000.0), (3000.0, 2000.0), (5000.0, 2500.0)] {
            row.add(outcome(ours, yardstick));
        }
        let cells =
            ["a title", "4,000 things", "a stick: 2,000", "2.00 (1.50 to 4.00)", "at least 2", "yes", "of 5000"];
        assert_eq!(row.cells(), cells);
        row.add(outcome(1.0, 1.0));
        row.add(outcome(1.0, 1.0));
        assert_eq!(row.cells()[5], "no");
    }

    #[test]
    fn a_row_without_a_round_has_dashes() {
        assert_eq!(Row::new(&WANTED).cells()[3], "-");
    }
}
