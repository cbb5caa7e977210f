//! Each annotation, right and wrong.

use mk8s_secrets::contract::{Auth, CaObject, Content, Mode, Request, Source};
use mk8s_secrets::render::{Format, SecretKind};

use crate::support::{assert_one, errors, read, read_usual, request, warnings};

/// Something to ask for, so that the rest can be looked at.
const ONE: (&str, &str) = ("secret", "db");

fn paths(request: &Request) -> Vec<&str> {
    request
        .secrets
        .iter()
        .filter_map(|secret| Some(secret.file.as_ref()?.path.as_str()))
        .collect()
}

#[test]
fn what_isnt_asked_for_is_nothing() {
    for annotations in [
        &[][..],
        &[("inject", "false")],
        &[("secret", "db")],
        &[("inject", "FALSE"), ("signal", "?")],
    ] {
        let reading = read(annotations).unwrap();
        assert_eq!(
            (reading.request, reading.warnings.len()),
            (None, 0),
            "{annotations:?}"
        );
    }
    let reading = read(&[("inject", "yes")]).unwrap();
    assert_eq!(reading.request, None);
    assert!(reading.warnings[0].to_string().contains("\"yes\" isn't \"true\""));
    assert!(
        read(&[("inject", " True "), ("ksm-config", "k"), ONE])
            .unwrap()
            .request
            .is_some()
    );
}

#[test]
fn nothing_said_is_the_defaults() {
    let request = request(&[ONE]);
    assert_eq!(
        (request.refresh_seconds, request.init_only, request.fail_on_error),
        (300, false, true)
    );
    assert_eq!((request.strict_lookup, request.signal), (false, None));
    assert_eq!(request.kubernetes_secrets.mode, Mode::Overwrite);
    assert!(!request.kubernetes_secrets.rotation && request.kubernetes_secrets.owner_reference);
    assert_eq!(request.certificate_authorities, None);
    assert_eq!(request.mounts(), ["/keeper/secrets"]);
    assert!(!request.has_env() && !request.has_kubernetes_secrets());
}

#[test]
fn the_application_is_known_by_the_vaults_four_methods() {
    let aws = [
        ("auth-method", "aws-secrets-manager"),
        ("aws-secret-id", "prod/ksm"),
        ("aws-region", "eu-west-1"),
    ];
    let gcp = [
        ("auth-method", "gcp-secret-manager"),
        ("gcp-secret-id", "projects/p-1/secrets/ksm/versions/latest"),
    ];
    let azure = [
        ("auth-method", "azure-key-vault"),
        ("azure-vault-name", "my-vault"),
        ("azure-secret-name", "ksm"),
    ];
    for (annotations, is_right) in [
        (
            &[("ksm-config", "a")][..],
            (|auth| matches!(auth, Auth::Secret { name } if name.as_str() == "a")) as fn(&Auth) -> bool,
        ),
        (
            &[("auth-secret", "b")],
            |auth| matches!(auth, Auth::Secret { name } if name.as_str() == "b"),
        ),
        (
            &[("auth-secret", "b"), ("ksm-config", "a")],
            |auth| matches!(auth, Auth::Secret { name } if name.as_str() == "a"),
        ),
        (&aws, |auth| {
            matches!(auth, Auth::AwsSecretsManager { region: Some(_), .. })
        }),
        (&aws[..2], |auth| {
            matches!(auth, Auth::AwsSecretsManager { region: None, .. })
        }),
        (&gcp, |auth| matches!(auth, Auth::GcpSecretManager { .. })),
        (&azure, |auth| matches!(auth, Auth::AzureKeyVault { .. })),
    ] {
        let all: Vec<_> = [("inject", "true"), ONE]
            .into_iter()
            .chain(annotations.iter().copied())
            .collect();
        let request = read(&all)
            .unwrap_or_else(|error| panic!("{all:?}: {error}"))
            .request
            .unwrap();
        assert!(is_right(&request.auth), "{annotations:?}: {:?}", request.auth);
        assert_eq!(Request::from_json(&request.to_json()), Ok(request));
    }
}

#[test]
fn a_method_needs_its_own_fields() {
    for (annotations, begins, about) in [
        (&[][..], "keeper.security/ksm-config: ", "it is missing"),
        (
            &[("ksm-config", "Bad_Name")],
            "keeper.security/ksm-config: ",
            "is no name",
        ),
        (
            &[("ksm-config", "other/ksm")],
            "keeper.security/ksm-config: ",
            "names a namespace",
        ),
        (
            &[("auth-method", "oidc")],
            "keeper.security/auth-method: ",
            "write one of secret, aws-secrets-manager",
        ),
        (
            &[("auth-method", "aws-secrets-manager")],
            "keeper.security/aws-secret-id: ",
            "needs it",
        ),
        (
            &[("auth-method", "gcp-secret-manager")],
            "keeper.security/gcp-secret-id: ",
            "needs it",
        ),
        (
            &[("auth-method", "gcp-secret-manager"), ("gcp-secret-id", "ksm")],
            "keeper.security/gcp-secret-id: ",
            "projects/PROJECT/secrets/NAME",
        ),
        (
            &[
                ("auth-method", "azure-key-vault"),
                ("azure-vault-name", "ab"),
                ("azure-secret-name", "x"),
            ],
            "keeper.security/azure-vault-name: ",
            "3 to 24",
        ),
        (
            &[
                ("auth-method", "azure-key-vault"),
                ("azure-vault-name", "abc"),
                ("azure-secret-name", "a_b"),
            ],
            "keeper.security/azure-secret-name: ",
            "no secret's name",
        ),
        (
            &[("auth-method", "azure-key-vault"), ("azure-vault-name", "abc")],
            "keeper.security/azure-secret-name: ",
            "needs it",
        ),
    ] {
        let all: Vec<_> = [("inject", "true"), ONE]
            .into_iter()
            .chain(annotations.iter().copied())
            .collect();
        let found: Vec<String> = read(&all)
            .unwrap_err()
            .0
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_one(&found, begins, about);
    }
    assert_one(
        &warnings(&[ONE, ("aws-region", "eu-west-1")]),
        "keeper.security/aws-region: ",
        "no effect with auth-method secret",
    );
}

#[test]
fn secrets_have_default_paths() {
    for (annotation, expected) in [
        (
            ("secret", "Database Credentials"),
            &["/keeper/secrets/database-credentials.json"][..],
        ),
        (("secret", "a/b"), &["/keeper/secrets/a-b.json"]),
        (
            ("secrets", "A, B b,C"),
            &[
                "/keeper/secrets/a.json",
                "/keeper/secrets/b-b.json",
                "/keeper/secrets/c.json",
            ],
        ),
        (
            ("secrets", r"Smith\, John"),
            &["/keeper/secrets/smith,-john.json"],
        ),
        (("secret-x", "keeper://R/field/password"), &["/keeper/secrets/x"]),
        (("file-x", "DB:cert.pem"), &["/keeper/secrets/cert.pem"]),
    ] {
        assert_eq!(paths(&request(&[annotation])), expected, "{annotation:?}");
    }
}

#[test]
fn named_secrets_and_files_have_their_forms() {
    for (annotation, format) in [
        (("secret-db", "/app/conf/db.json"), Format::Json),
        (("secret-db", "My DB:/app/conf/db.json"), Format::Json),
        (("secret-db", "My DB[password]:/app/conf/p"), Format::Raw),
        (
            ("secret-db", "keeper://R/field/password:/app/conf/p"),
            Format::Raw,
        ),
        (("file-db", "DB:cert.pem:/app/conf/c"), Format::Raw),
        (("file-db", "keeper://R/file/cert.pem:/app/conf/c"), Format::Raw),
    ] {
        let request = request(&[annotation]);
        let file = request.secrets[0].file.as_ref().unwrap();
        assert_eq!(file.content, Content::Format(format), "{annotation:?}");
        assert_eq!(request.mounts(), ["/app/conf"]);
    }
    assert_one(
        &errors(&[("secret-db", "My DB")]),
        "keeper.security/secret-db: ",
        "says no path",
    );
    assert_one(
        &errors(&[("secret-db", "keeper://R/feld/x")]),
        "keeper.security/secret-db:12: ",
        "write field",
    );
    assert_one(
        &errors(&[("file-db", "DB")]),
        "keeper.security/file-db: ",
        "names no file",
    );
}

#[test]
fn folders_have_a_directory() {
    for (annotations, folder, directory) in [
        (
            &[("folder", "Production/Databases")][..],
            "Production/Databases",
            "/keeper/secrets",
        ),
        (&[("folder-uid", "abc")], "abc", "/keeper/secrets"),
        (
            &[("folder-uid", "abc"), ("folder-path", "/app/all/")],
            "abc",
            "/app/all",
        ),
    ] {
        let request = request(annotations);
        assert_eq!(request.folders[0].folder, folder);
        assert_eq!(request.mounts(), [directory]);
    }
    assert_one(
        &errors(&[("folder", "a"), ("folder-uid", "b")]),
        "keeper.security/folder-uid: ",
        "remove one",
    );
    assert_one(
        &errors(&[("folder", " ")]),
        "keeper.security/folder: ",
        "it is empty",
    );
    assert_one(
        &warnings(&[ONE, ("folder-path", "/app/all")]),
        "keeper.security/folder-path: ",
        "no effect",
    );
}

#[test]
fn behaviour_is_what_is_said() {
    let request = request(&[
        ONE,
        ("refresh-interval", "1h30m"),
        ("fail-on-error", "False"),
        ("strict-lookup", "TRUE"),
        ("signal", "HUP"),
    ]);
    assert_eq!(
        (
            request.refresh_seconds,
            request.fail_on_error,
            request.strict_lookup
        ),
        (5400, false, true)
    );
    assert_eq!(request.signal.unwrap().to_string(), "SIGHUP");
    assert!(self::request(&[ONE, ("init-only", "true")]).init_only);
    let useless = warnings(&[
        ONE,
        ("init-only", "true"),
        ("refresh-interval", "5m"),
        ("signal", "HUP"),
    ]);
    assert_eq!(useless.len(), 2, "{useless:?}");
}

#[test]
fn values_that_are_none_are_refused() {
    for (name, value, about) in [
        ("refresh-interval", "5", "no duration"),
        ("refresh-interval", "1s", "10s to 24h"),
        ("init-only", "yes", "neither"),
        ("fail-on-error", "", "neither"),
        ("strict-lookup", "1", "neither"),
        ("signal", "KILL", "can't be handled"),
        ("signal", "SIGFOO", "no signal"),
        ("inject-env-vars", "on", "neither"),
        ("env-prefix", "1_", "can't begin"),
        ("inject-as-k8s-secret", "y", "neither"),
        ("k8s-secret-name", "A", "no name"),
        ("k8s-secret-namespace", "kube-system", "isn't the pod's namespace"),
        (
            "k8s-secret-mode",
            "replace",
            "overwrite, merge, skip-if-exists or fail",
        ),
        (
            "k8s-secret-type",
            "kubernetes.io/service-account-token",
            "never allowed",
        ),
        ("k8s-secret-type", "foo", "no type"),
        ("k8s-secret-rotation", "x", "neither"),
        ("k8s-secret-owner-ref", "x", "neither"),
        ("ca-cert-secret", "a/b", "names a namespace"),
        ("ca-cert-configmap", "A", "no name"),
        ("ca-cert-key", "a/b", "no key"),
        ("folder-path", "/etc", "mount at /etc"),
    ] {
        assert_one(
            &errors(&[ONE, (name, value)]),
            &format!("keeper.security/{name}: "),
            about,
        );
    }
    for name in ["secret", "secrets"] {
        assert_one(
            &errors(&[(name, " ")]),
            &format!("keeper.security/{name}: "),
            "it is empty",
        );
    }
    assert_one(&errors(&[]), "keeper.security/inject: ", "names none");
}

#[test]
fn fields_become_variables_and_a_kubernetes_secret() {
    let request = request(&[
        ONE,
        ("file-x", "DB:c"),
        ("inject-env-vars", "true"),
        ("env-prefix", "DB_"),
        ("inject-as-k8s-secret", "true"),
        ("k8s-secret-name", "app"),
        ("k8s-secret-namespace", "team-a"),
        ("k8s-secret-mode", "merge"),
        ("k8s-secret-type", "kubernetes.io/basic-auth"),
        ("k8s-secret-rotation", "true"),
        ("k8s-secret-owner-ref", "false"),
    ]);
    assert_eq!(request.secrets[0].env.as_ref().unwrap().as_str(), "DB_");
    assert_eq!(request.secrets[1].env, None, "a file is no variable");
    let secret = request.secrets[0].kubernetes_secret.as_ref().unwrap();
    assert_eq!(
        (secret.name.as_str(), secret.kind),
        ("app", SecretKind::BasicAuth)
    );
    assert_eq!(request.kubernetes_secrets.mode, Mode::Merge);
    assert!(request.kubernetes_secrets.rotation && !request.kubernetes_secrets.owner_reference);
    assert_one(
        &errors(&[ONE, ("inject-as-k8s-secret", "true")]),
        "keeper.security/k8s-secret-name: ",
        "it is missing",
    );
    for name in ["env-prefix", "k8s-secret-name"] {
        assert_one(
            &warnings(&[ONE, (name, "a")]),
            &format!("keeper.security/{name}: "),
            "no effect",
        );
    }
}

#[test]
fn of_two_certificate_authorities_the_secret_wins() {
    let both = [ONE, ("ca-cert-secret", "a"), ("ca-cert-configmap", "b")];
    let authorities = request(&both).certificate_authorities.unwrap();
    assert!(matches!(&authorities.object, CaObject::Secret(name) if name.as_str() == "a"));
    assert_eq!(authorities.key.as_str(), "ca.crt");
    assert_one(
        &warnings(&both),
        "keeper.security/ca-cert-configmap: ",
        "beside ca-cert-secret",
    );
    let one = request(&[ONE, ("ca-cert-configmap", "b"), ("ca-cert-key", "root.pem")]);
    let authorities = one.certificate_authorities.unwrap();
    assert!(matches!(&authorities.object, CaObject::ConfigMap(name) if name.as_str() == "b"));
    assert_eq!(authorities.key.as_str(), "root.pem");
    assert_one(
        &warnings(&[ONE, ("ca-cert-key", "x")]),
        "keeper.security/ca-cert-key: ",
        "no effect",
    );
}

#[test]
fn a_misspelt_annotation_is_a_warning_with_the_nearest_name() {
    assert_one(
        &warnings(&[ONE, ("refresh-intervall", "5m")]),
        "keeper.security/refresh-intervall: ",
        "did you mean keeper.security/refresh-interval?",
    );
    assert_one(
        &warnings(&[ONE, ("something-quite-else", "5m")]),
        "keeper.security/something-quite-else: ",
        "misspelt",
    );
}

#[test]
fn a_title_with_a_comma_is_one_title_and_a_warning() {
    assert_one(
        &warnings(&[("secret", "a, b")]),
        "keeper.security/secret: ",
        "write secrets for several",
    );
    let request = request(&[("secret", "a, b")]);
    let is_one = matches!(&request.secrets[0].source, Source::Record { record, .. } if record == "a, b");
    assert!(is_one && request.secrets.len() == 1);
}

#[test]
fn a_notation_is_no_title() {
    for name in ["secret", "secrets"] {
        let found = errors(&[(name, "keeper://R/field/x")]);
        assert!(found[0].contains("a notation stands in secret-NAME"), "{found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = errors(&[
        ("secrets", "a,,A"),
        ("secret-x", "nothing"),
        ("signal", "KILL"),
        ("refresh-interval", "soon"),
        ("config", "secrets:\n- {}\n- record: r\n  format: xml\nfolders: 1"),
    ]);
    let places: Vec<&str> = found
        .iter()
        .map(|found| found.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "keeper.security/secret-x",
            "keeper.security/config:2:3",
            "keeper.security/config:4:11",
            "keeper.security/config:5:10",
            "keeper.security/secrets[3]",
            "keeper.security/refresh-interval",
            "keeper.security/signal",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_mount_that_hides_an_images_directory_is_a_warning() {
    assert_one(
        &warnings(&[("secret-x", "/app/x.json")]),
        "keeper.security/secret-x: ",
        "a mount at /app hides",
    );
    assert_eq!(read_usual(&[("secret-x", "/tmp/x.json")]).unwrap().warnings, []);
}
