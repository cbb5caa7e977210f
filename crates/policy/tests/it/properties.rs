//! What holds for every policy and every request.

use std::borrow::Cow;

use mk8s_model::{Decision, KubeRequest, ResourceRequest, Verb};
use mk8s_policy::{ClusterRule, Policy, PolicySpec, RoleSpec};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::{cluster, dev};

const INTERACTIVE: [&str; 5] = ["exec", "attach", "portforward", "proxy", "ephemeralcontainers"];

fn verbs() -> impl Strategy<Value = Vec<String>> {
    vec(
        select(vec![
            "get",
            "list",
            "watch",
            "create",
            "update",
            "patch",
            "delete",
            "deletecollection",
            "logs",
            "exec",
            "attach",
            "portforward",
            "proxy",
            "*",
        ])
        .prop_map(str::to_owned),
        1..5,
    )
}

fn resources() -> impl Strategy<Value = Vec<String>> {
    let resource = select(vec![
        "pods",
        "services",
        "nodes",
        "deployments",
        "serviceaccounts",
        "*",
        "p*",
    ]);
    let group = select(vec!["", "", "", ".apps", "."]);
    let subresource = select(vec![
        "",
        "",
        "/*",
        "/exec",
        "/attach",
        "/proxy",
        "/log",
        "/token",
        "/ephemeralcontainers",
        "/ex*",
    ]);
    vec(
        (resource, group, subresource).prop_map(|(r, g, s)| format!("{r}{g}{s}")),
        1..4,
    )
}

prop_compose! {
    fn rule()(
        name in select(vec!["prod", "p*", "*", "dev"]),
        namespaces in vec(select(vec!["a", "*", "team-*"]).prop_map(str::to_owned), 1..3),
        verbs in verbs(),
        resources in resources(),
        api_groups in vec(select(vec!["", "apps", "*"]).prop_map(str::to_owned), 0..2),
    ) -> ClusterRule {
        ClusterRule { name: name.to_owned(), namespaces, verbs, resources, api_groups, non_resource_urls: Vec::new() }
    }
}

prop_compose! {
    fn roles()(clusters in vec(vec(rule(), 0..3), 1..5)) -> Vec<RoleSpec> {
        clusters.into_iter().enumerate().map(|(at, clusters)| RoleSpec { name: format!("r{at}"), clusters }).collect()
    }
}

prop_compose! {
    fn request()(
        verb in select(vec![
            Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete,
            Verb::DeleteCollection, Verb::Proxy,
        ]),
        group in select(vec!["", "apps", "x.io"]),
        resource in select(vec!["pods", "services", "nodes", "deployments", "serviceaccounts"]),
        subresource in prop::option::of(select(vec![
            "exec", "attach", "portforward", "proxy", "ephemeralcontainers", "log", "status", "token",
        ])),
        namespace in prop::option::of(select(vec!["a", "team-b", "c"])),
    ) -> KubeRequest<'static> {
        KubeRequest::Resource(ResourceRequest {
            verb,
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: subresource.map(Cow::Borrowed),
            namespace: namespace.map(Cow::Borrowed),
            name: Some("x".into()),
        })
    }
}

fn allowed(policy: &Policy, roles: &[String], request: &KubeRequest<'_>) -> bool {
    matches!(
        policy.decide(roles, &dev(), &cluster("prod"), request),
        Decision::Allow(_)
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn another_role_never_takes_anything_away(roles in roles(), request in request()) {
        let policy = Policy::new(&PolicySpec { roles, users: Vec::new() }, 1).expect("a policy");
        let names: Vec<String> = policy.role_names().map(str::to_owned).collect();
        let mut before = false;
        for count in 0..=names.len() {
            let now = allowed(&policy, &names[..count], &request);
            prop_assert!(now || !before, "{} roles allow it, {count} don't", count - 1);
            before = now;
        }
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        prop_assert_eq!(allowed(&policy, &reversed, &request), before, "the order changes who is named, not whether");
    }

    #[test]
    fn without_its_verb_no_way_in_is_opened_unless_written_out(mut roles in roles(), request in request()) {
        let KubeRequest::Resource(asked) = &request else { unreachable!() };
        let Some(way) = asked.interactive() else { return Ok(()) };
        for rule in roles.iter_mut().flat_map(|role| &mut role.clusters) {
            rule.verbs.retain(|verb| verb != "*" && verb != way.verb());
            rule.verbs.push("get".to_owned());
            rule.resources.retain(|resource| !INTERACTIVE.iter().any(|way| resource.ends_with(&format!("/{way}"))));
            rule.resources.push("*".to_owned());
        }
        let policy = Policy::new(&PolicySpec { roles, users: Vec::new() }, 1).expect("a policy");
        let names: Vec<String> = policy.role_names().map(str::to_owned).collect();
        prop_assert!(!allowed(&policy, &names, &request));
    }

    #[test]
    fn an_ephemeral_container_never_comes_without_exec(
        mut roles in roles(),
        verb in select(vec![Verb::Create, Verb::Update, Verb::Patch, Verb::Delete]),
    ) {
        for rule in roles.iter_mut().flat_map(|role| &mut role.clusters) {
            rule.verbs.retain(|verb| verb != "*" && verb != "exec");
            rule.verbs.push(verb.as_str().to_owned());
        }
        let policy = Policy::new(&PolicySpec { roles, users: Vec::new() }, 1).expect("a policy");
        let names: Vec<String> = policy.role_names().map(str::to_owned).collect();
        let request = KubeRequest::Resource(ResourceRequest {
            verb,
            group: "".into(),
            version: "v1".into(),
            resource: "pods".into(),
            subresource: Some("ephemeralcontainers".into()),
            namespace: Some("a".into()),
            name: Some("x".into()),
        });
        prop_assert!(!allowed(&policy, &names, &request));
    }

}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", version: u64) {
        let _ = Policy::from_yaml(&text, version);
    }

    #[test]
    fn no_yaml_of_our_keys_panics(
        keys in vec(select(vec!["roles", "users", "name", "clusters", "verbs", "resources", "email"]), 1..8),
        indents in vec(0usize..6, 8),
        values in vec(select(vec!["", " a", " '*'", " [a]", " {a: b}", " &x a", " *x", " |"]), 8),
    ) {
        let text: String = keys
            .iter()
            .enumerate()
            .map(|(at, key)| format!("{}{}{key}:{}\n", " ".repeat(indents[at]), if at % 2 == 0 { "" } else { "- " }, values[at]))
            .collect();
        if let Err(error) = Policy::from_yaml(&text, 1) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
