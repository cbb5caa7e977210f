//! `mk8s pki issue user --cluster-csr`, with a kubectl that plays the cluster.

use std::fs;

use serde_json::Value;

use crate::{
    fake_central::FakeCentral,
    pki::{authority, openssl, pki},
    sandbox::Sandbox,
};

/// Keeps the request, notes every call, and answers `get` with what `status` says: a piece of shell that prints JSON.
fn cluster(sandbox: &Sandbox, status: &str) {
    let act = format!(
        r#"
printf '%s\n' "$*" >>"$here/calls"
while [ "${{1#--}}" != "$1" ]; do shift; done
case "$1" in
  create) cat >"$here/manifest"; sed 's/.*"request":"\([^"]*\)".*/\1/' "$here/manifest" | base64 -d >"$here/csr" ;;
  certificate) touch "$here/approved" ;;
  get) {status} ;;
esac"#
    );
    sandbox.stub_kubectl(&act);
}

/// Signs the request once it is approved, as the cluster's authority would.
const SIGN: &str = r#"if [ -e "$here/approved" ]; then
  echo extendedKeyUsage=clientAuth >"$here/extensions"
  openssl x509 -req -in "$here/csr" -extfile "$here/extensions" -CA "$here/ca.crt" -CAkey "$here/ca.key" -days 1 -out "$here/crt" 2>/dev/null
  printf '{"status":{"conditions":[{"type":"Approved"}],"certificate":"%s"}}' "$(base64 -w0 <"$here/crt")"
else printf '{"spec":{}}'; fi"#;

/// A user without an authority of their own, whose cluster signs.
fn user() -> Sandbox {
    let (sandbox, elsewhere) = (Sandbox::new(), authority());
    for file in ["ca.crt", "ca.key"] {
        fs::copy(pki(&elsewhere).join(file), sandbox.bin().join(file)).expect("copied");
    }
    cluster(&sandbox, SIGN);
    sandbox
}

fn issue(sandbox: &Sandbox, more: &[&str]) -> crate::sandbox::Run {
    sandbox.run(
        &[
            &[
                "pki",
                "issue",
                "user",
                "Jane Doe",
                "-g",
                "dev",
                "-g",
                "ops",
                "--cluster-csr",
                "--out",
                ".",
            ],
            more,
        ]
        .concat(),
    )
}

#[test]
fn the_clusters_authority_signs_what_was_asked_for() {
    let sandbox = user();
    let run = issue(
        &sandbox,
        &["--approve", "--context", "prod", "--days", "2", "-o", "json"],
    )
    .succeeds();
    let answer: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(answer["groups"], serde_json::json!(["dev", "ops"]));
    let manifest: Value = serde_json::from_str(&sandbox.noted("manifest")).expect("JSON");
    assert_eq!(
        manifest["spec"]["signerName"],
        "kubernetes.io/kube-apiserver-client"
    );
    assert_eq!(manifest["spec"]["expirationSeconds"], 2 * 24 * 60 * 60);
    assert_eq!(manifest["spec"]["usages"], serde_json::json!(["client auth"]));
    let name = manifest["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("mk8s-jane-doe-"), "{name}");
    let calls = sandbox.noted("calls");
    let expected = format!(
        "--context=prod create -f -\n--context=prod certificate approve {name}\n--context=prod get csr {name} -o json\n"
    );
    assert_eq!(calls, expected);
    assert!(!sandbox.noted("manifest").contains("PRIVATE"));
    let root = sandbox.root().display();
    fs::create_dir_all(pki(&sandbox)).expect("made");
    let shown = openssl(&sandbox, &format!("x509 -in {root}/Jane_Doe.crt -noout -subject"));
    assert_eq!(shown.trim(), "subject=O = dev, O = ops, CN = Jane Doe");
    let of = |line: String| openssl(&sandbox, &line);
    let public = of(format!("pkey -in {root}/Jane_Doe.key -pubout"));
    assert_eq!(of(format!("x509 -in {root}/Jane_Doe.crt -noout -pubkey")), public);
}

#[test]
fn without_approval_the_key_is_kept_and_the_way_on_is_told() {
    let sandbox = user();
    let run = issue(&sandbox, &["--wait", "1"]).fails_with_notes(1);
    assert!(
        run.stderr
            .contains("Waiting for somebody to run: kubectl certificate approve mk8s-jane-doe-"),
        "{run:?}"
    );
    assert!(run.stderr.contains("jsonpath='{.status.certificate}'"), "{run:?}");
    assert!(sandbox.root().join("Jane_Doe.key").exists() && !sandbox.root().join("Jane_Doe.crt").exists());
}

#[test]
fn a_request_that_was_denied_leaves_nothing_behind() {
    let sandbox = user();
    cluster(
        &sandbox,
        r#"printf '{"status":{"conditions":[{"type":"Denied","message":"not today"}]}}'"#,
    );
    issue(&sandbox, &["--approve"]).fails(1).says("denied: not today");
    assert!(!sandbox.root().join("Jane_Doe.key").exists());
}

#[test]
fn a_cluster_that_goes_away_costs_nobody_the_key() {
    for (status, more) in [("echo gone >&2; exit 1", &["--approve"][..]), ("exit 1", &[])] {
        let sandbox = user();
        cluster(&sandbox, status);
        let run = issue(&sandbox, more).fails_with_notes(1);
        assert!(
            run.stderr.contains("its key is") && run.stderr.contains("jsonpath"),
            "{run:?}"
        );
        assert!(sandbox.root().join("Jane_Doe.key").exists());
    }
}

#[test]
fn what_kubectl_says_is_told_in_one_line() {
    let sandbox = user();
    sandbox.stub_kubectl("echo 'first' >&2; printf 'error: You must be \\033[2Jlogged in\\n' >&2; exit 1");
    issue(&sandbox, &[])
        .fails(1)
        .says("kubectl create failed: error: You must be [2Jlogged in");
    assert!(!sandbox.root().join("Jane_Doe.key").exists());
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_refused() {
    for (status, word) in [
        ("echo nothing", "can't be read"),
        (r#"printf '{"status":{"certificate":"%%%%"}}'"#, "base64"),
        (r#"printf '{"status":{"certificate":"AAAA"}}'"#, "can't be used"),
        // Somebody else's certificate.
        (
            r#"printf '{"status":{"certificate":"%s"}}' "$(base64 -w0 <"$here/ca.crt")""#,
            "doesn't belong",
        ),
    ] {
        let sandbox = user();
        cluster(&sandbox, status);
        issue(&sandbox, &["--approve"]).fails(1).says(word);
        assert!(!sandbox.root().join("Jane_Doe.crt").exists());
    }
}

#[test]
fn a_cluster_behind_central_is_reached_through_central() {
    let (central, elsewhere) = (FakeCentral::start(), authority());
    let sandbox = Sandbox::using(&central, "staging");
    for file in ["ca.crt", "ca.key"] {
        fs::copy(pki(&elsewhere).join(file), sandbox.bin().join(file)).expect("copied");
    }
    cluster(&sandbox, SIGN);
    let arguments = [
        "--cluster",
        "staging",
        "pki",
        "issue",
        "user",
        "jane",
        "--cluster-csr",
        "--approve",
    ];
    sandbox.run(&arguments).succeeds();
    let kubeconfig = sandbox.noted("kubeconfig");
    assert!(
        kubeconfig.contains(&central.url()) && kubeconfig.contains("staging"),
        "{kubeconfig}"
    );
    assert!(pki(&sandbox).join("issued/jane.crt").exists());
}

#[test]
fn two_clusters_at_once_are_refused() {
    let sandbox = user();
    sandbox
        .run(&[
            "--cluster",
            "staging",
            "pki",
            "issue",
            "user",
            "jane",
            "--cluster-csr",
            "--context",
            "prod",
        ])
        .fails(2)
        .says("two clusters");
    for alone in [&["--approve"][..], &["--context", "x"], &["--signer", "x"]] {
        let run = sandbox.run(&[&["pki", "issue", "user", "jane"], alone].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
    }
}
