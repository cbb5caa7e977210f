//! `kubectl auth can-i`: both must allow a request, so both must say yes.

use mk8s_testkit::{Cluster, Gateway, Kubectl, gateway::MAIN};

/// What a developer asks, and whether it may be: by the roles here and by the cluster's own (`edit`).
const QUESTIONS: [(&[&str], bool, bool); 9] = [
    (&["get", "pods"], true, true),
    (&["get", "pods/web", "--subresource", "log"], true, true),
    (&["create", "pods", "--subresource", "exec"], true, true),
    (&["delete", "pods"], false, true),
    (&["create", "deployments.apps"], false, true),
    (&["get", "secrets"], false, true),
    (&["*", "*"], false, false),
    (&["get", "/version"], true, true),
    (&["get", "/metrics"], false, false),
];

#[test]
fn what_the_roles_refuse_is_a_no_and_what_they_allow_is_the_clusters_to_say() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let developer = gateway.user("dev@example.com", &["developer"]);
    let through = developer.kubectl(MAIN).in_namespace(namespace.name());
    let direct = cluster
        .kubectl_as(gateway.directory(), "dev@example.com", &["mk8s:developer"])
        .in_namespace(namespace.name());
    for (question, here, there) in QUESTIONS {
        assert_eq!(may(&direct, question), there, "the cluster on {question:?}");
        assert_eq!(may(&through, question), here && there, "both on {question:?}");
    }
    // Why not, in the words of the refusal itself.
    let no = through.run(["auth", "can-i", "delete", "pods"]);
    let refusal = through.run(["delete", "pod", "web"]).failed();
    assert!(no.stdout.starts_with("no - "), "{}", no.stdout);
    let reason = no.stdout.trim().trim_start_matches("no - ");
    assert!(
        refusal.stderr.contains(reason),
        "{reason:?} isn't in {:?}",
        refusal.stderr
    );
}

#[test]
fn a_no_from_here_is_no_different_in_form_from_the_api_servers() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let developer = gateway.user("dev@example.com", &["developer"]);
    let through = developer.kubectl(MAIN);
    let direct = cluster.kubectl_as(gateway.directory(), "dev@example.com", &["mk8s:developer"]);
    let question = r#"{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":
        {"namespace":"kube-system","verb":"create","resource":"pods","group":"other.example.com"}}}"#;
    let answer = |kubectl: &Kubectl| {
        let mut answer = kubectl
            .run_with(
                [
                    "create",
                    "--filename",
                    "-",
                    "--output",
                    "json",
                    "--validate=false",
                ],
                question.as_bytes(),
            )
            .ok()
            .json();
        let status = answer["status"].take();
        assert_eq!(status["allowed"], false);
        answer["metadata"].take();
        answer
    };
    assert_eq!(answer(&through), answer(&direct));
}

fn may(kubectl: &Kubectl, question: &[&str]) -> bool {
    let words = ["auth", "can-i"].iter().chain(question).copied();
    let ran = kubectl.run(words);
    match ran.stdout.lines().next().unwrap_or_default() {
        "yes" => true,
        no if no.starts_with("no") => false,
        _ => panic!("{question:?}: {ran:?}"),
    }
}
