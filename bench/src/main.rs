//! What a request through mk8s costs, measured beside haproxy and beside no proxy at all, in one run: `make bench`.
//!
//! The machine may be small and busy. So everything is a ratio within the run: contenders take turns, round after round, with
//! a fixed number of requests each, and medians over the rounds are compared. Load generator and upstream run beside them
//! and are not counted. [`measure`] has the method, [`contender`] the ways compared, [`report`] the tables.

mod admission;
mod agents;
mod client;
mod cluster;
mod contender;
mod fixtures;
mod gateway;
mod haproxy;
mod instructions;
mod lists;
mod load;
mod machine;
mod measure;
mod process;
mod report;
mod results;
mod sidecar;
mod upstream;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use mk8s_tls::CertificateAuthority;

use crate::{
    client::Target,
    cluster::Cluster,
    contender::{Api, Contender},
    gateway::Gateway,
    haproxy::Haproxy,
    load::Load,
    machine::Machine,
    measure::{Plan, Rounds, WATCHES},
    process::Process,
    results::{ApiServer, Memory, Report},
};

/// Measures what a request through mk8s costs, beside haproxy and beside no proxy at all.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where mk8s-central and mk8s-agent are
    #[arg(long, value_name = "DIRECTORY", default_value = "target/quick-release")]
    programs: PathBuf,
    /// Compare at a real API server, too, which this program (tools/devcluster) starts
    #[arg(long, value_name = "PROGRAM")]
    devcluster: Option<PathBuf>,
    /// A short run, to see that everything works; its numbers are worth little
    #[arg(long)]
    quick: bool,
    /// This load alone, and nothing of memory or the API server
    #[arg(long, value_name = "LOAD", conflicts_with_all = ["update_docs", "profile"])]
    only: Option<Which>,
    /// Compare with another build of ours, too: the directory of its mk8s-central and mk8s-agent
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["update_docs", "profile"])]
    against: Option<PathBuf>,
    /// Rounds, beside one for warming up
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// How to print the results
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Put the results into docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["quick", "profile"])]
    update_docs: bool,
    /// Measure nothing: put load on the gateway, and print the process ids, for `perf record -p`
    #[arg(long, value_name = "LOAD", num_args = 0..=1, default_missing_value = "small")]
    profile: Option<Which>,
    /// How long to keep that load up
    #[arg(long, value_name = "SECONDS", default_value = "60", requires = "profile")]
    seconds: u64,
    /// Load something else in the same way
    #[arg(
        long,
        value_name = "CONTENDER",
        default_value = "gateway",
        requires = "profile"
    )]
    contender: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the sidecar costs, beside haproxy, nginx and Go's reverse proxy
    Sidecar(sidecar::Arguments),
    /// How long the webhook takes to answer
    Admission(admission::Arguments),
    /// What a list of one's own namespaces takes, beside the API server's own list of all
    Lists(lists::Arguments),
    /// What AI agents read of a cluster, and how long they wait, beside another server of tools
    Agents(agents::Arguments),
    /// Stand for an API server (started by the benchmark itself)
    #[command(hide = true)]
    Upstream(upstream::Arguments),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// The loads in the order of [`measure::plans`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Small,
    Multiplexed,
    List,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.context("can't start").and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                result = run(&arguments) => result,
                stopped = mk8s_net::drain::stop_signal() => stopped.map_err(Into::into).and_then(|()| bail!("interrupted")),
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(Command::Upstream(arguments)) = &arguments.command {
        return upstream::run(arguments).await;
    }
    let dir = std::path::absolute(format!("target/bench/run-{}", std::process::id()))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let measured = match &arguments.command {
        Some(Command::Sidecar(arguments)) => Some(sidecar::run(arguments, &dir).await),
        Some(Command::Admission(arguments)) => Some(admission::run(arguments, &dir).await),
        Some(Command::Lists(arguments)) => Some(lists::run(arguments, &dir).await),
        Some(Command::Agents(arguments)) => Some(agents::run(arguments, &dir).await),
        _ => None,
    };
    if let Some(measured) = measured {
        measured.with_context(|| format!("logs are in {}", dir.display()))?;
        return std::fs::remove_dir_all(&dir).with_context(|| format!("can't remove {}", dir.display()));
    }
    let bench = Bench::prepare(dir.clone(), arguments)
        .await
        .context("setting up")?;
    match arguments.profile {
        Some(profile) => {
            bench
                .profile(
                    profile,
                    &arguments.contender,
                    Duration::from_secs(arguments.seconds),
                )
                .await?;
        }
        None => {
            let report = bench
                .measure(arguments)
                .await
                .with_context(|| format!("logs are in {}", dir.display()))?;
            let tables = report::markdown(&report);
            if arguments.update_docs {
                report::update_document(&cluster::workspace_file("docs/benchmarks.md")?, &tables)?;
            }
            let text = match arguments.output {
                Output::Table => tables,
                Output::Json => serde_json::to_string_pretty(&report)? + "\n",
            };
            std::io::stdout().write_all(text.as_bytes())?;
        }
    }
    drop(bench);
    std::fs::remove_dir_all(&dir).with_context(|| format!("can't remove {}", dir.display()))
}

/// What stands before anything is measured.
struct Bench {
    dir: PathBuf,
    programs: PathBuf,
    authority: CertificateAuthority,
    upstream: Target,
    haproxy: Haproxy,
    gateway: Gateway,
    /// The other build of it.
    before: Option<Gateway>,
    started: Instant,
    _upstream: Process,
}

impl Bench {
    async fn prepare(dir: PathBuf, arguments: &Arguments) -> anyhow::Result<Self> {
        let started = Instant::now();
        let programs = std::path::absolute(&arguments.programs)?;
        let authority = CertificateAuthority::generate("mk8s-bench", jiff::Timestamp::now())?;
        let authorities = authority.certificate_pem().into_bytes();
        let certificate = server_certificate(&authority)?;
        let (certificate_file, key_file) = (dir.join("upstream.crt"), dir.join("upstream.key"));
        certificate.save(&certificate_file, &key_file)?;

        let own = std::env::current_exe()?;
        let as_text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
        let (certificate_file, key_file) = (as_text(&certificate_file)?, as_text(&key_file)?);
        let upstream_arguments = ["upstream", "--certificate", &certificate_file, "--key", &key_file];
        let mut process = Process::start("upstream", &own, &upstream_arguments, dir.join("upstream.log"))?;
        process.until_says("\n", upstream::START_TIMEOUT).await?;
        let said = process.said();
        let address = said
            .trim()
            .strip_prefix(upstream::LISTENING)
            .context("the upstream says nothing")?
            .parse()?;
        let api = Api {
            address,
            authorities: authorities.clone(),
            agent_token: "the-agents-own-token".to_owned(),
        };

        let haproxy = Haproxy::prepare(dir.join("haproxy"), &api, &certificate, &authorities)?;
        let gateway = Gateway::prepare("gateway", dir.join("gateway"), &programs, &api).await?;
        let before = match &arguments.against {
            Some(other) => Some(
                Gateway::prepare("before", dir.join("before"), &std::path::absolute(other)?, &api).await?,
            ),
            None => None,
        };
        let upstream = Target::new(address, &authorities)?.with_token(gateway.token())?;
        Ok(Self {
            dir,
            programs,
            authority,
            upstream,
            haproxy,
            gateway,
            before,
            started,
            _upstream: process,
        })
    }

    /// All contenders, newly started.
    async fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let direct = Contender {
            name: "direct",
            target: self.upstream.clone(),
            processes: Vec::new(),
            backlog: None,
        };
        let haproxy = self.haproxy.start(self.gateway.token()).await?;
        let mut contenders = vec![direct, haproxy, self.gateway.start().await?];
        if let Some(before) = &self.before {
            contenders.push(before.start().await?);
        }
        Ok(contenders)
    }

    async fn measure(&self, arguments: &Arguments) -> anyhow::Result<Report> {
        let rounds = arguments
            .rounds
            .unwrap_or(if arguments.quick { 2 } else { 8 })
            .max(1);
        let instructions = instructions::available();
        let mut memory = match arguments.only {
            None => self.memory().await?,
            Some(_) => Vec::new(),
        };

        let contenders = self.contenders().await?;
        self.check_sharing(&contenders).await?;
        let mut scenarios: Vec<Rounds> = measure::plans(arguments.quick)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| arguments.only.is_none_or(|only| only as usize == *index))
            .map(|(_, plan)| Rounds::new(plan, &contenders))
            .collect();
        for round in 0..=rounds {
            self.say(&if round == 0 {
                "warming up".to_owned()
            } else {
                format!("round {round} of {rounds}")
            });
            for scenario in &mut scenarios {
                scenario.go(round, &contenders, None).await?;
            }
        }
        if instructions.is_ok() {
            self.say("counting instructions");
            for scenario in &mut scenarios {
                scenario.count_instructions(&contenders).await?;
            }
        }
        for process in contenders
            .iter()
            .filter(|c| c.name != "before")
            .flat_map(|c| &c.processes)
        {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let resident = process.resident()? as f64 / 1024.0;
            memory
                .iter_mut()
                .filter(|m| m.process == process.name())
                .for_each(|m| m.after_load = Some(resident));
        }
        end(contenders).await;

        let api_server = match &arguments.devcluster {
            Some(devcluster) if !arguments.quick && arguments.only.is_none() => {
                Some(self.at_api_server(devcluster, rounds).await?)
            }
            _ => None,
        };
        self.say("done");
        Ok(Report {
            machine: Machine::here(&self.programs.join("mk8s-central"), Path::new(haproxy::PROGRAM)),
            rounds,
            scenarios: scenarios.into_iter().map(Rounds::result).collect(),
            memory,
            api_server,
            no_instructions: instructions.err(),
        })
    }

    /// Before any load, because a process keeps what it once had.
    async fn memory(&self) -> anyhow::Result<Vec<Memory>> {
        self.say(&format!("{WATCHES} idle watches, 100 a connection"));
        let mut shared = Vec::new();
        for contender in self
            .contenders()
            .await?
            .into_iter()
            .filter(|c| c.name != "before")
        {
            shared.push(measure::memory(&contender, 100).await?);
            end(contender).await;
        }
        self.say(&format!("{WATCHES} idle watches on connections of their own"));
        let mut results = Vec::new();
        for (contender, shared) in self.contenders().await?.into_iter().zip(shared) {
            let alone = measure::memory(&contender, 1).await?;
            results.extend(measure::memory_result(&contender, &shared, &alone));
            end(contender).await;
        }
        Ok(results)
    }

    /// A haproxy that made a connection for each request would be an easy match.
    async fn check_sharing(&self, contenders: &[Contender]) -> anyhow::Result<()> {
        let mut upstream = self.upstream.connect().await?;
        let [plan, ..] = measure::plans(true);
        for contender in contenders.iter().filter(|c| !c.processes.is_empty()) {
            let before: u64 = upstream.text(upstream::CONNECTIONS_PATH).await?.parse()?;
            let connections = load::connect(&contender.target, &plan.load).await?;
            load::run(&connections, &plan.load).await?;
            let made = upstream
                .text(upstream::CONNECTIONS_PATH)
                .await?
                .parse::<u64>()?
                .saturating_sub(before);
            if made > 2 * plan.load.connections as u64 {
                bail!(
                    "{} made {made} connections for {} requests",
                    contender.name,
                    plan.load.requests
                );
            }
        }
        Ok(())
    }

    /// The same small request to a real API server, with less at once: here the time it takes is of interest.
    async fn at_api_server(&self, devcluster: &Path, rounds: usize) -> anyhow::Result<ApiServer> {
        self.say("starting a real API server");
        let dir = self.dir.join("real");
        std::fs::create_dir_all(&dir)?;
        let cluster = Cluster::start(&dir, devcluster).await?;
        let certificate = server_certificate(&self.authority)?;
        let authorities = self.authority.certificate_pem().into_bytes();
        let haproxy = Haproxy::prepare(dir.join("haproxy"), &cluster.api, &certificate, &authorities)?;
        let gateway = Gateway::prepare("gateway", dir.join("gateway"), &self.programs, &cluster.api).await?;
        let target =
            Target::new(cluster.api.address, &cluster.api.authorities)?.with_token(&cluster.token)?;
        let contenders = [
            Contender {
                name: "direct",
                target,
                processes: Vec::new(),
                backlog: None,
            },
            haproxy.start(&cluster.token).await?,
            gateway.start().await?,
        ];
        let load = Load {
            path: fixtures::SMALL_PATH,
            bytes: None,
            connections: 4,
            streams: 1,
            requests: 1_000,
        };
        let plan = Plan {
            name: "a small ConfigMap, 4 connections × 1",
            load,
            target: None,
        };
        let mut scenario = Rounds::new(plan, &contenders);
        let meter = || cluster.cpu();
        for round in 0..=rounds {
            self.say(&format!("at the API server, round {round} of {rounds}"));
            scenario.go(round, &contenders, Some(&meter)).await?;
        }
        let own_cpu_per_request = scenario.metered();
        end(contenders).await;
        Ok(ApiServer {
            version: cluster.version.clone(),
            scenario: scenario.result(),
            own_cpu_per_request,
        })
    }

    /// Keeps one contender busy.
    async fn profile(&self, profile: Which, name: &str, duration: Duration) -> anyhow::Result<()> {
        let contenders = self.contenders().await?;
        let contender = contenders
            .iter()
            .find(|c| c.name == name)
            .context("contenders are direct, haproxy and gateway")?;
        let plan = measure::plans(false)[profile as usize];
        let load = Load {
            requests: 1_000_000_000,
            ..plan.load
        };
        let connections = load::connect(&contender.target, &load).await?;
        self.say(&format!(
            "{name} under load for {} s: {}",
            duration.as_secs(),
            plan.name
        ));
        for process in &contender.processes {
            writeln!(std::io::stdout(), "{} {}", process.name(), process.id())?;
        }
        match tokio::time::timeout(duration, load::run(&connections, &load)).await {
            Ok(ended) => ended.map(drop)?,
            Err(_) => drop(connections),
        }
        end(contenders).await;
        Ok(())
    }

    fn say(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs();
        eprintln!("[{}:{:02}] {text}", elapsed / 60, elapsed % 60);
    }
}

/// Lets our own connections close before the other side is asked to end, so that it has nothing to wait for.
async fn end<T>(contenders: T) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(contenders);
}

fn server_certificate(authority: &CertificateAuthority) -> anyhow::Result<mk8s_tls::Issued> {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    Ok(authority.issue_server(&names, Duration::from_secs(24 * 3600), jiff::Timestamp::now())?)
}
