//! Policies as text: what is taken, and what is refused with line and key.

use mk8s_policy::{DEFAULT_ROLES, Policy, PolicySpec, Problem};

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    let rule = r#"{name: "*", namespaces: ["*"], verbs: [get], resources: [pods]}"#;
    let rows = [
        ("", "line 1: unexpected end of file"),
        ("- a", "line 1"),
        ("roles: [\n", "line"),
        (
            "roles:\n  - name: a\n    clusters: []\n    cluster: x\n",
            "line 4, roles[0].cluster: unknown field",
        ),
        ("roles: []\nrole: []\n", "line 2, role: unknown field"),
        (
            "roles:\n- name: a\n  clusters:\n  - name: x\n    verb: [get]\n",
            "line 5, roles[0].clusters[0].verb: unknown",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - name: x\n    verbs: get\n",
            "line 5, roles[0].clusters[0].verbs:",
        ),
        ("roles:\n- name: [a]\n  clusters: []\n", "line 2, roles[0].name:"),
        ("roles:\n- clusters: []\n", "line 2, roles[0]: missing field"),
        (
            "roles:\n- name: ''\n  clusters: []\n",
            "line 2, roles[0].name: the name is empty",
        ),
        (
            "roles:\n- name: ' '\n  clusters: []\n",
            "line 2, roles[0].name: the name is empty",
        ),
        (
            "roles:\n- name: \"a\\nb\"\n  clusters: []\n",
            "line 2, roles[0].name: the name has a control character",
        ),
        (
            "roles:\n- name: a\n  clusters: []\n- name: b\n  clusters: []\n- name: a\n  clusters: []\n",
            "line 6, roles[2].name: there is another role named \"a\"",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: '', namespaces: ['*'], verbs: [get], resources: [pods]}\n",
            "line 4, roles[0].clusters[0].name: the name is empty",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - name: c\n    namespaces: ['*']\n    verbs:\n    - get\n    - lists\n    resources: [pods]\n",
            "line 8, roles[0].clusters[0].verbs[1]: \"lists\" is no verb; use get, list, watch",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [escalate], resources: [pods]}\n",
            "line 4, roles[0].clusters[0].verbs[0]: \"escalate\" is decided by the cluster's own RBAC",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [get], resources: [Pods]}\n",
            "line 4, roles[0].clusters[0].resources[0]: \"Pods\" can match no resource: it has the character 'P'",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [get], resources: [a/b/c]}\n",
            "resources[0]: \"a/b/c\" can match no subresource",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [get], resources: ['pods/']}\n",
            "resources[0]: the name is empty",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: 'c_d', namespaces: ['*'], verbs: [get], resources: [pods]}\n",
            "clusters[0].name: \"c_d\" can match no cluster",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['a.b'], verbs: [get], resources: [pods]}\n",
            "namespaces[0]: \"a.b\" can match no namespace",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, verbs: [get], nonResourceURLs: [metrics]}\n",
            "nonResourceURLs[0]: \"metrics\" is no path",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [], resources: [pods]}\n",
            "line 4, roles[0].clusters[0].verbs: the list is empty",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, namespaces: ['*'], verbs: [get]}\n",
            "line 4, roles[0].clusters[0].resources: the list is empty",
        ),
        (
            "roles:\n- name: a\n  clusters:\n  - {name: c, verbs: [get], resources: [pods]}\n",
            "line 4, roles[0].clusters[0].namespaces: the list is empty",
        ),
        (
            &format!("roles:\n- {{name: a, clusters: [{rule}]}}\nusers:\n- email: x@y\n  roles: [a, b]\n"),
            "line 5, users[0].roles[1]: there is no role \"b\"; there are a",
        ),
        (
            "roles: []\nusers:\n- {email: x@y, roles: [b]}\n",
            "users[0].roles[0]: there is no role \"b\"; there are no roles",
        ),
        (
            "roles: []\nusers:\n- {email: '', roles: []}\n",
            "line 3, users[0].email: the name is empty",
        ),
        (
            "roles: []\nusers:\n- {email: x@y, roles: []}\n- {email: x@y, roles: []}\n",
            "line 4, users[1].email: there is another entry for \"x@y\"",
        ),
        ("roles: []\n---\nroles: []\n", "line"),
    ];
    let mut wrong = String::new();
    for (text, expected) in rows {
        let error = Policy::from_yaml(text, 1).expect_err(expected).to_string();
        if !error.contains(expected) || error.contains('\n') {
            wrong.push_str(&format!("{text}\n  gave     {error}\n  expected {expected}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn without_text_there_is_a_key_and_no_line() {
    let spec: PolicySpec =
        serde_json::from_str(r#"{"roles": [{"name": "a", "clusters": []}, {"name": "a", "clusters": []}]}"#)
            .expect("spec");
    let error = Policy::new(&spec, 1).expect_err("refused");
    assert_eq!((error.key.as_str(), error.line), ("roles[1].name", None));
    assert!(matches!(error.problem, Problem::DuplicateRole(_)));
}

#[test]
fn roles_survive_a_database_column() {
    let yaml = DEFAULT_ROLES.to_owned()
        + "  - name: odd\n    clusters:\n      - {name: c, verbs: [get], nonResourceURLs: [/m], apiGroups: ['']}\n";
    let policy: PolicySpec = {
        Policy::from_yaml(&yaml, 1).expect("a policy");
        serde_saphyr::from_str(&yaml).expect("spec")
    };
    let json = serde_json::to_string(&policy).expect("json");
    assert!(
        json.contains(r#""nonResourceURLs":["/m"]"#) && json.contains(r#""apiGroups":[""]"#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<PolicySpec>(&json).expect("spec"), policy);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "roles: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 9].join(", ");
        text += &format!("k{n}: &a{n} [{list}]\n");
    }
    assert!(Policy::from_yaml(&text, 1).is_err());
    assert!(Policy::from_yaml(&"[".repeat(100_000), 1).is_err());
}

#[test]
fn the_examples_of_the_reference_are_policies() {
    let reference = include_str!("../../../../docs/roles.md");
    let examples: Vec<&str> = reference
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() >= 4);
    for example in examples {
        Policy::from_yaml(example, 1).unwrap_or_else(|error| panic!("{error} in\n{example}"));
    }
}
