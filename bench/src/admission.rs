//! How long the webhook takes to answer: reviews at a steady rate, whether or not it keeps up: `make bench-admission`.
//!
//! Between two reviews a probe is sent that the webhook answers at once. What that takes is the machine's part, timers, wakings
//! and TLS included; what a review takes beyond it is the webhook's.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use mk8s_tls::CertificateAuthority;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    Output,
    client::{Connection, Target},
    contender::free_port,
    machine::Machine,
    process::Process,
    report::{self, Table, none, time, verdict},
};

/// Of the answers, 99 in a hundred must be there by then, beyond what 99 in a hundred probes take.
const AIM: Duration = Duration::from_millis(2);
const START_TIMEOUT: Duration = Duration::from_secs(10);
const BEGIN: &str = "<!-- admission: written by `make bench-admission BENCH_ARGS=--update-docs` -->";
const END: &str = "<!-- end of admission -->";

/// Measures how long the webhook takes to answer.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The webhook
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/mk8s-webhook")]
    program: PathBuf,
    /// Reviews a second, of each pod
    #[arg(long, value_name = "NUMBER", default_value = "200")]
    rate: u32,
    /// How long, for each pod
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    seconds: u32,
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
    /// Reviews a second.
    rate: u32,
    /// Resident memory before and after, MiB.
    idle: f64,
    after_load: f64,
    pods: Vec<Answered>,
}

/// The answers about one pod; times in microseconds, from when a review was due to be sent until its answer was there.
#[derive(Debug, Serialize)]
struct Answered {
    pod: &'static str,
    /// Bytes of a review.
    bytes: usize,
    reviews: usize,
    review: Spread,
    /// Beside it: what the webhook answers at once.
    probe: Spread,
    /// CPU time of the webhook for each, a probe included.
    cpu: f64,
}

/// Times, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    longest: f64,
}

impl Spread {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |hundredths: usize| {
            let at = took.len().saturating_sub(1) * hundredths / 100;
            took.get(at).map_or(0.0, |time| micros(*time))
        };
        Self {
            p50: at(50),
            p99: at(99),
            longest: at(100),
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Runs it.
pub(crate) async fn run(arguments: &Arguments, dir: &Path) -> anyhow::Result<()> {
    let program = std::path::absolute(&arguments.program)?;
    let authority = CertificateAuthority::generate("mk8s-bench", jiff::Timestamp::now())?;
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    authority
        .issue_server(
            &["127.0.0.1".to_owned()],
            Duration::from_secs(24 * 3600),
            jiff::Timestamp::now(),
        )?
        .save(&certificate, &key)?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let (certificate, key) = (text(&certificate)?, text(&key)?);
    let options = [
        "--tls-mode",
        "given",
        "--certificate-file",
        &certificate,
        "--key-file",
        &key,
        "--listen",
        &address,
    ];
    let mut webhook = Process::start("mk8s-webhook", &program, &options, dir.join("webhook.log"))?;
    webhook.until_says("listening", START_TIMEOUT).await?;
    let target = Target::new(address.parse()?, authority.certificate_pem().as_bytes())?;
    let connection = target.connect().await?;
    let idle = mebi(webhook.resident()?);
    let mut pods = Vec::new();
    for (name, pod) in PODS {
        let review = review(&pod());
        // Once, so that nothing is measured that happens once.
        ask(connection.clone(), &review).await?;
        eprintln!(
            "{} reviews a second of {name} for {} s",
            arguments.rate, arguments.seconds
        );
        pods.push(load(arguments, &webhook, &connection, name, &review).await?);
    }
    let results = Results {
        machine: Machine::here(&program, Path::new(crate::haproxy::PROGRAM)),
        rate: arguments.rate,
        idle,
        after_load: mebi(webhook.resident()?),
        pods,
    };
    drop(webhook);
    let tables = markdown(&results);
    let between = arguments.update_docs.then_some((BEGIN, END));
    report::tell(&results, tables, arguments.output, between)
}

/// Sends reviews when they are due, also while earlier ones wait: a client that waits for each would hide every pause.
async fn load(
    arguments: &Arguments,
    webhook: &Process,
    connection: &Connection,
    pod: &'static str,
    review: &Value,
) -> anyhow::Result<Answered> {
    let count = usize::try_from(arguments.rate.saturating_mul(arguments.seconds))?;
    ensure!(count > 0, "--rate and --seconds must be above zero");
    // A review and a probe in turn.
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / (2 * arguments.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let before = webhook.cpu()?;
    let mut running = JoinSet::new();
    for at in 0..2 * count {
        let due = ticks.tick().await.into_std();
        let is_review = at % 2 == 0;
        let (mut connection, review) = (connection.clone(), is_review.then(|| review.clone()));
        running.spawn(async move {
            match review {
                Some(review) => ask(connection, &review).await?,
                None => ensure!(
                    connection.text("/healthz").await? == "ok",
                    "the webhook isn't well"
                ),
            }
            anyhow::Ok((is_review, due.elapsed()))
        });
    }
    let (mut reviews, mut probes) = (Vec::with_capacity(count), Vec::with_capacity(count));
    while let Some(answered) = running.join_next().await {
        let (is_review, time) = answered??;
        if is_review { &mut reviews } else { &mut probes }.push(time);
    }
    let cpu = webhook.cpu()? - before;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = count as f64;
    Ok(Answered {
        pod,
        bytes: review.to_string().len(),
        reviews: count,
        review: Spread::of(reviews),
        probe: Spread::of(probes),
        cpu: micros(cpu) / each,
    })
}

/// One review, which must be answered with a patch.
async fn ask(mut connection: Connection, review: &Value) -> anyhow::Result<()> {
    let answer = connection.post("/mutate", review).await?;
    ensure!(
        answer["response"]["allowed"] == true && answer["response"]["patch"].is_string(),
        "the webhook injected nothing: {answer}"
    );
    Ok(())
}

type MakePod = fn() -> Value;

/// From what most pods are to what few are.
const PODS: [(&str, MakePod); 3] = [
    ("a small pod", small),
    ("the same, with secrets too", with_secrets),
    ("a pod of 10 containers", large),
];

fn small() -> Value {
    pod(1, 3)
}

/// For both mutators.
fn with_secrets() -> Value {
    let mut pod = small();
    pod["metadata"]["annotations"] = json!({
        "keeper.security/inject": "true", "keeper.security/ksm-config": "keeper-config",
        "keeper.security/secret": "Database", "keeper.security/secret-tls": "TLS[key]:/certificates/tls.key",
    });
    pod
}

fn large() -> Value {
    pod(10, 40)
}

/// A pod as the API server hands it over, with its token's volume.
fn pod(containers: usize, variables: usize) -> Value {
    let variables: Vec<Value> = (0..variables)
        .map(|at| json!({"name": format!("SETTING_{at}"), "value": format!("https://service-{at}.example/path")}))
        .collect();
    let mount = json!({"name": "kube-api-access-x", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    let containers: Vec<Value> = (0..containers)
        .map(|at| {
            json!({"name": format!("c{at}"), "image": format!("registry.example/app:{at}"), "env": variables,
                "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}},
                "volumeMounts": [mount], "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent"})
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "app-7d4b9c6f5-x2x9z", "namespace": "team", "labels": {"app": "app", "mca.k8s.io/inject": "true"}},
        "spec": {
            "serviceAccountName": "default", "containers": containers,
            "volumes": [{"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}],
        },
    })
}

fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "dryRun": false,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "team", "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod, "oldObject": null,
        },
    })
}

fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} cores ({}), Linux {}; mk8s {}; {} reviews a second.\n\n",
        machine.date, machine.cores, machine.processor, machine.kernel, machine.mk8s, results.rate,
    );
    let mut table = Table::new(vec![
        "",
        "review",
        "p50",
        "p99",
        "longest",
        "a probe beside it: p50",
        "p99",
        "longest",
        "p99 beyond it",
        "",
        "CPU each",
    ]);
    for row in &results.pods {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let kib = row.bytes as f64 / 1024.0;
        let beyond = row.review.p99 - row.probe.p99;
        table.row(vec![
            row.pod.to_owned(),
            format!("{kib:.1} KiB"),
            time(Some(row.review.p50)),
            time(Some(row.review.p99)),
            time(Some(row.review.longest)),
            time(Some(row.probe.p50)),
            time(Some(row.probe.p99)),
            time(Some(row.probe.longest)),
            time(Some(beyond.max(0.0))),
            verdict(beyond <= micros(AIM)),
            time(Some(row.cpu)),
        ]);
    }
    let mut aim = vec!["aim".to_owned()];
    aim.extend((0..7).map(|_| none()));
    aim.push(format!("≤ {} ms", AIM.as_millis()));
    aim.extend([none(), none()]);
    table.row(aim);
    text.push_str(&table.render());
    let _ = writeln!(
        text,
        "\nMemory: {:.1} MiB when idle, {:.1} MiB after all reviews.",
        results.idle, results.after_load
    );
    text
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebi(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
