//! A file of roles: reading it never panics, an error says one line, and what could be read decides without a panic, and
//! gives nothing to those who have no role.
#![no_main]

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use mk8s_model::{AuthMethod, ClusterName, Decision, Identity, KubeRequest};
use mk8s_policy::Policy;

const REQUESTS: [&str; 6] = [
    "/version",
    "/api/v1/pods",
    "/api/v1/namespaces/n/pods/p/exec",
    "/api/v1/namespaces/n/serviceaccounts/s/token",
    "/apis/apps/v1/namespaces/n/deployments/d/scale",
    "/api/v1/nodes/n/proxy/x",
];

fuzz_target!(|text: &str| {
    let policy = match Policy::from_yaml(text, 1) {
        Ok(policy) => policy,
        Err(why) => {
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    let roles: Vec<String> = policy.role_names().map(str::to_owned).collect();
    let cluster: ClusterName = "prod-eu.west".parse().expect("a name");
    let jane = Identity::new("jane", [""; 0], AuthMethod::Token).expect("an identity");
    for target in REQUESTS {
        let uri: Uri = target.parse().expect("a URI");
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request = KubeRequest::classify(&method, &uri).expect("a request");
            let decision = policy.decide(&roles, &jane, &cluster, &request);
            if let Decision::Deny(denial) = decision {
                assert!(!denial.reason.is_empty());
            }
            let nobody = policy.decide(&[] as &[String], &jane, &cluster, &request);
            assert!(matches!(nobody, Decision::Deny(_)));
        }
    }
    let _ = (policy.describe(&roles, &cluster), policy.may_see(&roles, &cluster));
    assert!(!policy.may_see(&[] as &[String], &cluster));
});
