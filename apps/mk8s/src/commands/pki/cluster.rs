//! `mk8s pki issue user --cluster-csr`: a certificate that the cluster's own authority signs.
//!
//! By way of kubectl, which knows how to reach the cluster and who the caller is there.

use std::{
    ffi::OsStr,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mk8s_model::ClusterName;
use mk8s_tls::{CertificateRequest, Issued, PeerCertificate, PrivateKey, generate_user_csr};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{files::Files, issue::check};
use crate::{
    cli::pki::IssueUser,
    commands::kubectl,
    context::Context,
    error::{Failure, Result},
    home,
    output::{self, plain},
    pki::{Store, failure},
};

/// How often to look whether the certificate is there.
const INTERVAL: Duration = Duration::from_millis(500);
const PER_DAY: u32 = 24 * 60 * 60;

/// Asks the cluster for a certificate, waits for it, and writes it.
pub(super) fn run(
    context: &Context<'_>,
    cluster: Option<&ClusterName>,
    store: &Store,
    args: &IssueUser,
) -> Result<()> {
    check(&args.name, &args.groups)?;
    if cluster.is_some() && args.context.is_some() {
        return Err(Failure::usage("--cluster and --context name two clusters")
            .hint("--cluster leads through central, --context is of your own kubeconfig"));
    }
    let files = Files::choose(context, store, &args.common, &args.name, true)?;
    let kubectl = Kubectl {
        context,
        cluster,
        args,
    };
    let (key, request) = generate_user_csr(&args.name, &args.groups).map_err(failure)?;
    let object = object_name(&args.name, &request);
    let manifest = manifest(&object, args, &request).to_string();
    kubectl.run("create", &[&"create", &"-f", &"-"], Some(&manifest))?;
    // From here on the key is worth keeping: somebody may approve the request tomorrow.
    home::write_private(&files.key, key.pem().as_bytes())?;
    let stays = format!(
        "the request {object} stays, and its key is {}",
        files.key.display()
    );
    let later = format!(
        "once it is approved: kubectl get csr {object} -o jsonpath='{{.status.certificate}}' | base64 -d >{}",
        home::shell_word(&files.certificate)
    );
    if args.approve {
        kubectl
            .run(
                "certificate approve",
                &[&"certificate", &"approve", &object],
                None,
            )
            .map_err(|failure| failure.and(&stays).hint(&later))?;
    } else {
        output::note(&format!(
            "Waiting for somebody to run: kubectl certificate approve {object}"
        ));
    }
    let limit = Duration::from_secs(args.wait.into());
    let outcome = wait(&kubectl, &object, limit).map_err(|failure| failure.and(&stays).hint(&later))?;
    let certificate = match outcome {
        Outcome::Signed(certificate) => certificate,
        Outcome::Refused(failure) => {
            let _ = std::fs::remove_file(&files.key);
            return Err(failure);
        }
        Outcome::TimeIsUp => {
            let seconds = args.wait;
            let failure = Failure::new(format!("there is no certificate after {seconds} s"));
            return Err(failure.and(&stays).hint(later));
        }
    };
    finish(args, &files, &certificate, key)
}

/// Writes what the cluster signed, once it is known to be what was asked for.
fn finish(args: &IssueUser, files: &Files, certificate: &[u8], key: PrivateKey) -> Result<()> {
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(format!("what the cluster signed can't be used: {error}"))
            .hint("look at the request with: kubectl get csr")
    };
    let chain = mk8s_tls::CertificateChain::from_pem(certificate).map_err(|e| unusable(&e))?;
    let issued = Issued::new(chain, key).map_err(|e| unusable(&e))?;
    let holder = PeerCertificate::from_der(issued.chain.leaf()).map_err(|e| unusable(&e))?;
    if holder.common_name != args.name {
        return Err(unusable(&format!("it is for {:?}", plain(&holder.common_name))));
    }
    files.write(&issued.chain.pem(), None)?;
    let answer = Answer {
        serial: holder.serial,
        name: holder.common_name,
        groups: holder.organizations,
        not_after: holder.not_after.to_string(),
        certificate: files.certificate.display().to_string(),
        key: files.key.display().to_string(),
    };
    output::answer(args.common.output.format, &answer, || {
        format!(
            "The cluster issued a user certificate for {}\nserial {}, valid until {}\n{}\n{}\n",
            plain(&answer.name),
            answer.serial,
            answer.not_after,
            answer.certificate,
            answer.key
        )
    })
}

/// What is told in JSON and YAML.
#[derive(Debug, Serialize)]
struct Answer {
    serial: String,
    name: String,
    groups: Vec<String>,
    not_after: String,
    certificate: String,
    key: String,
}

/// A CertificateSigningRequest, as far as we read it.
#[derive(Debug, Default, Deserialize)]
struct Csr {
    #[serde(default)]
    status: CsrStatus,
}

#[derive(Debug, Default, Deserialize)]
struct CsrStatus {
    certificate: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What became of a request.
enum Outcome {
    /// The certificate in PEM.
    Signed(Vec<u8>),
    /// It won't be signed.
    Refused(Failure),
    TimeIsUp,
}

fn wait(kubectl: &Kubectl<'_>, object: &str, limit: Duration) -> Result<Outcome> {
    let started = Instant::now();
    let mut told = kubectl.args.approve;
    loop {
        let answer = kubectl.run("get csr", &[&"get", &"csr", &object, &"-o", &"json"], None)?;
        let csr: Csr = serde_json::from_slice(&answer)
            .map_err(|error| Failure::new(format!("kubectl get csr: the answer can't be read: {error}")))?;
        if let Some(certificate) = csr.status.certificate.filter(|text| !text.is_empty()) {
            let decoded = STANDARD.decode(certificate);
            return decoded
                .map(Outcome::Signed)
                .map_err(|_| Failure::new("kubectl get csr: the certificate isn't base64"));
        }
        let has = |kind: &str| {
            csr.status
                .conditions
                .iter()
                .find(|condition| condition.kind == kind)
        };
        if let Some(condition) = has("Denied").or_else(|| has("Failed")) {
            let (kind, why) = (condition.kind.to_lowercase(), plain(&condition.message));
            let failure = Failure::new(format!("the request {object} is {kind}: {why}"));
            return Ok(Outcome::Refused(
                failure.hint(format!("kubectl describe csr {object}")),
            ));
        }
        if !told && has("Approved").is_some() {
            told = true;
            output::note("Approved; waiting for the signer");
        }
        if started.elapsed() >= limit {
            return Ok(Outcome::TimeIsUp);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The cluster that is asked.
struct Kubectl<'a> {
    context: &'a Context<'a>,
    cluster: Option<&'a ClusterName>,
    args: &'a IssueUser,
}

impl Kubectl<'_> {
    /// Runs it to its end and gives what it wrote. `what` says in an error what was tried.
    fn run(&self, what: &str, arguments: &[&dyn AsRef<OsStr>], input: Option<&str>) -> Result<Vec<u8>> {
        let cannot = |error: &std::io::Error| {
            Failure::new(format!("can't run kubectl {what}: {}", home::reason(error)))
        };
        let mut command: Command = kubectl::tool(self.context, self.cluster)?;
        if let Some(context) = &self.args.context {
            command.arg(format!("--context={context}"));
        }
        for argument in arguments {
            command.arg(argument);
        }
        let output = kubectl::finish(command, input).map_err(|error| cannot(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = kubectl::complaint(&output);
        Err(Failure::new(format!("kubectl {what} failed: {said}"))
            .hint("look whether `kubectl auth can-i create csr` says yes; --context names another cluster"))
    }
}

/// A name that no other request has.
fn object_name(user: &str, request: &CertificateRequest) -> String {
    let kept = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let readable: String = user.chars().take(40).map(kept).collect();
    let digest = Sha256::digest(request.der());
    let unique: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("mk8s-{}-{unique}", readable.trim_matches('-')).replace("--", "-")
}

fn manifest(object: &str, args: &IssueUser, request: &CertificateRequest) -> serde_json::Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": { "name": object },
        "spec": {
            "request": STANDARD.encode(request.pem()),
            "signerName": args.signer,
            "expirationSeconds": u32::from(args.days.get()) * PER_DAY,
            "usages": ["client auth"],
        },
    })
}
