//! The certificate that replicas of the aggregated API make themselves: processes on the host, known to the cluster by a
//! Service whose endpoints they are, with the rights that `deploy/apiserver` gives them.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use mk8s_testkit::{Cluster, Kubectl, Program, eventually, raw::Endpoint, within, workspace};
use serde_json::{Value, json};

const NAME: &str = "mk8s-apiserver";
const NAMESPACE: &str = "mk8s-system";
const API_SERVICE: &str = "v1.custom.api.local";
/// An authority of 36 s is replaced after 24, a certificate of 15 after 10.
const SHORT: &str = "{caLifetime: 36s, certificateLifetime: 15s, settle: 2s}";
/// Within this, two authorities follow the first.
const LIMIT: Duration = Duration::from_secs(150);
/// One API server hears of a new authority soon.
const QUICK: &str = "{settle: 1s}";

/// Two replicas, and the API that they serve.
struct Replicas {
    cluster: &'static Cluster,
    directory: tempfile::TempDir,
    replicas: Vec<Replica>,
}

struct Replica {
    name: &'static str,
    program: Program,
    address: SocketAddr,
}

impl Replicas {
    /// With these settings of `tls`, available.
    fn start(tls: &str) -> Self {
        let cluster = Cluster::for_one_at_a_time();
        let directory = tempfile::tempdir().expect("a directory");
        let mut replicas = Self {
            cluster,
            directory,
            replicas: Vec::new(),
        };
        // What another test left: its endpoint, and an authority that would be believed on.
        replicas.clear();
        let admin = cluster.kubectl();
        admin.apply(&manifest("rbac.yaml"));
        admin.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {NAME}, namespace: {NAMESPACE}}}\n\
             spec: {{ports: [{{name: https, port: 443}}]}}\n"
        ));
        cluster.service_account_kubeconfig(NAMESPACE, NAME, &replicas.path("kubeconfig"));
        let config = format!(
            "server: {{bind: {}, port: 0}}\nnamespace: {NAMESPACE}\nlease: {{duration: 3s}}\ntls: {tls}\n\
             kubernetes: {{kubeconfig: {}}}\n",
            cluster.host_address(),
            replicas.path("kubeconfig").display()
        );
        fs::write(replicas.path("apiserver.yaml"), config).expect("written");
        replicas.add("a");
        replicas.add("b");
        admin.apply(&manifest("apiservice.yaml"));
        for replica in &replicas.replicas {
            eventually("a replica's certificate", || {
                let log = replica.program.log();
                log.contains("serving the certificate").then_some(())
            });
        }
        within(Duration::from_secs(90), "the APIService to be available", || {
            (replicas.ask().code == Some(0)).then_some(())
        });
        replicas
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.directory.path().join(file)
    }

    fn admin(&self) -> Kubectl {
        self.cluster.kubectl().in_namespace(NAMESPACE)
    }

    /// One replica, and what the kubelet and the endpoints' controller do for it.
    fn add(&mut self, name: &'static str) {
        let mut command = Command::new(workspace::program(NAME));
        command
            .arg("--config")
            .arg(self.path("apiserver.yaml"))
            .env("POD_NAME", format!("replica-{name}"))
            .env_remove("POD_NAMESPACE")
            .env_remove("KUBECONFIG");
        let program = Program::start(name, &command, &self.path(&format!("{name}.log")));
        let address: SocketAddr = eventually("a replica to listen", || {
            let log = program.log();
            let line = log.lines().find(|line| line.contains(": listening"))?;
            line.split("listen=")
                .nth(1)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        let replica = Replica {
            name,
            program,
            address,
        };
        self.reach(&replica, true);
        self.replicas.push(replica);
    }

    fn reach(&self, replica: &Replica, ready: bool) {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{NAME}-{}", replica.name),
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": NAME},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": replica.address.port()}],
            "endpoints": [{"addresses": [replica.address.ip()], "conditions": {"ready": ready}}],
        });
        self.admin().apply(&slice.to_string());
    }

    /// Asks the API server, which asks one of them.
    fn ask(&self) -> mk8s_testkit::Ran {
        self.admin()
            .run(["get", "--raw", "/apis/custom.api.local/v1/whoami"])
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = arguments.iter().copied().chain(["--output", "json"]);
        self.admin().run(arguments).ok().json()
    }

    fn bundle(&self) -> String {
        decoded(&self.json(&["get", "apiservice", API_SERVICE])["spec"]["caBundle"])
    }

    /// A value in the Secret, as text.
    fn secret(&self, key: &str) -> String {
        decoded(&self.json(&["get", "secret", "mk8s-apiserver-tls"])["data"][key])
    }

    /// How a client finds a replica that it believes by these authorities.
    fn endpoint(&self, replica: &Replica, authorities: &str) -> Endpoint {
        Endpoint {
            address: replica.address,
            name: format!("{NAME}.{NAMESPACE}.svc"),
            ca_pem: authorities.as_bytes().to_vec(),
        }
    }

    /// Where among the replicas the leader is.
    fn leader(&self) -> Option<usize> {
        let lease = self.json(&["get", "lease", NAME]);
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        let name = holder.strip_prefix("replica-")?.split('_').next()?;
        self.replicas.iter().position(|replica| replica.name == name)
    }

    fn clear(&self) {
        let admin = self.admin();
        for (kind, name) in [
            ("apiservice", API_SERVICE),
            ("service", NAME),
            ("endpointslice", NAME),
            ("endpointslice", "mk8s-apiserver-a"),
            ("endpointslice", "mk8s-apiserver-b"),
            ("secret", "mk8s-apiserver-tls"),
            ("lease", NAME),
        ] {
            let mut command = admin.command(["delete", "--ignore-not-found", kind, name]);
            let _ = command.output();
        }
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        // Before the cluster is cleared, or the leader would make its objects anew.
        self.replicas.clear();
        self.clear();
    }
}

fn manifest(file: &str) -> String {
    let path = workspace::root().join("deploy/apiserver").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decoded(base64: &Value) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let bytes = BASE64_STANDARD.decode(base64.as_str().unwrap_or_default());
    String::from_utf8(bytes.expect("base64")).expect("text")
}

#[test]
fn certificates_change_and_every_question_is_answered_meanwhile() {
    let replicas = Replicas::start(SHORT);
    let (mut authorities, mut served, mut asked) = (Vec::new(), Vec::new(), 0);
    let begun = Instant::now();
    while authorities.len() < 3 || served.len() < 5 || asked < 10 {
        assert!(
            begun.elapsed() < LIMIT,
            "{} authorities, {} certificates, {asked} questions",
            authorities.len(),
            served.len()
        );
        replicas.ask().ok();
        asked += 1;
        // In this order: what is served now must be believed a moment later, too.
        let secret = replicas.json(&["get", "secret", "mk8s-apiserver-tls"])["data"].take();
        let (authority, certificate) = (decoded(&secret["ca.crt"]), decoded(&secret["tls.crt"]));
        let bundle = replicas.bundle();
        for replica in &replicas.replicas {
            let believed = replicas.endpoint(replica, &bundle).connect();
            assert!(believed.is_ok(), "{}: {:?}", replica.name, believed.err());
        }
        assert!(
            bundle.contains(&authority),
            "it is believed as long as it is in use"
        );
        for (seen, now) in [(&mut authorities, authority), (&mut served, certificate)] {
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    }
}

#[test]
fn a_list_begun_at_one_replica_goes_on_at_the_other() {
    let replicas = Replicas::start(QUICK);
    let token = replicas.cluster.service_account_token(NAMESPACE, NAME);
    let authorization = format!("Bearer {token}");
    let bundle = replicas.bundle();
    let list = |replica: &Replica, more: &str| {
        let path = format!("/apis/custom.api.local/v1/mynamespace?limit=1{more}");
        let headers = [("Authorization", authorization.as_str())];
        let answer = replicas
            .endpoint(replica, &bundle)
            .request("GET", &path, &headers, b"")
            .expect("an answer");
        assert_eq!(answer.status, 200, "{}: {}", replica.name, answer.text());
        answer.json()
    };
    let name = |list: &Value| list["items"][0]["metadata"]["name"].clone();
    let [one, two] = &replicas.replicas[..] else {
        panic!("there are two");
    };
    let first = list(one, "");
    let token = first["metadata"]["continue"].as_str().expect("there are more");
    let second = list(two, &format!("&continue={token}"));
    assert!(
        name(&second).is_string() && name(&first) != name(&second),
        "{second}"
    );
}

#[test]
fn a_ca_bundle_that_was_taken_away_comes_back_though_the_leader_is_dead() {
    let mut replicas = Replicas::start(QUICK);
    let (bundle, certificate) = (replicas.bundle(), replicas.secret("tls.crt"));
    let at = eventually("a leader", || replicas.leader());
    let mut dead = replicas.replicas.remove(at);
    dead.program.kill();
    replicas.reach(&dead, false);
    let patch = r#"[{"op": "remove", "path": "/spec/caBundle"}, {"op": "replace", "path": "/spec/versionPriority", "value": 11}]"#;
    replicas
        .admin()
        .run([
            "patch",
            "apiservice",
            API_SERVICE,
            "--type=json",
            "--patch",
            patch,
        ])
        .ok();
    eventually("the caBundle", || (replicas.bundle() == bundle).then_some(()));
    assert_eq!(replicas.secret("tls.crt"), certificate, "nothing was made anew");
    let service = replicas.json(&["get", "apiservice", API_SERVICE]);
    assert_eq!(service["spec"]["versionPriority"], 11, "what others change stays");
    within(Duration::from_secs(90), "an answer of the other replica", || {
        (replicas.ask().code == Some(0)).then_some(())
    });
}
