//! What nobody should send to the aggregated API, sent to it.

use std::time::Duration;

use jiff::Timestamp;
use mk8s_testkit::{Aggregated, Cluster, FrontProxy, within};
use mk8s_tls::{CertificateAuthority, ClientSubject, ReloadingCertificate, Roots};

use super::Operators;

const MINE: &str = "/apis/custom.api.local/v1/mynamespace";

/// The request-header authority of the cluster, which may speak for others.
fn request_header_authority(cluster: &Cluster) -> CertificateAuthority {
    let (certificate, key) = cluster.front_proxy_ca();
    let read = |path| std::fs::read(path).expect("the authority's file");
    CertificateAuthority::from_pem(&read(certificate), &read(key)).expect("an authority with a P-256 key")
}

/// One request with a certificate of an authority.
fn ask(
    aggregated: &Aggregated,
    authority: &CertificateAuthority,
    common_name: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<mk8s_testkit::raw::Response> {
    let subject = ClientSubject {
        common_name: common_name.to_owned(),
        ..ClientSubject::default()
    };
    let issued = authority
        .issue_client(&subject, Duration::from_secs(3600), Timestamp::now())
        .expect("a certificate");
    let certificate = ReloadingCertificate::from_issued(&issued).expect("a pair");
    let endpoint = aggregated.endpoint();
    let roots = Roots::Pem(endpoint.ca_pem.clone());
    let config =
        mk8s_tls::client::config(&roots, Some(certificate), &[b"http/1.1"]).expect("a configuration");
    let mut connection = endpoint.connect_with(config)?;
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.send(format!("{text}\r\n").as_bytes())?;
    connection.response()
}

#[test]
fn headers_say_who_asks_only_to_those_who_hear_it_from_the_api_server() {
    let operators = Operators::start();
    let aggregated = &operators.aggregated;
    let root = [("X-Remote-User", "root"), ("X-Remote-Group", "system:masters")];
    // Without a certificate.
    let answer = aggregated
        .endpoint()
        .request("GET", MINE, &root, b"")
        .expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()["reason"], "Unauthorized");
    // With one of somebody else's authority.
    let strangers = CertificateAuthority::generate("strangers", Timestamp::now()).expect("an authority");
    let answer = ask(aggregated, &strangers, "front-proxy-client", MINE, &root);
    assert!(answer.is_err(), "{answer:?}");
    // With one of the right authority, in a name that isn't allowed.
    let authority = request_header_authority(operators.cluster);
    let answer = ask(aggregated, &authority, "somebody", MINE, &root).expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.text());
    // And as it should be: without a user, and with one.
    let allowed = allowed_name(operators.cluster);
    let answer = ask(aggregated, &authority, &allowed, MINE, &root[1..]).expect("an answer");
    assert_eq!(answer.status, 401, "{}", answer.text());
    let answer = ask(aggregated, &authority, &allowed, MINE, &root).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(aggregated.metric("mk8s_unauthorized_total") >= 3.0);
}

fn allowed_name(cluster: &Cluster) -> String {
    let map = cluster.kubectl().in_namespace("kube-system");
    let map = map
        .run([
            "get",
            "configmap",
            "extension-apiserver-authentication",
            "-o",
            "json",
        ])
        .ok()
        .json();
    let names = map["data"]["requestheader-allowed-names"]
        .as_str()
        .expect("names");
    let names: Vec<String> = serde_json::from_str(names).expect("a list");
    names
        .into_iter()
        .next()
        .unwrap_or_else(|| "front-proxy-client".to_owned())
}

#[test]
fn a_token_of_the_cluster_speaks_for_itself() {
    let operators = Operators::start();
    let token = operators
        .cluster
        .service_account_token("mk8s-system", "mk8s-apiserver");
    let bearer = |token: &str| format!("Bearer {token}");
    let ask = |path: &str, token: &str| {
        let endpoint = operators.aggregated.endpoint();
        endpoint
            .request("GET", path, &[("Authorization", &bearer(token))], b"")
            .expect("an answer")
    };
    let said = ask("/apis/custom.api.local/v1/whoami", &token);
    assert_eq!(
        said.json()["items"][0]["userInfo"]["username"],
        "system:serviceaccount:mk8s-system:mk8s-apiserver"
    );
    // What the API server's own rules don't let through isn't let through here either.
    let admin = operators.admin();
    let binding = ["clusterrolebinding", "custom-api-local-reader"];
    let kept = admin
        .run(["get", binding[0], binding[1], "-o", "json"])
        .ok()
        .json();
    admin.run(["delete", binding[0], binding[1]]).ok();
    let refused = mk8s_testkit::wait::attempt(Duration::from_secs(30), || {
        let answer = ask(MINE, &token);
        (answer.status == 403).then_some(answer)
    });
    admin.apply(
        &serde_json::json!({
            "apiVersion": kept["apiVersion"], "kind": kept["kind"], "metadata": {"name": binding[1]},
            "roleRef": kept["roleRef"], "subjects": kept["subjects"],
        })
        .to_string(),
    );
    let refused = refused.expect("a refusal of who may not use the API");
    assert!(refused.text().contains("custom.api.local"), "{}", refused.text());
    for bad in ["x", "", &format!("{token}x")] {
        assert_eq!(ask(MINE, bad).status, 401, "{bad:?}");
    }
    // No token and no certificate.
    let answer = operators
        .aggregated
        .endpoint()
        .request("GET", MINE, &[], b"")
        .expect("an answer");
    assert_eq!(answer.status, 401);
    assert!(
        !operators.aggregated.log().contains(&token),
        "a token is in the log"
    );
}

#[test]
fn what_there_isnt_is_a_status_in_kubernetes_words() {
    let operators = Operators::start();
    let admin = operators.admin();
    let raw = |path: &str| admin.run(["get", "--raw", path]).failed().stderr;
    for path in [
        "/apis/custom.api.local/v1/nothing",
        "/apis/custom.api.local/v1/mynamespace/default/status",
        "/apis/custom.api.local/v1/namespaces/default/mynamespace",
        "/apis/custom.api.local/v1/mypods/a",
    ] {
        let error = raw(path);
        assert!(
            error.contains("NotFound") || error.contains("MethodNotAllowed"),
            "{path}: {error}"
        );
    }
    let error = raw("/apis/custom.api.local/v2/mynamespace");
    assert!(
        error.contains("NotFound") || error.contains("could not find"),
        "{error}"
    );
    let error = admin
        .run(["delete", "--raw", "/apis/custom.api.local/v1/mynamespace/default"])
        .failed()
        .stderr;
    assert!(
        error.contains("MethodNotAllowed") || error.contains("DELETE"),
        "{error}"
    );
    for (query, reason) in [
        ("labelSelector=a%20b%20c", "BadRequest"),
        ("labelSelector=a&labelSelector=b", "BadRequest"),
        ("continue=nonsense", "Expired"),
        ("limit=x", "BadRequest"),
    ] {
        let team = operators.proxy.kubectl_as("anna", &["team-a"]);
        let ran = team.run(["get", "--raw", &format!("{MINE}?{query}")]).failed();
        assert!(
            ran.stderr.contains(reason) || ran.stderr.contains("Error from server"),
            "{query}: {ran}"
        );
    }
}

#[test]
fn a_group_that_looks_like_a_selector_shows_nothing() {
    let mut operators = Operators::start();
    let name = operators.namespace("secret", "red");
    for group in ["red,blue", "x) or team in (red", "!red", "team=red", "red ", "*"] {
        let Ok(client) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            operators.proxy.kubectl_as("anna", &[group])
        })) else {
            // No certificate can be made for it at all.
            continue;
        };
        let ran = client.run(["get", "namespaces", "-o", "name"]);
        assert!(!ran.stdout.contains(&name), "{group}: {ran}");
    }
    let red = operators.proxy.kubectl_as("anna", &["red"]);
    assert!(
        red.run(["get", "namespaces", "-o", "name"])
            .ok()
            .stdout
            .contains(&name)
    );
}

#[test]
fn reviews_that_are_refused_are_an_error_and_never_a_yes() {
    let operators = Operators::start();
    let admin = operators.admin();
    let binding = "mk8s-apiserver-decides";
    let kept = admin
        .run(["get", "clusterrolebinding", binding, "-o", "yaml"])
        .ok();
    admin.run(["delete", "clusterrolebinding", binding]).ok();
    let anna = operators.proxy.kubectl_as(&operators.name("anna"), &["team-a"]);
    let failed = mk8s_testkit::wait::attempt(Duration::from_secs(30), || {
        let ran = anna.run(["get", "namespaces"]);
        (ran.code != Some(0)).then_some(ran)
    });
    // Whatever comes of it, the rights are given back first.
    let fresh = kept.stdout.lines().filter(|line| {
        !line.contains("resourceVersion:") && !line.contains("uid:") && !line.contains("creationTimestamp:")
    });
    admin
        .run_with(
            ["apply", "--filename", "-"],
            fresh.collect::<Vec<_>>().join("\n").as_bytes(),
        )
        .ok();
    let ran = failed.expect("an error for somebody whose rights can't be asked for");
    assert!(
        ran.stderr.contains("SubjectAccessReview") && ran.stdout.is_empty(),
        "{ran}"
    );
    within(Duration::from_secs(30), "it to work again", || {
        (anna.run(["get", "namespaces"]).code == Some(0)).then_some(())
    });
}

#[test]
fn an_aggregated_api_that_is_away_hides_nothing_else() {
    let mut operators = Operators::start();
    let olga = operators.olga();
    olga.run(["get", "namespaces"]).ok();
    operators.aggregated.stop();
    let ran = olga.run(["get", "namespaces"]).failed();
    assert!(ran.stdout.is_empty(), "{ran}");
    olga.run(["get", "configmaps", "--namespace", "default"]).ok();
    operators.aggregated.start_again();
    operators.aggregated.available(operators.cluster);
    within(Duration::from_secs(60), "namespaces to be there again", || {
        (olga.run(["get", "namespaces"]).code == Some(0)).then_some(())
    });
    let _: &FrontProxy = &operators.proxy;
}
