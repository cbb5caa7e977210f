//! What somebody who may write annotations, or records, could try.

use mk8s_secrets::contract::{InvalidRequest, Request};
use serde_json::{Value, json};

use crate::support::{assert_one, errors, files, make, problems, read, read_usual, record, request, vault};

const ONE: (&str, &str) = ("secret", "My DB");

#[test]
fn a_secret_in_another_namespace_cant_be_written() {
    for other in ["kube-system", "team-a/x", "../kube-system", "TEAM-A", "team-b"] {
        let found = errors(&[
            ONE,
            ("inject-as-k8s-secret", "true"),
            ("k8s-secret-name", "x"),
            ("k8s-secret-namespace", other),
        ]);
        assert_one(
            &found,
            "keeper.security/k8s-secret-namespace: ",
            "isn't the pod's namespace",
        );
    }
    let found = errors(&[
        ONE,
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "kube-system/x"),
    ]);
    assert!(found[0].contains("names a namespace"), "{found:?}");
}

#[test]
fn secrets_that_injection_reads_cant_be_overwritten() {
    let found = errors(&[
        ONE,
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "keeper-auth"),
    ]);
    assert_one(
        &found,
        "keeper.security/secret: ",
        "the Secret keeper-auth is what injection itself reads",
    );
    let yaml = "secrets: [{record: a, injectAsK8sSecret: true, k8sSecretName: our-ca}]";
    let found = errors(&[("config", yaml), ("ca-cert-secret", "our-ca")]);
    assert_one(
        &found,
        "keeper.security/config:1:",
        "the Secret our-ca is what injection itself reads",
    );
    // Whoever names a record can't do it either, and doesn't spoil somebody else's Secret.
    let mut vault = vault();
    for (uid, title) in [("u1", "Keeper auth"), ("u2", "App")] {
        vault
            .records
            .push(record(uid, &["folder-a"], json!({"title": title, "fields": []})));
    }
    let yaml = "folders: [{uid: folder-a, injectAsK8sSecret: true}]\nsecrets: [{record: Server, injectAsK8sSecret: true, \
                k8sSecretName: app}]";
    let outcome = make(&request(&[("config", yaml)]), &vault);
    let problems = problems(&outcome);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("what injection itself reads"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("the Secret app is there already"),
        "{problems:?}"
    );
    assert_eq!(outcome.kubernetes_secrets.len(), 1);
    assert_eq!(
        outcome.kubernetes_secrets[0].data["login"].expose_text(),
        Some("root")
    );
}

#[test]
fn a_secret_cant_become_a_credential_for_the_cluster() {
    for kind in [
        "kubernetes.io/service-account-token",
        "Kubernetes.io/Service-Account-Token",
        " kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
    ] {
        let found = errors(&[
            ONE,
            ("inject-as-k8s-secret", "true"),
            ("k8s-secret-name", "x"),
            ("k8s-secret-type", kind),
        ]);
        assert_one(&found, "keeper.security/k8s-secret-type: ", "never allowed");
        let yaml = format!(
            "secrets: [{{record: a, injectAsK8sSecret: true, k8sSecretName: x, k8sSecretType: '{kind}'}}]"
        );
        assert_one(
            &errors(&[("config", &yaml)]),
            "keeper.security/config:1:",
            "never allowed",
        );
        // Nor by way of the program's request.
        let json = request(&[ONE, ("inject-as-k8s-secret", "true"), ("k8s-secret-name", "x")]).to_json();
        let forged = json.replace("\"Opaque\"", &format!("{kind:?}"));
        assert!(json != forged && Request::from_json(&forged).is_err());
    }
}

#[test]
fn an_address_cant_be_smuggled_into_a_name() {
    let with = |annotations: &[(&str, &str)]| {
        let all: Vec<_> = [("inject", "true"), ONE]
            .into_iter()
            .chain(annotations.iter().copied())
            .collect();
        read(&all).unwrap_err().to_string()
    };
    for evil in [
        "evil.example/",
        "a@evil",
        "a#",
        "a?b",
        "x.evil.com",
        "169.254.169.254",
        "a%2fb",
        "a b",
        "a\nb",
        "é",
    ] {
        let region = [
            ("auth-method", "aws-secrets-manager"),
            ("aws-secret-id", "a"),
            ("aws-region", evil),
        ];
        assert!(with(&region).contains("keeper.security/aws-region: "), "{evil}");
        let vault = [
            ("auth-method", "azure-key-vault"),
            ("azure-vault-name", evil),
            ("azure-secret-name", "a"),
        ];
        assert!(
            with(&vault).contains("keeper.security/azure-vault-name: "),
            "{evil}"
        );
        let id = format!("projects/{evil}/secrets/a");
        let id = [
            ("auth-method", "gcp-secret-manager"),
            ("gcp-secret-id", id.as_str()),
        ];
        assert!(with(&id).contains("keeper.security/gcp-secret-id: "), "{evil}");
    }
    for name in ["host", "hostname", "ksm-hostname", "ssl-verify", "skip-verify"] {
        let reading = read_usual(&[ONE, (name, "evil.example")]).unwrap();
        assert!(reading.warnings[0].problem.contains("has no meaning"));
        assert!(!reading.request.unwrap().to_json().contains("evil"));
    }
}

#[test]
fn no_path_leaves_its_directory() {
    for path in [
        "/keeper/secrets/../../etc/passwd",
        "/app/conf/..",
        "/app/conf/../../x",
        "/proc/self/environ",
        "//proc/self/environ",
        "/./proc/self/environ",
        "/dev/shm/x",
        "/sys/x",
        "/etc/passwd",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/keeper/secrets",
        "/keeper/secrets/",
        "/",
    ] {
        let value = format!("r:{path}");
        assert_one(
            &errors(&[("secret-x", &value)]),
            "keeper.security/secret-x:3: ",
            "",
        );
        let yaml = format!("secrets:\n- record: r\n  path: {path}");
        assert_one(&errors(&[("config", &yaml)]), "keeper.security/config:3:9: ", "");
    }
    for path in ["/a/b\\0", "/a/b\\n", "/a/b\\r"] {
        let yaml = format!("secrets:\n- record: r\n  path: \"{path}\"");
        assert_one(
            &errors(&[("config", &yaml)]),
            "keeper.security/config:3:9: ",
            "control character",
        );
    }
}

#[test]
fn no_two_outputs_share_a_path() {
    for annotations in [
        [("secrets", "My DB, my db"), ("strict-lookup", "true")],
        [("secret", "a b"), ("secrets", "a/b")],
        [("secret-x", "/app/conf/x"), ("secret-y", "/app//conf/./X")],
        [("secret-x", "/app/conf/x"), ("file-y", "r:f:/app/conf/x")],
        [
            ("secret-x", "/app/conf/x"),
            ("config", "secrets: [{record: r, path: /app/conf/x}]"),
        ],
    ] {
        let found = errors(&annotations);
        assert!(
            found.len() == 1 && found[0].contains("used twice, first by keeper.security/"),
            "{found:?}"
        );
    }
    let nested = [("secret-x", "/app/conf/x"), ("secret-y", "/app/conf/x/y")];
    assert!(errors(&nested)[0].contains("one would be the other's directory"));
}

#[test]
fn names_of_nothing_make_no_path() {
    for annotations in [
        [("secret-x", ":/app/conf/x")],
        [("file-x", "r:..")],
        [("config", "secrets: [{record: ' '}]")],
    ] {
        assert_eq!(errors(&annotations).len(), 1, "{annotations:?}");
    }
}

#[test]
fn no_value_is_printed() {
    let request = request(&[
        ("secrets", "My DB, Server"),
        ("secret-x", "My DB[nothing]:/a/b/c"),
        ("inject-env-vars", "true"),
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "x"),
        (
            "config",
            "secrets: [{record: Server, template: broken, path: /a/b/d}]",
        ),
    ]);
    let vault = vault();
    let outcome = make(&request, &vault);
    let printed = format!(
        "{outcome:?} {outcome:#?} {vault:?} {:?} {}",
        outcome.errors,
        problems(&outcome).join(" ")
    );
    assert!(outcome.errors.len() >= 3);
    for value in ["admin", "p'w", "toor", "$(id)"] {
        assert!(!printed.contains(value), "{value} in {printed}");
    }
}

#[test]
fn no_value_makes_a_second_line_or_variable() {
    let evil = "x\nADMIN=true\r\n[root]\nPATH=/evil";
    let mut vault = vault();
    vault.records.push(record(
        "e",
        &[],
        json!({"title": "Evil", "fields": [
        {"type": "password", "value": [evil]}, {"type": "login", "value": ["$(id)`id`'\"\\"]}]}),
    ));
    let of = |format: &str| {
        let yaml = format!("secrets: [{{record: Evil, path: /a/b/c, format: {format}}}]");
        make(&request(&[("config", &yaml)]), &vault)
    };
    assert_one(
        &problems(&of("ini")),
        "keeper.security/config:1:",
        "ini can't keep line breaks",
    );
    assert_eq!(files(&of("properties"))["/a/b/c"].lines().count(), 2);
    let read: Value = serde_json::from_str(files(&of("json"))["/a/b/c"]).unwrap();
    assert_eq!(read["password"], evil);
    assert!(files(&of("env"))["/a/b/c"].contains("PASSWORD='x\nADMIN"));
}

#[test]
fn a_label_cant_become_a_variable_that_steers_programs() {
    for label in ["LD_PRELOAD", "path", "Bash-Env", "2fa", "ключ"] {
        let mut vault = vault();
        vault.records.push(record(
            "e",
            &[],
            json!({"title": "Evil", "custom": [{"type": "text", "label": label, "value": ["x"]}]}),
        ));
        let yaml = "secrets: [{record: Evil, injectAsEnvVars: true}, {record: My DB, injectAsEnvVars: true}]";
        let outcome = make(&request(&[("config", yaml)]), &vault);
        assert_eq!((outcome.errors.len(), outcome.env.len()), (1, 3), "{label}");
    }
}

#[test]
fn the_kubelet_finds_nothing_to_expand_in_a_request() {
    let yaml = "secrets: [{record: \"$(HOME)\", path: /a/b/c, template: \"$(NAMESPACE) $$(X)\"}]";
    let request = request(&[("config", yaml)]);
    let json = request.to_json();
    assert!(!json.contains('$') && !json.contains('\n'), "{json}");
    assert_eq!(Request::from_json(&json), Ok(request));
}

#[test]
fn two_fields_of_one_record_cant_swap() {
    let a = ("secret-a", "My DB[login]:/a/b/login");
    let b = ("secret-b", "My DB[password]:/a/b/password");
    for order in [[a, b], [("secret-z", a.1), b]] {
        let request = request(&order);
        let keys: std::collections::HashSet<_> =
            request.secrets.iter().map(|secret| &secret.source).collect();
        assert_eq!(keys.len(), 2, "values are kept under keys of their own");
        let mut vault = vault();
        for _ in 0..2 {
            let outcome = make(&request, &vault);
            let written = files(&outcome);
            assert_eq!(
                (written["/a/b/login"], written["/a/b/password"]),
                ("admin", "p'w $(id)")
            );
            vault.records.reverse();
            vault
                .records
                .iter_mut()
                .for_each(|record| record.fields.reverse());
        }
    }
}

#[test]
fn a_marker_that_is_there_already_proves_nothing() {
    for value in ["true", "false", "x"] {
        let reading = read_usual(&[ONE, ("injected", value)]).unwrap();
        assert!(reading.preset_marker && reading.request.is_some());
        assert_eq!(reading.request, read_usual(&[ONE]).unwrap().request);
    }
    assert!(!read_usual(&[ONE]).unwrap().preset_marker);
    assert!(read(&[("injected", "true")]).unwrap().request.is_none());
}

#[test]
fn a_request_that_the_webhook_wouldnt_write_isnt_carried_out() {
    let json = request(&[("secret-x", "/a/b/c"), ("secret-y", "/a/b/d")]).to_json();
    for (from, to) in [
        ("/a/b/c", "/a/b/../../etc/passwd"),
        ("/a/b/c", "/proc/x"),
        ("/a/b/c", "/a/b/d"),
        ("keeper-auth", "kube-system/x"),
        ("\"refreshSeconds\":300", "\"refreshSeconds\":0"),
        ("\"initOnly\"", "\"other\""),
        ("\"initOnly\"", "\"more\":1,\"initOnly\""),
        ("{", ""),
    ] {
        let forged = json.replacen(from, to, 1);
        assert!(forged != json && Request::from_json(&forged).is_err(), "{forged}");
    }
    let newer = json.replace("\"version\":1", "\"version\":2");
    assert_eq!(Request::from_json(&newer), Err(InvalidRequest::Version(2)));
}

#[test]
fn yaml_that_grows_or_goes_deep_is_refused() {
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let before = n - 1;
        bomb.push_str(&format!(
            "b{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"
        ));
    }
    for yaml in [
        bomb,
        "[".repeat(100_000),
        format!("secrets: {}", "[".repeat(1000)),
        "a: ".repeat(5000),
    ] {
        let found = errors(&[("config", &yaml)]);
        assert!(
            found[0].len() < 1000 && found[0].contains("no YAML"),
            "{}",
            found[0]
        );
    }
}

#[test]
fn more_than_a_variable_holds_is_refused() {
    let yaml = format!("secrets: [{{record: a, template: \"{}\"}}]", "x".repeat(130_000));
    assert_one(
        &errors(&[("config", &yaml)]),
        "keeper.security/config: ",
        "can be handed over",
    );
}

#[test]
fn what_is_quoted_in_an_error_stays_one_short_line() {
    let long = format!("a\n{}", "x".repeat(10_000));
    for name in [
        "signal",
        "k8s-secret-name",
        "refresh-interval",
        "secret-x",
        "env-prefix",
        "config",
    ] {
        for found in errors(&[ONE, (name, &long)]) {
            assert!(!found.contains('\n') && found.len() < 600, "{found}");
        }
    }
}
