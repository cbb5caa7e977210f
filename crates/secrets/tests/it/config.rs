//! The annotation `config`.

use mk8s_secrets::contract::{Content, SecretRequest, Source};
use mk8s_secrets::render::{Format, SecretKind};

use crate::support::{assert_one, errors, request, warnings};

fn secret(yaml: &str) -> SecretRequest {
    let mut request = request(&[("config", &format!("secrets:\n- {yaml}"))]);
    assert_eq!(request.secrets.len(), 1);
    request.secrets.remove(0)
}

fn wrong(yaml: &str, place: &str, about: &str) {
    assert_one(
        &errors(&[("config", yaml)]),
        &format!("keeper.security/config{place}: "),
        about,
    );
}

#[test]
fn each_key_is_taken() {
    let all = secret(
        "{record: My DB, path: /app/conf/db.env, fields: [login, password], format: env, injectAsEnvVars: true, envPrefix: DB_,
          injectAsK8sSecret: \"True\", k8sSecretName: db, k8sSecretType: kubernetes.io/basic-auth,
          k8sSecretKeys: {login: username, password: password}}",
    );
    assert_eq!(
        all.source,
        Source::Record {
            record: "My DB".to_owned(),
            fields: vec!["login".to_owned(), "password".to_owned()],
        }
    );
    let file = all.file.unwrap();
    assert_eq!(
        (file.path.as_str(), file.content),
        ("/app/conf/db.env", Content::Format(Format::Env))
    );
    assert_eq!(all.env.unwrap().as_str(), "DB_");
    let kubernetes = all.kubernetes_secret.unwrap();
    assert_eq!(
        (kubernetes.name.as_str(), kubernetes.kind),
        ("db", SecretKind::BasicAuth)
    );
    assert_eq!(kubernetes.keys["login"].as_str(), "username");
    assert_eq!(all.origin, "keeper.security/config:2:3");
}

#[test]
fn each_format_is_taken() {
    for format in Format::ALL.iter().filter(|format| **format != Format::Raw) {
        let file = secret(&format!("{{record: a, format: {}}}", format.name()))
            .file
            .unwrap();
        assert_eq!(file.content, Content::Format(*format));
    }
}

#[test]
fn one_field_a_notation_or_a_file_is_raw() {
    for yaml in [
        "{record: no, fields: [y]}",
        "{record: a, fields: [password]}",
        "{record: a, fields: [password], format: raw}",
        "{notation: \"keeper://a/field/password\"}",
        "{record: a, file: c.pem}",
        "{record: a, fileName: c.pem}",
        "{notation: \"keeper://a/file/c.pem\"}",
    ] {
        assert_eq!(
            secret(yaml).file.unwrap().content,
            Content::Format(Format::Raw),
            "{yaml}"
        );
    }
    assert_one(
        &warnings(&[("config", "secrets:\n- record: a\n  fields: [b]\n  format: json")]),
        "keeper.security/config:4:11: format: ",
        "written raw",
    );
}

#[test]
fn who_asks_for_variables_or_a_secret_and_no_path_gets_no_file() {
    assert_eq!(secret("{record: a, injectAsEnvVars: true}").file, None);
    assert_eq!(
        secret("{record: a, injectAsK8sSecret: true, k8sSecretName: x}").file,
        None
    );
    assert!(
        secret("{record: a, injectAsEnvVars: true, path: /app/conf/x}")
            .file
            .is_some()
    );
    assert!(
        secret("{record: a, injectAsEnvVars: true, template: x}")
            .file
            .is_some()
    );
}

#[test]
fn an_entry_says_otherwise_than_the_annotations_for_all() {
    let request = request(&[
        ("inject-env-vars", "true"),
        ("env-prefix", "A_"),
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "all"),
        (
            "config",
            "secrets: [{record: a}, {record: b, injectAsEnvVars: false, injectAsK8sSecret: false}, {record: c, envPrefix: C_, \
             k8sSecretName: own}]",
        ),
    ]);
    let [a, b, c] = &request.secrets[..] else {
        panic!("three")
    };
    assert_eq!(a.env.as_ref().unwrap().as_str(), "A_");
    assert_eq!(a.kubernetes_secret.as_ref().unwrap().name.as_str(), "all");
    assert_eq!((&b.env, &b.kubernetes_secret), (&None, &None));
    assert_eq!(c.env.as_ref().unwrap().as_str(), "C_");
    assert_eq!(c.kubernetes_secret.as_ref().unwrap().name.as_str(), "own");
}

#[test]
fn templates_are_handed_out_with_their_place() {
    let yaml = "secrets:\n- record: a\n  template: |\n    {{ .login }}\n    {{ .password }}\n- record: b\n  template: \"x\"\n";
    let request = request(&[("config", yaml)]);
    let templates: Vec<_> = request
        .templates()
        .map(|(origin, t)| (origin, t.source.as_str(), t.line, t.column))
        .collect();
    assert_eq!(
        templates,
        [
            (
                "keeper.security/config:2:3",
                "{{ .login }}\n{{ .password }}\n",
                4,
                5
            ),
            ("keeper.security/config:6:3", "x", 7, 13),
        ]
    );
}

#[test]
fn folders_are_taken() {
    let request = request(&[(
        "config",
        "folders:\n- uid: abc\n- path: A/B\n  outputPath: /app/ab\n- folderPath: C\n  injectAsK8sSecret: true\n  k8sSecretNamePrefix: c-\n",
    )]);
    let folders: Vec<_> = request
        .folders
        .iter()
        .map(|f| {
            (
                f.folder.as_str(),
                f.directory.as_str(),
                f.kubernetes_secret_prefix.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        folders,
        [
            ("abc", "/keeper/secrets", None),
            ("A/B", "/app/ab", None),
            ("C", "/keeper/secrets", Some("c-"))
        ]
    );
    assert_eq!(request.mounts(), ["/app/ab", "/keeper/secrets"]);
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    for (yaml, place, about) in [
        ("secrets: [", ":1:", "no YAML that can be read"),
        (
            "secrets:\n- record: a\n  record: b",
            ":3:3",
            "no YAML that can be read",
        ),
        ("- a", ":1:1", "the configuration is a mapping"),
        ("secrets: {}", ":1:10", "secrets is a list"),
        ("secrets:\n- a", ":2:3", "a secret is a mapping, and this is text"),
        (
            "secret:\n- record: a\nsecrets: [{record: a}]",
            ":1:1",
            "did you mean secrets?",
        ),
        (
            "secrets:\n- record: a\n  feilds: [a]",
            ":3:3",
            "did you mean fields?",
        ),
        (
            "secrets:\n- record: a\n  xyzzy: [a]",
            ":3:3",
            "there are record, notation",
        ),
        ("secrets:\n- path: /a/b", ":2:3", "says nothing to fetch"),
        ("secrets:\n- record: 12", ":2:11", "text (in quotes)"),
        ("secrets:\n- record: ''", ":2:11", "it is empty"),
        ("secrets:\n- record: a\n  path: b", ":3:9", "no absolute path"),
        (
            "secrets:\n- record: a\n  format: toml",
            ":3:11",
            "write one of json, env",
        ),
        (
            "secrets:\n- record: a\n  format: raw",
            ":3:11",
            "raw is for one value",
        ),
        ("secrets:\n- record: a\n  fields: b", ":3:11", "fields is a list"),
        (
            "secrets:\n- record: a\n  fields: [b, 1]",
            ":3:15",
            "is text, and this is a number",
        ),
        (
            "secrets:\n- record: a\n  fields: [b, b]",
            ":3:15",
            "is there twice",
        ),
        ("secrets:\n- record: a\n  fields: ['']", ":3:12", "name is empty"),
        (
            "secrets:\n- record: a\n  template: x\n  format: env",
            ":4:11",
            "exclude each other",
        ),
        (
            "secrets:\n- record: a\n  file: x\n  template: y",
            ":4:13",
            "written as it is",
        ),
        (
            "secrets:\n- record: a\n  file: x\n  fields: [y]",
            ":4:11",
            "a file has no fields",
        ),
        (
            "secrets:\n- record: a\n  file: x\n  fileName: y",
            ":4:13",
            "mean the same",
        ),
        (
            "secrets:\n- notation: keeper://a/type\n  template: y",
            ":3:13",
            "ask for record",
        ),
        (
            "secrets:\n- notation: keeper://a/type\n  record: y",
            ":3:11",
            "a notation says everything",
        ),
        (
            "secrets:\n- notation: keeper://a/b",
            ":2:13",
            "at character 12: write field",
        ),
        (
            "secrets:\n- record: a\n  injectAsEnvVars: maybe",
            ":3:20",
            "neither",
        ),
        (
            "secrets:\n- record: a\n  file: b\n  injectAsEnvVars: true",
            ":4:20",
            "can't be a variable",
        ),
        (
            "secrets:\n- record: a\n  injectAsEnvVars: true\n  envPrefix: 1a",
            ":4:14",
            "can't begin a variable",
        ),
        (
            "secrets:\n- record: a\n  injectAsK8sSecret: true",
            ":3:22",
            "the Secret has no name",
        ),
        (
            "secrets:\n- record: a\n  injectAsK8sSecret: true\n  k8sSecretName: A",
            ":4:18",
            "is no name",
        ),
        (
            "secrets:\n- record: a\n  injectAsK8sSecret: true\n  k8sSecretName: a\n  k8sSecretType: b",
            ":5:18",
            "is no type",
        ),
        (
            "secrets:\n- record: a\n  injectAsK8sSecret: true\n  k8sSecretName: a\n  k8sSecretKeys: {a: b/c}",
            ":5:22",
            "is no key",
        ),
        (
            "secrets:\n- record: a\n  injectAsK8sSecret: true\n  k8sSecretName: a\n  k8sSecretKeys: {a: c, b: c}",
            ":5:28",
            "is there twice",
        ),
        (
            "secrets:\n- record: a\n- record: A",
            ":3:3",
            "used twice, first by keeper.security/config:2:3",
        ),
        ("folders:\n- outputPath: /a/b", ":2:3", "the folder isn't said"),
        ("folders:\n- uid: a\n  path: b", ":3:9", "write one of them"),
        (
            "folders:\n- uid: a\n  outputPath: /proc/x",
            ":3:15",
            "system's own",
        ),
        (
            "folders:\n- uid: a\n  injectAsK8sSecret: true\n  k8sSecretNamePrefix: A/",
            ":4:24",
            "can't begin a Secret's name",
        ),
    ] {
        let found = errors(&[("config", yaml)]);
        assert!(
            found[0].starts_with(&format!("keeper.security/config{place}")),
            "{yaml}: {found:#?}"
        );
        assert!(found.len() == 1 && found[0].contains(about), "{yaml}: {found:#?}");
    }
    wrong("", ":1:1", "is a mapping");
}

#[test]
fn one_secret_of_two_types_is_refused() {
    let yaml = "secrets:\n- {record: a, injectAsK8sSecret: true, k8sSecretName: x}\n- {record: b, injectAsK8sSecret: true, \
                k8sSecretName: x, k8sSecretType: kubernetes.io/tls}";
    wrong(yaml, ":3:3", "of type Opaque and of type kubernetes.io/tls");
}
