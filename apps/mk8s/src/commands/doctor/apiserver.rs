//! mk8s-apiserver: whether the cluster reaches it, believes it, and lets it ask what it has to.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use mk8s_tls::{CertificateChain, Roots, pin::PresentedChain};
use serde_json::Value;

use super::{
    cluster::{Cluster, Said, list_at, text_at},
    report::{Report, State},
    review,
    times::{self, WEEK},
};
use crate::{cli::doctor::Doctor, error::Result};

const API_SERVICE: &str = "v1.custom.api.local";
/// What binds people to the lists (deploy/apiserver/rbac.yaml).
const READER: &str = "custom-api-local-reader";
const INSTALL: &str = "kubectl apply -f deploy/apiserver/, with the authority in the APIService's caBundle";
const RIGHTS: &str = "kubectl apply -f deploy/apiserver/rbac.yaml";

/// Where the APIService leads.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) namespace: String,
    port: u64,
}

impl Service {
    fn of(api_service: &Value) -> Self {
        let or = |pointer: &str, usual: &str| match text_at(api_service, pointer) {
            "" => usual.to_owned(),
            said => said.to_owned(),
        };
        Self {
            name: or("/spec/service/name", "mk8s-apiserver"),
            namespace: or("/spec/service/namespace", "mk8s-system"),
            port: api_service
                .pointer("/spec/service/port")
                .and_then(Value::as_u64)
                .unwrap_or(443),
        }
    }

    /// The name by which the API server dials it.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    fn renew(&self) -> String {
        format!(
            "mk8s pki issue server {0} --service {0}.{1} --force, and mk8s pki secret {0} --namespace {1} --secret-name {0}-tls | kubectl apply -f -",
            self.name, self.namespace
        )
    }
}

/// What the API server says of the aggregated API.
struct Availability {
    is_available: bool,
    message: String,
}

/// Makes all checks.
pub(super) fn look(cluster: &Cluster<'_>, args: &Doctor, now: Timestamp, report: &mut Report) -> Result<()> {
    let api_service = match cluster.json(&["get", "apiservice", API_SERVICE], None)? {
        Ok(api_service) => Some(api_service),
        Err(why) if is_not_found(&why) => {
            report.fail("APIService", format!("there is no {API_SERVICE}"), INSTALL);
            None
        }
        Err(why) => {
            report.fail(
                "APIService",
                why,
                "look whether `kubectl get apiservices` works; --context or mk8s --cluster names another cluster",
            );
            return Ok(());
        }
    };
    let service = Service::of(api_service.as_ref().unwrap_or(&Value::Null));
    if let Some(api_service) = &api_service {
        let (name, namespace, port) = (&service.name, &service.namespace, service.port);
        report.ok(
            "APIService",
            format!("{API_SERVICE} leads to {namespace}/{name} port {port}"),
        );
        let availability = availability(api_service, &service, report);
        let bundle = trust(api_service, now, report);
        endpoints(cluster, &service, report)?;
        let secret = args
            .secret
            .clone()
            .unwrap_or_else(|| format!("{}-tls", service.name));
        serving_certificate(cluster, &service, &secret, bundle, &availability, now, report)?;
    }
    request_header(cluster, now, report)?;
    rights(cluster, &service, &args.service_account, report)?;
    readers(cluster, report)?;
    match &args.user {
        Some(user) => review::look(cluster, &service, user, &args.groups, report),
        None => Ok(()),
    }
}

fn is_not_found(why: &str) -> bool {
    why.contains("NotFound") || why.contains("not found")
}

fn availability(api_service: &Value, service: &Service, report: &mut Report) -> Availability {
    let condition = list_at(api_service, "/status/conditions")
        .iter()
        .find(|condition| text_at(condition, "/type") == "Available");
    let Some(condition) = condition else {
        report.fail(
            "available",
            "the API server has said nothing yet",
            format!("kubectl describe apiservice {API_SERVICE}"),
        );
        return Availability {
            is_available: false,
            message: String::new(),
        };
    };
    let (reason, message) = (text_at(condition, "/reason"), text_at(condition, "/message"));
    let availability = Availability {
        is_available: text_at(condition, "/status") == "True",
        message: message.to_owned(),
    };
    if availability.is_available {
        report.ok("available", message);
        return availability;
    }
    let (name, namespace) = (&service.name, &service.namespace);
    let pods = format!("kubectl -n {namespace} get pods; kubectl -n {namespace} logs deployment/{name}");
    let remedy = if message.contains("x509") {
        service.renew()
    } else if reason.contains("Endpoints") || message.contains("no endpoints") {
        pods
    } else if reason == "ServiceNotFound" {
        INSTALL.to_owned()
    } else if ["timeout", "deadline", "refused", "no route"]
        .iter()
        .any(|word| message.contains(word))
    {
        format!("let the API server reach the pods' port (network policies, firewalls between nodes); {pods}")
    } else {
        format!("kubectl describe apiservice {API_SERVICE}; {pods}")
    };
    report.fail("available", format!("{reason}: {message}"), remedy);
    availability
}

/// Whether the API server verifies whom it dials; gives the authorities that it believes.
fn trust(api_service: &Value, now: Timestamp, report: &mut Report) -> Option<Vec<u8>> {
    let skips = api_service.pointer("/spec/insecureSkipTLSVerify");
    if skips.and_then(Value::as_bool) == Some(true) {
        report.fail(
            "TLS verification",
            "insecureSkipTLSVerify is true: whoever stands in between can answer for it",
            "put the authority into spec.caBundle, and take insecureSkipTLSVerify out",
        );
    } else {
        report.ok("TLS verification", "the API server verifies whom it dials");
    }
    let remedy = format!(
        "kubectl patch apiservice {API_SERVICE} --type merge -p '{{\"spec\":{{\"caBundle\":\"BASE64\"}}}}', BASE64 being what `base64 -w0 ~/.mk8s/pki/ca.crt` says"
    );
    let written: String = text_at(api_service, "/spec/caBundle")
        .split_whitespace()
        .collect();
    if written.is_empty() {
        report.fail("caBundle", "it is empty", remedy);
        return None;
    }
    let Ok(pem) = STANDARD.decode(written) else {
        report.fail("caBundle", "it isn't base64", remedy);
        return None;
    };
    times::authorities(report, "caBundle", &pem, now, &remedy).then_some(pem)
}

fn endpoints(cluster: &Cluster<'_>, service: &Service, report: &mut Report) -> Result<()> {
    let (name, namespace) = (service.name.as_str(), service.namespace.as_str());
    match cluster.json(&["get", "service", name, "-n", namespace], None)? {
        Err(why) => {
            report.fail("Service", why, INSTALL);
            return Ok(());
        }
        Ok(found) if text_at(&found, "/spec/type") == "ExternalName" => {
            let outside = text_at(&found, "/spec/externalName");
            report.ok("Service", format!("it is outside of the cluster, at {outside}"));
            return Ok(());
        }
        Ok(found) => {
            let has_port = list_at(&found, "/spec/ports")
                .iter()
                .any(|port| port.pointer("/port").and_then(Value::as_u64) == Some(service.port));
            if has_port {
                report.ok("Service", format!("{namespace}/{name}"));
            } else {
                let seen = format!("{namespace}/{name} has no port {}", service.port);
                report.fail("Service", seen, INSTALL);
            }
        }
    }
    let selector = format!("kubernetes.io/service-name={name}");
    let arguments = ["get", "endpointslices", "-n", namespace, "-l", &selector];
    let slices = match cluster.json(&arguments, None)? {
        Ok(slices) => slices,
        Err(why) => {
            report.warn("endpoints", why, format!("kubectl -n {namespace} get pods"));
            return Ok(());
        }
    };
    let all: Vec<&Value> = list_at(&slices, "/items")
        .iter()
        .flat_map(|slice| list_at(slice, "/endpoints"))
        .collect();
    // Nothing said means ready.
    let is_ready =
        |endpoint: &&&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
    let ready = all.iter().filter(is_ready).count();
    let seen = format!("{ready} of {} ready", all.len());
    match ready {
        0 => report.fail(
            "endpoints",
            seen,
            format!("kubectl -n {namespace} get pods; kubectl -n {namespace} logs deployment/{name}"),
        ),
        _ => report.ok("endpoints", seen),
    }
    Ok(())
}

fn serving_certificate(
    cluster: &Cluster<'_>,
    service: &Service,
    secret: &str,
    bundle: Option<Vec<u8>>,
    availability: &Availability,
    now: Timestamp,
    report: &mut Report,
) -> Result<()> {
    const NAME: &str = "serving certificate";
    // The certificate alone: its key is nobody's business here.
    let certificate = "jsonpath={.data.tls\\.crt}";
    let arguments = [
        "get",
        "secret",
        secret,
        "-n",
        &service.namespace,
        "-o",
        certificate,
    ];
    let read = cluster.text(&arguments, None)?.and_then(|text| {
        let pem = STANDARD
            .decode(text.trim())
            .map_err(|_| format!("the Secret {secret} isn't base64"))?;
        CertificateChain::from_pem(&pem).map_err(|error| format!("the Secret {secret}: {error}"))
    });
    let chain = match read {
        Ok(chain) => chain,
        // Then what the API server saw is all that there is.
        Err(_) if availability.is_available && bundle.is_some() => {
            report.ok(
                NAME,
                "the API server believes it (the Secret can't be read from here)",
            );
            return Ok(());
        }
        Err(_) if availability.message.contains("x509") => {
            report.fail(NAME, &availability.message, service.renew());
            return Ok(());
        }
        Err(why) => {
            report.warn(
                NAME,
                why,
                "--secret names the Secret; you must be allowed to read it",
            );
            return Ok(());
        }
    };
    if let Some(bundle) = bundle {
        let planned = PresentedChain::planned(&service.host(), &chain);
        if let Err(error) = planned.and_then(|planned| planned.verify(&Roots::Pem(bundle), now)) {
            let seen = match error {
                mk8s_tls::pin::PinError::NoAuthority => "no authority in the caBundle signed it".to_owned(),
                other => other.to_string(),
            };
            report.fail(NAME, seen, service.renew());
            return Ok(());
        }
    }
    let (state, words) = times::state(&chain, WEEK, now);
    let seen = format!("{}, {words}", service.host());
    report.add(NAME, state, &seen, Some(&service.renew()));
    Ok(())
}

/// How the API server proves itself to the aggregated API.
fn request_header(cluster: &Cluster<'_>, now: Timestamp, report: &mut Report) -> Result<()> {
    const NAME: &str = "request-header authority";
    const REMEDY: &str = "start the API server with --requestheader-client-ca-file and --requestheader-username-headers; see Kubernetes' page on the aggregation layer";
    let arguments = [
        "get",
        "configmap",
        "extension-apiserver-authentication",
        "-n",
        "kube-system",
    ];
    let map = match cluster.json(&arguments, None)? {
        Ok(map) => map,
        Err(why) if is_not_found(&why) => {
            report.fail(NAME, why, REMEDY);
            return Ok(());
        }
        Err(why) => {
            report.warn(
                NAME,
                why,
                "ask somebody who may read ConfigMaps in kube-system to run this",
            );
            return Ok(());
        }
    };
    match text_at(&map, "/data/requestheader-client-ca-file") {
        "" => report.fail(NAME, "the API server has none", REMEDY),
        pem => {
            times::authorities(report, NAME, pem.as_bytes(), now, REMEDY);
        }
    }
    Ok(())
}

/// What mk8s-apiserver has to be allowed: verb, resource, and more arguments.
const NEEDED: &[(&str, &str, &[&str])] = &[
    ("create", "subjectaccessreviews.authorization.k8s.io", &[]),
    ("create", "tokenreviews.authentication.k8s.io", &[]),
    ("list", "namespaces", &[]),
    ("list", "roles.rbac.authorization.k8s.io", &["--all-namespaces"]),
    (
        "list",
        "rolebindings.rbac.authorization.k8s.io",
        &["--all-namespaces"],
    ),
    ("list", "clusterroles.rbac.authorization.k8s.io", &[]),
    ("list", "clusterrolebindings.rbac.authorization.k8s.io", &[]),
    (
        "get",
        "configmaps/extension-apiserver-authentication",
        &["-n", "kube-system"],
    ),
];

fn rights(cluster: &Cluster<'_>, service: &Service, account: &str, report: &mut Report) -> Result<()> {
    let whom = format!("--as=system:serviceaccount:{}:{account}", service.namespace);
    for (verb, resource, more) in NEEDED {
        let arguments = [&[*verb, *resource], *more, &[whom.as_str()]].concat();
        let short = resource.split('.').next().unwrap_or(resource);
        let name = format!("may {verb} {short}");
        let said: Said<bool> = cluster.can(&arguments)?;
        match said {
            Ok(true) => report.ok(&name, account),
            Ok(false) => report.fail(
                &name,
                format!("{account} in {} may not", service.namespace),
                RIGHTS,
            ),
            Err(why) => {
                // Whoever may not ask for others can't ask anything of these.
                report.warn(
                    "rights",
                    why,
                    "run this as somebody who may impersonate service accounts; what is needed is in deploy/apiserver/rbac.yaml",
                );
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether people may ask the aggregated API at all.
fn readers(cluster: &Cluster<'_>, report: &mut Report) -> Result<()> {
    const NAME: &str = "people may ask it";
    let bindings = match cluster.json(&["get", "clusterrolebindings"], None)? {
        Ok(bindings) => bindings,
        Err(why) => {
            report.warn(
                NAME,
                why,
                format!("look who is bound to the ClusterRole {READER}"),
            );
            return Ok(());
        }
    };
    let subjects: Vec<String> = list_at(&bindings, "/items")
        .iter()
        .filter(|binding| {
            text_at(binding, "/roleRef/name") == READER && text_at(binding, "/roleRef/kind") == "ClusterRole"
        })
        .flat_map(|binding| list_at(binding, "/subjects"))
        .map(|subject| format!("{} {}", text_at(subject, "/kind"), text_at(subject, "/name")))
        .collect();
    if subjects.is_empty() {
        report.fail(
            NAME,
            format!("nobody is bound to the ClusterRole {READER}"),
            RIGHTS,
        );
        return Ok(());
    }
    match cluster.json(&["get", "clusterrole", READER], None)? {
        Ok(_) => report.add(NAME, State::Ok, &subjects.join(", "), None),
        Err(why) => report.fail(NAME, why, RIGHTS),
    }
    Ok(())
}
