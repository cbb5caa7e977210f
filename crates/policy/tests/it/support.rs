//! A short way from a method and a path to a decision.

use http::{Method, Uri};
use mk8s_model::{AuthMethod, ClusterName, Decision, Identity, KubeRequest};
use mk8s_policy::Policy;

pub(crate) fn policy(yaml: &str) -> Policy {
    Policy::from_yaml(yaml, 7).expect("a policy")
}

/// A policy with one role, `tester`, that has one rule, written in flow style.
pub(crate) fn one_rule(rule: &str) -> Policy {
    policy(&format!("roles: [{{name: tester, clusters: [{{{rule}}}]}}]"))
}

pub(crate) fn cluster(name: &str) -> ClusterName {
    name.parse().expect("a cluster name")
}

pub(crate) fn dev() -> Identity {
    Identity::new("dev@example.com", ["team"], AuthMethod::Token).expect("an identity")
}

pub(crate) fn ask(policy: &Policy, roles: &[&str], on: &str, method: &str, uri: &str) -> Decision {
    let method: Method = method.parse().expect("a method");
    let uri: Uri = uri.parse().expect("a URI");
    let request = KubeRequest::classify(&method, &uri).expect("a request");
    policy.decide(roles, &dev(), &cluster(on), &request)
}

/// The rule that allows it, or none.
pub(crate) fn rule(policy: &Policy, roles: &[&str], on: &str, method: &str, uri: &str) -> Option<String> {
    match ask(policy, roles, on, method, uri) {
        Decision::Allow(grant) => {
            assert_eq!(grant.policy_version, 7);
            Some(grant.rule.to_string())
        }
        Decision::Deny(denial) => {
            assert_eq!(denial.policy_version, 7);
            None
        }
    }
}

pub(crate) fn allows(policy: &Policy, method: &str, uri: &str) -> bool {
    rule(policy, &["tester"], "prod", method, uri).is_some()
}

/// Rows of a rule, a request, and whether it is allowed.
pub(crate) fn check(rows: &[(&str, &str, &str, bool)]) {
    for (written, method, uri, expected) in rows {
        assert_eq!(
            allows(&one_rule(written), method, uri),
            *expected,
            "{written}: {method} {uri}"
        );
    }
}
