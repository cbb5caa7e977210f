//! What a list of namespaces that shows one's own takes beyond the API server's own list of all: `make bench-lists`.
//!
//! Both are asked at the same API server in turn. The one goes from there to mk8s-apiserver, which asks the API server once more;
//! so what it takes beyond is two hops and what happens on them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_tls::CertificateAuthority;
use serde::Serialize;
use serde_json::json;

use crate::{
    Output,
    client::{Connection, Target},
    cluster::{self, Cluster},
    contender::free_port,
    machine::Machine,
    process::Process,
    report::{self, Table, none, time, verdict},
};

/// What may come on top of the API server's own time, at the median.
const AIM: Duration = Duration::from_millis(50);
const START_TIMEOUT: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "mk8s-system";
const MINE: &str = "/apis/custom.api.local/v1/mynamespace";
const ALL: &str = "/api/v1/namespaces";
/// Connections by which the namespaces are made.
const MAKERS: usize = 8;
const BEGIN: &str = "<!-- lists: written by `make bench-lists BENCH_ARGS=--update-docs` -->";
const END: &str = "<!-- end of lists -->";

/// Measures what a list of one's own namespaces takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// mk8s-apiserver
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/mk8s-apiserver")]
    program: PathBuf,
    /// What makes the cluster (tools/devcluster)
    #[arg(long, value_name = "PROGRAM", default_value = "target/devcluster/devcluster")]
    devcluster: PathBuf,
    /// How many namespaces there are
    #[arg(long, value_name = "NUMBER", default_value = "10000")]
    namespaces: usize,
    /// How often each list is asked for
    #[arg(long, value_name = "NUMBER", default_value = "30")]
    rounds: usize,
    /// How to print the results
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Put the results into docs/benchmarks.md
    #[arg(long)]
    update_docs: bool,
}

#[derive(Debug, Serialize)]
struct Results {
    machine: Machine,
    kubernetes: String,
    namespaces: usize,
    rows: Vec<Row>,
    /// Resident memory of mk8s-apiserver when all was done, MiB.
    memory: f64,
}

/// Times in microseconds, at the median.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    /// Of the answer as it was sent, bytes.
    bytes: usize,
    /// The API server's own list of everything, in between.
    direct: f64,
    own: f64,
    /// The same, asked at mk8s-apiserver itself: without the API server's part in between.
    past: f64,
}

/// Runs it.
pub(crate) async fn run(arguments: &Arguments, dir: &Path) -> anyhow::Result<()> {
    let program = std::path::absolute(&arguments.program)?;
    let devcluster = std::path::absolute(&arguments.devcluster)?;
    let cluster = Cluster::start(dir, &devcluster).await?;
    let accounts = accounts(&cluster, dir)?;
    eprintln!("making {} namespaces", arguments.namespaces);
    make(&cluster, &accounts.admin, arguments.namespaces).await?;
    let (server, past) = serve(&cluster, &accounts, dir, &program).await?;
    let mut rows = Vec::new();
    for (what, token) in [
        ("somebody who may list everything", &accounts.admin),
        ("somebody whose team has all of them", &accounts.member),
    ] {
        eprintln!("{} lists of {what}", arguments.rounds);
        rows.push(compare(&cluster, &accounts.admin, &past, what, token, arguments).await?);
    }
    let results = Results {
        machine: Machine::here(&program, Path::new(crate::haproxy::PROGRAM)),
        kubernetes: cluster.version.clone(),
        namespaces: arguments.namespaces,
        rows,
        memory: mebi(server.resident()?),
    };
    drop(server);
    let tables = markdown(&results);
    let between = arguments.update_docs.then_some((BEGIN, END));
    report::tell(&results, tables, arguments.output, between)
}

/// Tokens of those who ask.
struct Accounts {
    /// May do everything.
    admin: String,
    /// May list no namespaces; their groups are a team's.
    member: String,
    /// mk8s-apiserver's own.
    server: String,
}

fn accounts(cluster: &Cluster, dir: &Path) -> anyhow::Result<Accounts> {
    let rbac = cluster::workspace_file("deploy/apiserver/rbac.yaml")?;
    cluster.kubectl(&["apply", "--server-side", "--filename", "-"], Some(&rbac))?;
    let objects = dir.join("accounts.json");
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        account("admin"), account("member"),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "admin"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "admin", "namespace": NAMESPACE}],
        },
    ]});
    std::fs::write(&objects, list.to_string())?;
    cluster.kubectl(&["apply", "--server-side", "--filename", "-"], Some(&objects))?;
    let token = |name: &str| {
        let arguments = [
            "--namespace",
            NAMESPACE,
            "create",
            "token",
            name,
            "--duration",
            "2h",
        ];
        let token = cluster.kubectl(&arguments, None)?;
        anyhow::Ok(token.trim().to_owned())
    };
    Ok(Accounts {
        admin: token("admin")?,
        member: token("member")?,
        server: token("mk8s-apiserver")?,
    })
}

fn target(cluster: &Cluster, token: &str) -> anyhow::Result<Target> {
    Target::new(cluster.api.address, &cluster.api.authorities)?.with_token(token)
}

/// Makes the namespaces, all of one team.
async fn make(cluster: &Cluster, token: &str, count: usize) -> anyhow::Result<()> {
    let target = target(cluster, token)?;
    let makers = (0..MAKERS).map(async |maker| {
        let mut connection = target.connect().await?;
        for at in (maker..count).step_by(MAKERS) {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": format!("team-namespace-{at:05}"),
                    "labels": {"team": "blue", "environment": "production", "owner": format!("person-{at}")},
                    "annotations": {"example.com/description": "what this namespace is for, in a sentence"},
                },
            });
            connection.post(ALL, &namespace).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(makers).await?;
    Ok(())
}

/// Starts mk8s-apiserver, and makes it known to the API server.
async fn serve(
    cluster: &Cluster,
    accounts: &Accounts,
    dir: &Path,
    program: &Path,
) -> anyhow::Result<(Process, Target)> {
    let now = jiff::Timestamp::now();
    let authority = CertificateAuthority::generate("mk8s-bench", now)?;
    let file = |name: &str| dir.join(name);
    authority
        .issue_server(
            &[
                format!("mk8s-apiserver.{NAMESPACE}.svc"),
                cluster.host_address.clone(),
            ],
            Duration::from_secs(24 * 3600),
            now,
        )?
        .save(&file("apiserver.crt"), &file("apiserver.key"))?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {
            "server": format!("https://{}", cluster.api.address),
            "certificate-authority-data": BASE64_STANDARD.encode(&cluster.api.authorities),
        }}],
        "users": [{"name": "x", "user": {"token": accounts.server}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(file("apiserver.kubeconfig"), kubeconfig.to_string())?;
    let port = free_port()?;
    let team = format!("system:serviceaccounts:{NAMESPACE}");
    let config = json!({
        "server": {
            "bind": cluster.host_address, "port": port, "cert_file": file("apiserver.crt"), "key_file": file("apiserver.key"),
        },
        "kubernetes": {"kubeconfig": file("apiserver.kubeconfig")},
        "namespaces": {"teams": [{"group": team, "teams": ["blue"]}]},
    });
    std::fs::write(file("apiserver.yaml"), config.to_string())?;
    let config = file("apiserver.yaml");
    let config = config.to_str().context("the path is not UTF-8")?;
    let mut server = Process::start(
        "mk8s-apiserver",
        program,
        &["--config", config],
        file("apiserver.log"),
    )?;
    server.until_says("listening", START_TIMEOUT).await?;
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "mk8s-apiserver", "namespace": NAMESPACE},
            "spec": {"ports": [{"name": "https", "port": 443}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": "mk8s-apiserver", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "mk8s-apiserver"},
            },
            "ports": [{"name": "https", "port": port}],
            "endpoints": [{"addresses": [cluster.host_address], "conditions": {"ready": true}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.custom.api.local"},
            "spec": {
                "group": "custom.api.local", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
                "service": {"name": "mk8s-apiserver", "namespace": NAMESPACE, "port": 443},
                "caBundle": BASE64_STANDARD.encode(authority.certificate_pem()),
            },
        },
    ]});
    std::fs::write(file("service.json"), objects.to_string())?;
    cluster.kubectl(
        &["apply", "--server-side", "--filename", "-"],
        Some(&file("service.json")),
    )?;
    let mut connection = target(cluster, &accounts.admin)?.connect().await?;
    let started = Instant::now();
    while let Err(error) = connection.text(&format!("{MINE}?limit=1")).await {
        ensure!(
            started.elapsed() < START_TIMEOUT,
            "the aggregated API doesn't answer: {error:#}; it said: {}",
            server.said()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let address = format!("{}:{port}", cluster.host_address).parse()?;
    Ok((
        server,
        Target::new(address, authority.certificate_pem().as_bytes())?,
    ))
}

/// Asks for both lists in turn.
async fn compare(
    cluster: &Cluster,
    admin: &str,
    past: &Target,
    what: &'static str,
    token: &str,
    arguments: &Arguments,
) -> anyhow::Result<Row> {
    let mut direct = target(cluster, admin)?.connect().await?;
    let mut own = target(cluster, token)?.connect().await?;
    let mut past = past.clone().with_token(token)?.connect().await?;
    let (mut direct_took, mut own_took, mut past_took) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    // The first of each finds caches cold.
    for round in 0..=arguments.rounds {
        let (_, direct) = timed(&mut direct, ALL).await?;
        let (length, own) = timed(&mut own, MINE).await?;
        let (_, past) = timed(&mut past, MINE).await?;
        bytes = length;
        if round > 0 {
            past_took.push(past);
            direct_took.push(direct);
            own_took.push(own);
        }
    }
    Ok(Row {
        what,
        bytes,
        direct: median(direct_took),
        own: median(own_took),
        past: median(past_took),
    })
}

async fn timed(connection: &mut Connection, path: &str) -> anyhow::Result<(usize, Duration)> {
    let started = Instant::now();
    let bytes = connection.fetch(path).await?;
    Ok((bytes, started.elapsed()))
}

fn median(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took.get(took.len() / 2)
        .map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} cores ({}), Linux {}; Kubernetes {}; mk8s {}; {} namespaces.\n\n",
        machine.date,
        machine.cores,
        machine.processor,
        machine.kernel,
        results.kubernetes,
        machine.mk8s,
        results.namespaces,
    );
    let mut table = Table::new(vec![
        "",
        "answer",
        "the API server's own",
        "one's own",
        "beyond it",
        "",
        "asked past the API server",
    ]);
    for row in &results.rows {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mib = row.bytes as f64 / 1024.0 / 1024.0;
        let beyond = row.own - row.direct;
        table.row(vec![
            row.what.to_owned(),
            format!("{mib:.1} MiB"),
            time(Some(row.direct)),
            time(Some(row.own)),
            if beyond < 0.0 {
                "less".to_owned()
            } else {
                time(Some(beyond))
            },
            verdict(beyond <= AIM.as_secs_f64() * 1e6),
            time(Some(row.past)),
        ]);
    }
    table.row(vec![
        "aim".into(),
        none(),
        none(),
        none(),
        format!("≤ {} ms", AIM.as_millis()),
        none(),
        none(),
    ]);
    text.push_str(&table.render());
    let _ = writeln!(
        text,
        "\nMemory of mk8s-apiserver afterwards: {:.1} MiB.",
        results.memory
    );
    text
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebi(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
