//! `mk8s pki`: what it makes, as OpenSSL reads it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use mk8s_tls::{
    CertificateChain, ClientTrust, ExpiredLists, Refresh, ReloadingClientAuth, RevocationReason, Roots,
};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// A user with an authority.
pub(crate) fn authority() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["pki", "init"]).succeeds();
    sandbox
}

pub(crate) fn pki(sandbox: &Sandbox) -> PathBuf {
    sandbox.dot().join("pki")
}

pub(crate) fn index(sandbox: &Sandbox) -> Value {
    let json = fs::read(pki(sandbox).join("index.json")).expect("an index");
    serde_json::from_slice(&json).expect("JSON")
}

/// What OpenSSL says on both its outputs, run among the authority's files.
pub(crate) fn openssl(sandbox: &Sandbox, line: &str) -> String {
    let output = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(pki(sandbox))
        .output()
        .expect("the command openssl; install the package openssl");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn assert_says(shown: &str, lines: &[&str]) {
    for line in lines {
        assert!(shown.contains(line), "{line:?} isn't in {shown}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o777
}

#[test]
fn an_authority_is_files_in_a_directory() {
    let sandbox = Sandbox::new();
    let run = sandbox
        .run(&["pki", "init", "--name", "Example people", "--days", "400"])
        .succeeds();
    assert!(run.stdout.contains("SHA256:"), "{run:?}");
    let at = |name: &str| pki(&sandbox).join(name);
    assert_eq!(mode(&pki(&sandbox)), 0o700);
    assert_eq!((mode(&at("ca.key")), mode(&at("index.json"))), (0o600, 0o600));
    assert_eq!((mode(&at("ca.crt")), mode(&at("crl.pem"))), (0o644, 0o644));
    let shown = openssl(&sandbox, "x509 -in ca.crt -noout -text");
    assert_says(&shown, &["CN = Example people", "CA:TRUE, pathlen:0", "CRL Sign"]);
    let shown = openssl(&sandbox, "crl -in crl.pem -CAfile ca.crt -noout -text");
    assert_says(&shown, &["verify OK", "No Revoked Certificates"]);
}

#[test]
fn a_persons_certificate_is_good_until_it_is_taken_back() {
    let sandbox = authority();
    let run = sandbox
        .run(&[
            "pki", "issue", "user", "jane", "--group", "dev", "-g", "ops", "--days", "2",
        ])
        .succeeds();
    assert!(
        !run.stdout.contains("PRIVATE") && run.stdout.contains("issued/jane.key"),
        "{run:?}"
    );
    assert_eq!(mode(&pki(&sandbox).join("issued/jane.key")), 0o600);
    let shown = openssl(&sandbox, "x509 -in issued/jane.crt -noout -text");
    assert_says(
        &shown,
        &["O = dev, O = ops, CN = jane", "TLS Web Client Authentication"],
    );
    assert!(!shown.contains("Server Authentication"), "{shown}");
    let verify =
        "verify -x509_strict -purpose sslclient -crl_check -CAfile ca.crt -CRLfile crl.pem issued/jane.crt";
    assert_says(&openssl(&sandbox, verify), &["jane.crt: OK"]);

    let run = sandbox
        .run(&["pki", "revoke", "jane", "--reason", "keyCompromise"])
        .succeeds();
    assert!(run.stdout.contains("crl.pem"), "{run:?}");
    assert_says(&openssl(&sandbox, verify), &["certificate revoked"]);
    let serial = index(&sandbox)["certificates"][0]["serial"]
        .as_str()
        .expect("a serial")
        .to_uppercase();
    let shown = openssl(&sandbox, "crl -in crl.pem -CAfile ca.crt -noout -text");
    assert_says(&shown, &["verify OK", &serial, "Key Compromise"]);
}

#[test]
fn a_server_has_all_names_that_were_asked_for() {
    let sandbox = authority();
    let arguments = [
        "pki",
        "issue",
        "server",
        "front-proxy",
        "--dns",
        "proxy.example.com",
        "--ip",
        "10.0.0.7",
        "--service",
        "proxy.mk8s",
        "--crl-url",
        "http://pki.example.com/crl.pem",
        "--ocsp-url",
        "http://ocsp.example.com",
    ];
    sandbox.run(&arguments).succeeds();
    let shown = openssl(&sandbox, "x509 -in issued/front-proxy.crt -noout -text");
    assert_says(
        &shown,
        &[
            "DNS:proxy.example.com, IP Address:10.0.0.7, DNS:proxy, DNS:proxy.mk8s, DNS:proxy.mk8s.svc, \
             DNS:proxy.mk8s.svc.cluster.local",
            "TLS Web Server Authentication",
            "URI:http://pki.example.com/crl.pem",
            "OCSP - URI:http://ocsp.example.com",
        ],
    );
    assert!(
        !shown.contains("DNS:front-proxy") && !shown.contains("Client Auth"),
        "{shown}"
    );
    sandbox
        .run(&["pki", "issue", "server", "own.example.com"])
        .succeeds();
    let shown = openssl(&sandbox, "x509 -in issued/own.example.com.crt -noout -text");
    assert_says(&shown, &["DNS:own.example.com"]);
    assert_says(
        &openssl(
            &sandbox,
            "verify -x509_strict -purpose sslserver -CAfile ca.crt issued/own.example.com.crt",
        ),
        &["OK"],
    );
}

#[test]
fn of_a_request_the_key_alone_is_used() {
    let sandbox = authority();
    let root = sandbox.root().display();
    openssl(
        &sandbox,
        &format!("ecparam -name prime256v1 -genkey -noout -out {root}/joe.key"),
    );
    openssl(
        &sandbox,
        &format!("req -new -key {root}/joe.key -subj /O=system:masters/CN=root -out {root}/joe.csr"),
    );
    let run = sandbox
        .run(&[
            "pki", "issue", "user", "joe", "--csr", "joe.csr", "--out", ".", "-o", "json",
        ])
        .succeeds();
    let answer: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&answer["name"], &answer["key"]), (&"joe".into(), &Value::Null));
    let shown = openssl(&sandbox, &format!("x509 -in {root}/joe.crt -noout -subject"));
    assert_eq!(shown.trim(), "subject=CN = joe");
    let key_of = |line: &str| openssl(&sandbox, line);
    assert_eq!(
        key_of(&format!("x509 -in {root}/joe.crt -noout -pubkey")),
        key_of(&format!("ec -in {root}/joe.key -pubout")).replace("read EC key\nwriting EC key\n", "")
    );
}

#[test]
fn a_comma_is_part_of_the_name() {
    let sandbox = authority();
    sandbox.run(&["pki", "issue", "user", "jane,O=admins"]).succeeds();
    let shown = openssl(
        &sandbox,
        "x509 -in issued/jane_O_admins.crt -noout -subject -nameopt multiline",
    );
    assert!(
        shown.contains("commonName                = jane,O=admins"),
        "{shown}"
    );
    assert!(!shown.contains("organizationName"), "{shown}");
}

#[test]
fn several_certificates_of_a_name_are_told_apart_by_serial_number() {
    let sandbox = authority();
    let issue = |out: &str| {
        let run = sandbox
            .run(&["pki", "issue", "user", "jane", "--out", out, "-o", "json"])
            .succeeds();
        let answer: Value = serde_json::from_str(&run.stdout).expect("JSON");
        answer["serial"].as_str().expect("a serial").to_owned()
    };
    let (first, second, third) = (issue("a"), issue("b"), issue("c"));
    let run = sandbox
        .run(&["pki", "revoke", "jane"])
        .fails(1)
        .says("3 valid certificates");
    assert!(
        run.stderr.contains(&first) && run.stderr.contains(&third),
        "{run:?}"
    );
    let coloned: Vec<&str> = second
        .as_bytes()
        .chunks(2)
        .map(|c| std::str::from_utf8(c).expect("hex"))
        .collect();
    sandbox
        .run(&["pki", "revoke", &coloned.join(":").to_uppercase()])
        .succeeds();
    let states = |sandbox: &Sandbox| {
        let run = sandbox.run(&["pki", "list", "-o", "json"]).succeeds();
        let listed: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let certificates = listed["certificates"].as_array().expect("a list").clone();
        certificates
            .iter()
            .map(|c| c["state"].as_str().expect("a state").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&sandbox), ["valid", "revoked", "valid"]);
    sandbox
        .run(&["pki", "revoke", "jane", "--all", "--reason", "superseded"])
        .succeeds();
    assert_eq!(states(&sandbox), ["revoked", "revoked", "revoked"]);
    let shown = openssl(&sandbox, "crl -in crl.pem -noout -text");
    assert_eq!(shown.matches("Superseded").count(), 2, "{shown}");
}

#[test]
fn the_list_shows_what_has_expired_only_when_asked() {
    let sandbox = authority();
    let empty = sandbox.run(&["pki", "list"]).succeeds();
    assert!(
        empty.stdout.is_empty() && empty.stderr.contains("No certificates"),
        "{empty:?}"
    );
    sandbox
        .run(&["pki", "issue", "user", "jane", "-g", "dev"])
        .succeeds();
    sandbox
        .run(&["pki", "issue", "server", "proxy.example.com"])
        .succeeds();
    let mut changed = index(&sandbox);
    changed["certificates"][0]["not_after"] = "2020-01-01T00:00:00Z".into();
    fs::write(pki(&sandbox).join("index.json"), changed.to_string()).expect("written");

    let lines = |arguments: &[&str]| {
        sandbox
            .run(arguments)
            .succeeds()
            .stdout
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let fresh = lines(&["pki", "list"]);
    assert_eq!(fresh.len(), 2, "{fresh:?}");
    assert!(
        fresh[0].starts_with("SERIAL ") && fresh[0].ends_with("STATE"),
        "{fresh:?}"
    );
    assert!(
        fresh[1].contains("proxy.example.com") && fresh[1].ends_with("valid"),
        "{fresh:?}"
    );
    let all = lines(&["pki", "ls", "--expired"]);
    assert!(
        all[1].contains(" jane ") && all[1].contains(" dev ") && all[1].ends_with("expired"),
        "{all:?}"
    );
    sandbox.run(&["pki", "revoke", "jane"]).fails(1).says("expired");
}

#[test]
fn a_new_list_has_the_next_number_and_a_later_date() {
    let sandbox = authority();
    let text = |sandbox: &Sandbox| openssl(sandbox, "crl -in crl.pem -noout -crlnumber -nextupdate");
    let first = text(&sandbox);
    sandbox.run(&["pki", "crl", "--days", "90"]).succeeds();
    let second = text(&sandbox);
    assert!(
        first.contains("crlNumber=0x01") || first.contains("crlNumber=01"),
        "{first}"
    );
    assert!(
        second.contains("crlNumber=0x02") || second.contains("crlNumber=02"),
        "{second}"
    );
    assert_ne!(first.lines().last(), second.lines().last());

    let mut changed = index(&sandbox);
    changed["next_update"] = "2020-01-01T00:00:00Z".into();
    fs::write(pki(&sandbox).join("index.json"), changed.to_string()).expect("written");
    let run = sandbox.run(&["pki", "list"]).succeeds();
    assert!(run.stderr.contains("mk8s pki crl"), "{run:?}");
}

#[test]
fn two_at_once_lose_nothing() {
    let sandbox = authority();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let name = format!("user{number}");
            sandbox
                .command(&["pki", "issue", "user", &name])
                .spawn()
                .expect("it runs")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let issued = index(&sandbox);
    let mut names: Vec<_> = issued["certificates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["name"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["user0", "user1", "user2", "user3", "user4", "user5"]);
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            sandbox
                .command(&["pki", "revoke", name])
                .spawn()
                .expect("it runs")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let shown = openssl(&sandbox, "crl -in crl.pem -CAfile ca.crt -noout -text");
    assert_eq!(shown.matches("Serial Number").count(), 6, "{shown}");
}

#[test]
fn a_secret_has_certificate_key_and_authority() {
    let sandbox = authority();
    sandbox
        .run(&[
            "pki",
            "issue",
            "server",
            "front-proxy",
            "--dns",
            "proxy.example.com",
        ])
        .succeeds();
    let run = sandbox
        .run(&["pki", "secret", "front-proxy", "--namespace", "mk8s"])
        .succeeds();
    let secret: Value = serde_saphyr::from_str(&run.stdout).expect("YAML");
    assert_eq!(
        (&secret["kind"], &secret["type"]),
        (&"Secret".into(), &"kubernetes.io/tls".into())
    );
    assert_eq!(secret["metadata"]["namespace"], "mk8s");
    for (key, file) in [
        ("ca.crt", "ca.crt"),
        ("tls.crt", "issued/front-proxy.crt"),
        ("tls.key", "issued/front-proxy.key"),
    ] {
        let decoded = STANDARD
            .decode(secret["data"][key].as_str().expect("text"))
            .expect("base64");
        assert_eq!(
            decoded,
            fs::read(pki(&sandbox).join(file)).expect("there"),
            "{key}"
        );
    }
}

#[test]
fn another_directory_is_another_authority() {
    let sandbox = authority();
    sandbox.run(&["pki", "--dir", "other", "init"]).succeeds();
    sandbox
        .run(&["pki", "issue", "user", "jane", "--dir", "other"])
        .succeeds();
    assert!(sandbox.root().join("other/issued/jane.crt").exists());
    assert_eq!(index(&sandbox)["certificates"], Value::Array(Vec::new()));
}

#[test]
fn names_of_certificates_complete() {
    let sandbox = authority();
    for name in ["jane", "joe"] {
        sandbox.run(&["pki", "issue", "user", name]).succeeds();
    }
    let run = sandbox.run(&["__complete", "pki", "revoke", "j"]).succeeds();
    assert_eq!(run.stdout, "jane\njoe\n:4\n");
}

#[test]
fn a_door_hears_of_a_revocation() {
    let sandbox = authority();
    for name in ["jane", "joe"] {
        sandbox.run(&["pki", "issue", "user", name]).succeeds();
    }
    let door = ReloadingClientAuth::new(
        ClientTrust {
            authorities: Roots::Files(vec![pki(&sandbox).join("ca.crt")]),
            lists: vec![pki(&sandbox)],
            expired: ExpiredLists::Refuse,
            optional: false,
        },
        Timestamp::now(),
    )
    .expect("the authority's files");
    let revoked = |name: &str| {
        let pem = fs::read(pki(&sandbox).join(format!("issued/{name}.crt"))).expect("there");
        let chain = CertificateChain::from_pem(&pem).expect("a certificate");
        door.lists().revoked(chain.der()).map(|revoked| revoked.reason)
    };
    assert_eq!((revoked("jane"), revoked("joe")), (None, None));
    sandbox
        .run(&["pki", "revoke", "jane", "--reason", "privilegeWithdrawn"])
        .succeeds();
    assert_eq!(door.refresh(Timestamp::now()).expect("read"), Refresh::Changed);
    let reason = Some(RevocationReason::PrivilegeWithdrawn);
    assert_eq!((revoked("jane"), revoked("joe")), (reason, None));
}
