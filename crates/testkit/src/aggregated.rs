//! `mk8s-apiserver` as a process of this machine, known to a cluster by an APIService.
//!
//! A cluster has one such API: tests that start it take turns.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use mk8s_tls::CertificateAuthority;
use tempfile::TempDir;

use crate::{Cluster, Program, front_proxy::free_port, raw::Endpoint, wait, workspace};

const DAY: Duration = Duration::from_secs(24 * 3600);
const NAME: &str = "mk8s-apiserver";
const NAMESPACE: &str = "mk8s-system";

/// An aggregated API server, and what it has and writes.
#[derive(Debug)]
pub struct Aggregated {
    program: Option<Program>,
    directory: TempDir,
    authority: CertificateAuthority,
    address: String,
    port: u16,
    metrics_port: u16,
}

impl Aggregated {
    /// One for a cluster, with the rights that `deploy/apiserver` gives it, and available. `settings` are more lines of
    /// `apiserver.yaml`.
    ///
    /// # Panics
    /// If it doesn't become available.
    #[track_caller]
    pub fn start(cluster: &Cluster, settings: &str) -> Self {
        let mut aggregated = Self::prepare(cluster, settings);
        aggregated.start_again();
        aggregated.register(cluster);
        aggregated.available(cluster);
        aggregated
    }

    /// The same, neither running nor known to the cluster yet.
    ///
    /// # Panics
    /// If its files or rights can't be made.
    #[track_caller]
    pub fn prepare(cluster: &Cluster, settings: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mk8s-apiserver-")
            .tempdir()
            .expect("a directory");
        let admin = cluster.kubectl();
        admin.apply(&manifest("rbac.yaml"));
        cluster.service_account_kubeconfig(NAMESPACE, NAME, &directory.path().join("kubeconfig"));
        let authority =
            CertificateAuthority::generate("test aggregation", Timestamp::now()).expect("an authority");
        let names = [format!("{NAME}.{NAMESPACE}.svc"), "localhost".to_owned()];
        let issued = authority
            .issue_server(&names, DAY, Timestamp::now())
            .expect("a certificate");
        let file = |name: &str| directory.path().join(name);
        issued.save(&file("tls.crt"), &file("tls.key")).expect("written");
        let aggregated = Self {
            program: None,
            address: cluster.host_address().to_owned(),
            port: free_port(),
            metrics_port: free_port(),
            authority,
            directory,
        };
        let config = format!(
            "server: {{bind: {}, port: {}, cert_file: {d}/tls.crt, key_file: {d}/tls.key, metrics: \"127.0.0.1:{}\"}}\n\
             kubernetes: {{kubeconfig: {d}/kubeconfig}}\nlog: {{filter: 'info,mk8s_apiserver=debug'}}\n{settings}\n",
            aggregated.address,
            aggregated.port,
            aggregated.metrics_port,
            d = aggregated.directory.path().display(),
        );
        fs::write(aggregated.path("apiserver.yaml"), config).expect("written");
        aggregated
    }

    /// Starts it (again), and waits until it is ready.
    ///
    /// # Panics
    /// If it doesn't come up.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program = None;
        let mut command = Command::new(workspace::program(NAME));
        command
            .arg("--config")
            .arg(self.path("apiserver.yaml"))
            .env_remove("KUBECONFIG");
        self.program = Some(Program::start(NAME, &command, &self.path("log")));
        wait::eventually("mk8s-apiserver to be ready", || {
            let ready = self.endpoint().request("GET", "/readyz", &[], b"").ok()?;
            (ready.status == 200).then_some(())
        });
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Makes it known to the cluster: a Service whose only endpoint is this process. The API server goes there by itself, without
    /// a network of Services.
    ///
    /// # Panics
    /// If the cluster doesn't take it.
    #[track_caller]
    pub fn register(&self, cluster: &Cluster) {
        let admin = cluster.kubectl();
        admin.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {NAME}, namespace: {NAMESPACE}}}\n\
             spec: {{ports: [{{name: https, port: 443}}]}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {NAME}, namespace: {NAMESPACE}, labels: {{kubernetes.io/service-name: {NAME}}}}}\n\
             addressType: IPv4\nports: [{{name: https, port: {}}}]\n\
             endpoints: [{{addresses: [\"{}\"], conditions: {{ready: true}}}}]\n",
            self.port, self.address
        ));
        let bundle = BASE64_STANDARD.encode(self.authority.certificate_pem());
        // Its certificate is given here, so it leaves the caBundle alone.
        let service =
            manifest("apiservice.yaml").replace("\nspec:\n", &format!("\nspec:\n  caBundle: {bundle}\n"));
        admin.apply(&service);
    }

    /// Waits until the API server says that it is available.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn available(&self, cluster: &Cluster) {
        let admin = cluster.kubectl();
        wait::within(Duration::from_secs(60), "the APIService to be available", || {
            let jsonpath = "jsonpath={.status.conditions[?(@.type==\"Available\")].status}";
            let ran = admin.run(["get", "apiservice", "v1.custom.api.local", "-o", jsonpath]);
            // It says so of the one before, too: what is served now has to be asked.
            let served = admin.run(["get", "--raw", "/apis/custom.api.local/v1/whoami"]);
            (ran.text() == "True" && served.code == Some(0)).then_some(())
        });
    }

    /// A file of its.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// What it has said.
    ///
    /// # Panics
    /// If it isn't running.
    pub fn log(&self) -> String {
        self.program.as_ref().expect("a running program").log()
    }

    /// The value of a metric.
    ///
    /// # Panics
    /// If there is no such metric.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let page = crate::raw::plain_get(self.metrics_port, "/metrics").expect("the page");
        page.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("there is no {name} in\n{page}"))
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If the address of this machine is none.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: (
                self.address.parse::<std::net::IpAddr>().expect("an address"),
                self.port,
            )
                .into(),
            name: "localhost".to_owned(),
            ca_pem: self.authority.certificate_pem().into_bytes(),
        }
    }
}

fn manifest(file: &str) -> String {
    let path: &Path = &workspace::root().join("deploy/apiserver").join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
