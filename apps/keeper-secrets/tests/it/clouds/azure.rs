//! Azure: the vault's challenge, Entra's token, then the secret.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    internet::{Answer, Asked, Internet},
    program::Program,
};

const ENTRA: &str = "login.microsoftonline.com";
const VAULT: &str = "a-vault.vault.azure.net";
const CLIENT: &str = "00000000-0000-0000-0000-00000000c11e";
const TENANT: &str = "00000000-0000-0000-0000-0000000000a7";
const ASSERTION: &str = "the-service-accounts-token";
const TOKEN: &str = "an-access-token-that-is-none";

fn auth() -> Value {
    json!({"method": "azure-key-vault", "vault": "a-vault", "secret": "keeper"})
}

/// In a cluster with workload identity.
fn program() -> Program {
    let mut program = Program::new(&auth());
    for secret in [ASSERTION, TOKEN] {
        program.hide(secret);
    }
    program.set("AZURE_CLIENT_ID", CLIENT);
    program.set("AZURE_TENANT_ID", TENANT);
    program.set("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/");
    let token = program.file("token", ASSERTION);
    program.set("AZURE_FEDERATED_TOKEN_FILE", &token);
    program
}

fn connect(program: &mut Program, internet: &Internet) {
    program.trust(&internet.authority);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
}

/// Entra, if it is asked rightly.
fn entra(asked: &Asked) -> Answer {
    let fields = [
        ("client_assertion", ASSERTION),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_id", CLIENT),
        ("grant_type", "client_credentials"),
        ("scope", "https://vault.azure.net/.default"),
    ];
    let is_right = asked.path == format!("/{TENANT}/oauth2/v2.0/token")
        && fields
            .iter()
            .all(|(name, value)| asked.form(name).as_deref() == Some(*value));
    match is_right {
        true => Answer::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN}),
        ),
        false => entra_refusal(400, 900_144),
    }
}

fn entra_refusal(status: u16, code: u32) -> Answer {
    let body = json!({
        "error": "invalid_client", "error_codes": [code],
        "error_description": format!("AADSTS{code}: a message that may quote {ASSERTION}"),
        "timestamp": "2026-01-01 00:00:00Z", "trace_id": "t", "correlation_id": "c",
    });
    Answer::json(status, &body)
}

/// Who shows no token is told where to get one.
fn challenge(resource: &str) -> Answer {
    let challenge =
        format!("Bearer authorization=\"https://{ENTRA}/{TENANT}\", resource=\"https://{resource}\"");
    let body = json!({"error": {"code": "Unauthorized", "message": "who are you?"}});
    Answer::Reply(
        StatusCode::UNAUTHORIZED,
        vec![
            ("content-type", "application/json".to_owned()),
            ("www-authenticate", challenge),
        ],
        body.to_string(),
    )
}

fn secret(value: &str) -> Answer {
    let id = format!("https://{VAULT}/secrets/keeper/0123456789abcdef");
    Answer::json(
        200,
        &json!({"value": value, "id": id, "attributes": {"enabled": true}}),
    )
}

fn refusal(status: u16, code: &str) -> Answer {
    let message = format!("a message that may quote {TOKEN}");
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// Entra and the vault's challenge as they should be, and then that answer.
fn cloud(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Internet {
    Internet::new(&[ENTRA, VAULT], move |asked| match asked.host.as_str() {
        ENTRA => entra(asked),
        _ if asked.header("authorization").is_empty() => challenge("vault.azure.net"),
        _ => answer(),
    })
}

/// What was asked of the vault with a token.
fn calls(internet: &Internet) -> Vec<Asked> {
    let mut asked = internet.asked();
    asked.retain(|asked| asked.host == VAULT && !asked.header("authorization").is_empty());
    asked
}

#[test]
fn the_pods_identity_reads_a_secret() {
    let mut program = program();
    let config = program.configuration();
    let internet = cloud(move || secret(&config));
    connect(&mut program, &internet);
    program.run().is_right();

    let calls = calls(&internet);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].method, "GET");
    assert_eq!(calls[0].path.trim_end_matches('/'), "/secrets/keeper");
    assert!(calls[0].query.starts_with("api-version="), "{}", calls[0].query);
    assert_eq!(calls[0].header("authorization"), format!("Bearer {TOKEN}"));
    let hosts: Vec<_> = internet.asked().into_iter().map(|asked| asked.host).collect();
    assert_eq!(hosts, [VAULT, ENTRA, VAULT]);
}

#[test]
fn what_the_vault_refuses_is_said_by_its_code() {
    for (status, code, expected) in [
        (
            404,
            "SecretNotFound",
            "has no secret keeper in a-vault; check keeper.security/azure-vault-name",
        ),
        (403, "Forbidden", "Key Vault Secrets User"),
        (409, "Conflict", "(Conflict)"),
    ] {
        let mut program = program();
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&["Azure Key Vault", expected]);
        assert_eq!(calls(&internet).len(), 1, "{code} is asked for again");
    }
}

#[test]
fn what_passes_is_tried_again() {
    for (status, code) in [(503, "ServiceUnavailable"), (429, "Throttled")] {
        let mut program = program();
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&[code]);
        assert_eq!(calls(&internet).len(), 4, "{code}");
    }
}

#[test]
fn an_empty_secret_is_an_error() {
    let mut program = program();
    let internet = cloud(|| secret(""));
    connect(&mut program, &internet);
    program
        .run()
        .says(&["secret keeper in a-vault in Azure Key Vault is empty"]);
}

#[test]
fn an_answer_that_is_no_secret_is_not_shown() {
    for body in [TOKEN, "<html>", "{\"value\": 7}", ""] {
        let mut program = program();
        let internet = cloud(move || Answer::text(200, "application/json", body));
        connect(&mut program, &internet);
        program.run().says(&["Azure Key Vault"]);
    }
}

#[test]
fn an_identity_that_entra_does_not_know_is_said() {
    let mut program = program();
    let internet = Internet::new(&[ENTRA, VAULT], |asked| match asked.host.as_str() {
        ENTRA => entra_refusal(401, 700_213),
        _ => challenge("vault.azure.net"),
    });
    connect(&mut program, &internet);
    program.run().says(&["AADSTS700213", "federated credential"]);
    assert!(calls(&internet).is_empty());
}

#[test]
fn a_challenge_for_somebody_elses_token_gets_none() {
    let mut program = program();
    let internet = Internet::new(&[ENTRA, VAULT], |asked| match asked.host.as_str() {
        ENTRA => entra(asked),
        _ => challenge("graph.microsoft.com"),
    });
    connect(&mut program, &internet);
    program.run().says(&["Azure Key Vault"]);
    assert!(internet.asked().iter().all(|asked| asked.host != ENTRA));
}

#[test]
fn no_identity_is_said_and_nobody_asked() {
    let internet = Internet::new(&[ENTRA, VAULT], |_| Answer::Silence);
    for name in ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"] {
        let mut program = program();
        connect(&mut program, &internet);
        program.unset(name);
        program
            .run()
            .says(&[&format!("{name} isn't set"), "azure.workload.identity/use"]);
    }
    for (name, value, expected) in [
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            "/nowhere/at/all",
            "its token can't be used (No such file or directory)",
        ),
        ("AZURE_TENANT_ID", "../../evil", "can't be used"),
        (
            "AZURE_AUTHORITY_HOST",
            "https://evil.example/",
            "none of Microsoft's clouds",
        ),
    ] {
        let mut program = program();
        connect(&mut program, &internet);
        program.set(name, value);
        program
            .run()
            .says(&["the pod has no identity for Azure Key Vault", expected]);
    }
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}

#[test]
fn an_unreachable_cloud_is_said() {
    let mut program = program();
    program.set("HTTPS_PROXY", &format!("http://{}", Internet::nowhere()));
    program
        .run()
        .says(&["can't reach Azure Key Vault", "Connection refused"]);
}

#[test]
fn an_authority_that_the_pod_brings_is_believed() {
    let mut program = program();
    let config = program.configuration();
    let internet = cloud(move || secret(&config));
    connect(&mut program, &internet);
    program.bring(&internet.authority);
    program.run().is_right();
}

#[test]
fn an_untrusted_certificate_gets_no_token() {
    let mut program = program();
    let internet = cloud(|| Answer::Silence);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
    program
        .run()
        .says(&["can't reach Azure Key Vault", "certificate"]);
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}

#[test]
fn a_cloud_that_hangs_is_left_after_ten_seconds() {
    let mut program = program();
    let internet = cloud(|| Answer::Silence);
    connect(&mut program, &internet);
    let ran = program.run();
    ran.says(&["Azure Key Vault gave no whole answer within 10 s"]);
    assert!(ran.took.as_secs() >= 10, "{:?}", ran.took);
}
