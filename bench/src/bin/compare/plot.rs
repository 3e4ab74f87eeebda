//! The comparison as a plot: a block of bars for each scenario, each block to its own scale, with the goal
//! as a line across it. The bars show what the goal speaks of: ratios to the bare server, or bytes.

use std::fmt::Write;

use crate::figures::Row;
use crate::report;
use crate::scenario::{Goal, Scenario};

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
const BARS_AT: f64 = 120.0;
const BARS_WIDTH: f64 = 560.0;
const BAR: f64 = 16.0;
const BAR_STEP: f64 = 20.0;
const TITLE_STEP: f64 = 24.0;
const BLOCK_GAP: f64 = 18.0;
/// Where the right-aligned texts end.
const RIGHT: f64 = WIDTH - MARGIN;
/// From the top of a line to the foot of its text.
const ASCENT: f64 = 13.0;

const PALE_INK: &str = "fill=\"#424a53\"";
const TITLE_INK: &str = "fill=\"#1b1f24\" font-weight=\"600\"";
const GOAL_INK: &str = "fill=\"#b42318\" text-anchor=\"end\"";
const NUMBER_INK: &str = "fill=\"#1b1f24\" text-anchor=\"end\"";

/// An SVG picture of all rows.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut top = MARGIN;
    for row in rows {
        top = block(&mut body, row, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>What each server spends: shorter is better, the dashed line is the goal</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// Draws one scenario from `top` on; gives where the next one begins.
fn block(out: &mut String, row: &Row, top: f64) -> f64 {
    let unit = if row.scenario.is_idle() { "resident bytes" } else { "CPU seconds per million" };
    text(out, MARGIN, top + ASCENT, TITLE_INK, &format!("{}: {unit}", row.scenario.title));
    text(out, RIGHT, top + ASCENT, GOAL_INK, &format!("goal: {}", report::goal(row.scenario)));
    let limit = row.scenario.goal.limit();
    let burdens = row.columns().iter().filter_map(|column| row.burden(column));
    let largest = burdens.fold(limit, f64::max);
    let scaled = |burden: f64| burden.max(0.0) / largest * BARS_WIDTH;
    let bars_top = top + TITLE_STEP;
    let mut y = bars_top;
    for column in row.columns() {
        if let (Some(burden), Some(cost)) = (row.burden(column), column.cost()) {
            text(out, MARGIN, y + ASCENT, PALE_INK, column.name);
            rectangle(out, y, scaled(burden), colour(column.name));
            text(out, RIGHT, y + ASCENT, NUMBER_INK, &label(row.scenario, cost.median, burden));
            y += BAR_STEP;
        }
    }
    goal_line(out, BARS_AT + scaled(limit), bars_top - 4.0, y);
    y + BLOCK_GAP
}

fn label(scenario: &Scenario, cost: f64, burden: f64) -> String {
    let cost = report::figure(scenario, cost);
    match scenario.goal {
        Goal::TimesBare(_) => format!("{cost} ({burden:.2} x bare)"),
        Goal::Bytes(_) => cost,
    }
}

fn colour(name: &str) -> &'static str {
    match name {
        "sockhop" => "#2563a8",
        "bare" => "#9aa4af",
        _ => "#d39b3c",
    }
}

fn rectangle(out: &mut String, y: f64, width: f64, colour: &str) {
    let place = format!("x=\"{BARS_AT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"");
    let _ = writeln!(out, "<rect {place} rx=\"2\" fill=\"{colour}\"/>");
}

fn goal_line(out: &mut String, x: f64, top: f64, bottom: f64) {
    let stroke = "stroke=\"#b42318\" stroke-width=\"2\" stroke-dasharray=\"4 3\"";
    let _ = writeln!(out, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" {stroke}/>");
}

fn text(out: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{content}</text>");
}

#[cfg(test)]
mod tests {
    use sockhop_bench::record::{Record, Traffic};
    use sockhop_bench::redis::Spent;

    use super::*;
    use crate::scenario::by_name;
    use crate::server::Contender;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_goal_is_marked() {
        let mut row = Row::new(by_name("fan-out").unwrap());
        for (contender, cpu) in [(Contender::Bare, 2.0), (Contender::Sockhop("x".into()), 4.0)] {
            let run =
                Traffic { messages: 1_000_000, seconds: 5.0, server_cpu_seconds: cpu, redis: Spent::default() };
            row.add(&contender, Record::Traffic(run)).unwrap();
        }
        let picture = svg(&[row]);
        assert!(picture.contains("width=\"560.0\""), "{picture}");
        assert!(picture.contains("width=\"280.0\""), "{picture}");
        assert!(picture.contains("goal: at most 1.1 x bare"), "{picture}");
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        text(&mut out, 0.0, 0.0, "", "a<b & c");
        assert!(out.contains("a&lt;b &amp; c"));
    }
}
