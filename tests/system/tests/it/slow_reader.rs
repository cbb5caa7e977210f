//! One client's stream is nobody else's trouble: not when it stops reading, and not when it reads all it can.

use std::{
    io::Read as _,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mk8s_testkit::{
    Cluster, Gateway, Kubectl, Namespace,
    gateway::{ADMIN, MAIN},
};

use crate::http;

/// Prints 20 MB a second: far more than anybody reads, and still leaves the machine to those who are measured.
const CHATTERBOX: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: chatterbox}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: chatterbox
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [sh, -c, "yes $(head -c 1000 /dev/zero | tr '\\0' x) | head -n 400 >/lines; while cat /lines; do sleep 0.02; done"]
"#;

const LOGS: &str = "/pods/chatterbox/log?follow=true";
const SMALL: &str = "/configmaps/kube-root-ca.crt";
const ROUNDS: usize = 5;
/// Small GETs to take the median of.
const SAMPLES: usize = 200;

fn chatterbox(cluster: &'static Cluster) -> Namespace {
    let namespace = cluster.namespace();
    namespace.apply(CHATTERBOX);
    namespace
        .kubectl()
        .run(["wait", "--for=condition=Ready", "pod/chatterbox", "--timeout=60s"])
        .ok();
    namespace
}

#[test]
fn a_client_that_stops_reading_changes_nothing_for_others_and_fills_no_buffer() {
    let (cluster, mut gateway) = (Cluster::shared(), Gateway::start());
    let namespace = chatterbox(cluster);
    let runtime = http::runtime();
    let core = format!(
        "{}{}",
        gateway.url(),
        gateway.kube_path(MAIN, &format!("/api/v1/namespaces/{}", namespace.name()))
    );
    let (logs, small) = (format!("{core}{LOGS}"), format!("{core}{SMALL}"));
    let client = http::client(&gateway, &gateway.admin().token());
    let quiet = runtime.block_on(median(&client, &small));

    // Stops reading after the first bytes. On the same connection as the others: that is where it would hurt first.
    let stalled = runtime.block_on(async {
        let mut stalled = Vec::new();
        for _ in 0..4 {
            let mut response = client.get(&logs).send().await.expect("an answer");
            response.chunk().await.expect("the logs go on").expect("a line");
            stalled.push(response);
        }
        stalled
    });
    thread::sleep(Duration::from_secs(3));
    let before = memory(&mut gateway);
    let busy = runtime.block_on(median(&client, &small));
    thread::sleep(Duration::from_secs(10));
    let after = memory(&mut gateway);
    let again = runtime.block_on(median(&client, &small));
    eprintln!(
        "a small GET: {quiet:.2?} before, {busy:.2?} and {again:.2?} beside stalled streams; memory {before:?} → {after:?}"
    );
    for (before, after) in before.into_iter().zip(after) {
        assert!(
            after < before + 4 * 1024 * 1024,
            "grew from {before} to {after} bytes beside clients that don't read"
        );
    }
    // The pod itself keeps a core busy; a buffer or a lock that is full shows as seconds.
    for busy in [busy, again] {
        assert!(
            busy < quiet * 5 + Duration::from_millis(20),
            "a small GET took {quiet:?}, and {busy:?} beside stalled streams"
        );
    }
    drop(stalled);
    // Whoever begins to read anew gets what there is.
    let mut response = runtime.block_on(client.get(&logs).send()).expect("an answer");
    assert!(
        runtime
            .block_on(response.chunk())
            .expect("the logs go on")
            .is_some()
    );
}

#[test]
fn a_client_that_reads_at_full_speed_slows_others_no_more_than_at_the_api_server_itself() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = chatterbox(cluster);
    let runtime = http::runtime();
    let path = format!("/api/v1/namespaces/{}", namespace.name());
    let token = cluster
        .kubectl()
        .in_namespace("mk8s-system")
        .run(["create", "token", "mk8s-agent"])
        .ok();
    let impersonation = [("impersonate-user", ADMIN), ("impersonate-group", "mk8s:admin")];
    let doors = [
        Door {
            name: "directly",
            small: format!("{}{path}{SMALL}", cluster.server()),
            asker: http::build(&cluster.ca_pem(), token.text(), &impersonation),
            reader: cluster
                .kubectl_as(gateway.directory(), ADMIN, &["mk8s:admin"])
                .in_namespace(namespace.name()),
        },
        Door {
            name: "through the gateway",
            small: format!("{}{}{SMALL}", gateway.url(), gateway.kube_path(MAIN, &path)),
            asker: http::client(&gateway, &gateway.admin().token()),
            reader: gateway.admin().kubectl(MAIN).in_namespace(namespace.name()),
        },
    ];
    // Rounds in turn, so that what else happens on the machine hits both alike.
    let mut factors = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (door, factors) in doors.iter().zip(&mut factors) {
            let quiet = runtime.block_on(median(&door.asker, &door.small));
            let reader = Reader::start(&door.reader);
            let busy = runtime.block_on(median(&door.asker, &door.small));
            let rate = reader.rate() / 1e6;
            eprintln!(
                "round {round}, {}: {quiet:.2?} quiet, {busy:.2?} beside {rate:.0} MB/s of logs",
                door.name
            );
            factors.push(busy.as_secs_f64() / quiet.as_secs_f64());
        }
    }
    let [direct, through] = factors.map(|mut factors| {
        factors.sort_by(f64::total_cmp);
        factors[factors.len() / 2]
    });
    eprintln!("slowed by {direct:.2} directly, by {through:.2} through the gateway");
    assert!(
        through <= direct * 1.1 + 0.05,
        "slowed by {direct:.2} directly, but by {through:.2} through the gateway"
    );
}

/// A way to the API server: a client that asks for something small, and one that reads logs.
struct Door {
    name: &'static str,
    small: String,
    asker: reqwest::Client,
    reader: Kubectl,
}

/// `kubectl logs -f`, read as fast as it writes. A process of its own: as optimised as real clients are.
struct Reader {
    child: Child,
    read: Arc<AtomicUsize>,
    begun: Instant,
}

impl Reader {
    fn start(kubectl: &Kubectl) -> Self {
        let mut command = kubectl.command(["logs", "--follow", "chatterbox"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut stdout = child.stdout.take().expect("a pipe");
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                counter.fetch_add(read, Ordering::Relaxed);
            }
        });
        mk8s_testkit::eventually("the first logs", || {
            (read.load(Ordering::Relaxed) > 0).then_some(())
        });
        read.store(0, Ordering::Relaxed);
        Self {
            child,
            read,
            begun: Instant::now(),
        }
    }

    /// Bytes a second, so far.
    fn rate(&self) -> f64 {
        self.read.load(Ordering::Relaxed) as f64 / self.begun.elapsed().as_secs_f64()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The median of a small GET.
async fn median(client: &reqwest::Client, url: &str) -> Duration {
    let mut took = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let started = Instant::now();
        let response = client.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        response.bytes().await.expect("the whole answer");
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took[took.len() / 2]
}

fn memory(gateway: &mut Gateway) -> [u64; 2] {
    [
        gateway.central().resident_bytes(),
        gateway.agent(MAIN).program().resident_bytes(),
    ]
}
