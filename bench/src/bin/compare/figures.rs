//! The figures of one scenario, and what is made of them.

use std::fmt;

use anyhow::bail;
use sockhop_bench::record::Record;

use crate::scenario::{Goal, Scenario};
use crate::server::Contender;

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// CPU seconds per million messages, or resident bytes per session.
    pub(crate) cost: f64,
    /// Messages per second.
    pub(crate) throughput: Option<f64>,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.throughput {
            Some(rate) => write!(f, "{:8.2} CPU s per million, {rate:.0}/s", self.cost),
            None => write!(f, "{:8.0} bytes per session", self.cost),
        }
    }
}

/// All runs of a scenario.
pub(crate) struct Row {
    pub(crate) scenario: &'static Scenario,
    columns: Vec<Column>,
}

/// All runs of one server in a scenario, in their order.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    figures: Vec<Figure>,
}

/// Median and range of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Row {
    pub(crate) fn new(scenario: &'static Scenario) -> Self {
        Self { scenario, columns: Vec::new() }
    }

    /// Adds a run of `contender`.
    ///
    /// # Errors
    /// When the record is of the other kind than the scenario.
    pub(crate) fn add(&mut self, contender: &Contender, record: Record) -> anyhow::Result<Figure> {
        let figure = match (record, self.scenario.is_idle()) {
            (Record::Traffic(run), false) => {
                Figure { cost: run.cpu_seconds_per_million(), throughput: Some(run.throughput()) }
            }
            (Record::Footprint(run), true) => Figure { cost: run.bytes_per_session(), throughput: None },
            (record, _) => bail!("the record `{record}` does not fit the scenario"),
        };
        let name = contender.name();
        match self.columns.iter_mut().find(|column| column.name == name) {
            Some(column) => column.figures.push(figure),
            None => self.columns.push(Column { name, figures: vec![figure] }),
        }
        Ok(figure)
    }

    /// The servers that were measured, the bare one first.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The server of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Cost of `column` as a multiple of the bare server's in the same round: the median over the rounds.
    /// A machine that is slower for a while is so for both.
    pub(crate) fn ratio_to_bare(&self, column: &Column) -> Option<f64> {
        let bare = self.column(Contender::Bare.name())?;
        let pairs = column.figures.iter().zip(&bare.figures);
        summary(pairs.map(|(own, bare)| own.cost / bare.cost).collect()).map(|all| all.median)
    }

    /// What the goal speaks of: the ratio to the bare server, or the bytes per session.
    pub(crate) fn burden(&self, column: &Column) -> Option<f64> {
        match self.scenario.goal {
            Goal::TimesBare(_) => self.ratio_to_bare(column),
            Goal::Bytes(_) => column.cost().map(|cost| cost.median),
        }
    }

    /// Whether `column` reaches the goal.
    pub(crate) fn meets_goal(&self, column: &Column) -> Option<bool> {
        self.burden(column).map(|burden| burden <= self.scenario.goal.limit())
    }
}

impl Column {
    /// Cost over all runs.
    pub(crate) fn cost(&self) -> Option<Summary> {
        summary(self.figures.iter().map(|figure| figure.cost).collect())
    }

    /// Throughput over all runs; idle scenarios have none.
    pub(crate) fn throughput(&self) -> Option<Summary> {
        summary(self.figures.iter().filter_map(|figure| figure.throughput).collect())
    }
}

/// Median and range; of an even number of values the median is the mean of the middle two.
pub(crate) fn summary(mut values: Vec<f64>) -> Option<Summary> {
    values.sort_by(f64::total_cmp);
    let (&lowest, &highest) = (values.first()?, values.last()?);
    let middle = values.len() / 2;
    let median =
        if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
    Some(Summary { median, lowest, highest })
}

#[cfg(test)]
mod tests {
    use sockhop_bench::record::{Footprint, Traffic};
    use sockhop_bench::redis::Spent;

    use super::*;
    use crate::scenario::by_name;

    fn traffic(cpu: f64) -> Record {
        Record::Traffic(Traffic {
            messages: 1_000_000,
            seconds: 2.0,
            server_cpu_seconds: cpu,
            redis: Spent::default(),
        })
    }

    fn sockhop() -> Contender {
        Contender::Sockhop("sockhop".into())
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let all = summary(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((all.median, all.lowest, all.highest), (2.5, 1.0, 4.0));
        assert_eq!(summary(vec![3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(summary(Vec::new()), None);
    }

    #[test]
    fn the_ratio_compares_within_a_round() {
        let mut row = Row::new(by_name("ws-echo-10").unwrap());
        // The machine is twice as slow in the second round and four times in the third.
        for slowness in [1.0, 2.0, 4.0] {
            row.add(&Contender::Bare, traffic(slowness)).unwrap();
            row.add(&sockhop(), traffic(slowness * 1.25)).unwrap();
        }
        let column = row.column("sockhop").unwrap();
        assert_eq!(row.ratio_to_bare(column), Some(1.25));
        assert_eq!(row.meets_goal(column), Some(true));
    }

    #[test]
    fn memory_is_held_against_bytes() {
        let mut row = Row::new(by_name("idle-ws").unwrap());
        let idle = |bytes_after| Record::Footprint(Footprint { sessions: 1_000, bytes_before: 0, bytes_after });
        row.add(&sockhop(), idle(8_000_001)).unwrap();
        let column = row.column("sockhop").unwrap();
        assert_eq!(row.meets_goal(column), Some(false));
        assert_eq!(row.ratio_to_bare(column), None);
        assert!(row.add(&sockhop(), traffic(1.0)).is_err());
    }
}
