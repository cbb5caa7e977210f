//! AWS: STS's AssumeRoleWithWebIdentity, then GetSecretValue.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    internet::{Answer, Asked, Internet},
    program::Program,
};

pub(super) const STS: &str = "sts.eu-west-1.amazonaws.com";
pub(super) const SECRETS: &str = "secretsmanager.eu-west-1.amazonaws.com";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/app";
pub(super) const TOKEN: &str = "the-service-accounts-token";
pub(super) const KEY: &str = "an-access-key-that-is-none";
pub(super) const SESSION: &str = "a-session-token-that-is-none";

pub(super) fn auth() -> Value {
    json!({"method": "aws-secrets-manager", "secretId": "app/keeper", "region": "eu-west-1"})
}

/// In a cluster with IRSA.
fn program(auth: &Value) -> Program {
    let mut program = Program::new(auth);
    for secret in [TOKEN, KEY, SESSION] {
        program.hide(secret);
    }
    program.set("AWS_ROLE_ARN", ROLE);
    let token = program.file("token", &format!("{TOKEN}\n"));
    program.set("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    program
}

fn connect(program: &mut Program, internet: &Internet) {
    program.trust(&internet.authority);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
}

/// STS, if it is asked rightly.
pub(super) fn sts(asked: &Asked) -> Answer {
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "keeper-secrets"),
        ("WebIdentityToken", TOKEN),
    ];
    for (name, value) in fields {
        if asked.form(name).as_deref() != Some(value) {
            return sts_refusal(400, "ValidationError", "a field is wrong");
        }
    }
    if !asked.header("authorization").is_empty() {
        return sts_refusal(400, "ValidationError", "who has no keys signs nothing");
    }
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
           <AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>AKIDOFATEST</AccessKeyId><SecretAccessKey>{KEY}</SecretAccessKey>\
             <SessionToken>{SESSION}</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
           </Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    );
    Answer::text(200, "text/xml", body)
}

fn sts_refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
           <Error><Type>Sender</Type><Code>{code}</Code><Message>{message} {TOKEN}</Message></Error>\
         </ErrorResponse>"
    );
    Answer::text(status, "text/xml", body)
}

fn refusal(status: u16, code: &str) -> Answer {
    let body = json!({"__type": code, "message": format!("a message that may quote {KEY}")});
    Answer::text(status, "application/x-amz-json-1.1", body.to_string())
}

pub(super) fn secret(value: &Value) -> Answer {
    let mut body =
        json!({"ARN": "arn", "Name": "app/keeper", "VersionId": "1", "VersionStages": ["AWSCURRENT"]});
    if let (Some(body), Some(value)) = (body.as_object_mut(), value.as_object()) {
        body.extend(value.clone());
    }
    Answer::text(200, "application/x-amz-json-1.1", body.to_string())
}

/// STS as it should be, and Secrets Manager with that answer.
fn cloud(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Internet {
    Internet::new(&[STS, SECRETS], move |asked| match asked.host.as_str() {
        STS => sts(asked),
        _ => answer(),
    })
}

#[test]
fn a_role_of_the_pod_reads_a_text() {
    let mut program = program(&auth());
    let config = program.configuration();
    let internet = cloud(move || secret(&json!({"SecretString": config})));
    connect(&mut program, &internet);
    program.run().is_right();

    let asked = internet.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let get = &asked[1];
    assert_eq!((get.host.as_str(), get.path.as_str()), (SECRETS, "/"));
    assert_eq!(get.header("x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(get.header("x-amz-security-token"), SESSION);
    let signature = get.header("authorization");
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDOFATEST/")
            && signature.contains("/eu-west-1/secretsmanager/aws4_request")
            && signature.contains("Signature="),
        "{signature}"
    );
    let body: Value = serde_json::from_str(&get.body).expect("JSON");
    assert_eq!(body, json!({"SecretId": "app/keeper"}));
}

#[test]
fn a_binary_secret_and_the_region_of_an_arn_are_as_good() {
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/keeper-AbCdEf";
    let mut program = program(&json!({"method": "aws-secrets-manager", "secretId": arn}));
    program.set("AWS_REGION", "us-east-1");
    let config = BASE64_STANDARD.encode(program.configuration());
    let internet = cloud(move || secret(&json!({"SecretBinary": config})));
    connect(&mut program, &internet);
    program.run().is_right();
    assert!(internet.asked()[1].body.contains(arn));
}

#[test]
fn without_a_region_the_pods_holds() {
    let mut program = program(&json!({"method": "aws-secrets-manager", "secretId": "app/keeper"}));
    program.set("AWS_REGION", "eu-west-1");
    let config = program.configuration();
    let internet = cloud(move || secret(&json!({"SecretString": config})));
    connect(&mut program, &internet);
    program.run().is_right();
    let fresh = self::program(&json!({"method": "aws-secrets-manager", "secretId": "app/keeper"}));
    fresh
        .run()
        .says(&["no AWS region is known; write keeper.security/aws-region"]);
}

#[test]
fn an_operators_own_endpoints_hold() {
    let mut program = program(&auth());
    let config = program.configuration();
    let internet = Internet::new(&[STS], move |asked| match asked.form("Action") {
        Some(_) => sts(asked),
        None => secret(&json!({"SecretString": config})),
    });
    for service in ["STS", "SECRETS_MANAGER"] {
        let address = format!("http://{}", internet.address);
        program.set(&format!("AWS_ENDPOINT_URL_{service}"), &address);
    }
    program.run().is_right();
    assert!(internet.asked().iter().all(|asked| asked.host == "plain"));
}

#[test]
fn what_secrets_manager_refuses_is_said_by_its_code() {
    for (status, code, expected) in [
        (
            400,
            "ResourceNotFoundException",
            "has no app/keeper; check keeper.security/aws-secret-id",
        ),
        (400, "AccessDeniedException", "secretsmanager:GetSecretValue"),
        (400, "DecryptionFailure", "(DecryptionFailure)"),
        (400, "not a\u{7f}code <b>", "(notacodeb)"),
    ] {
        let mut program = program(&auth());
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&["AWS Secrets Manager", expected]);
        assert_eq!(internet.asked().len(), 2, "{code} is asked for again");
    }
}

#[test]
fn what_passes_is_tried_again() {
    for (status, code) in [(500, "InternalServiceError"), (400, "ThrottlingException")] {
        let mut program = program(&auth());
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&[code]);
        assert_eq!(internet.asked().len(), 8, "{code}");
    }
}

#[test]
fn an_empty_secret_is_an_error() {
    for value in [json!({}), json!({"SecretString": ""})] {
        let mut program = program(&auth());
        let internet = cloud(move || secret(&value));
        connect(&mut program, &internet);
        program
            .run()
            .says(&["app/keeper in AWS Secrets Manager is empty"]);
    }
}

#[test]
fn an_answer_that_is_no_secret_is_not_shown() {
    for body in [KEY, "<html>", "{\"SecretString\": 7}"] {
        let mut program = program(&auth());
        let internet = cloud(move || Answer::text(200, "application/x-amz-json-1.1", body));
        connect(&mut program, &internet);
        program.run().says(&["AWS Secrets Manager", "(HTTP 200)"]);
    }
}

#[test]
fn a_token_service_that_is_busy_is_asked_again() {
    let mut program = program(&auth());
    let internet = Internet::new(&[STS, SECRETS], |_| {
        sts_refusal(503, "ServiceUnavailable", "wait")
    });
    connect(&mut program, &internet);
    program.run().says(&["(ServiceUnavailable)"]);
    assert_eq!(internet.asked().len(), 4);
}

#[test]
fn a_role_that_does_not_trust_the_pod_is_said() {
    for code in ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException"] {
        let mut program = program(&auth());
        let internet = Internet::new(&[STS, SECRETS], move |_| sts_refusal(403, code, "no"));
        connect(&mut program, &internet);
        program.run().says(&[code, "trust policy"]);
        assert_eq!(internet.asked().len(), 1, "{code} is asked for again");
    }
}

#[test]
fn no_identity_is_said_and_nobody_asked() {
    let internet = Internet::new(&[STS, SECRETS], |_| Answer::Silence);
    for name in ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        let mut program = program(&auth());
        connect(&mut program, &internet);
        program.unset(name);
        program.run().says(&[
            &format!("{name} isn't set"),
            "annotate its service account with eks.amazonaws.com/role-arn",
        ]);
        program.set(name, "/nowhere/at/all");
        program.set("AWS_ROLE_ARN", ROLE);
        program.set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/at/all");
        program
            .run()
            .says(&["/nowhere/at/all can't be read (entity not found)"]);
    }
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}

#[test]
fn an_unreachable_cloud_is_said() {
    let mut program = program(&auth());
    program.set("HTTPS_PROXY", &format!("http://{}", Internet::nowhere()));
    program
        .run()
        .says(&["can't reach AWS Secrets Manager", "Connection refused"]);
}

#[test]
fn an_authority_that_the_pod_brings_is_believed() {
    let mut program = program(&auth());
    let config = program.configuration();
    let internet = cloud(move || secret(&json!({"SecretString": config})));
    connect(&mut program, &internet);
    program.bring(&internet.authority);
    program.run().is_right();
}

#[test]
fn an_untrusted_certificate_gets_no_token() {
    let mut program = program(&auth());
    let internet = cloud(|| Answer::Silence);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
    program
        .run()
        .says(&["can't reach AWS Secrets Manager", "certificate"]);
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}

#[test]
fn a_cloud_that_hangs_is_left_after_ten_seconds() {
    let mut program = program(&auth());
    let internet = cloud(|| Answer::Silence);
    connect(&mut program, &internet);
    let ran = program.run();
    ran.says(&["AWS Secrets Manager gave no whole answer within 10 s"]);
    assert!(ran.took.as_secs() >= 10, "{:?}", ran.took);
}
