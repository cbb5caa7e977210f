//! Two clusters behind one central.

use mk8s_testkit::{Cluster, Gateway, Ran, gateway::Settings};

#[test]
fn one_login_reaches_both_and_use_switches() {
    let (first, second) = (Cluster::shared(), Cluster::second());
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.connect("dev-first", first);
    gateway.connect("dev-second", second);
    // Namespaces of the same name with different things in them.
    let (in_first, in_second) = (first.namespace(), second.namespace());
    for namespace in [&in_first, &in_second] {
        namespace
            .kubectl()
            .run([
                "create",
                "configmap",
                "here",
                "--from-literal",
                &format!("in={}", namespace.name()),
            ])
            .ok();
    }
    let admin = gateway.admin();
    let listed = admin.mk8s(["clusters", "list", "-o", "json"]).ok().json();
    let listed: Vec<_> = rows(&listed)
        .iter()
        .map(|row| (row["name"].clone(), row["status"].clone()))
        .collect();
    let connected = |name: &str| (name.into(), "connected".into());
    assert_eq!(listed, [connected("dev-first"), connected("dev-second")]);

    let look = |ran: Ran| ran.ok().text().to_owned();
    let question = |namespace: &str| {
        [
            "kubectl",
            "get",
            "configmap",
            "here",
            "-o",
            "jsonpath={.data.in}",
            "--namespace",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([namespace.to_owned()])
        .collect::<Vec<_>>()
    };
    admin.mk8s(["clusters", "use", "dev-first"]).ok();
    assert_eq!(look(admin.mk8s(question(in_first.name()))), in_first.name());
    admin.mk8s(question(in_second.name())).failed();
    admin.mk8s(["clusters", "use", "dev-second"]).ok();
    assert_eq!(look(admin.mk8s(question(in_second.name()))), in_second.name());
    admin.mk8s(question(in_first.name())).failed();
    // This once, and `k` for short.
    let once = ["--cluster", "dev-first", "k"].map(str::to_owned).into_iter();
    assert_eq!(
        look(admin.mk8s(once.chain(question(in_first.name()).into_iter().skip(1)))),
        in_first.name()
    );

    // Plain kubectl with a context for each.
    let file = gateway.directory().join("both.kubeconfig");
    let path = file.to_str().expect("a path that is text");
    admin.mk8s(["kubeconfig", "--all", "--output", path]).ok();
    for (context, namespace) in [("dev-first", &in_first), ("dev-second", &in_second)] {
        let kubectl = mk8s_testkit::Kubectl::new(&file).in_namespace(namespace.name());
        let ran = kubectl.run([
            "--context",
            context,
            "get",
            "configmap",
            "here",
            "-o",
            "jsonpath={.data.in}",
        ]);
        assert_eq!(look(ran), namespace.name());
    }

    let unknown = admin.mk8s(["clusters", "use", "dev-third"]).failed();
    assert!(unknown.stderr.contains("dev-third"), "{unknown}");
}

/// The rows of a list, whether it is a list or an object that has one.
fn rows(list: &serde_json::Value) -> Vec<serde_json::Value> {
    let list = list.get("clusters").unwrap_or(list);
    list.as_array()
        .unwrap_or_else(|| panic!("a list: {list}"))
        .clone()
}

#[test]
fn an_agent_that_dies_takes_only_its_own_cluster_away() {
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.connect("dev-first", Cluster::shared());
    gateway.connect("dev-second", Cluster::second());
    gateway.agent("dev-second").kill();
    gateway.disconnected("dev-second");
    let admin = gateway.admin();
    admin.kubectl("dev-first").run(["get", "namespaces"]).ok();
    // kubectl itself waits and asks again, as Retry-After tells it to.
    let gone = gateway.call(
        "GET",
        &gateway.kube_path("dev-second", "/version"),
        &serde_json::Value::Null,
    );
    assert!(
        gone.status == 503 && gone.text().contains("dev-second"),
        "which cluster it is: {}",
        gone.text()
    );
    gateway.agent("dev-second").start_again();
    gateway.connected("dev-second");
    gateway
        .admin()
        .kubectl("dev-second")
        .run(["get", "namespaces"])
        .ok();
}
