//! mk8s-front-proxy: whether it is who it says, whom it lets in, and in whose name it asks the cluster.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use mk8s_model::{AuthMethod, Identity};
use mk8s_tls::{CertificateChain, Issued, PeerCertificate, ReloadingCertificate};
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};

use super::{
    cluster::{Cluster, list_at, text_at},
    report::{Report, State},
    times::{self, WEEK},
};
use crate::{
    central_url::CentralUrl,
    cli::doctor::Doctor,
    context::{Context, block_on},
    error::{Failure, Result},
    home,
    trust::{self, Trust},
};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
const WHO_AM_I: &str = "/apis/custom.api.local/v1/whoami";
const REVIEW_MYSELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const NAMESPACES: &str = "/api/v1/namespaces";
const ISSUE: &str = "mk8s pki issue user NAME --group GROUP, or ask whoever gave it to you";

/// Where the front proxy is, and what is shown to it.
struct Access {
    server: CentralUrl,
    trust: Trust,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Makes all checks.
pub(super) fn look(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    args: &Doctor,
    now: Timestamp,
    report: &mut Report,
) -> Result<()> {
    let access = match access(context, cluster, args)? {
        Ok(access) => access,
        Err((seen, remedy)) => {
            report.fail("kubeconfig", seen, remedy);
            return Ok(());
        }
    };
    let holder = client_certificate(&access, now, report);
    block_on(async {
        if !server(&access, now, report).await {
            return Ok(());
        }
        nobody(&access, report).await?;
        if let Some((issued, holder)) = &holder {
            somebody(&access, issued, holder, report).await?;
        }
        Ok(())
    })
}

/// What the flags name, else what the kubeconfig has. What is wrong with that is a row: what was seen, and the remedy.
fn access(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    args: &Doctor,
) -> Result<std::result::Result<Access, (String, String)>> {
    let (Some(server), Some(certificate), Some(key)) = (&args.server, &args.certificate, &args.key) else {
        return of_kubeconfig(cluster);
    };
    let present = |path: &PathBuf| {
        let path = context.environment.absolute(path);
        let content = home::read(&path)?;
        content.map(|content| (path.clone(), content)).ok_or_else(|| {
            Failure::new(format!("{} isn't there", path.display())).hint("look at the names of the files")
        })
    };
    let trust = match &args.ca {
        Some(ca) => {
            let (path, pem) = present(ca)?;
            Trust::only(path, pem)?
        }
        None => Trust::System,
    };
    Ok(Ok(Access {
        server: server.0.clone(),
        trust,
        certificate: present(certificate)?.1,
        key: present(key)?.1,
    }))
}

fn of_kubeconfig(cluster: &Cluster<'_>) -> Result<std::result::Result<Access, (String, String)>> {
    const WRITE: &str = "mk8s front-proxy kubeconfig writes one; --context names another context, or give --server, --certificate and --key";
    let wrong = |seen: &str| Ok(Err((seen.to_owned(), WRITE.to_owned())));
    // --flatten reads the files that the kubeconfig names.
    let view = ["config", "view", "--raw", "--minify", "--flatten"];
    let config = match cluster.json(&view, None)? {
        Ok(config) => config,
        Err(why) => return wrong(&why),
    };
    let Ok(server) = CentralUrl::of("the server", text_at(&config, "/clusters/0/cluster/server")) else {
        return wrong("its server is no front proxy: it isn't https://HOST:PORT");
    };
    let data = |pointer: &str| STANDARD.decode(text_at(&config, pointer)).unwrap_or_default();
    let certificate = data("/users/0/user/client-certificate-data");
    let key = data("/users/0/user/client-key-data");
    if certificate.is_empty() || key.is_empty() {
        return wrong("it has no client certificate and key");
    }
    let trust = match data("/clusters/0/cluster/certificate-authority-data") {
        pem if pem.is_empty() => Trust::System,
        pem => match Trust::only(PathBuf::from("the kubeconfig"), pem) {
            Ok(trust) => trust,
            Err(failure) => return wrong(&failure.to_string()),
        },
    };
    Ok(Ok(Access {
        server,
        trust,
        certificate,
        key,
    }))
}

/// What the front proxy will see of whoever comes; nothing if it isn't worth trying.
fn client_certificate(
    access: &Access,
    now: Timestamp,
    report: &mut Report,
) -> Option<(Issued, PeerCertificate)> {
    const NAME: &str = "client certificate";
    let issued = match Issued::from_pem(&access.certificate, &access.key) {
        Ok(issued) => issued,
        Err(error) => {
            report.fail(
                NAME,
                error.to_string(),
                "name the certificate and the key that were made together",
            );
            return None;
        }
    };
    let holder = match PeerCertificate::from_der(issued.chain.leaf()) {
        Ok(holder) => holder,
        Err(error) => {
            report.fail(NAME, error.to_string(), ISSUE);
            return None;
        }
    };
    let groups = match holder.organizations.as_slice() {
        [] => "no groups".to_owned(),
        groups => format!("groups {}", groups.join(", ")),
    };
    let seen = format!("user {}, {groups}", holder.common_name);
    match Identity::new(
        &holder.common_name,
        &holder.organizations,
        AuthMethod::Certificate,
    ) {
        Ok(_) => report.ok(NAME, seen),
        Err(error) => report.fail(NAME, format!("{seen}: {error}"), ISSUE),
    }
    if issued.chain.is_for_clients() {
        report.ok("its use", "for clients");
    } else {
        report.fail("its use", "not for clients (extended key usage)", ISSUE);
    }
    let (state, words) = times::state(&issued.chain, WEEK, now);
    report.add("its validity", state, &words, Some(ISSUE));
    Some((issued, holder))
}

/// Whether the server is there and is who it says.
async fn server(access: &Access, now: Timestamp, report: &mut Report) -> bool {
    let remedy = format!(
        "mk8s pki issue server NAME --dns {} --force, and bring it to the front proxy; --ca names the authority",
        access.server.host()
    );
    let presented = match trust::presented(&access.server).await {
        Ok(presented) => presented,
        Err(error) => {
            let words = error.to_string();
            report.fail(
                "server",
                words.split(" (os error").next().unwrap_or_default(),
                "look whether mk8s-front-proxy runs (its log says \"ready\"), and whether a firewall is in between",
            );
            return false;
        }
    };
    report.ok("server", format!("{} answers TLS", access.server.as_str()));
    if let Err(error) = presented.verify(&access.trust.roots(), now) {
        let seen = match error {
            mk8s_tls::pin::PinError::NoAuthority => "no authority that is trusted here signed it".to_owned(),
            other => other.to_string(),
        };
        report.fail("server certificate", seen, remedy);
        return false;
    }
    let leaf = CertificateChain::from_der(presented.certificates().to_vec());
    let (state, words) = leaf.map_or((State::Fail, String::new()), |chain| {
        times::state(&chain, WEEK, now)
    });
    let seen = format!("{}, {words}", access.server.host());
    report.add("server certificate", state, &seen, Some(&remedy));
    true
}

/// Whether it keeps out who shows nothing.
async fn nobody(access: &Access, report: &mut Report) -> Result<()> {
    const NAME: &str = "without a certificate";
    let client = client(access, None)?;
    match client.get(access.server.endpoint("/version")).send().await {
        Ok(response) => report.fail(
            NAME,
            format!("it was answered with {}", response.status()),
            "is this mk8s-front-proxy? Another server, or a load balancer that ends TLS, doesn't ask for certificates",
        ),
        Err(error) if error.is_timeout() => {
            report.warn(NAME, "there was no answer in time", "try again");
        }
        Err(_) => report.ok(NAME, "refused, as it should be"),
    }
    Ok(())
}

/// Whether whoever has the certificate comes in, and who they are to the cluster then.
async fn somebody(
    access: &Access,
    issued: &Issued,
    holder: &PeerCertificate,
    report: &mut Report,
) -> Result<()> {
    const NAME: &str = "with the certificate";
    let client = client(access, Some(issued))?;
    let response = client
        .get(access.server.endpoint(WHO_AM_I))
        .header(header::ACCEPT, "application/json");
    let (status, answer) = match answer(response).await {
        Ok(answered) => answered,
        Err(why) => {
            report.fail(
                NAME,
                why,
                "look at the front proxy's log: the authority must be in clients.ca_files, and the certificate neither revoked nor over",
            );
            return Ok(());
        }
    };
    let message = text_at(&answer, "/message");
    match status {
        StatusCode::FORBIDDEN if message.contains("cannot impersonate") => {
            report.ok(NAME, "let in");
            report.fail("impersonation", message, "kubectl apply -f deploy/front-proxy/rbac.yaml; if it has resourceNames, add this user and each group");
            return Ok(());
        }
        // RBAC's own words name the user, who may be called anything.
        StatusCode::FORBIDDEN
            if message.contains("certificate") && !message.contains("cannot list resource") =>
        {
            report.fail(
                NAME,
                message,
                format!("the front proxy's log says more; if the certificate was revoked: {ISSUE}"),
            );
            return Ok(());
        }
        StatusCode::UNAUTHORIZED => {
            report.fail(
                NAME,
                format!("let in, but the API server answers 401: {message}"),
                "the front proxy's own token or kubeconfig isn't taken; look at its log",
            );
            return Ok(());
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            report.fail(NAME, format!("let in, but {status}: {message}"), "the front proxy doesn't reach the API server; look at its log and at `kubernetes` in its configuration");
            return Ok(());
        }
        _ => report.ok(NAME, "let in"),
    }
    report.ok(
        "impersonation",
        "the front proxy may speak for this user and these groups",
    );
    if status == StatusCode::OK {
        identity(
            text_at(&answer, "/items/0/userInfo/username"),
            list_at(&answer, "/items/0/userInfo/groups"),
            holder,
            report,
        );
    } else {
        report.warn(
            "custom.api.local",
            format!("{status}: {message}"),
            "mk8s doctor apiserver",
        );
        ask_the_api_server(access, &client, holder, report).await;
    }
    namespaces(access, &client, report).await;
    Ok(())
}

/// Who they are when there is no aggregated API to say it.
async fn ask_the_api_server(access: &Access, client: &Client, holder: &PeerCertificate, report: &mut Report) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = client.post(access.server.endpoint(REVIEW_MYSELF)).json(&review);
    match answer(request).await {
        Ok((StatusCode::CREATED, said)) => identity(
            text_at(&said, "/status/userInfo/username"),
            list_at(&said, "/status/userInfo/groups"),
            holder,
            report,
        ),
        Ok((status, said)) => report.warn(
            "identity",
            format!("{status}: {}", text_at(&said, "/message")),
            "kubectl auth whoami, with the kubeconfig of the front proxy",
        ),
        Err(why) => report.fail("identity", why, "look at the front proxy's log"),
    }
}

fn identity(user: &str, groups: &[Value], holder: &PeerCertificate, report: &mut Report) {
    let groups: Vec<&str> = groups.iter().filter_map(Value::as_str).collect();
    let seen = format!("the cluster takes you for {user}, in {}", groups.join(", "));
    let all = holder
        .organizations
        .iter()
        .all(|group| groups.contains(&group.as_str()));
    if user == holder.common_name && all {
        report.ok("identity", seen);
    } else {
        report.fail(
            "identity",
            seen,
            "that isn't what the certificate says: is another proxy in between?",
        );
    }
}

async fn namespaces(access: &Access, client: &Client, report: &mut Report) {
    const NAME: &str = "namespaces";
    match answer(client.get(access.server.endpoint(NAMESPACES))).await {
        Ok((StatusCode::OK, list)) => {
            let count = list_at(&list, "/items").len();
            match count {
                0 => report.warn(
                    NAME,
                    "you see none",
                    "mk8s doctor apiserver --user NAME --group GROUP says why",
                ),
                _ => report.ok(NAME, format!("you see {count}")),
            }
        }
        Ok((status, said)) => report.fail(
            NAME,
            format!("{status}: {}", text_at(&said, "/message")),
            "mk8s doctor apiserver",
        ),
        Err(why) => report.fail(NAME, why, "look at the front proxy's log"),
    }
}

fn client(access: &Access, issued: Option<&Issued>) -> Result<Client> {
    let cannot = |error: &dyn std::fmt::Display| Failure::new(format!("can't set TLS up: {error}"));
    let certificate = issued
        .map(ReloadingCertificate::from_issued)
        .transpose()
        .map_err(|e| cannot(&e))?;
    let tls = mk8s_tls::client::config(&access.trust.roots(), certificate, &[b"h2", b"http/1.1"])
        .map_err(|e| cannot(&e))?;
    Client::builder()
        .tls_backend_preconfigured(tls.as_ref().clone())
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .user_agent(concat!("mk8s/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| cannot(&e))
}

/// Status and JSON of an answer (null if it is none), or why there is no answer.
async fn answer(request: reqwest::RequestBuilder) -> std::result::Result<(StatusCode, Value), String> {
    let why = |error: reqwest::Error| trust::innermost(&error);
    let response = request.send().await.map_err(why)?;
    let status = response.status();
    let body = response.bytes().await.map_err(why)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
