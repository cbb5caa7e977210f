//! The sidecar's tables.

use std::{fmt::Write as _, path::Path};

use super::Results;
use crate::report::{self, Table, none, time, verdict, way};

/// What is compared, in the order of the columns.
const NAMES: [&str; 4] = ["haproxy", "nginx", "go", "mca-proxy"];
const OURS: &str = "mca-proxy";
/// MiB when idle, KiB of an idle watch beside 99 others and alone, milliseconds until it is ready.
const AIMS: (f64, f64, f64, f64) = (8.0, 6.0, 28.0, 20.0);

const BEGIN: &str = "<!-- sidecar: written by `make bench-sidecar BENCH_ARGS=--update-docs` -->";
const END: &str = "<!-- end of sidecar -->";

/// All tables as Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} cores ({}), Linux {}; mk8s {}, haproxy {}; medians of {} rounds.\n",
        machine.date,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.mk8s,
        machine.haproxy,
        results.rounds,
    );
    let mut section = |title: &str, table: &Table| {
        let _ = write!(text, "\n**{title}**\n\n{}", table.render());
    };
    section("CPU per request", &cpu(results));
    section("Latency (p50 / p99)", &latency(results));
    if !results.memory.is_empty() {
        section("Memory and start", &memory(results));
    }
    text
}

/// Puts them into the document.
pub(crate) fn update_document(path: &Path, tables: &str) -> anyhow::Result<()> {
    report::replace_between(path, BEGIN, END, tables)
}

fn cpu(results: &Results) -> Table {
    let mut table = Table::new(vec![
        "",
        "haproxy",
        "nginx",
        "go",
        "mca-proxy",
        "nginx ÷ haproxy",
        "go ÷",
        "mca-proxy ÷",
        "(quartiles)",
        "aim",
        "",
    ]);
    for scenario in &results.scenarios {
        let cost = |name| time(way(scenario, name).and_then(|way| way.cpu_per_request));
        let ratio = |name: &str| {
            scenario
                .over_haproxy
                .get(name)
                .map_or_else(none, |r| format!("{:.2} ×", r.median))
        };
        let ours = scenario.over_haproxy.get(OURS);
        let mut row = vec![scenario.name.to_owned()];
        row.extend(NAMES.map(cost));
        row.extend(["nginx", "go", OURS].map(ratio));
        row.push(ours.map_or_else(none, |r| format!("{:.2}–{:.2}", r.low, r.high)));
        row.push(
            scenario
                .target
                .map_or_else(none, |target| format!("≤ {target:.1} ×")),
        );
        row.push(
            ours.zip(scenario.target)
                .map_or_else(none, |(r, target)| verdict(r.median <= target)),
        );
        table.row(row);
        if let (Some(before), Some(ours)) = (scenario.over_haproxy.get("before"), ours) {
            let mut row = vec![format!("  before: {:.2} ×; now ÷ before", before.median)];
            row.extend((0..6).map(|_| none()));
            row.push(format!("{:.3} ×", ours.median / before.median));
            row.extend((0..3).map(|_| none()));
            table.row(row);
        }
    }
    table
}

fn latency(results: &Results) -> Table {
    let mut table = Table::new(["", "haproxy", "nginx", "go", "mca-proxy"].into());
    for scenario in &results.scenarios {
        let times = NAMES.map(|name| {
            way(scenario, name).map_or_else(none, |way| {
                format!("{} / {}", time(Some(way.p50)), time(Some(way.p99)))
            })
        });
        table.row(std::iter::once(scenario.name.to_owned()).chain(times).collect());
    }
    table
}

fn memory(results: &Results) -> Table {
    let mut table = Table::new(vec![
        "",
        "idle",
        "",
        "after all load",
        "a watch, 100 a connection",
        "",
        "a watch on its own connection",
        "",
        "start to ready",
        "",
    ]);
    let mebi = |kib: f64| format!("{:.1} MiB", kib / 1024.0);
    let (idle, shared, alone, ready) = AIMS;
    for row in &results.memory {
        let judged = |value: f64, aim: f64| {
            if row.process == OURS {
                verdict(value <= aim)
            } else {
                String::new()
            }
        };
        let took = results.ready_ms.get(row.process).copied();
        table.row(vec![
            row.process.to_owned(),
            mebi(row.idle),
            judged(row.idle / 1024.0, idle),
            row.after_load.map_or_else(none, mebi),
            format!("{:.1} KiB", row.watch_shared),
            judged(row.watch_shared, shared),
            format!("{:.1} KiB", row.watch_alone),
            judged(row.watch_alone, alone),
            took.map_or_else(none, |took| format!("{took:.1} ms")),
            took.map_or_else(none, |took| judged(took, ready)),
        ]);
    }
    table.row(vec![
        "aim".into(),
        format!("≤ {idle} MiB"),
        none(),
        none(),
        format!("≤ {shared} KiB"),
        none(),
        format!("≤ {alone} KiB"),
        none(),
        format!("≤ {ready} ms"),
        none(),
    ]);
    table
}
