//! What agents are asked, and the calls that answer it: one table, so that anybody can judge whether it is fair.
//!
//! Both servers get the same questions about the same cluster. The calls are those that an agent which has read the server's own
//! descriptions would plainly make: the tool that is meant for it, the namespace and names that the question has, selectors where the server
//! offers them and the question gives them, and no more calls than the answer needs. Nothing is set that a description doesn't suggest. Where the
//! other server has a tool for exactly that (`pods_log` rather than `resources_get`), it is used; where it folds several of our calls
//! into one, or we several of its, each does what it can. What is left to the reader: whether the answers are as good. Ours
//! leave out what is well when there are many, and say so; the other's leave out nothing.

use serde_json::{Value, json};

/// A call of a tool.
pub(super) struct Call {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    /// What the answer must have in it, or it doesn't answer the question.
    pub(super) expected: &'static str,
}

/// A question, and how it is answered.
pub(super) struct Task {
    pub(super) question: &'static str,
    pub(super) ours: Vec<Call>,
    pub(super) other: Vec<Call>,
}

/// Whose tools the other server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// npm's `kubernetes-mcp-server`
    KubernetesMcpServer,
    /// `mcp-kubernetes`, a program in Go that has to be built from its own source
    McpKubernetes,
}

/// Names that are known only when the cluster is there.
pub(super) struct Names {
    /// A pod of the deployment `cart`, which is well.
    pub(super) cart: String,
    /// One of `checkout`, which crashes.
    pub(super) checkout: String,
}

fn call(tool: &'static str, arguments: Value, expected: &'static str) -> Call {
    Call {
        tool,
        arguments,
        expected,
    }
}

/// All of them, as the other server has tools for them.
pub(super) fn all(names: &Names, other: Dialect) -> Vec<Task> {
    let mut all = of_kubernetes_mcp_server(names);
    if other == Dialect::McpKubernetes {
        for (task, calls) in all.iter_mut().zip(of_mcp_kubernetes(names)) {
            task.other = calls;
        }
    }
    all
}

/// How the other server is asked for one pod.
pub(super) fn one_pod(names: &Names, other: Dialect) -> Call {
    let (cart, shop) = (&names.cart, "shop");
    match other {
        Dialect::KubernetesMcpServer => call("pods_get", json!({"name": cart, "namespace": shop}), "cart-"),
        Dialect::McpKubernetes => call(
            "kubernetes_get",
            json!({"resourceType": "pod", "name": cart, "namespace": shop}),
            "cart-",
        ),
    }
}

/// The same questions for `mcp-kubernetes`. Its lists have 20 items unless one asks for more, and 100 at most, without a word of the
/// rest: so its answer to the first question is less than what answers it. An answer of the other server that lacks what was asked for is
/// said to, and counts as it is, which is in its favour. A list of events says nothing of what happened unless all of it is asked for.
fn of_mcp_kubernetes(names: &Names) -> Vec<Vec<Call>> {
    let of = |kind: &str, name: &str| json!({"resourceType": kind, "name": name, "namespace": "shop"});
    let list = |kind: &str| json!({"resourceType": kind, "namespace": "shop"});
    vec![
        vec![call(
            "kubernetes_list",
            json!({"resourceType": "pods", "allNamespaces": true, "limit": 1000}),
            "CrashLoopBackOff",
        )],
        vec![
            call("kubernetes_describe", of("deployment", "checkout"), "checkout"),
            call(
                "kubernetes_list",
                json!({"resourceType": "pods", "namespace": "shop", "labelSelector": "app.kubernetes.io/name=checkout"}),
                "checkout-",
            ),
            call("kubernetes_describe", of("pod", &names.checkout), "BackOff"),
            call(
                "kubernetes_logs",
                json!({"namespace": "shop", "podName": names.checkout, "previous": true, "tailLines": 50}),
                "cannot open database",
            ),
        ],
        vec![call("kubernetes_get", of("deployment", "web"), "web:")],
        vec![call(
            "kubernetes_logs",
            json!({"namespace": "shop", "podName": names.cart, "tailLines": 500}),
            "inventory timed out",
        )],
        vec![call(
            "kubernetes_list",
            json!({"resourceType": "events", "namespace": "billing", "limit": 1000, "fullOutput": true}),
            "BackOff",
        )],
        vec![call("kubernetes_list", list("deployments"), "checkout")],
        vec![call("kubernetes_list", json!({"resourceType": "nodes"}), "v1.3")],
        vec![one_pod(names, Dialect::McpKubernetes)],
        vec![call("kubernetes_list", list("services"), "8080")],
        vec![call("kubernetes_get", of("configmap", "app-config"), "timeout")],
    ]
}

fn of_kubernetes_mcp_server(names: &Names) -> Vec<Task> {
    let shop = "shop";
    vec![
        Task {
            question: "Which pods of the cluster aren't well?",
            ours: vec![call("get", json!({"kind": "pods"}), "CrashLoopBackOff")],
            other: vec![call("pods_list", json!({}), "CrashLoopBackOff")],
        },
        Task {
            question: "Why doesn't deployment checkout in shop become ready?",
            ours: vec![call(
                "diagnose",
                json!({"kind": "deployment", "name": "checkout", "namespace": shop}),
                "cannot open database",
            )],
            other: vec![
                call(
                    "resources_get",
                    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "namespace": shop}),
                    "MinimumReplicasUnavailable",
                ),
                call(
                    "pods_list_in_namespace",
                    json!({"namespace": shop, "labelSelector": "app.kubernetes.io/name=checkout"}),
                    "checkout-",
                ),
                call(
                    "events_list",
                    json!({"namespace": shop, "fieldSelector": format!("involvedObject.name={}", names.checkout)}),
                    "BackOff",
                ),
                call(
                    "pods_log",
                    json!({"namespace": shop, "name": names.checkout, "previous": true, "tail": 50}),
                    "cannot open database",
                ),
            ],
        },
        Task {
            question: "Which image, resources and probes has deployment web in shop?",
            ours: vec![call(
                "get",
                json!({"kind": "deployment", "name": "web", "namespace": shop}),
                "web:",
            )],
            other: vec![call(
                "resources_get",
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": shop}),
                "web:",
            )],
        },
        Task {
            question: "Which errors are in the log of a pod of cart in shop?",
            ours: vec![call(
                "logs",
                json!({"pod": names.cart, "namespace": shop, "grep": "ERROR"}),
                "inventory timed out",
            )],
            other: vec![call(
                "pods_log",
                json!({"name": names.cart, "namespace": shop, "tail": 500}),
                "inventory timed out",
            )],
        },
        Task {
            question: "What went wrong in namespace billing lately?",
            ours: vec![call(
                "events",
                json!({"namespace": "billing", "warnings": true}),
                "BackOff",
            )],
            other: vec![call(
                "events_list",
                json!({"namespace": "billing", "fieldSelector": "type=Warning"}),
                "BackOff",
            )],
        },
        Task {
            question: "How many replicas of each deployment in shop are ready?",
            ours: vec![call(
                "get",
                json!({"kind": "deployments", "namespace": shop}),
                "checkout",
            )],
            other: vec![call(
                "resources_list",
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": shop}),
                "checkout",
            )],
        },
        Task {
            question: "Are all nodes ready, and of which version?",
            ours: vec![call("get", json!({"kind": "nodes"}), "v1.3")],
            other: vec![call(
                "resources_list",
                json!({"apiVersion": "v1", "kind": "Node"}),
                "v1.3",
            )],
        },
        Task {
            question: "Where does this pod of cart run, with which address, how often did it restart?",
            ours: vec![call(
                "get",
                json!({"kind": "pod", "name": names.cart, "namespace": shop}),
                "cart-",
            )],
            other: vec![one_pod(names, Dialect::KubernetesMcpServer)],
        },
        Task {
            question: "Which services are there in shop, on which ports?",
            ours: vec![call(
                "get",
                json!({"kind": "services", "namespace": shop}),
                "8080",
            )],
            other: vec![call(
                "resources_list",
                json!({"apiVersion": "v1", "kind": "Service", "namespace": shop}),
                "8080",
            )],
        },
        Task {
            question: "What is configured in the ConfigMap app-config of shop?",
            ours: vec![call(
                "get",
                json!({"kind": "configmap", "name": "app-config", "namespace": shop}),
                "timeout",
            )],
            other: vec![call(
                "resources_get",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "app-config", "namespace": shop}),
                "timeout",
            )],
        },
    ]
}
