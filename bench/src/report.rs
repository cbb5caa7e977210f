//! The tables: the same for the terminal and for docs/benchmarks.md.

use std::{fmt::Write as _, io::Write as _, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use crate::results::{ApiServer, Memory, Report, Scenario, Way};
use crate::{Output, cluster::workspace_file};

/// KiB that an idle watch may take of each process of ours: on a connection with others, and on its own.
const WATCH_TARGETS: (f64, f64) = (6.0, 28.0);

/// Between these lines of the document, everything is replaced.
const BEGIN: &str = "<!-- results: written by `make bench BENCH_ARGS=--update-docs` -->";
const END: &str = "<!-- end of results -->";

/// The tables as Markdown, aligned so that they can be read as they are.
pub(crate) fn markdown(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}, {} cores ({}), Linux {}; mk8s {}, haproxy {}; medians of {} rounds.\n",
        machine.date,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.mk8s,
        machine.haproxy,
        report.rounds,
    );
    let mut section = |title: &str, table: Table| {
        let _ = write!(text, "\n**{title}**\n\n{}", table.render());
    };
    section("CPU per request", cpu(&report.scenarios));
    if report.scenarios.iter().any(|s| s.against.is_some()) {
        section("Against the other build", against(&report.scenarios));
    }
    section(
        "Latency (p50 / p99) and requests per second",
        latency(&report.scenarios),
    );
    if !report.memory.is_empty() {
        section("Memory", memory(&report.memory));
    }
    match &report.api_server {
        Some(api_server) => {
            let title = format!(
                "A real API server ({}): {}, {}",
                api_server.version, api_server.scenario.name, "one after the other on each stream"
            );
            section(&title, real(api_server));
        }
        None => text.push_str("\nNo real API server was at hand; that part is left out.\n"),
    }
    if let Some(why) = &report.no_instructions {
        let _ = write!(text, "\nInstructions were not counted: {why}.\n");
    }
    text
}

/// Puts the tables into the document.
pub(crate) fn update_document(path: &Path, tables: &str) -> anyhow::Result<()> {
    replace_between(path, BEGIN, END, tables)
}

/// Prints the results as they are wanted, and puts their tables into docs/benchmarks.md between two of its lines.
pub(crate) fn tell(
    results: &impl Serialize,
    tables: String,
    output: Output,
    between: Option<(&str, &str)>,
) -> anyhow::Result<()> {
    if let Some((begin, end)) = between {
        replace_between(&workspace_file("docs/benchmarks.md")?, begin, end, &tables)?;
    }
    let text = match output {
        Output::Table => tables,
        Output::Json => serde_json::to_string_pretty(results)? + "\n",
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Replaces what stands between two lines of a document.
pub(crate) fn replace_between(path: &Path, begin: &str, end: &str, tables: &str) -> anyhow::Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let (before, rest) = document
        .split_once(begin)
        .with_context(|| format!("{} has no line {begin}", path.display()))?;
    let (_, after) = rest
        .split_once(end)
        .with_context(|| format!("{} has no line {end}", path.display()))?;
    std::fs::write(path, format!("{before}{begin}\n\n{tables}\n{end}{after}"))
        .with_context(|| format!("can't write {}", path.display()))
}

fn cpu(scenarios: &[Scenario]) -> Table {
    let counts = scenarios
        .iter()
        .flat_map(|s| &s.ways)
        .any(|way| way.instructions_per_request.is_some());
    let mut head = vec![
        "",
        "haproxy",
        "gateway",
        "of it central",
        "agent",
        "gateway ÷ haproxy",
        "(quartiles)",
        "aim",
        "",
    ];
    if counts {
        head.extend(["instructions, haproxy", "gateway"]);
    }
    let mut table = Table::new(head);
    for scenario in scenarios {
        let (haproxy, gateway) = (way(scenario, "haproxy"), way(scenario, "gateway"));
        let process = |name| gateway.and_then(|way| way.cpu_by_process.get(name).copied());
        let mut row = vec![
            scenario.name.to_owned(),
            time(haproxy.and_then(|w| w.cpu_per_request)),
            time(gateway.and_then(|w| w.cpu_per_request)),
            time(process("central")),
            time(process("agent")),
            scenario.ratio.map_or_else(none, |r| format!("{:.2} ×", r.median)),
            scenario
                .ratio
                .map_or_else(none, |r| format!("{:.2}–{:.2}", r.low, r.high)),
            scenario.target.map_or_else(none, |t| format!("≤ {t:.1} ×")),
            scenario
                .ratio
                .zip(scenario.target)
                .map_or_else(none, |(r, t)| verdict(r.median <= t)),
        ];
        if counts {
            row.push(count(haproxy.and_then(|w| w.instructions_per_request)));
            row.push(count(gateway.and_then(|w| w.instructions_per_request)));
        }
        table.row(row);
    }
    table
}

fn against(scenarios: &[Scenario]) -> Table {
    let mut table = Table::new(vec![
        "",
        "before",
        "of it central",
        "agent",
        "gateway",
        "gateway ÷ before",
        "(quartiles)",
    ]);
    for scenario in scenarios {
        let (before, gateway) = (way(scenario, "before"), way(scenario, "gateway"));
        let process = |name| before.and_then(|way| way.cpu_by_process.get(name).copied());
        table.row(vec![
            scenario.name.to_owned(),
            time(before.and_then(|w| w.cpu_per_request)),
            time(process("central")),
            time(process("agent")),
            time(gateway.and_then(|w| w.cpu_per_request)),
            scenario
                .against
                .map_or_else(none, |r| format!("{:.3} ×", r.median)),
            scenario
                .against
                .map_or_else(none, |r| format!("{:.3}–{:.3}", r.low, r.high)),
        ]);
    }
    table
}

fn latency(scenarios: &[Scenario]) -> Table {
    let mut table = Table::new(vec![
        "",
        "straight",
        "haproxy",
        "gateway",
        "straight /s",
        "haproxy /s",
        "gateway /s",
    ]);
    for scenario in scenarios {
        let ways = ["direct", "haproxy", "gateway"].map(|name| way(scenario, name));
        let times =
            ways.map(|w| w.map_or_else(none, |w| format!("{} / {}", time(Some(w.p50)), time(Some(w.p99)))));
        let rates = ways.map(|w| w.map_or_else(none, |w| format!("{:.0}", w.requests_per_second)));
        table.row(
            std::iter::once(scenario.name.to_owned())
                .chain(times)
                .chain(rates)
                .collect(),
        );
    }
    table
}

fn memory(memory: &[Memory]) -> Table {
    let head = vec![
        "",
        "idle",
        "after all load",
        "a watch, 100 a connection",
        "",
        "a watch on its own connection",
        "",
    ];
    let mut table = Table::new(head);
    let mebi = |kib: f64| format!("{:.1} MiB", kib / 1024.0);
    for process in memory {
        let is_ours = process.process != "haproxy";
        let judged = |value: f64, target| {
            if is_ours {
                verdict(value <= target)
            } else {
                String::new()
            }
        };
        table.row(vec![
            process.process.to_owned(),
            mebi(process.idle),
            process.after_load.map_or_else(none, mebi),
            format!("{:.1} KiB", process.watch_shared),
            judged(process.watch_shared, WATCH_TARGETS.0),
            format!("{:.1} KiB", process.watch_alone),
            judged(process.watch_alone, WATCH_TARGETS.1),
        ]);
    }
    let (shared, alone) = WATCH_TARGETS;
    table.row(vec![
        "aim (each process)".into(),
        none(),
        none(),
        format!("≤ {shared} KiB"),
        none(),
        format!("≤ {alone} KiB"),
        none(),
    ]);
    table
}

fn real(api_server: &ApiServer) -> Table {
    let mut table = Table::new(vec![
        "",
        "p50",
        "p99",
        "requests/s",
        "CPU of the way",
        "CPU of the API server",
    ]);
    for way in &api_server.scenario.ways {
        table.row(vec![
            if way.name == "direct" {
                "straight".to_owned()
            } else {
                way.name.to_owned()
            },
            time(Some(way.p50)),
            time(Some(way.p99)),
            format!("{:.0}", way.requests_per_second),
            time(way.cpu_per_request),
            time(api_server.own_cpu_per_request.get(way.name).copied()),
        ]);
    }
    table
}

pub(crate) fn way<'a>(scenario: &'a Scenario, name: &str) -> Option<&'a Way> {
    scenario.ways.iter().find(|way| way.name == name)
}

pub(crate) fn verdict(is_met: bool) -> String {
    if is_met { "pass" } else { "miss" }.to_owned()
}

pub(crate) fn none() -> String {
    "–".to_owned()
}

pub(crate) fn time(micros: Option<f64>) -> String {
    match micros {
        None => none(),
        Some(t) if t >= 1000.0 => format!("{:.2} ms", t / 1000.0),
        Some(t) if t >= 100.0 => format!("{t:.0} µs"),
        Some(t) => format!("{t:.1} µs"),
    }
}

fn count(instructions: Option<f64>) -> String {
    instructions.map_or_else(none, |n| format!("{:.0} k", n / 1000.0))
}

/// A Markdown table. Every row has as many cells as the head.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: Vec<&str>) -> Self {
        Self(vec![head.into_iter().map(str::to_owned).collect()])
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.0
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
                .max(2)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.0.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, numbers to the right.
                let _ = if column == 0 {
                    write!(text, "| {cell:<width$} ")
                } else {
                    write!(text, "| {cell:>width$} ")
                };
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let colon = if column == 0 { "-" } else { ":" };
                    let _ = write!(text, "|{}{colon}", "-".repeat(width + 1));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(vec!["", "a × b"]);
        table.row(vec!["long name".into(), "1".into()]);
        assert_eq!(
            table.render(),
            "|           | a × b |\n|-----------|------:|\n| long name |     1 |\n"
        );
    }
}
