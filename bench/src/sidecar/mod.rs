//! What the sidecar costs, beside others that do its job: `make bench-sidecar`.

mod contenders;
mod report;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use mk8s_tls::CertificateAuthority;
use serde::Serialize;

use self::contenders::{Api, Ours, Sidecar};
use crate::{
    Output, cluster,
    contender::Contender,
    haproxy, measure,
    measure::{Plan, Rounds},
    process::Process,
    results::{Memory, Scenario, median},
    upstream,
};

/// Starts of each, for the time until it answers.
const STARTS: usize = 15;

/// Measures what the sidecar costs, beside haproxy, nginx and Go's reverse proxy.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where mca-proxy is
    #[arg(long, value_name = "DIRECTORY", default_value = "target/release")]
    programs: PathBuf,
    /// Go's reverse proxy, built from bench/go-proxy
    #[arg(long, value_name = "PROGRAM")]
    go_proxy: PathBuf,
    /// Another build of mca-proxy to compare with
    #[arg(long, value_name = "PROGRAM", conflicts_with = "update_docs")]
    against: Option<PathBuf>,
    /// A short run, to see that everything works; its numbers are worth little
    #[arg(long)]
    quick: bool,
    /// Nothing of memory and starts
    #[arg(long, conflicts_with = "update_docs")]
    only_load: bool,
    /// Rounds, beside one for warming up
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// How to print the results
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Put the results into docs/benchmarks.md
    #[arg(long, conflicts_with = "quick")]
    update_docs: bool,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: crate::machine::Machine,
    pub(crate) rounds: usize,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) memory: Vec<Memory>,
    /// Milliseconds from a start to the first accepted connection, medians.
    pub(crate) ready_ms: BTreeMap<&'static str, f64>,
}

/// Runs it.
pub(crate) async fn run(arguments: &Arguments, dir: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let say = |text: &str| {
        let elapsed = started.elapsed().as_secs();
        eprintln!("[{}:{:02}] {text}", elapsed / 60, elapsed % 60);
    };
    let ours = Ours::new(CertificateAuthority::generate(
        "mk8s-bench",
        jiff::Timestamp::now(),
    )?)?;
    let (_upstream, api) = upstream(dir, &ours).await?;
    let program = std::path::absolute(arguments.programs.join("mca-proxy"))?;
    let mut sidecars = vec![
        Sidecar::haproxy(dir.join("haproxy"), &api, &ours)?,
        Sidecar::nginx(dir.join("nginx"), &api, &ours)?,
        Sidecar::go(
            dir.join("go"),
            &api,
            &ours,
            &std::path::absolute(&arguments.go_proxy)?,
        )?,
        Sidecar::mca_proxy("mca-proxy", dir.join("mca-proxy"), &api, &program)?,
    ];
    if let Some(other) = &arguments.against {
        let other = std::path::absolute(other)?;
        sidecars.push(Sidecar::mca_proxy("before", dir.join("before"), &api, &other)?);
    }

    let mut memory = Vec::new();
    let mut ready_ms = BTreeMap::new();
    if !arguments.only_load {
        say("starting each again and again");
        ready_ms = starts(&sidecars, if arguments.quick { 3 } else { STARTS }).await?;
        say(&format!("{} idle watches each", measure::WATCHES));
        for sidecar in &sidecars {
            memory.extend(watches(sidecar).await?);
        }
    }

    let rounds = arguments
        .rounds
        .unwrap_or(if arguments.quick { 2 } else { 8 })
        .max(1);
    let mut contenders = Vec::new();
    for sidecar in &sidecars {
        contenders.push(sidecar.start().await?.0);
    }
    let mut loads: Vec<Rounds> = plans(arguments.quick)
        .into_iter()
        .map(|plan| Rounds::new(plan, &contenders))
        .collect();
    for round in 0..=rounds {
        say(&if round == 0 {
            "warming up".to_owned()
        } else {
            format!("round {round} of {rounds}")
        });
        for load in &mut loads {
            load.go(round, &contenders, None).await?;
        }
    }
    for process in contenders.iter().flat_map(|contender| &contender.processes) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let resident = process.resident()? as f64 / 1024.0;
        let rows = memory.iter_mut().filter(|row| row.process == process.name());
        rows.for_each(|row| row.after_load = Some(resident));
    }
    crate::end(contenders).await;
    say("done");

    let results = Results {
        machine: crate::machine::Machine::here(&program, Path::new(haproxy::PROGRAM)),
        rounds,
        scenarios: loads.into_iter().map(Rounds::result).collect(),
        memory,
        ready_ms,
    };
    let tables = report::markdown(&results);
    if arguments.update_docs {
        report::update_document(&cluster::workspace_file("docs/benchmarks.md")?, &tables)?;
    }
    let text = match arguments.output {
        Output::Table => tables,
        Output::Json => serde_json::to_string_pretty(&results)? + "\n",
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The same loads as the gateway's, with other aims.
fn plans(is_quick: bool) -> [Plan; 3] {
    let mut plans = measure::plans(is_quick);
    for (plan, target) in plans.iter_mut().zip([1.0, 1.0, 0.6]) {
        plan.target = Some(target);
    }
    plans
}

async fn upstream(dir: &Path, ours: &Ours) -> anyhow::Result<(Process, Api)> {
    let (certificate, key) = (dir.join("upstream.crt"), dir.join("upstream.key"));
    ours.certificate().save(&certificate, &key)?;
    let token = "the-service-accounts-own-token";
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let arguments = [
        "upstream",
        "--certificate",
        &text(&certificate)?,
        "--key",
        &text(&key)?,
        "--token",
        token,
    ];
    let own = std::env::current_exe()?;
    let mut process = Process::start("upstream", &own, &arguments, dir.join("upstream.log"))?;
    process.until_says("\n", upstream::START_TIMEOUT).await?;
    let said = process.said();
    let address = said
        .trim()
        .strip_prefix(upstream::LISTENING)
        .context("the upstream says nothing")?
        .parse()?;
    let api = Api {
        address,
        authorities: ours.authorities(),
        token: token.to_owned(),
    };
    Ok((process, api))
}

/// The time from a start to the first accepted connection, taking turns.
async fn starts(sidecars: &[Sidecar], times: usize) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut took: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for _ in 0..times {
        for sidecar in sidecars {
            let (contender, duration) = sidecar.start().await?;
            took.entry(sidecar.name)
                .or_default()
                .push(duration.as_secs_f64() * 1000.0);
            drop(contender);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(took
        .into_iter()
        .filter_map(|(name, times)| Some((name, median(times)?)))
        .collect())
}

/// What idling and waiting take, each with a process of its own: memory only ever grows.
async fn watches(sidecar: &Sidecar) -> anyhow::Result<Vec<Memory>> {
    let measured = async |per_connection: usize| -> anyhow::Result<(Vec<(f64, f64)>, Contender)> {
        let (contender, _) = sidecar.start().await?;
        Ok((measure::memory(&contender, per_connection).await?, contender))
    };
    let (shared, contender) = measured(100).await?;
    crate::end(contender).await;
    let (alone, contender) = measured(1).await?;
    let rows = measure::memory_result(&contender, &shared, &alone);
    crate::end(contender).await;
    Ok(rows)
}
