//! Watches on which rights and labels come and go.

use mk8s_testkit::eventually;

use super::{Operators, events};

/// Waits until the events of a name are these.
#[track_caller]
fn shows(watch: &mk8s_testkit::Program, name: &str, expected: &[&str]) {
    let mut last = Vec::new();
    let seen = mk8s_testkit::wait::attempt(std::time::Duration::from_secs(60), || {
        let log = watch.log();
        last = events(&log, name)
            .iter()
            .map(|event| (*event).to_owned())
            .collect();
        (last == expected).then_some(())
    });
    assert!(
        seen.is_some(),
        "{name}: {last:?} instead of {expected:?}\n{}",
        watch.log()
    );
}

#[test]
fn a_label_that_comes_and_goes_is_seen_on_a_running_watch() {
    let mut operators = Operators::start();
    let team = operators.name("blue");
    let mine = operators.namespace("mine", &team);
    let other = operators.namespace("other", "red");
    let anna = operators.proxy.kubectl_as("anna", &[&team]);
    let watch = operators.watch(&anna, &["namespaces"]);
    shows(&watch, &mine, &["ADDED"]);
    let admin = operators.admin();
    let label = |team: &str| {
        let label = format!("team={team}");
        admin
            .run(["label", "namespace", &other, &label, "--overwrite"])
            .ok();
    };
    label(&team);
    shows(&watch, &other, &["ADDED"]);
    admin.run(["annotate", "namespace", &other, "note=x"]).ok();
    shows(&watch, &other, &["ADDED", "MODIFIED"]);
    label("red");
    shows(&watch, &other, &["ADDED", "MODIFIED", "DELETED"]);
    shows(&watch, &mine, &["ADDED"]);
    assert!(!watch.log().contains("kube-system"), "{}", watch.log());
}

#[test]
fn a_grant_that_comes_and_goes_is_seen_on_a_running_watch() {
    let mut operators = Operators::start();
    let team = operators.name("blue");
    let user = operators.name("anna");
    let mine = operators.namespace("mine", &team);
    let other = operators.namespace("other", "red");
    let anna = operators.proxy.kubectl_as(&user, &[&team]);
    let watch = operators.watch(&anna, &["namespaces"]);
    shows(&watch, &mine, &["ADDED"]);
    let binding = operators.bind("view", &user);
    shows(&watch, &other, &["ADDED"]);
    shows(&watch, "kube-system", &["ADDED"]);
    operators
        .admin()
        .run(["delete", "clusterrolebinding", &binding])
        .ok();
    shows(&watch, &other, &["ADDED", "DELETED"]);
    shows(&watch, "kube-system", &["ADDED", "DELETED"]);
    // What was hers all the time was never told twice.
    shows(&watch, &mine, &["ADDED"]);
    // And from here on it is her own alone.
    let admin = operators.admin();
    admin.run(["annotate", "namespace", &other, "note=x"]).ok();
    admin.run(["annotate", "namespace", &mine, "note=x"]).ok();
    shows(&watch, &mine, &["ADDED", "MODIFIED"]);
    shows(&watch, &other, &["ADDED", "DELETED"]);
}

#[test]
fn pods_of_a_namespace_come_and_go_with_its_binding() {
    let mut operators = Operators::start();
    let user = operators.name("ben");
    let (one, two) = (
        operators.namespace("one", "green"),
        operators.namespace("two", "green"),
    );
    let (first, second) = (operators.name("first"), operators.name("second"));
    operators.pod(&one, &first);
    operators.pod(&two, &second);
    let admin = operators.admin();
    let bind = |namespace: &str| {
        let arguments = [
            "create",
            "rolebinding",
            "ben",
            "--clusterrole",
            "view",
            "--user",
            &user,
            "--namespace",
            namespace,
        ];
        admin.run(arguments).ok();
    };
    bind(&one);
    let ben = operators.proxy.kubectl_as(&user, &[]);
    eventually("what is granted to be known", || {
        let pods = ben.run(["get", "pods", "--all-namespaces"]);
        pods.stdout.contains(&first).then_some(())
    });
    let watch = operators.watch(&ben, &["pods", "--all-namespaces"]);
    shows(&watch, &first, &["ADDED"]);
    shows(&watch, &second, &[]);
    bind(&two);
    shows(&watch, &second, &["ADDED"]);
    admin
        .run(["label", "pod", &second, "x=y", "--namespace", &two])
        .ok();
    shows(&watch, &second, &["ADDED", "MODIFIED"]);
    admin
        .run(["delete", "rolebinding", "ben", "--namespace", &two])
        .ok();
    shows(&watch, &second, &["ADDED", "MODIFIED", "DELETED"]);
    admin
        .run(["label", "pod", &second, "x=z", "--overwrite", "--namespace", &two])
        .ok();
    admin
        .run(["label", "pod", &first, "x=y", "--namespace", &one])
        .ok();
    shows(&watch, &first, &["ADDED", "MODIFIED"]);
    shows(&watch, &second, &["ADDED", "MODIFIED", "DELETED"]);
}
