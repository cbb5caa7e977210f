//! `mk8s front-proxy kubeconfig`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use mk8s_tls::{CertificateAuthority, ClientSubject, Issued, Terms};
use serde_json::Value;

use crate::{
    pki::{authority, pki},
    sandbox::{Run, Sandbox},
};

const SERVER: &str = "https://proxy.example.com:8443";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A user to whom the authority of their own has issued a certificate.
fn jane() -> Sandbox {
    let sandbox = authority();
    sandbox
        .run(&["pki", "issue", "user", "jane", "-g", "dev"])
        .succeeds();
    sandbox
}

fn kubeconfig(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.run(&[&["front-proxy", "kubeconfig", "--server", SERVER], more].concat())
}

/// As kubectl itself would read it, had it been asked to.
fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// Puts a pair into `x.crt` and `x.key` of the user's directory.
fn put(sandbox: &Sandbox, issued: &Issued) {
    let file = |name: &str| sandbox.root().join(name);
    issued.save(&file("x.crt"), &file("x.key")).expect("written");
}

fn files(sandbox: &Sandbox, more: &[&str]) -> Run {
    kubeconfig(
        sandbox,
        &[&["--certificate", "x.crt", "--key", "x.key"], more].concat(),
    )
}

#[test]
fn the_files_of_the_own_authority_are_found() {
    let sandbox = jane();
    let run = kubeconfig(&sandbox, &["--user", "jane"]).succeeds();
    assert_eq!(run.stderr, "", "{run:?}");
    let config = read(&run.stdout);
    let at = |name: &str| pki(&sandbox).join(name).display().to_string();
    assert_eq!(config["clusters"][0]["cluster"]["server"], SERVER);
    assert_eq!(
        config["clusters"][0]["cluster"]["certificate-authority"],
        at("ca.crt")
    );
    let user = &config["users"][0];
    assert_eq!(user["name"], "jane@front-proxy");
    assert_eq!(user["user"]["client-certificate"], at("issued/jane.crt"));
    assert_eq!(user["user"]["client-key"], at("issued/jane.key"));
    assert_eq!(config["current-context"], "front-proxy");
    assert!(
        !run.stdout.contains("PRIVATE") && !run.stdout.contains("-data"),
        "{run:?}"
    );
}

#[test]
fn what_is_embedded_needs_no_file_and_is_private() {
    let sandbox = jane();
    let arguments = ["--user", "jane", "--embed", "--name", "prod", "-o", "jane.yaml"];
    let run = kubeconfig(&sandbox, &arguments).succeeds();
    assert_eq!(run.stdout, "");
    let file = sandbox.root().join("jane.yaml");
    assert_eq!(fs::metadata(&file).expect("written").mode() & 0o777, 0o600);
    let config = read(&fs::read_to_string(&file).expect("written"));
    for (value, name) in [
        (
            &config["clusters"][0]["cluster"]["certificate-authority-data"],
            "ca.crt",
        ),
        (
            &config["users"][0]["user"]["client-certificate-data"],
            "issued/jane.crt",
        ),
        (&config["users"][0]["user"]["client-key-data"], "issued/jane.key"),
    ] {
        let data = STANDARD.decode(value.as_str().expect("data")).expect("base64");
        assert_eq!(data, fs::read(pki(&sandbox).join(name)).expect("there"), "{name}");
    }
    assert_eq!(config["contexts"][0]["context"]["cluster"], "prod");
    // The same context may be written again; another kubeconfig is never lost.
    kubeconfig(&sandbox, &arguments).succeeds();
    for other in [
        "contexts: [{name: prod}, {name: staging}]",
        "not: a kubeconfig",
        "- x",
        "\u{1}",
    ] {
        fs::write(&file, other).expect("written");
        kubeconfig(&sandbox, &arguments).fails(1).says("has more in it");
        assert_eq!(fs::read_to_string(&file).expect("there"), other);
    }
}

#[test]
fn kubectl_reads_it() {
    let sandbox = jane();
    kubeconfig(&sandbox, &["--user", "jane", "-o", "jane.yaml"]).succeeds();
    let output = Command::new("kubectl")
        .args([
            "config",
            "view",
            "--raw",
            "-o",
            "jsonpath={.users[0].user.client-key}",
        ])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("KUBECONFIG", sandbox.root().join("jane.yaml"))
        .output()
        .expect("kubectl; install it");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown, pki(&sandbox).join("issued/jane.key").display().to_string());
}

#[test]
fn a_pair_from_elsewhere_is_named_by_its_files() {
    let (sandbox, now) = (Sandbox::new(), Timestamp::now());
    let authority = CertificateAuthority::generate("elsewhere", now).expect("an authority");
    let issued = authority.issue_user("joe", &[], &Terms::of(DAY * 30), now);
    put(&sandbox, &issued.expect("a certificate"));
    let config = read(&files(&sandbox, &[]).succeeds().stdout);
    let cluster = config["clusters"][0]["cluster"].as_object().expect("a cluster");
    // The system's authorities.
    assert_eq!(cluster.keys().collect::<Vec<_>>(), ["server"]);
    fs::write(sandbox.root().join("ca.crt"), authority.certificate_pem()).expect("written");
    let config = read(&files(&sandbox, &["--ca", "ca.crt"]).succeeds().stdout);
    let named = sandbox.root().join("ca.crt").display().to_string();
    assert_eq!(config["clusters"][0]["cluster"]["certificate-authority"], named);
}

#[test]
fn what_a_front_proxy_would_refuse_is_refused_before() {
    let now = Timestamp::now();
    let authority = CertificateAuthority::generate("elsewhere", now).expect("an authority");
    let user = |name: &str, at: Timestamp| authority.issue_user(name, &[], &Terms::of(DAY), at);
    let reserved = ClientSubject {
        common_name: "system:admin".to_owned(),
        organizations: Vec::new(),
        uri_sans: Vec::new(),
    };
    for (issued, word) in [
        (user("jane", now - SignedDuration::from_hours(48)), "ended at"),
        (user("jane", now + SignedDuration::from_hours(48)), "holds from"),
        (
            authority.issue_server(&["jane".to_owned()], DAY, now),
            "isn't for clients",
        ),
        (authority.issue_client(&reserved, DAY, now), "reserved"),
    ] {
        let sandbox = Sandbox::new();
        put(&sandbox, &issued.expect("a certificate"));
        files(&sandbox, &[]).fails(1).says(word);
    }
    // It ends soon, which is no reason to refuse it.
    let sandbox = Sandbox::new();
    put(&sandbox, &user("jane", now).expect("a certificate"));
    let run = files(&sandbox, &[]).succeeds();
    assert!(
        run.stderr.starts_with("warning: the certificate ends at "),
        "{run:?}"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let sandbox = jane();
    sandbox.run(&["pki", "issue", "user", "joe"]).succeeds();
    let at = |name: &str| pki(&sandbox).join(name).display().to_string();
    let (certificate, key) = (at("issued/jane.crt"), at("issued/joe.key"));
    kubeconfig(&sandbox, &["--certificate", &certificate, "--key", &key])
        .fails(1)
        .says("doesn't belong");
    for (certificate, key, word) in [
        (at("nothing.crt"), at("issued/joe.key"), "isn't there"),
        (at("issued/joe.crt"), at("nothing.key"), "isn't there"),
        (at("issued/joe.key"), at("issued/joe.key"), "no certificate"),
        (at("index.json"), at("index.json"), "no certificate"),
    ] {
        kubeconfig(&sandbox, &["--certificate", &certificate, "--key", &key])
            .fails(1)
            .says(word);
    }
    let key = pki(&sandbox).join("issued/jane.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    kubeconfig(&sandbox, &["--user", "jane"])
        .fails(1)
        .says("others can read");
}

#[test]
fn who_has_no_certificate_is_told_how_to_make_one() {
    let sandbox = Sandbox::new();
    kubeconfig(&sandbox, &["--user", "jane"])
        .fails(1)
        .says("mk8s pki init");
    let sandbox = jane();
    kubeconfig(&sandbox, &["--user", "joe"])
        .fails(1)
        .says("mk8s pki issue user");
    sandbox.run(&["pki", "revoke", "jane"]).succeeds();
    kubeconfig(&sandbox, &["--user", "jane"])
        .fails(1)
        .says("no valid certificate");
}

#[test]
fn what_cant_be_meant_is_a_usage_error() {
    let sandbox = jane();
    for more in [
        &[][..],
        &["--certificate", "x.crt"],
        &["--key", "x.key"],
        &["--user", "jane", "--certificate", "x.crt", "--key", "x.key"],
        &["--certificate", "x.crt", "--key", "x.key", "--dir", "x"],
        &["--user", "jane", "--name", ""],
        &["--user", "jane", "--name", "a\nb"],
    ] {
        assert_eq!(kubeconfig(&sandbox, more).code, Some(2), "{more:?}");
    }
    for server in [
        "http://proxy.example.com",
        "https://",
        "https://a:b@proxy.example.com",
        "https://x/y",
        "",
    ] {
        let run = sandbox.run(&["front-proxy", "kubeconfig", "--server", server, "--user", "jane"]);
        assert_eq!(run.code, Some(2), "{server}: {run:?}");
        assert!(!run.stderr.contains("central"), "{run:?}");
    }
    let ca = pki(&sandbox).join("index.json").display().to_string();
    kubeconfig(&sandbox, &["--user", "jane", "--ca", &ca])
        .fails(1)
        .says("holds no certificate");
}
