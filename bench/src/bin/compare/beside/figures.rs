//! The figures of all rounds, and what is told of them.

use super::scenario::{Suite, Wanted};
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

/// One figure in all rounds.
pub(super) struct Row {
    wanted: &'static Wanted,
    outcomes: Vec<Outcome>,
}

impl Row {
    pub(super) fn new(wanted: &'static Wanted) -> Self {
        Self { wanted, outcomes: Vec::new() }
    }

    /// Adds a round; what is told of it at once.
    pub(super) fn add(&mut self, outcome: Outcome) -> String {
        let measure = self.wanted.goal.written(self.measure(&outcome));
        let Outcome { yardstick, ours, remark } = &outcome;
        let told = format!("{ours:.1} beside {yardstick:.1}: {measure} ({remark})");
        self.outcomes.push(outcome);
        told
    }

    fn measure(&self, outcome: &Outcome) -> f64 {
        self.wanted.goal.measure(outcome.ours, outcome.yardstick)
    }

    fn summary(&self, part: impl Fn(&Outcome) -> f64) -> Option<Summary> {
        summary(self.outcomes.iter().map(part).collect())
    }

    /// The round whose measure is the median, or next to it.
    fn middle(&self) -> Option<&Outcome> {
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by(|a, b| self.measure(a).total_cmp(&self.measure(b)));
        outcomes.get(outcomes.len() / 2).copied()
    }

    fn cells(&self) -> Vec<String> {
        let (wanted, goal, dash) = (self.wanted, self.wanted.goal, || "-".to_owned());
        let figure = |all: Option<Summary>| all.map_or_else(dash, |all| thousands(all.median));
        let measure = self.summary(|outcome| self.measure(outcome));
        let written = |measure: f64| goal.written(measure);
        vec![
            wanted.title.to_owned(),
            format!("{} {}", figure(self.summary(|outcome| outcome.ours)), wanted.unit),
            format!("{}: {}", wanted.yardstick, figure(self.summary(|outcome| outcome.yardstick))),
            measure.map_or_else(dash, |all| {
                format!("{} ({} to {})", written(all.median), written(all.lowest), written(all.highest))
            }),
            goal.to_string(),
            match measure.and_then(|all| goal.is_met(all.median)) {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => dash(),
            },
            self.middle().map_or_else(dash, |outcome| outcome.remark.clone()),
        ]
    }
}

/// The report. Scenarios that were not run have the line that `known`, an earlier report, has for them.
pub(super) fn markdown(suite: &Suite, rows: &[Row], known: &str, plan: &Plan, machine: &str) -> String {
    let head = ["scenario", "sockhop", "beside it", "measure", "goal", "reached", "more"].map(str::to_owned);
    let (mut lines, mut older) = (Vec::new(), "");
    for wanted in suite.scenarios.iter().flat_map(|scenario| scenario.rows) {
        if let Some(row) = rows.iter().find(|row| std::ptr::eq(row.wanted, wanted)) {
            lines.push(row.cells());
        } else if let Some(cells) = kept(known, wanted) {
            lines.push(cells);
            older = " Some lines are of an earlier run.";
        }
    }
    format!(
        "\nWritten by `bench/run {}`; README.md says what is measured and how.\n\n\
         Machine: {machine}; {}. {}{older}\n\n\
         Medians; the measure is the ratio to what stands beside it, or the difference: the median of those within each\n\
         round, with their range in brackets.\n\n{}",
        suite.name,
        suite.placement,
        plan.describe(),
        table(&head, lines.into_iter()),
    )
}

/// The cells of a figure in an earlier report.
fn kept(known: &str, wanted: &Wanted) -> Option<Vec<String>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::to_owned).collect())
    };
    known.lines().filter_map(cells).find(|cells| cells[0] == wanted.title)
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Goal, STOMP};
    use super::*;

    static WANTED: Wanted =
        Wanted { title: "a title", unit: "things", yardstick: "a stick", goal: Goal::AtLeast(2.0) };
    static MORE: Wanted =
        Wanted { title: "bytes", unit: "bytes", yardstick: "none", goal: Goal::MoreByAtMost(1000.0) };

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
    fn a_goal_may_speak_of_a_difference() {
        let mut row = Row::new(&MORE);
        assert_eq!(row.add(outcome(9500.0, 8000.0)), "9500.0 beside 8000.0: 1,500 more (of 9500)");
        assert_eq!(row.cells()[3..6], ["1,500 more (1,500 more to 1,500 more)", "at most 1,000 more", "no"]);
    }

    #[test]
    fn what_was_not_measured_keeps_its_line() {
        let mut row = Row::new(&STOMP.scenarios[0].rows[0]);
        row.add(outcome(3.0, 4.0));
        let plan = Plan { rounds: 1, warm_up: 0, duration: 1, idle_sessions: None };
        let title = STOMP.scenarios[1].rows[0].title;
        let known = format!("# Something\n\n| {title} | 7 | 8 |\n| of no scenario | 9 |\n");
        let report = markdown(&STOMP, &[row], &known, &plan, "a machine");
        assert!(report.contains("| 0.75 (0.75 to 0.75) |"), "{report}");
        assert!(
            report.contains(&format!("| {title} | 7 | 8 |\n")) && !report.contains("of no scenario"),
            "{report}"
        );
        assert!(report.contains("Some lines are of an earlier run."), "{report}");
    }

    #[test]
    fn a_row_without_a_round_has_dashes() {
        assert_eq!(Row::new(&WANTED).cells()[3], "-");
    }
}
