//! EKS Pod Identity: keys of the agent on the node, then GetSecretValue.

use serde_json::{Value, json};

use super::{
    aws::{KEY, ROLE, SECRETS, SESSION, STS, TOKEN, auth, secret, sts},
    internet::{Answer, Asked, Internet},
    program::Program,
};

const ADDRESS: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// In a cluster with the agent; it is this "internet", asked in the clear.
fn program(internet: &Internet) -> Program {
    let mut program = Program::new(&auth());
    for secret in [TOKEN, KEY, SESSION] {
        program.hide(secret);
    }
    let token = program.file("token", TOKEN);
    program.set(TOKEN_FILE, &token);
    program.set(ADDRESS, &format!("http://{}/v1/credentials", internet.address));
    program.trust(&internet.authority);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
    // The agent is on the node: no proxy leads there.
    program.set("HTTP_PROXY", &format!("http://{}", Internet::nowhere()));
    program
}

fn agent(asked: &Asked) -> Answer {
    if (asked.path.as_str(), asked.header("authorization")) != ("/v1/credentials", TOKEN) {
        return Answer::text(400, "text/plain", format!("no such token: {TOKEN}"));
    }
    let keys = json!({"AccessKeyId": "AKIDOFATEST", "SecretAccessKey": KEY, "Token": SESSION,
        "AccountId": "123456789012", "Expiration": "2099-01-01T00:00:00Z"});
    Answer::json(200, &keys)
}

/// The agent, and Secrets Manager with a configuration that is said later.
fn cloud(config: &std::sync::Arc<std::sync::Mutex<String>>) -> Internet {
    let config = config.clone();
    Internet::new(&[STS, SECRETS], move |asked| match asked.host.as_str() {
        "plain" => agent(asked),
        STS => sts(asked),
        _ => secret(&json!({"SecretString": *config.lock().expect("no test panicked with it")})),
    })
}

#[test]
fn the_agents_keys_read_a_text() {
    let config = std::sync::Arc::default();
    let internet = cloud(&config);
    let mut program = program(&internet);
    *config.lock().expect("no test panicked with it") = program.configuration();
    program.run().is_right();
    let asked = internet.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0].method, "GET");
    assert_eq!(asked[1].host, SECRETS);
    assert_eq!(asked[1].header("x-amz-security-token"), SESSION);
    let body: Value = serde_json::from_str(&asked[1].body).expect("JSON");
    assert_eq!(body, json!({"SecretId": "app/keeper"}));
}

#[test]
fn a_role_by_irsa_goes_first() {
    let config = std::sync::Arc::default();
    let internet = cloud(&config);
    let mut program = program(&internet);
    *config.lock().expect("no test panicked with it") = program.configuration();
    program.set("AWS_ROLE_ARN", ROLE);
    let token = program.file("token", TOKEN);
    program.set("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    program.run().is_right();
    let hosts: Vec<String> = internet.asked().into_iter().map(|asked| asked.host).collect();
    assert_eq!(hosts, [STS, SECRETS]);
}

#[test]
fn what_the_agent_refuses_is_said_by_its_status() {
    for (status, words) in [
        (
            400,
            [
                "doesn't take the pod's identity (HTTP 400)",
                "pods.eks.amazonaws.com",
            ],
        ),
        (
            404,
            ["doesn't take the pod's identity (HTTP 404)", "associate the role"],
        ),
        (
            503,
            [
                "the agent of EKS Pod Identity answers HTTP 503",
                "EKS Pod Identity",
            ],
        ),
    ] {
        let internet = Internet::new(&[STS, SECRETS], move |_| {
            Answer::text(status, "text/plain", format!("a message that quotes {TOKEN}"))
        });
        program(&internet).run().says(&words);
        assert!(internet.asked().iter().all(|asked| asked.host == "plain"));
    }
}

#[test]
fn what_are_no_keys_is_not_shown() {
    for body in [
        KEY.to_owned(),
        format!("{{\"Code\": \"x\", \"Message\": \"{KEY}\"}}"),
        "{}".to_owned(),
    ] {
        let internet = Internet::new(&[STS, SECRETS], move |_| {
            Answer::text(200, "application/json", body.clone())
        });
        program(&internet)
            .run()
            .says(&["the agent of EKS Pod Identity gives no keys"]);
    }
}

#[test]
fn a_token_goes_to_no_address_but_the_agents() {
    let internet = Internet::new(&[STS, SECRETS], |_| Answer::Silence);
    for address in [
        format!("https://{SECRETS}/v1/credentials"),
        "http://localhost/v1/credentials".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "not an address".to_owned(),
    ] {
        let mut program = program(&internet);
        program.set(ADDRESS, &address);
        program
            .run()
            .says(&["AWS_CONTAINER_CREDENTIALS_FULL_URI is no address of the agent"]);
    }
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}

#[test]
fn an_agent_that_isnt_there_and_a_token_that_isnt_are_said() {
    let internet = Internet::new(&[STS, SECRETS], |_| Answer::Silence);
    let mut alone = program(&internet);
    alone.set(ADDRESS, &format!("http://{}/v1/credentials", Internet::nowhere()));
    alone
        .run()
        .says(&["the agent of EKS Pod Identity can't be reached (Connection refused)"]);
    let mut without = program(&internet);
    without.set(TOKEN_FILE, "/nowhere/at/all");
    without
        .run()
        .says(&["/nowhere/at/all can't be read (entity not found)"]);
    without.unset(TOKEN_FILE);
    without
        .run()
        .says(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE isn't set"]);
    assert!(internet.asked().is_empty(), "{:?}", internet.asked());
}
