//! A cluster with mk8s-apiserver, played by a kubectl that answers from files: healthy, until a test makes it ill.

use std::{fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use mk8s_tls::CertificateAuthority;
use serde_json::{Value, json};

use crate::{
    doctor::{Row, rows},
    sandbox::{Run, Sandbox},
};

/// By which name the API server dials it.
pub(crate) const HOST: &str = "mk8s-apiserver.mk8s-system.svc";

/// Each question has a file with its answer; one that isn't there is a NotFound, one called `*.error` a complaint.
const ANSWER: &str = r#"
printf '%s\n' "$*" >>"$here/calls"
while [ "${1#--}" != "$1" ]; do shift; done
answer() {
  if [ -e "$here/$1.error" ]; then cat "$here/$1.error" >&2; exit 1; fi
  if [ -e "$here/$1" ]; then cat "$here/$1"; exit 0; fi
  echo "Error from server (NotFound): $1 not found" >&2; exit 1
}
case "$*" in
  "auth can-i"*)
    if [ -e "$here/can-i.error" ]; then cat "$here/can-i.error" >&2; exit 1; fi
    if grep -qx -- "$3 $4" "$here/denied" 2>/dev/null; then echo no; exit 1; fi
    echo yes ;;
  create*) cat >"$here/created"; answer review ;;
  "get configmap extension"*) answer authentication ;;
  "get namespaces"*) printf '%s' "$4" >"$here/selector"; answer namespaces ;;
  *) answer "$2" ;;
esac"#;

/// A user at a cluster, healthy until a test changes it.
pub(crate) struct Patient {
    pub(crate) sandbox: Sandbox,
    pub(crate) authority: CertificateAuthority,
}

impl Patient {
    pub(crate) fn healthy() -> Self {
        let authority =
            CertificateAuthority::generate("aggregation", Timestamp::now()).expect("an authority");
        let patient = Self {
            sandbox: Sandbox::new(),
            authority,
        };
        patient.sandbox.stub_kubectl(ANSWER);
        patient.put("apiservice", &patient.api_service());
        patient.put(
            "service",
            &json!({"spec": {"type": "ClusterIP", "ports": [{"port": 443}]}}),
        );
        patient.put(
            "endpointslices",
            &json!({"items": [{"endpoints": [{"conditions": {"ready": true}}, {"conditions": {"ready": false}}, {}]}]}),
        );
        patient.serve(&[HOST], Timestamp::now());
        let pem = patient.authority.certificate_pem();
        patient.put(
            "authentication",
            &json!({"data": {"requestheader-client-ca-file": pem}}),
        );
        patient.put(
            "clusterrolebindings",
            &json!({"items": [
                {"roleRef": {"kind": "ClusterRole", "name": "other"}, "subjects": [{"kind": "User", "name": "joe"}]},
                {"roleRef": {"kind": "ClusterRole", "name": "custom-api-local-reader"},
                 "subjects": [{"kind": "Group", "name": "system:authenticated"}]},
            ]}),
        );
        patient.put("clusterrole", &json!({}));
        patient
    }

    fn api_service(&self) -> Value {
        json!({
            "spec": {
                "service": {"name": "mk8s-apiserver", "namespace": "mk8s-system", "port": 443},
                "caBundle": STANDARD.encode(self.authority.certificate_pem()),
            },
            "status": {"conditions": [{"type": "Available", "status": "True", "message": "all checks passed"}]},
        })
    }

    /// The APIService, changed at a place.
    pub(crate) fn change(&self, pointer: &str, value: Value) {
        let mut document = self.api_service();
        let (parent, name) = pointer.rsplit_once('/').expect("a place");
        document.pointer_mut(parent).expect("there")[name] = value;
        self.put("apiservice", &document);
    }

    pub(crate) fn unavailable(&self, reason: &str, message: &str) {
        self.change(
            "/status/conditions",
            json!([{"type": "Available", "status": "False", "reason": reason, "message": message}]),
        );
    }

    /// Puts a certificate into the Secret.
    pub(crate) fn serve(&self, names: &[&str], from: Timestamp) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let issued = self
            .authority
            .issue_server(&names, Duration::from_secs(30 * 24 * 3600), from);
        let pem = issued.expect("a certificate").chain.pem();
        self.write("secret", &STANDARD.encode(pem));
    }

    pub(crate) fn put(&self, name: &str, value: &Value) {
        self.write(name, &value.to_string());
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.sandbox.bin().join(name), text).expect("written");
    }

    pub(crate) fn lose(&self, name: &str) {
        fs::remove_file(self.sandbox.bin().join(name)).expect("removed");
    }

    /// kubectl complains of this question.
    pub(crate) fn complain(&self, name: &str, of: &str) {
        self.write(&format!("{name}.error"), of);
    }

    pub(crate) fn doctor(&self, more: &[&str]) -> Run {
        self.sandbox
            .run(&[&["doctor", "apiserver", "-o", "json"], more].concat())
    }

    /// The rows that aren't fine; the exit code must fit them.
    #[track_caller]
    pub(crate) fn findings(&self, more: &[&str]) -> Vec<Row> {
        rows(self.doctor(more))
            .into_iter()
            .filter(|row| row.status != "ok")
            .collect()
    }

    /// The only finding.
    #[track_caller]
    pub(crate) fn finding(&self, status: &str, name: &str) -> Row {
        let mut findings = self.findings(&[]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let row = findings.remove(0);
        assert_eq!(
            (row.status.as_str(), row.name.as_str()),
            (status, name),
            "{row:?}"
        );
        row
    }
}
