//! An agent where it will mostly run: in a pod, with nothing but the pod's own service account, and no disk.

use std::{fs, time::Duration};

use mk8s_testkit::{
    Cluster, Gateway, Kubectl,
    gateway::{MAIN, Settings},
    wait, workspace,
};

const SECRET: &str = "mk8s-agent-identity";

#[test]
fn a_pod_that_is_moved_takes_its_identity_along_in_a_secret() {
    let mut gateway =
        Gateway::without_agents(Settings::default().reachable_at(Cluster::shared().host_address()));
    let pods = Pods::prepare(&gateway);
    let token = gateway.join_token(MAIN);
    pods.kubectl
        .run(["delete", "secret", SECRET, "--ignore-not-found"])
        .ok();

    pods.run("first", SECRET, &token);
    pods.says("first", &["tunnel up"]);
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    assert!(pods.log("first").contains("registered"));
    let kept = pods
        .kubectl
        .run(["get", "secret", SECRET, "-o", "json"])
        .ok()
        .json();
    assert_eq!(kept["type"], "kubernetes.io/tls");
    pods.delete("first");
    gateway.disconnected(MAIN);

    // Another pod, perhaps on another node; the token is spent.
    pods.run("second", SECRET, &token);
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    assert!(
        !pods.log("second").contains("registered"),
        "{}",
        pods.log("second")
    );
    pods.delete("second");
    gateway.disconnected(MAIN);

    // Without what was kept there is nobody to be.
    pods.kubectl.run(["delete", "secret", SECRET]).ok();
    pods.run("third", SECRET, &token);
    pods.says("third", &["used already"]);
}

#[test]
fn a_token_isnt_spent_on_an_identity_that_couldnt_be_kept() {
    let mut gateway =
        Gateway::without_agents(Settings::default().reachable_at(Cluster::shared().host_address()));
    let pods = Pods::prepare(&gateway);
    let token = gateway.join_token(MAIN);
    pods.run("unkept", "of-somebody-else", &token);
    pods.says(
        "unkept",
        &["of-somebody-else", "forbidden", "get, create and patch"],
    );
    assert_eq!(gateway.status(MAIN), None, "nothing was registered");
    pods.delete("unkept");
    // It is still good.
    gateway.connect_with(MAIN, Cluster::shared(), &token);
}

/// Pods of one test in the agent's namespace, gone with it.
struct Pods {
    kubectl: Kubectl,
    /// A part of their names, so that tests don't meet.
    suffix: String,
    central: String,
}

impl Pods {
    fn prepare(gateway: &Gateway) -> Self {
        let cluster = Cluster::shared();
        let rbac = workspace::root().join("deploy/agent-rbac.yaml");
        cluster
            .kubectl()
            .apply(&fs::read_to_string(rbac).expect("deploy/agent-rbac.yaml"));
        let pods = Self {
            kubectl: cluster.kubectl().in_namespace("mk8s-system"),
            suffix: gateway.ports().grpc.to_string(),
            central: format!("https://{}:{}", cluster.host_address(), gateway.ports().grpc),
        };
        // The same program as everywhere, so its libraries come from the node, and its authority from the host.
        pods.kubectl.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: central-{}}}\ndata:\n  ca.crt: |\n    {}\n",
            pods.suffix,
            gateway.ca_pem().trim().replace('\n', "\n    ")
        ));
        pods
    }

    fn name(&self, pod: &str) -> String {
        format!("agent-{pod}-{}", self.suffix)
    }

    fn run(&self, pod: &str, secret: &str, token: &str) {
        let program = workspace::program("mk8s-agent");
        let (name, suffix, central) = (self.name(pod), &self.suffix, &self.central);
        let programs = program.parent().expect("a program is in a directory").display();
        self.kubectl.apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{name: "{name}", labels: {{gateway: "{suffix}"}}}}
spec:
  serviceAccountName: mk8s-agent
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
    - name: agent
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [/programs/mk8s-agent]
      env:
        - {{name: CENTRAL_URL, value: "{central}"}}
        - {{name: CENTRAL_CA_FILE, value: /central/ca.crt}}
        - {{name: CLUSTER_NAME, value: "{MAIN}"}}
        - {{name: AGENT_TOKEN, value: "{token}"}}
        - {{name: MK8S_AGENT_STATE_SECRET, value: "{secret}"}}
      securityContext: {{readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      volumeMounts:
        - {{name: programs, mountPath: /programs, readOnly: true}}
        - {{name: lib, mountPath: /lib, readOnly: true}}
        - {{name: lib64, mountPath: /lib64, readOnly: true}}
        - {{name: central, mountPath: /central}}
  volumes:
    - {{name: programs, hostPath: {{path: "{programs}"}}}}
    - {{name: lib, hostPath: {{path: /usr/lib}}}}
    - {{name: lib64, hostPath: {{path: /usr/lib64}}}}
    - {{name: central, configMap: {{name: "central-{suffix}"}}}}
"#
        ));
    }

    fn log(&self, pod: &str) -> String {
        self.kubectl.run(["logs".to_owned(), self.name(pod)]).stdout
    }

    #[track_caller]
    fn says(&self, pod: &str, words: &[&str]) {
        let said = wait::attempt(Duration::from_secs(30), || {
            let log = self.log(pod);
            words.iter().all(|word| log.contains(word)).then_some(())
        });
        assert!(
            said.is_some(),
            "{pod} doesn't say {words:?}, but:\n{}",
            self.log(pod)
        );
    }

    fn delete(&self, pod: &str) {
        self.kubectl
            .run(["delete".to_owned(), "pod".to_owned(), self.name(pod)])
            .ok();
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        let label = format!("gateway={}", self.suffix);
        self.kubectl
            .run(["delete", "pods", "--wait=false", "--selector", &label]);
        self.kubectl.run([
            "delete".to_owned(),
            "configmap".to_owned(),
            format!("central-{}", self.suffix),
        ]);
    }
}
