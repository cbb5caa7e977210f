//! What an AI agent reads of a cluster, in tokens, and how long it waits: `make bench-agents`.
//!
//! The same ten questions about the same cluster of 500 pods are put to `mk8s-mcp` and to another server of tools, both unmodified and
//! with their defaults ([`tasks`] has the calls). What an agent pays is the text of the answers, and once a conversation the
//! tools' definitions; both are counted by a real vocabulary (o200k). Then one pod is asked for, in turn by `mk8s-mcp` and straight at the
//! API server on a connection that is kept.

mod http;
mod server;
mod shop;
mod tasks;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::json;
use tiktoken_rs::CoreBPE;

use self::{
    http::Http,
    server::Server,
    tasks::{Call, Dialect, Task},
};
use crate::{
    Output,
    client::Target,
    cluster::Cluster,
    machine::Machine,
    report::{self, Table, none, time, verdict},
};

/// What our own server calls itself.
const OURS: &str = "mk8s-mcp";
/// What our answers may have of the other's tokens, together.
const AIM: f64 = 0.25;
/// What one call may take beyond the API server's own time, at the median.
const AIM_BEYOND: Duration = Duration::from_millis(5);
const BEGIN: &str = "<!-- agents: written by `make bench-agents BENCH_ARGS=--update-docs` -->";
const END: &str = "<!-- end of agents -->";

/// Measures what agents read, and how long they wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// mk8s-mcp
    #[arg(long, value_name = "PROGRAM", default_value = "target/quick-release/mk8s-mcp")]
    program: PathBuf,
    /// The other server: kubernetes-mcp-server
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "target/bench/agents-other/kubernetes-mcp-server"
    )]
    other: PathBuf,
    /// Whose tools it has
    #[arg(long, value_name = "SERVER", default_value = "kubernetes-mcp-server")]
    dialect: Dialect,
    /// What makes the cluster (tools/devcluster)
    #[arg(long, value_name = "PROGRAM", default_value = "target/devcluster/devcluster")]
    devcluster: PathBuf,
    /// How often one pod is asked for
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    rounds: usize,
    /// How to print the results
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Keep all answers in this directory, to look at
    #[arg(long, value_name = "DIRECTORY")]
    answers: Option<PathBuf>,
    /// Put the results into docs/benchmarks.md
    #[arg(long)]
    update_docs: bool,
}

#[derive(Debug, Serialize)]
struct Results {
    machine: Machine,
    /// Of the last minute, when the times were taken.
    load: String,
    kubernetes: String,
    other: String,
    pods: usize,
    tasks: Vec<Answered>,
    definitions: Definitions,
    latency: Latency,
}

/// Tokens of a task's answers.
#[derive(Debug, Serialize)]
struct Answered {
    question: &'static str,
    ours: usize,
    our_calls: usize,
    other: usize,
    other_calls: usize,
}

/// Tokens of what is told of tools.
#[derive(Debug, Serialize)]
struct Definitions {
    ours: usize,
    our_tools: usize,
    other: usize,
    other_tools: usize,
}

/// Of one pod, in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    rounds: usize,
    direct_p50: f64,
    direct_p99: f64,
    ours_p50: f64,
    ours_p99: f64,
    http_p50: f64,
    http_p99: f64,
    other_p50: f64,
    other_p99: f64,
}

async fn start_other(
    program: &Path,
    dialect: Dialect,
    kubeconfig: &str,
    dir: &Path,
) -> anyhow::Result<Server> {
    let arguments: &[&str] = match dialect {
        // It could write, too; its tools for that would count among its definitions.
        Dialect::KubernetesMcpServer => &["--kubeconfig", kubeconfig, "--read-only"],
        // It takes its kubeconfig from the environment alone.
        Dialect::McpKubernetes => &["serve", "--metrics-enabled=false"],
    };
    Server::start(program, arguments, kubeconfig, &dir.join("other.log")).await
}

/// Runs it.
pub(crate) async fn run(arguments: &Arguments, dir: &Path) -> anyhow::Result<()> {
    let program = std::path::absolute(&arguments.program)?;
    let devcluster = std::path::absolute(&arguments.devcluster)?;
    let other = std::path::absolute(&arguments.other)?;
    eprintln!("making a cluster of 500 pods (two minutes)");
    let cluster = Cluster::start_with(dir, &devcluster, &["--node"]).await?;
    let target = Target::new(cluster.api.address, &cluster.api.authorities)?
        .with_token(&administrator(&cluster, dir)?)?;
    let (names, pods) = shop::make(&cluster, &target, dir).await?;
    let kubeconfig = cluster.kubeconfig().to_str().context("the path is not UTF-8")?;

    let (mut ours, mut theirs) = (
        start_ours(&program, kubeconfig, dir).await?,
        start_other(&other, arguments.dialect, kubeconfig, dir).await?,
    );
    let vocabulary = tiktoken_rs::o200k_base()?;
    let mut answered = Vec::new();
    for task in tasks::all(&names, arguments.dialect) {
        eprintln!("{}", task.question);
        answered.push(
            answer(
                &mut ours,
                &mut theirs,
                &task,
                &vocabulary,
                arguments.answers.as_deref(),
            )
            .await?,
        );
    }
    let (our_tools, our_definitions) = ours.definitions().await?;
    let (other_tools, other_definitions) = theirs.definitions().await?;
    eprintln!("asking for a pod {} times", arguments.rounds);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut http = Http::start(&program, kubeconfig, dir).await?;
    let latency = latency(
        &mut ours,
        &mut http,
        &mut theirs,
        &target,
        &names.cart,
        &tasks::one_pod(&names, arguments.dialect),
        arguments.rounds,
    )
    .await?;
    let results = Results {
        machine: Machine::here(&program, Path::new(crate::haproxy::PROGRAM)),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        kubernetes: cluster.version.clone(),
        other: format!("{} {}", theirs.name, theirs.version),
        pods,
        tasks: answered,
        definitions: Definitions {
            ours: tokens(&vocabulary, &our_definitions),
            our_tools,
            other: tokens(&vocabulary, &other_definitions),
            other_tools,
        },
        latency,
    };
    let tables = markdown(&results);
    let between = arguments.update_docs.then_some((BEGIN, END));
    report::tell(&results, tables, arguments.output, between)
}

/// A token of somebody who may do everything.
fn administrator(cluster: &Cluster, dir: &Path) -> anyhow::Result<String> {
    let account = dir.join("account.json");
    let binding = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench", "namespace": "kube-system"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "bench", "namespace": "kube-system"}]},
    ]});
    fs::write(&account, binding.to_string())?;
    cluster.kubectl(&["apply", "--server-side", "--filename", "-"], Some(&account))?;
    let arguments = [
        "--namespace",
        "kube-system",
        "create",
        "token",
        "bench",
        "--duration",
        "2h",
    ];
    Ok(cluster.kubectl(&arguments, None)?.trim().to_owned())
}

async fn start_ours(program: &Path, kubeconfig: &str, dir: &Path) -> anyhow::Result<Server> {
    let (config, audit) = (dir.join("mcp.yaml"), dir.join("mcp-audit.jsonl"));
    // The one setting that isn't its default: nobody asks that fast but a benchmark.
    fs::write(&config, "callsPerMinute: 1000000\n")?;
    let (config, audit) = (
        config.to_str().context("the path is not UTF-8")?,
        audit.to_str().context("the path is not UTF-8")?,
    );
    let arguments = [
        "--kubeconfig",
        kubeconfig,
        "--config",
        config,
        "--audit-file",
        audit,
    ];
    Server::start(program, &arguments, kubeconfig, &dir.join("mk8s-mcp.log")).await
}

/// Has both answer a question.
async fn answer(
    ours: &mut Server,
    other: &mut Server,
    task: &Task,
    vocabulary: &CoreBPE,
    keep: Option<&Path>,
) -> anyhow::Result<Answered> {
    Ok(Answered {
        question: task.question,
        ours: read(ours, &task.ours, vocabulary, keep).await?,
        our_calls: task.ours.len(),
        other: read(other, &task.other, vocabulary, keep).await?,
        other_calls: task.other.len(),
    })
}

async fn read(
    server: &mut Server,
    calls: &[Call],
    vocabulary: &CoreBPE,
    keep: Option<&Path>,
) -> anyhow::Result<usize> {
    let mut sum = 0;
    for call in calls {
        let text = server.call(call.tool, &call.arguments).await?;
        if let Some(directory) = keep {
            fs::create_dir_all(directory)?;
            let name = format!(
                "{}-{:02}-{}.txt",
                server.name,
                fs::read_dir(directory)?.count(),
                call.tool
            );
            fs::write(directory.join(name), format!("{}\n\n{text}\n", call.arguments))?;
        }
        if !text.contains(call.expected) {
            let lacks = format!("{} {} {}", server.name, call.tool, call.arguments);
            ensure!(
                server.name != OURS,
                "{lacks} doesn't say {:?}: {text}",
                call.expected
            );
            eprintln!("{lacks} doesn't say {:?}, and counts as it is", call.expected);
        }
        sum += tokens(vocabulary, &text);
    }
    Ok(sum)
}

fn tokens(vocabulary: &CoreBPE, text: &str) -> usize {
    vocabulary.encode_ordinary(text).len()
}

/// Asks for a pod, in turn: straight, by us in both ways, by the other.
async fn latency(
    ours: &mut Server,
    http: &mut Http,
    other: &mut Server,
    target: &Target,
    pod: &str,
    other_asked: &Call,
    rounds: usize,
) -> anyhow::Result<Latency> {
    const WARMING_UP: usize = 20;
    let path = format!("/api/v1/namespaces/shop/pods/{pod}");
    let ours_asked = json!({"kind": "pod", "name": pod, "namespace": "shop"});
    let mut connection = target.connect().await?;
    let mut took: [Vec<Duration>; 4] = Default::default();
    for round in 0..rounds + WARMING_UP {
        let started = Instant::now();
        connection.fetch(&path).await?;
        let direct = started.elapsed();
        let times = [
            direct,
            ours.time("get", &ours_asked).await?,
            http.time("get", &ours_asked).await?,
            other.time(other_asked.tool, &other_asked.arguments).await?,
        ];
        if round >= WARMING_UP {
            for (all, time) in took.iter_mut().zip(times) {
                all.push(time);
            }
        }
    }
    let [direct, ours, http, other] = took.map(|mut took| {
        took.sort_unstable();
        took
    });
    Ok(Latency {
        rounds,
        direct_p50: quantile(&direct, 50),
        direct_p99: quantile(&direct, 99),
        ours_p50: quantile(&ours, 50),
        ours_p99: quantile(&ours, 99),
        http_p50: quantile(&http, 50),
        http_p99: quantile(&http, 99),
        other_p50: quantile(&other, 50),
        other_p99: quantile(&other, 99),
    })
}

/// In microseconds.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} cores ({}), Linux {}, load {}; Kubernetes {}, {} pods; mk8s {}, {}.\n\n",
        machine.date,
        machine.cores,
        machine.processor,
        machine.kernel,
        results.load,
        results.kubernetes,
        results.pods,
        machine.mk8s,
        results.other,
    );
    let mut table = Table::new(vec![
        "tokens",
        "mk8s-mcp",
        "calls",
        "the other",
        "calls",
        "of the other's",
        "",
    ]);
    for task in &results.tasks {
        table.row(vec![
            task.question.to_owned(),
            task.ours.to_string(),
            task.our_calls.to_string(),
            task.other.to_string(),
            task.other_calls.to_string(),
            part(task.ours, task.other),
            none(),
        ]);
    }
    let (ours, other) = results.tasks.iter().fold((0, 0), |(ours, other), task| {
        (ours + task.ours, other + task.other)
    });
    table.row(vec![
        "all ten".to_owned(),
        ours.to_string(),
        none(),
        other.to_string(),
        none(),
        part(ours, other),
        verdict(ratio(ours, other) <= AIM),
    ]);
    let definitions = &results.definitions;
    table.row(vec![
        "the tools' definitions".to_owned(),
        definitions.ours.to_string(),
        format!("{} tools", definitions.our_tools),
        definitions.other.to_string(),
        format!("{} tools", definitions.other_tools),
        part(definitions.ours, definitions.other),
        none(),
    ]);
    text.push_str(&table.render());
    let latency = &results.latency;
    let mut table = Table::new(vec![
        "one pod",
        "p50",
        "p99",
        "p50 beyond the API server's",
        "÷ the API server's",
        "",
    ]);
    let mut row = |name: &str, p50: f64, p99: f64, is_judged: bool| {
        let beyond = p50 - latency.direct_p50;
        table.row(vec![
            name.to_owned(),
            time(Some(p50)),
            time(Some(p99)),
            time(Some(beyond)),
            format!("{:.1} ×", p50 / latency.direct_p50),
            if is_judged {
                verdict(beyond <= AIM_BEYOND.as_secs_f64() * 1e6)
            } else {
                none()
            },
        ]);
    };
    row(
        "mk8s-mcp, standard input and output",
        latency.ours_p50,
        latency.ours_p99,
        true,
    );
    row(
        "mk8s-mcp serve, HTTP/2 and TLS",
        latency.http_p50,
        latency.http_p99,
        true,
    );
    row(
        "the other, standard input and output",
        latency.other_p50,
        latency.other_p99,
        false,
    );
    table.row(vec![
        "straight".into(),
        time(Some(latency.direct_p50)),
        time(Some(latency.direct_p99)),
        none(),
        none(),
        none(),
    ]);
    let _ = write!(text, "\n{}", table.render());
    text
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn ratio(ours: usize, other: usize) -> f64 {
    ours as f64 / other as f64
}

fn part(ours: usize, other: usize) -> String {
    format!("{:.0} %", ratio(ours, other) * 100.0)
}
