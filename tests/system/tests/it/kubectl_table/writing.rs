//! Rows that change something.

use super::{Row, compare, streams::WEB_POD};

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {colour: green}
";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: web, image: localhost/mk8s/busybox:dev, imagePullPolicy: Never}
";

const ROWS: &[Row] = &[
    ("create", |door| {
        door.with_input("create -f -", CONFIG);
        let ran = door
            .kubectl
            .run_with(["create", "-f", "-"], CONFIG.as_bytes())
            .failed();
        assert!(ran.stderr.contains("AlreadyExists"), "{ran}");
        door.record(&ran);
        door.lines(&[
            "create configmap other --from-literal=a=b",
            "create secret generic secret --from-literal=password=hunter2",
            "create serviceaccount robot",
            "create role reader --verb=get --resource=pods",
            "create rolebinding robot-reads --role=reader --serviceaccount=default:robot",
            "create quota small --hard=pods=2",
        ]);
        let generated = CONFIG.replace("name: config", "generateName: generated-");
        door.with_input("create -f -", &generated);
    }),
    ("apply", |door| {
        door.with_input("apply -f -", CONFIG);
        door.with_input("apply -f -", CONFIG);
        let ran = door.with_input("apply -f -", &CONFIG.replace("green", "blue"));
        assert!(ran.stdout.contains("configured"), "{ran}");
        door.lines(&[
            "get configmap config -o yaml",
            "apply view-last-applied configmap config",
        ]);
    }),
    ("apply at the server", |door| {
        door.with_input("apply --server-side -f -", CONFIG);
        door.with_input(
            "apply --server-side --field-manager other -f -",
            &CONFIG.replace("colour: green", "shape: round"),
        );
        let changed = CONFIG.replace("green", "blue");
        let arguments = ["apply", "--server-side", "--field-manager", "other", "-f", "-"];
        let ran = door.kubectl.run_with(arguments, changed.as_bytes()).failed();
        assert!(ran.stderr.contains("conflict"), "{ran}");
        door.record(&ran);
        door.with_input(
            "apply --server-side --field-manager other --force-conflicts -f -",
            &changed,
        );
        door.line("get configmap config -o yaml --show-managed-fields");
    }),
    ("a trial", |door| {
        door.with_input("apply --server-side --dry-run=server -f -", CONFIG);
        door.refused("get configmap config");
    }),
    ("patch", |door| {
        door.with_input("create -f -", CONFIG);
        for (kind, patch) in [
            ("strategic", r#"{"metadata":{"labels":{"a":"1"}}}"#),
            ("merge", r#"{"data":{"colour":null,"shape":"round"}}"#),
            (
                "json",
                r#"[{"op":"replace","path":"/data/shape","value":"square"}]"#,
            ),
        ] {
            door.run(["patch", "configmap", "config", "--type", kind, "--patch", patch]);
        }
        let wrong = r#"[{"op":"test","path":"/data/shape","value":"round"}]"#;
        let ran = door
            .kubectl
            .run(["patch", "configmap", "config", "--type", "json", "--patch", wrong])
            .failed();
        door.record(&ran);
        let ran = door.line("get configmap config -o yaml");
        assert!(
            ran.stdout.contains("square") && !ran.stdout.contains("green"),
            "{ran}"
        );
    }),
    ("what isn't valid", |door| {
        let invalid = CONFIG.replace("name: config", "name: Not_A_Name");
        let ran = door
            .kubectl
            .run_with(["create", "-f", "-"], invalid.as_bytes())
            .failed();
        assert!(ran.stderr.contains("is invalid"), "{ran}");
        door.record(&ran);
        let unknown = CONFIG.replace("data:", "date:");
        let ran = door
            .kubectl
            .run_with(["create", "--validate=strict", "-f", "-"], unknown.as_bytes())
            .failed();
        assert!(ran.stderr.contains("unknown field"), "{ran}");
        door.record(&ran);
    }),
    ("replace, label, annotate, edit", |door| {
        door.with_input("create -f -", CONFIG);
        door.with_input("replace -f -", &CONFIG.replace("green", "red"));
        door.lines(&[
            "label configmap config a=b",
            "annotate configmap config note=hello",
            "label configmap config a-",
        ]);
        let stale = CONFIG.replace("name: config", "name: config, resourceVersion: \"1\"");
        let ran = door
            .kubectl
            .run_with(["replace", "-f", "-"], stale.as_bytes())
            .failed();
        assert!(ran.stderr.contains("the object has been modified"), "{ran}");
        door.record(&ran);
        let editing = door
            .kubectl
            .clone()
            .with_variable("KUBE_EDITOR", "sed -i s/red/white/");
        let ran = editing.run(["edit", "configmap", "config"]).ok();
        door.record(&ran);
        assert_eq!(
            door.line("get configmap config -o jsonpath={.data.colour}")
                .text(),
            "white"
        );
    }),
    ("a rollout", |door| {
        door.with_input("apply -f -", DEPLOYMENT);
        let ran = door
            .kubectl
            .run(["rollout", "status", "deployment/web", "--timeout=90s"])
            .ok();
        assert!(ran.stdout.contains("successfully rolled out"), "{ran}");
        door.lines(&[
            "scale deployment web --replicas 0",
            "wait --for=jsonpath={.spec.replicas}=0 deployment/web",
        ]);
        door.lines(&[
            "set env deployment/web COLOUR=green",
            "rollout history deployment/web",
            "get deployment web -o name",
        ]);
    }),
    ("delete, and wait until it is gone", |door| {
        door.namespace.apply(WEB_POD);
        door.line("wait --for=condition=Ready pod/web --timeout=60s");
        let ran = door.line("delete pod web --grace-period 1 --wait --timeout 60s");
        assert!(ran.stdout.contains("deleted"), "{ran}");
        door.refused("get pod web");
        door.with_input("create -f -", CONFIG);
        door.line("delete configmaps --field-selector metadata.name=config");
        door.refused("delete configmap config");
        door.line("delete configmap config --ignore-not-found");
    }),
];

#[test]
fn what_changes() {
    compare(ROWS);
}
