//! What `kubectl get` shows to whom.

use std::thread;

use serde_json::Value;

use super::{Operators, names};

#[test]
fn namespaces_are_all_the_teams_or_none() {
    let mut operators = Operators::start();
    let team = operators.name("blue");
    let (one, two) = (
        operators.namespace("one", &team),
        operators.namespace("two", &team),
    );
    let other = operators.namespace("other", "red");
    let log = operators.cluster.audit_log();
    let (olga, anna, user) = (
        operators.olga(),
        operators.proxy.kubectl_as("anna", &["developers", &team]),
        operators.name("sven"),
    );
    let sven = operators.proxy.kubectl_as(&user, &["nobodys"]);

    let everything = olga.run(["get", "namespaces", "-o", "name"]).ok();
    for name in [&one, &two, &other, "default"] {
        assert!(names(&everything.stdout).contains(&name), "{everything}");
    }
    let hers = anna.run(["get", "namespaces", "-o", "name"]).ok();
    assert_eq!(names(&hers.stdout), [one.as_str(), two.as_str()]);
    let none = sven.run(["get", "namespaces"]).ok();
    assert_eq!((none.text(), none.stderr.trim()), ("", "No resources found"));

    // As tables, as objects, page by page, by labels and fields: the API server's own, but for what isn't hers.
    let line = |text: &str, name: &str| -> Vec<String> {
        let found = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        found.split_whitespace().take(2).map(str::to_owned).collect()
    };
    let table = anna.run(["get", "namespaces", "--show-labels"]).ok();
    assert_eq!(table.stdout.lines().count(), 3, "{table}");
    let direct = operators
        .admin()
        .run(["get", "namespaces", &one, "--show-labels"])
        .ok();
    assert_eq!(line(&table.stdout, &one), line(&direct.stdout, &one));
    let objects: Value = anna.run(["get", "namespaces", "-o", "json"]).ok().json();
    let theirs: Value = operators
        .admin()
        .run(["get", "namespace", &one, "-o", "json"])
        .ok()
        .json();
    assert_eq!(objects["items"][0], theirs);
    let yaml = anna.run(["get", "namespaces", "-o", "yaml"]).ok();
    assert!(
        yaml.stdout.contains("kind: Namespace") && !yaml.stdout.contains(&other),
        "{yaml}"
    );
    let paged = anna
        .run(["get", "namespaces", "-o", "name", "--chunk-size=1"])
        .ok();
    assert_eq!(paged.stdout, hers.stdout);
    let chosen = anna
        .run(["get", "namespaces", "-o", "name", "-l", "what=two"])
        .ok();
    assert_eq!(names(&chosen.stdout), [two.as_str()]);
    let widened = anna
        .run(["get", "namespaces", "-o", "name", "-l", "what in (two,other)"])
        .ok();
    assert_eq!(names(&widened.stdout), [two.as_str()]);
    let field = format!("metadata.name={other}");
    let strange = anna
        .run(["get", "namespaces", "-o", "name", "--field-selector", &field])
        .ok();
    assert_eq!(strange.text(), "");

    // One by one.
    let own = anna.run(["get", "namespace", &one, "-o", "json"]).ok();
    assert_eq!(own.json(), theirs);
    let hidden = anna.run(["get", "namespace", &other]).failed();
    assert_eq!(
        hidden.stderr.trim(),
        format!("Error from server (NotFound): namespaces \"{other}\" not found")
    );
    olga.run(["get", "namespace", &other]).ok();
    // Unless she has a role in it, as without us.
    let bind = [
        "create",
        "rolebinding",
        "anna",
        "--clusterrole",
        "view",
        "--user",
        "anna",
        "--namespace",
        &other,
    ];
    operators.admin().run(bind).ok();
    mk8s_testkit::eventually("the role to count", || {
        (anna.run(["get", "namespace", &other]).code == Some(0)).then_some(())
    });
    sven.run(["get", "namespace", &one]).failed();

    // The API server's audit log has the person, and where the question went.
    let event = log.event("anna's list in the API server's log", |event| {
        event
            .request_uri
            .starts_with("/apis/custom.api.local/v1/mynamespace")
            && event
                .impersonated_user
                .as_ref()
                .is_some_and(|user| user.username == "anna")
    });
    let person = event.impersonated_user.expect("a person");
    assert!(person.groups.contains(&team), "{person:?}");
    // Ours has what she asked, under the same id.
    let asked = operators.proxy.audit();
    let ours = asked
        .iter()
        .find(|ours| ours["id"] == event.audit_id.as_str() && ours["stage"] == "open")
        .expect("our event of the same id");
    assert_eq!(
        (&ours["user"], &ours["resource"]),
        (&"anna".into(), &"namespaces".into())
    );
    assert!(
        ours["uri"]
            .as_str()
            .expect("a path")
            .starts_with("/api/v1/namespaces")
    );
}

#[test]
fn objects_of_all_namespaces_are_those_that_one_has_rights_in() {
    let mut operators = Operators::start();
    let user = operators.name("ben");
    let (one, two) = (
        operators.namespace("one", "green"),
        operators.namespace("two", "green"),
    );
    for (namespace, pods) in [(&one, ["a", "b"]), (&two, ["c", "d"])] {
        pods.iter().for_each(|pod| operators.pod(namespace, pod));
    }
    let admin = operators.admin();
    let bind = [
        "create",
        "rolebinding",
        "ben",
        "--clusterrole",
        "view",
        "--user",
        &user,
        "--namespace",
        &one,
    ];
    admin.run(bind).ok();
    let ben = operators.proxy.kubectl_as(&user, &[]);

    mk8s_testkit::eventually("what is granted to be known", || {
        let pods = ben.run(["get", "pods", "--all-namespaces", "-o", "name"]);
        (names(&pods.stdout) == ["a", "b"]).then_some(())
    });
    let table = ben.run(["get", "pods", "--all-namespaces"]).ok();
    let direct = admin.run(["get", "pods", "--namespace", &one]).ok();
    let column = |text: &str| text.lines().next().map(|line| line.split_whitespace().count());
    assert_eq!(
        column(&table.stdout),
        column(&direct.stdout).map(|columns| columns + 1)
    );
    assert!(!table.stdout.contains(&two), "{table}");
    let paged = ben
        .run(["get", "pods", "--all-namespaces", "-o", "name", "--chunk-size=1"])
        .ok();
    assert_eq!(names(&paged.stdout), ["a", "b"]);
    let objects = ben
        .run(["get", "pods", "--all-namespaces", "-o", "json"])
        .ok()
        .json();
    for object in objects["items"].as_array().expect("items") {
        assert_eq!(object["metadata"]["namespace"], one.as_str());
    }
    // In a namespace, the API server's own rules hold, as ever.
    ben.run(["get", "pods", "--namespace", &one]).ok();
    ben.run(["get", "pods", "--namespace", &two]).failed();
    // Who may list everything is shown everything.
    let everything = operators
        .olga()
        .run(["get", "pods", "--all-namespaces", "-o", "name"])
        .ok();
    for pod in ["a", "b", "c", "d"] {
        assert!(names(&everything.stdout).contains(&pod), "{everything}");
    }
    let none = operators.proxy.kubectl_as(&operators.name("sven"), &[]);
    assert_eq!(none.run(["get", "pods", "--all-namespaces"]).ok().text(), "");
}

#[test]
fn many_clients_of_one_person_make_few_reviews() {
    let operators = Operators::start();
    let team = operators.name("busy");
    let anna = operators.proxy.kubectl_as("anna", &[&team]);
    anna.run(["get", "namespaces"]).ok();
    let before = operators.aggregated.metric("mk8s_reviews_total");
    let started = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| anna.run(["get", "--raw", "/api/v1/namespaces"]).ok());
        }
    });
    let reviews = operators.aggregated.metric("mk8s_reviews_total") - before;
    // One each time that what is known is two seconds old, and some that roles of other tests cause.
    let periods = f64::from(u32::try_from(started.elapsed().as_secs() / 2).expect("not long")) + 6.0;
    assert!(
        reviews <= periods,
        "{reviews} reviews for 40 lists, {periods} would be as said"
    );
}

#[test]
fn who_am_i_says_what_the_cluster_takes_one_for() {
    let operators = Operators::start();
    let anna = operators.proxy.kubectl_as("anna", &["team-a", "CN=Ops, DC=x"]);
    let said = anna
        .run(["get", "--raw", "/apis/custom.api.local/v1/whoami"])
        .ok()
        .json();
    let user = &said["items"][0]["userInfo"];
    assert_eq!(user["username"], "anna");
    assert_eq!(
        user["groups"],
        serde_json::json!(["team-a", "CN=Ops, DC=x", "system:authenticated"])
    );
    let table = anna.run(["get", "whoami"]).ok();
    assert!(
        table.stdout.starts_with("USER") && table.stdout.contains("anna"),
        "{table}"
    );
}
