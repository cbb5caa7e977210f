//! From requests and records to what is written.

use mk8s_secrets::{Hidden, contract::Mode, render::SecretKind};
use serde_json::json;

use crate::support::{assert_one, attachment, files, make, problems, record, request, vault};

fn config(yaml: &str) -> mk8s_secrets::contract::Request {
    request(&[("config", yaml)])
}

#[test]
fn each_short_form_becomes_its_file() {
    let request = request(&[
        ("secret", "My DB"),
        ("secret-one", "My DB[password]:/app/conf/password"),
        (
            "secret-two",
            "keeper://db-uid/custom_field/region:/app/conf/region",
        ),
        ("secret-Server", "/app/conf/server.json"),
    ]);
    let outcome = make(&request, &vault());
    assert_eq!(problems(&outcome), Vec::<String>::new());
    let written = files(&outcome);
    assert_eq!(written["/app/conf/password"], "p'w $(id)");
    assert_eq!(written["/app/conf/region"], "eu");
    assert_eq!(
        written["/app/conf/server.json"],
        "{\n  \"login\": \"root\",\n  \"password\": \"toor\"\n}"
    );
    let read: serde_json::Value = serde_json::from_str(written["/keeper/secrets/my-db.json"]).unwrap();
    assert_eq!(
        read,
        json!({"login": "admin", "password": "p'w $(id)", "region": "eu"})
    );
}

#[test]
fn each_format_is_written() {
    for (format, expected) in [
        ("env", "LOGIN=admin\nREGION=eu\n"),
        ("properties", "login=admin\nregion=eu\n"),
        ("ini", "[secret]\nlogin=admin\nregion=eu\n"),
        ("json", "{\n  \"login\": \"admin\",\n  \"region\": \"eu\"\n}"),
    ] {
        let yaml =
            format!("secrets: [{{record: My DB, fields: [login, region], path: /a/b/c, format: {format}}}]");
        let outcome = make(&config(&yaml), &vault());
        assert_eq!(files(&outcome)["/a/b/c"], expected);
    }
}

#[test]
fn a_template_gets_the_fields_that_were_asked_for() {
    let outcome = make(
        &config("secrets: [{record: My DB, fields: [login, region], path: /a/b/c, template: T}]"),
        &vault(),
    );
    assert_eq!(files(&outcome)["/a/b/c"], r#"T|{"login":"admin","region":"eu"}"#);
    let outcome = make(
        &config("secrets:\n- record: My DB\n  template: broken\n- record: Server"),
        &vault(),
    );
    assert_one(
        &problems(&outcome),
        "keeper.security/config:2:3: ",
        "the template at line 3 can't be rendered: unexpected end",
    );
    assert_eq!(files(&outcome).len(), 1, "the other one is written");
}

#[test]
fn fields_become_variables() {
    let outcome = make(
        &config("secrets: [{record: My DB, injectAsEnvVars: true, envPrefix: DB_}]"),
        &vault(),
    );
    let names: Vec<&String> = outcome.env.keys().collect();
    assert_eq!(names, ["DB_LOGIN", "DB_PASSWORD", "DB_REGION"]);
    assert_eq!(outcome.env["DB_PASSWORD"].expose_text(), Some("p'w $(id)"));
    assert_eq!(outcome.files, []);
}

#[test]
fn two_secrets_never_set_one_variable() {
    let both =
        "secrets:\n- {record: My DB, injectAsEnvVars: true}\n- {record: Server, injectAsEnvVars: true}\n";
    let outcome = make(&config(both), &vault());
    assert_one(
        &problems(&outcome),
        "keeper.security/config:3:3: ",
        "the variable LOGIN is there already, of keeper.security/config:2:3",
    );
    assert_eq!(outcome.env["LOGIN"].expose_text(), Some("admin"));
}

#[test]
fn one_failure_doesnt_touch_the_others() {
    let request = request(&[
        ("secrets", "My DB, Nobody"),
        ("secret-x", "My DB[pin]:/a/b/c"),
        ("folder", "Nowhere"),
    ]);
    let outcome = make(&request, &vault());
    assert_eq!(
        files(&outcome).keys().copied().collect::<Vec<_>>(),
        ["/keeper/secrets/my-db.json"]
    );
    assert_eq!(
        problems(&outcome),
        [
            "keeper.security/secrets[2]: there is no record \"Nobody\"; share it with the application in the vault, or correct \
             the name",
            "keeper.security/secret-x: record \"My DB\" has no field \"pin\"; it has login, password, region",
            "keeper.security/folder: there is no folder \"Nowhere\"; share it with the application in the vault, or correct the \
             name",
        ]
    );
}

#[test]
fn an_ambiguous_title_is_a_warning_or_strictly_an_error() {
    let mut vault = vault();
    vault.records.push(record(
        "a-uid",
        &[],
        json!({"title": "My DB", "fields": [{"type": "login", "value": ["other"]}]}),
    ));
    let outcome = make(&request(&[("secret", "My DB")]), &vault);
    assert!(
        files(&outcome)["/keeper/secrets/my-db.json"].contains("other"),
        "the first UID"
    );
    assert_one(
        &outcome.warnings,
        "keeper.security/secret: ",
        "there are 2 records \"My DB\": a-uid, db-uid",
    );
    let outcome = make(
        &request(&[("secret", "My DB"), ("strict-lookup", "true")]),
        &vault,
    );
    assert_one(
        &problems(&outcome),
        "keeper.security/secret: ",
        "ask for one by its UID",
    );
    assert_eq!(outcome.files, []);
}

#[test]
fn files_are_downloaded_first_and_written_then() {
    let request = request(&[("file-crt", "Server:cert.pem:/a/b/crt"), ("secret", "My DB")]);
    let mut vault = vault();
    let outcome = make(&request, &vault);
    let wanted: Vec<_> = outcome
        .files_to_download
        .iter()
        .map(|file| (file.record.as_str(), file.file.uid.as_str()))
        .collect();
    assert_eq!(wanted, [("server-uid", "f-crt")]);
    assert_eq!((outcome.files.len(), outcome.errors.len()), (1, 0));
    let content = vec![0, 159, 146, 150];
    vault
        .files
        .insert("f-crt".to_owned(), Hidden::new(content.clone()));
    let outcome = make(&request, &vault);
    assert!(outcome.files_to_download.is_empty());
    assert_eq!(outcome.files[0].bytes.expose(), content);
    let outcome = make(&self::request(&[("file-crt", "Server:nothing")]), &vault);
    assert_one(
        &problems(&outcome),
        "keeper.security/file-crt: ",
        "there is no file \"nothing of Server\"",
    );
}

#[test]
fn a_folder_is_a_file_a_record() {
    for name in ["folder-b", "Production/Databases"] {
        let outcome = make(
            &request(&[("folder", name), ("folder-path", "/app/all")]),
            &vault(),
        );
        assert_eq!(
            files(&outcome).keys().copied().collect::<Vec<_>>(),
            ["/app/all/my-db.json", "/app/all/server.json"]
        );
    }
    let outcome = make(&request(&[("folder", "Production")]), &vault());
    assert_one(&outcome.warnings, "keeper.security/folder: ", "has no records");
}

#[test]
fn titles_of_a_folder_never_collide_and_never_leave_it() {
    let mut vault = vault();
    for (uid, title) in [
        ("u1", "Same"),
        ("u2", "same"),
        ("u3", ""),
        ("u4", "../../etc/passwd"),
        ("../x", ""),
        ("u5", "a\nb"),
    ] {
        vault
            .records
            .push(record(uid, &["folder-a"], json!({"title": title})));
    }
    let outcome = make(
        &request(&[("folder", "Production"), ("folder-path", "/app/all")]),
        &vault,
    );
    assert_eq!(problems(&outcome), Vec::<String>::new());
    assert_eq!(
        files(&outcome).keys().copied().collect::<Vec<_>>(),
        [
            "/app/all/..-..-etc-passwd.json",
            "/app/all/..-x.json",
            "/app/all/a-b.json",
            "/app/all/same-u1.json",
            "/app/all/same-u2.json",
            "/app/all/u3.json",
        ]
    );
}

#[test]
fn a_folder_keeps_off_the_paths_of_others() {
    let outcome = make(&request(&[("secret", "My DB"), ("folder", "folder-b")]), &vault());
    assert_one(
        &problems(&outcome),
        "keeper.security/folder: ",
        "used twice, first by keeper.security/secret",
    );
    assert_eq!(outcome.files.len(), 2);
}

#[test]
fn records_become_a_kubernetes_secret() {
    let request = request(&[
        ("secret", "My DB"),
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "app"),
        ("k8s-secret-mode", "merge"),
    ]);
    let outcome = make(&request, &vault());
    let [secret] = &outcome.kubernetes_secrets[..] else {
        panic!("one")
    };
    assert_eq!(
        (secret.name.as_str(), secret.kind, secret.mode),
        ("app", SecretKind::Opaque, Mode::Merge)
    );
    assert_eq!(
        secret.data.keys().collect::<Vec<_>>(),
        ["login", "password", "region"]
    );
}

#[test]
fn a_secret_lacks_no_part() {
    let of = |records: &str| {
        let asked = [
            ("secrets", records),
            ("inject-as-k8s-secret", "true"),
            ("k8s-secret-name", "app"),
        ];
        make(&request(&asked), &vault())
    };
    let outcome = of("My DB, Nobody");
    assert_eq!(
        (
            outcome.kubernetes_secrets.len(),
            outcome.files.len(),
            outcome.errors.len()
        ),
        (0, 1, 1)
    );
    let outcome = of("My DB, Server");
    assert_one(
        &problems(&outcome),
        "keeper.security/secrets[2]: ",
        "has the key \"login\" already, of keeper.security/secrets[1]",
    );
    assert_eq!(outcome.kubernetes_secrets, []);
}

#[test]
fn a_tls_secret_is_made_of_attached_files() {
    let yaml = "secrets: [{record: Server, injectAsK8sSecret: true, k8sSecretName: tls, k8sSecretType: kubernetes.io/tls, \
                k8sSecretKeys: {cert.pem: tls.crt, key.pem: tls.key}}]";
    let mut vault = vault();
    let outcome = make(&config(yaml), &vault);
    assert_eq!(
        (
            outcome.files_to_download.len(),
            outcome.kubernetes_secrets.len(),
            outcome.errors.len()
        ),
        (2, 0, 0)
    );
    vault.files = [("f-crt", "CRT"), ("f-key", "KEY")]
        .map(|(uid, text)| (uid.to_owned(), Hidden::from(text)))
        .into();
    let outcome = make(&config(yaml), &vault);
    let data = &outcome.kubernetes_secrets[0].data;
    assert_eq!(
        (data["tls.crt"].expose_text(), data["tls.key"].expose_text()),
        (Some("CRT"), Some("KEY"))
    );
    let without_key = yaml.replace(", key.pem: tls.key", "");
    assert_one(
        &problems(&make(&config(&without_key), &vault)),
        "keeper.security/config:1:",
        "needs the key tls.key",
    );
}

#[test]
fn mapped_keys_are_all_that_is_written() {
    let yaml = "secrets: [{record: My DB, injectAsK8sSecret: true, k8sSecretName: x, k8sSecretKeys: {login: POSTGRES_USER}}]";
    let outcome = make(&config(yaml), &vault());
    let secret = &outcome.kubernetes_secrets[0];
    assert_eq!(secret.data.keys().collect::<Vec<_>>(), ["POSTGRES_USER"]);
    let lost = make(&config(&yaml.replace("login:", "lost:")), &vault());
    assert_one(
        &problems(&lost),
        "keeper.security/config:1:",
        "has no field \"lost\"",
    );
}

#[test]
fn a_secret_that_kubernetes_wouldnt_keep_is_an_error_before_writing() {
    let mut vault = vault();
    let long = "x".repeat(1024 * 1024);
    vault.records.push(record(
        "l",
        &[],
        json!({"title": "Long", "fields": [
        {"type": "a", "value": [long]}, {"type": "b", "value": ["y"]}]}),
    ));
    let outcome = make(
        &config("secrets: [{record: Long, injectAsK8sSecret: true, k8sSecretName: x}]"),
        &vault,
    );
    assert_one(
        &problems(&outcome),
        "keeper.security/config:1:",
        "the Secret would have 1048577 bytes",
    );
    assert_eq!(outcome.kubernetes_secrets, []);
}

#[test]
fn a_folders_records_become_secrets_of_their_own() {
    let yaml = "folders: [{uid: folder-b, injectAsK8sSecret: true, k8sSecretNamePrefix: prod-}]";
    let outcome = make(&config(yaml), &vault());
    let names: Vec<_> = outcome
        .kubernetes_secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    assert_eq!(names, ["prod-my-db", "prod-server"]);
}

#[test]
fn files_of_one_name_are_told_apart_strictly() {
    let mut vault = vault();
    vault.records[1].files.push(attachment("a-crt", "cert.pem"));
    let outcome = make(&request(&[("file-x", "Server:cert.pem")]), &vault);
    assert_eq!(outcome.files_to_download.first().unwrap().file.uid, "a-crt");
    let outcome = make(
        &request(&[("file-x", "Server:cert.pem"), ("strict-lookup", "true")]),
        &vault,
    );
    assert_one(&problems(&outcome), "keeper.security/file-x: ", "a-crt, f-crt");
}
