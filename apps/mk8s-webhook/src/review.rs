//! AdmissionReview v1: the API server's question, and our answer.
//!
//! Source: `k8s.io/api/admission/v1/types.go`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The one version that is spoken.
const API_VERSION: &str = "admission.k8s.io/v1";

/// What the API server wants to know, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Question {
    /// Which question this is; the answer repeats it.
    pub(crate) uid: String,
    /// What the object is.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// `binding`, `eviction`, …; empty for the object itself.
    #[serde(default)]
    pub(crate) sub_resource: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(default)]
    pub(crate) operation: String,
    /// The namespace that the object will be in.
    #[serde(default)]
    pub(crate) namespace: String,
    /// Whether nothing will come of it.
    #[serde(default)]
    pub(crate) dry_run: Option<bool>,
    /// The object; null when it is deleted.
    #[serde(default)]
    pub(crate) object: Value,
}

/// A kind, as `metav1.GroupVersionKind` has it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Kind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
}

/// Why bytes are no question that can be answered. Without a `uid` there is no AdmissionReview to answer with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the body is no JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the body is no AdmissionReview: {0}")]
    WrongShape(serde_json::Error),
    #[error("the body is a {0:?}; only an AdmissionReview is answered here")]
    OtherKind(String),
    #[error(
        "AdmissionReview of {0:?} isn't spoken, only {API_VERSION}: set admissionReviewVersions: [v1] in the \
         MutatingWebhookConfiguration"
    )]
    OtherVersion(String),
    #[error("the AdmissionReview has no request in it")]
    NoRequest,
    #[error("the AdmissionReview's request has no uid, so it can't be answered")]
    NoUid,
}

/// What is answered to a question that could be read.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What is changed; may be empty.
    pub(crate) patch: Vec<json_patch::PatchOperation>,
    /// What whoever made the object should know; each as short as Kubernetes wants it.
    pub(crate) warnings: Vec<String>,
    /// Why the object isn't taken, if it isn't.
    pub(crate) refusal: Option<Refusal>,
    /// For the API server's audit log: what became of it, in a word or a line.
    pub(crate) noted: String,
}

/// Why an object isn't taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status that the API server passes on.
    pub(crate) code: u16,
    /// `metav1.StatusReason`.
    pub(crate) reason: &'static str,
    /// Which field, and what to do.
    pub(crate) message: String,
}

impl Refusal {
    /// What is asked for can't be done with this object.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: 422,
            reason: "Invalid",
            message: message.into(),
        }
    }

    /// Our own fault. What asked for injection never passes without.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self {
            code: 500,
            reason: "InternalError",
            message: message.into(),
        }
    }
}

impl Question {
    /// Reads an AdmissionReview.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Review {
            #[serde(default, rename = "apiVersion")]
            api_version: String,
            #[serde(default)]
            kind: String,
            #[serde(default)]
            request: Value,
        }
        let review: Review = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Unreadable::WrongShape(error),
            _ => Unreadable::NotJson(error),
        })?;
        if review.kind != "AdmissionReview" {
            return Err(Unreadable::OtherKind(shown(&review.kind)));
        }
        if review.api_version != API_VERSION {
            return Err(Unreadable::OtherVersion(shown(&review.api_version)));
        }
        if review.request.is_null() {
            return Err(Unreadable::NoRequest);
        }
        let is_named = review.request["uid"].as_str().is_some_and(|uid| !uid.is_empty());
        if !is_named {
            return Err(Unreadable::NoUid);
        }
        serde_json::from_value(review.request).map_err(Unreadable::WrongShape)
    }

    /// Whether this is about a pod itself, in the one version there is.
    pub(crate) fn is_about_a_pod(&self) -> bool {
        let Kind { group, version, kind } = &self.kind;
        (group.as_str(), version.as_str(), kind.as_str()) == ("", "v1", "Pod") && self.sub_resource.is_empty()
    }
}

impl Answer {
    /// The AdmissionReview that is sent back.
    pub(crate) fn to_json(&self, uid: &str) -> Value {
        let mut response = Map::new();
        response.insert("uid".to_owned(), uid.into());
        response.insert("allowed".to_owned(), self.refusal.is_none().into());
        if let Some(Refusal {
            code,
            reason,
            message,
        }) = &self.refusal
        {
            let status = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
            response.insert("status".to_owned(), status);
        } else if !self.patch.is_empty() {
            let patch = Patch(self.patch.clone()).to_string();
            response.insert("patchType".to_owned(), "JSONPatch".into());
            response.insert("patch".to_owned(), BASE64_STANDARD.encode(patch).into());
        }
        if !self.warnings.is_empty() {
            response.insert("warnings".to_owned(), self.warnings.clone().into());
        }
        if !self.noted.is_empty() {
            response.insert("auditAnnotations".to_owned(), json!({"injection": self.noted}));
        }
        json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})
    }
}

/// The beginning of what a stranger sent.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &Value) -> Vec<u8> {
        let review = json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request});
        review.to_string().into_bytes()
    }

    #[test]
    fn a_question_is_read_with_fields_that_we_dont_know() {
        let question = Question::read(&review(&json!({
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "dryRun": true,
            "namespace": "n", "object": {"kind": "Pod"}, "userInfo": {"username": "jane"}, "new": {"in": "v1"},
        })))
        .expect("a question");
        assert_eq!(
            (question.uid.as_str(), question.operation.as_str()),
            ("u", "CREATE")
        );
        assert!(question.is_about_a_pod() && question.dry_run == Some(true));
    }

    #[test]
    fn what_is_no_question_is_told_apart() {
        let rows: [(&[u8], &str); 11] = [
            (b"", "no JSON"),
            (b"hello", "no JSON"),
            (br#"{"apiVersion":"admission.k8s.io/v1","kind":"Adm"#, "EOF"),
            (b"7", "no AdmissionReview"),
            (b"[]", "only an AdmissionReview"),
            (b"{}", "only an AdmissionReview"),
            (br#"{"kind":"Pod","apiVersion":"v1"}"#, "\"Pod\""),
            (
                br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"u"}}"#,
                "admissionReviewVersions: [v1]",
            ),
            (
                br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#,
                "no request",
            ),
            (
                br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":""}}"#,
                "no uid",
            ),
            (
                br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":1}}"#,
                "no AdmissionReview",
            ),
        ];
        for (body, says) in rows {
            let error = Question::read(body).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn only_pods_themselves_are_pods() {
        let about = |kind: Value, sub_resource: &str| {
            let request = json!({"uid": "u", "kind": kind, "subResource": sub_resource});
            Question::read(&review(&request))
                .expect("a question")
                .is_about_a_pod()
        };
        let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
        assert!(about(pod.clone(), ""));
        assert!(!about(pod, "ephemeralcontainers"));
        assert!(!about(
            json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
            ""
        ));
        assert!(!about(
            json!({"group": "metrics.k8s.io", "version": "v1", "kind": "Pod"}),
            ""
        ));
    }

    #[test]
    fn an_answer_says_what_it_has_to_and_no_more() {
        let bare = Answer::default().to_json("u");
        assert_eq!(bare["response"], json!({"uid": "u", "allowed": true}));
        let patch: Patch =
            serde_json::from_value(json!([{"op": "add", "path": "/a", "value": 1}])).expect("patch");
        let answer = Answer {
            patch: patch.0,
            warnings: vec!["mind".to_owned()],
            ..Answer::default()
        };
        let response = &answer.to_json("u")["response"];
        let patch = BASE64_STANDARD.decode(response["patch"].as_str().expect("patch"));
        let patch: Value = serde_json::from_slice(&patch.expect("base64")).expect("JSON");
        assert_eq!(patch, json!([{"op": "add", "path": "/a", "value": 1}]));
        assert_eq!(
            (&response["patchType"], &response["warnings"]),
            (&json!("JSONPatch"), &json!(["mind"]))
        );
        let refused = Answer {
            refusal: Some(Refusal::invalid("no")),
            ..answer
        }
        .to_json("u");
        assert_eq!(
            refused["response"]["patch"],
            Value::Null,
            "nothing changes what isn't taken"
        );
        assert_eq!(refused["response"]["status"]["code"], 422);
    }
}
