//! What the command line does for operators, on a real cluster.

use std::{path::Path, process::Command};

use mk8s_testkit::{Kubectl, Ran, command, kubectl::path_with_kubectl, workspace};

use super::Operators;

/// `mk8s` with a kubeconfig for its kubectl, and a home of its own.
fn mk8s(home: &Path, kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(workspace::program("mk8s"));
    command
        .args(arguments)
        .env("HOME", home)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", path_with_kubectl());
    command::run(&mut command)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_kubeconfig_that_the_command_line_writes_is_one_that_kubectl_uses() {
    let mut operators = Operators::start();
    let team = operators.name("blue");
    let mine = operators.namespace("mine", &team);
    let client = operators.proxy.certificate("anna", &[&team]);
    let file = operators.directory.path().join("anna.yaml");
    let admin = operators.admin();
    for embed in [&[][..], &["--embed"]] {
        let server = operators.proxy.url();
        let ca = operators.proxy.path("ca.crt");
        let mut arguments = vec![
            "front-proxy",
            "kubeconfig",
            "--server",
            &server,
            "--ca",
            text(&ca),
        ];
        arguments.extend([
            "--certificate",
            text(&client.certificate),
            "--key",
            text(&client.key),
        ]);
        arguments.extend(["--output", text(&file)]);
        arguments.extend(embed);
        mk8s(operators.directory.path(), admin.kubeconfig(), &arguments).ok();
        let namespaces = Kubectl::new(&file).run(["get", "namespaces", "-o", "name"]).ok();
        assert_eq!(namespaces.text(), format!("namespace/{mine}"));
        std::fs::remove_file(&file).expect("removed");
    }
}

#[test]
fn the_doctor_finds_nothing_where_all_is_well_and_what_is_wrong_where_it_isnt() {
    let operators = Operators::start();
    let home = operators.directory.path();
    let admin = operators.admin();
    let client = operators.proxy.certificate("anna", &["team-a"]);
    let (server, ca) = (operators.proxy.url(), operators.proxy.path("ca.crt"));
    let front_proxy = |client: &mk8s_testkit::front_proxy::ClientFiles| {
        let arguments = [
            "doctor",
            "front-proxy",
            "--server",
            &server,
            "--ca",
            text(&ca),
            "--certificate",
            text(&client.certificate),
            "--key",
            text(&client.key),
        ];
        mk8s(home, admin.kubeconfig(), &arguments)
    };
    front_proxy(&client).ok();
    let aggregated = mk8s(home, admin.kubeconfig(), &["doctor", "apiserver"]).ok();
    assert!(aggregated.stdout.contains("v1.custom.api.local"), "{aggregated}");

    // Somebody else's certificate.
    let strangers =
        mk8s_tls::CertificateAuthority::generate("strangers", jiff::Timestamp::now()).expect("an authority");
    let terms = mk8s_tls::authority::Terms::of(std::time::Duration::from_secs(3600));
    let foreign = strangers
        .issue_user("anna", &[], &terms, jiff::Timestamp::now())
        .expect("a certificate");
    let ran = front_proxy(&operators.proxy.client_files(&foreign)).failed();
    assert_eq!(ran.code, Some(1), "{ran}");

    // The right to ask for reviews is missing.
    let binding = ["clusterrolebinding", "mk8s-apiserver-decides"];
    let kept = admin
        .run(["get", binding[0], binding[1], "-o", "json"])
        .ok()
        .json();
    admin.run(["delete", binding[0], binding[1]]).ok();
    let ran = mk8s(home, admin.kubeconfig(), &["doctor", "apiserver"]);
    admin.apply(
        &serde_json::json!({
            "apiVersion": kept["apiVersion"], "kind": kept["kind"], "metadata": {"name": binding[1]},
            "roleRef": kept["roleRef"], "subjects": kept["subjects"],
        })
        .to_string(),
    );
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(
        ran.stdout.contains("subjectaccessreviews") && ran.stdout.contains("rbac.yaml"),
        "{ran}"
    );
}
