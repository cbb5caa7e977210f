//! One client's stream is nobody else's trouble: not when it stops reading, and not when it reads all it can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mk8s_testkit::{
    Cluster, Gateway, Namespace,
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
/// Small GETs to take the median of.
const SAMPLES: usize = 200;

fn chatterbox(cluster: &'static Cluster) -> Namespace {
    let namespace = cluster.namespace();
    namespace.apply(CHATTERBOX);
    namespace.kubectl().run(["wait", "--for=condition=Ready", "pod/chatterbox", "--timeout=60s"]).ok();
    namespace
}

#[test]
fn a_client_that_stops_reading_changes_nothing_for_others_and_fills_no_buffer() {
    let (cluster, mut gateway) = (Cluster::shared(), Gateway::start());
    let namespace = chatterbox(cluster);
    let runtime = http::runtime();
    let core = format!("{}{}", gateway.url(), gateway.kube_path(MAIN, &format!("/api/v1/namespaces/{}", namespace.name())));
    let (logs, small) = (format!("{core}{LOGS}"), format!("{core}/configmaps/kube-root-ca.crt"));
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
    eprintln!("a small GET: {quiet:.2?} before, {busy:.2?} and {again:.2?} beside stalled streams; memory {before:?} → {after:?}");
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + 4 * 1024 * 1024, "grew from {before} to {after} bytes beside clients that don't read");
    }
    // The pod itself keeps a core busy; a buffer or a lock that is full shows as seconds.
    for busy in [busy, again] {
        assert!(busy < quiet * 5 + Duration::from_millis(20), "a small GET took {quiet:?}, and {busy:?} beside stalled streams");
    }
    drop(stalled);
    // Whoever begins to read anew gets what there is.
    let mut response = runtime.block_on(client.get(&logs).send()).expect("an answer");
    assert!(runtime.block_on(response.chunk()).expect("the logs go on").is_some());
}

#[test]
fn a_client_that_reads_at_full_speed_slows_others_no_more_than_at_the_api_server_itself() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = chatterbox(cluster);
    let runtime = http::runtime();
    let path = format!("/api/v1/namespaces/{}", namespace.name());
    let token = cluster.kubectl().in_namespace("mk8s-system").run(["create", "token", "mk8s-agent"]).ok();
    let impersonation = [("impersonate-user", ADMIN), ("impersonate-group", "mk8s:admin")];
    let direct_client = || http::build(&cluster.ca_pem(), token.text(), &impersonation);
    let direct = Door { core: format!("{}{path}", cluster.server()), reader: direct_client(), asker: direct_client() };
    let gateway_client = || http::client(&gateway, &gateway.admin().token());
    let core = format!("{}{}", gateway.url(), gateway.kube_path(MAIN, &path));
    let through = Door { core, reader: gateway_client(), asker: gateway_client() };

    // Rounds in turn, so that what else happens on the machine hits both alike.
    let mut factors = [Vec::new(), Vec::new()];
    for round in 0..5 {
        for (door, factors) in [&direct, &through].into_iter().zip(&mut factors) {
            let (quiet, busy, rate) = runtime.block_on(door.compare());
            let name = if std::ptr::eq(door, &direct) { "directly" } else { "through the gateway" };
            eprintln!("round {round}, {name}: {quiet:.2?} quiet, {busy:.2?} beside {:.0} MB/s of logs", rate / 1e6);
            factors.push(busy.as_secs_f64() / quiet.as_secs_f64());
        }
    }
    let [direct, through] = factors.map(|mut factors| {
        factors.sort_by(f64::total_cmp);
        factors[factors.len() / 2]
    });
    eprintln!("slowed by {direct:.2} directly, by {through:.2} through the gateway");
    assert!(through <= direct * 1.1 + 0.05, "slowed by {direct:.2} directly, but by {through:.2} through the gateway");
}

/// A way to the API server: a client that reads logs, and another that asks for small things.
struct Door {
    core: String,
    reader: reqwest::Client,
    asker: reqwest::Client,
}

impl Door {
    /// The median of a small GET when it is quiet, and beside logs; and how many bytes of these came a second.
    async fn compare(&self) -> (Duration, Duration, f64) {
        let small = format!("{}/configmaps/kube-root-ca.crt", self.core);
        let quiet = median(&self.asker, &small).await;
        let mut response = self.reader.get(format!("{}{LOGS}", self.core)).send().await.expect("an answer");
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let reading = tokio::spawn(async move {
            while let Some(chunk) = response.chunk().await.expect("the logs go on") {
                counter.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (started, from) = (Instant::now(), read.load(Ordering::Relaxed));
        let busy = median(&self.asker, &small).await;
        let bytes = read.load(Ordering::Relaxed) - from;
        let rate = bytes as f64 / started.elapsed().as_secs_f64();
        reading.abort();
        (quiet, busy, rate)
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
    [gateway.central().resident_bytes(), gateway.agent(MAIN).program().resident_bytes()]
}
