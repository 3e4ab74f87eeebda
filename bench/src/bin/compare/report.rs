//! The comparison as Markdown.

use crate::figures::{Column, Row, Summary};
use crate::plan::Plan;
use crate::scenario::{Goal, Scenario};

/// The file that reports stand in: this one first, then those of what is measured beside something else.
pub(crate) const FILE: &str = "RESULTS.md";

/// What the parts behind the first begin with.
const NEXT_PART: &str = "\n# ";

/// The file with another first part.
pub(crate) fn with_first_part(known: &str, part: &str) -> String {
    let rest = known.find(NEXT_PART).map_or("", |at| &known[at..]);
    format!("{part}{rest}")
}

/// The file with another part of this title: in its place, or at the end.
pub(crate) fn with_part(known: &str, title: &str, part: &str) -> String {
    let head = format!("{NEXT_PART}{title}\n");
    let at = known.find(&head).unwrap_or(known.len());
    let (before, behind) = known.split_at(at);
    let behind = behind.get(head.len()..).unwrap_or_default();
    let rest = behind.find(NEXT_PART).map_or("", |at| &behind[at..]);
    format!("{before}{head}{part}{rest}")
}

/// The whole report.
pub(crate) fn markdown(rows: &[Row], plan: &Plan, machine: &str) -> String {
    format!(
        "# Results\n\n\
         Written by `bench/run`; README.md says what is measured and how.\n\n\
         Machine: {machine}; one core for the server, another for the generator. {}\n\n\
         ## What it costs\n\n\
         Medians, with the range of all runs in brackets. Traffic: CPU seconds of the server per million\n\
         messages. Idle: resident bytes per session. Ratios are to the bare server in the same round.\n\n\
         {}\n\
         ![The same as bars](results.svg)\n\n\
         ## Throughput\n\n\
         Messages per second, medians. Where the server does not fill its core, the generator sets them.\n\n\
         {}",
        plan.describe(),
        costs(rows),
        throughputs(rows),
    )
}

fn costs(rows: &[Row]) -> String {
    let names = server_names(rows);
    let mut head = vec!["scenario".to_owned()];
    for name in &names {
        head.push((*name).to_owned());
        if *name != "bare" {
            head.push(format!("{name} / bare"));
        }
    }
    head.extend(["goal".to_owned(), "reached by sockhop".to_owned()]);
    table(&head, rows.iter().map(|row| cost_cells(row, &names)))
}

fn cost_cells(row: &Row, names: &[&str]) -> Vec<String> {
    let mut cells = vec![row.scenario.title.to_owned()];
    for name in names {
        let column = row.column(name);
        let summary = column.and_then(Column::cost);
        cells.push(or_dash(summary.map(|all| cost(row.scenario, all))));
        if *name != "bare" {
            let ratio = column.and_then(|column| row.ratio_to_bare(column));
            cells.push(or_dash(ratio.map(|ratio| format!("{ratio:.2}"))));
        }
    }
    cells.push(goal(row.scenario));
    let reached = row.column("sockhop").and_then(|own| row.meets_goal(own));
    cells.push(or_dash(reached.map(|yes| if yes { "yes" } else { "no" }.to_owned())));
    cells
}

fn throughputs(rows: &[Row]) -> String {
    let names = server_names(rows);
    let mut head = vec!["scenario".to_owned()];
    head.extend(names.iter().map(|name| (*name).to_owned()));
    let with_traffic = rows.iter().filter(|row| !row.scenario.is_idle());
    let lines = with_traffic.map(|row| {
        let mut cells = vec![row.scenario.title.to_owned()];
        for name in &names {
            let rate = row.column(name).and_then(Column::throughput);
            cells.push(or_dash(rate.map(|all| thousands(all.median))));
        }
        cells
    });
    table(&head, lines)
}

/// The servers that take part in any row, in the order of their columns.
fn server_names(rows: &[Row]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for column in rows.iter().flat_map(Row::columns) {
        if !names.contains(&column.name) {
            names.push(column.name);
        }
    }
    names
}

fn cost(scenario: &Scenario, all: Summary) -> String {
    let shown = |value: f64| figure(scenario, value);
    format!("{} ({} to {})", shown(all.median), shown(all.lowest), shown(all.highest))
}

/// A cost with as many digits as it bears.
pub(crate) fn figure(scenario: &Scenario, value: f64) -> String {
    if scenario.is_idle() {
        thousands(value)
    } else if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

/// The goal in words.
pub(crate) fn goal(scenario: &Scenario) -> String {
    match scenario.goal {
        Goal::TimesBare(times) => format!("at most {times} x bare"),
        Goal::Bytes(bytes) => format!("at most {}", thousands(bytes)),
    }
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if left % 3 == 0 && place > 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

pub(crate) fn table(head: &[String], lines: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    text.push_str(&format!("|{}\n", " --- |".repeat(head.len())));
    for cells in lines {
        text.push_str(&line(&cells));
    }
    text
}

#[cfg(test)]
mod tests {
    use sockhop_bench::record::{Record, Traffic};
    use sockhop_bench::redis::Spent;

    use super::*;
    use crate::scenario::by_name;
    use crate::server::Contender;

    #[test]
    fn each_part_is_replaced_and_the_others_kept() {
        let two = with_part("# Results\none\n", "Two", "\ntwo\n");
        assert_eq!(two, "# Results\none\n\n# Two\n\ntwo\n");
        let three = with_part(&two, "Three", "\nthree\n");
        assert_eq!(three, "# Results\none\n\n# Two\n\ntwo\n\n# Three\n\nthree\n");
        assert_eq!(with_first_part(&three, "new\n"), "new\n\n# Two\n\ntwo\n\n# Three\n\nthree\n");
        assert_eq!(with_part(&three, "Two", "\n2\n"), "# Results\none\n\n# Two\n\n2\n\n# Three\n\nthree\n");
        assert_eq!(with_first_part("", "new\n"), "new\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0.0), "0");
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(6_135.0), "6,135");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(-123_456.0), "-123,456");
    }

    #[test]
    fn a_row_shows_medians_ranges_ratio_goal_and_verdict() {
        let mut row = Row::new(by_name("ws-echo-1").unwrap());
        for (contender, cpu) in [(Contender::Bare, 10.0), (Contender::Sockhop("x".into()), 11.0)] {
            let run =
                Traffic { messages: 1_000_000, seconds: 20.0, server_cpu_seconds: cpu, redis: Spent::default() };
            row.add(&contender, Record::Traffic(run)).unwrap();
        }
        let rows = [row];
        let line = "| websocket echo, 100 connections, 1 in flight | 10.0 (10.0 to 10.0) \
                    | 11.0 (11.0 to 11.0) | 1.10 | at most 1.15 x bare | yes |\n";
        assert!(costs(&rows).ends_with(line), "{}", costs(&rows));
        let rates = "| websocket echo, 100 connections, 1 in flight | 50,000 | 50,000 |\n";
        assert!(throughputs(&rows).ends_with(rates));
    }
}
