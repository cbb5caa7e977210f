//! Operators with client certificates at the gateway itself: an account's roles decide, whatever proves who it is.

use std::{fs, time::Duration};

use jiff::Timestamp;
use mk8s_testkit::{
    Cluster, Gateway, Kubectl, Program,
    gateway::{ADMIN, MAIN, Settings},
    within,
};
use mk8s_tls::{CertificateAuthority, RevocationReason, Revoked, SerialNumber, authority::Terms};

/// A gateway with a port for operators, and the authority of their certificates.
struct Door {
    gateway: Gateway,
    authority: CertificateAuthority,
    directory: tempfile::TempDir,
    port: u16,
}

impl Door {
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority =
            CertificateAuthority::generate("test operators", Timestamp::now()).expect("an authority");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("ca.crt"), authority.certificate_pem()).expect("written");
        fs::create_dir(path("lists")).expect("a directory");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let yaml = format!(
            "operators: {{port: {port}, clients: {{ca_files: [{d}/ca.crt], crl_files: [{d}/lists]}}}}",
            d = directory.path().display()
        );
        let mut gateway = Gateway::without_agents(Settings::default().with_yaml(&yaml));
        gateway.connect(MAIN, Cluster::shared());
        let door = Self {
            gateway,
            authority,
            directory,
            port,
        };
        door.revoke(&[]);
        door
    }

    /// kubectl with a certificate, and its number.
    fn kubectl(&self, user: &str, groups: &[&str]) -> (Kubectl, SerialNumber) {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let terms = Terms::of(Duration::from_secs(24 * 3600));
        let issued = self
            .authority
            .issue_user(user, &groups, &terms, Timestamp::now())
            .expect("a certificate");
        let serial = SerialNumber::of(issued.chain.leaf()).expect("a number");
        let file = |end: &str| self.directory.path().join(format!("{serial}.{end}"));
        issued.save(&file("crt"), &file("key")).expect("written");
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {
                "server": format!("https://localhost:{}/k8s/clusters/{MAIN}", self.port),
                "certificate-authority": self.gateway.ca_file(),
            }}],
            "users": [{"name": "x", "user": {"client-certificate": file("crt"), "client-key": file("key")}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        });
        fs::write(file("kubeconfig"), config.to_string()).expect("written");
        (Kubectl::new(&file("kubeconfig")), serial)
    }

    fn revoke(&self, serials: &[SerialNumber]) {
        let now = Timestamp::now();
        let revoked: Vec<Revoked> = serials
            .iter()
            .map(|serial| Revoked {
                serial: serial.clone(),
                at: now,
                reason: RevocationReason::KeyCompromise,
            })
            .collect();
        let next = now + jiff::SignedDuration::from_hours(24);
        let list = self
            .authority
            .sign_revocation_list(&revoked, serials.len() as u64 + 1, now, next)
            .expect("a list");
        let (new, path) = (
            self.directory.path().join("new"),
            self.directory.path().join("lists/ca.crl"),
        );
        fs::write(&new, list.pem())
            .and_then(|()| fs::rename(new, path))
            .expect("written");
    }
}

#[test]
fn an_accounts_certificate_is_as_good_as_its_login() {
    let door = Door::open();
    let (admin, serial) = door.kubectl(ADMIN, &["operators"]);
    let said = admin.run(["auth", "whoami", "-o", "json"]).ok().json();
    let info = &said["status"]["userInfo"];
    assert_eq!(info["username"], ADMIN);
    assert_eq!(
        info["groups"],
        serde_json::json!(["mk8s:admin", "system:authenticated"])
    );
    // Nobody else's, and no role by certificate.
    for (user, groups, why) in [
        ("nobody@example.com", &[][..], "no account"),
        (ADMIN, &["mk8s:admin"], "role"),
        (ADMIN, &["MK8S:admin"], "role"),
    ] {
        let ran = door
            .kubectl(user, groups)
            .0
            .run(["get", "--raw", "/version"])
            .failed();
        assert!(ran.stderr.contains(why), "{user} {groups:?}: {ran}");
    }
    // Revocation ends a watch, and lets nobody in again.
    let log = door.directory.path().join("watch.log");
    let mut watch = Program::start("kubectl", &admin.command(["get", "namespaces", "--watch"]), &log);
    within(Duration::from_secs(30), "the watch to have begun", || {
        watch.log().contains("kube-system").then_some(())
    });
    door.revoke(&[serial]);
    within(Duration::from_secs(30), "the watch to end", || {
        (!watch.is_running()).then_some(())
    });
    admin.run(["get", "--raw", "/version"]).failed();
}
