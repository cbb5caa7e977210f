//! Rows whose bytes flow while they run: logs, exec, attach, port-forward, cp.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mk8s_testkit::{Kubectl, command, eventually};
use sha2::{Digest as _, Sha256};

use super::{Door, Row, compare, compare_with_all_clients};

/// A pod that serves 4 MiB over HTTP on two ports, has a shell, and ends at once when asked to.
pub(super) const WEB_POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: web
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [sh, -c]
      args:
        - |
          trap 'exit 0' TERM
          mkdir /www && yes 0123456789abcde | head -c 4194304 >/www/large
          httpd -h /www -p 8080 && httpd -h /www -p 9090
          echo serving
          while :; do sleep 1 & wait $!; done
"#;

/// A pod that counts to ten, then waits; and one that repeats what it is told, once.
const TALKERS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: counter
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 0.2; done"]
  restartPolicy: Never
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: echo
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [sh, -c, "while read line; do echo heard $line; done"]
      stdin: true
      stdinOnce: true
  restartPolicy: Never
"#;

const ROWS: &[Row] = &[
    ("logs", |door| {
        door.namespace.apply(TALKERS);
        door.line("wait --for=jsonpath={.status.phase}=Succeeded pod/counter --timeout=60s");
        door.lines(&[
            "logs counter",
            "logs counter --tail 3",
            "logs counter --limit-bytes 20",
            "logs counter --timestamps --tail 1",
            "logs counter -c counter --prefix",
        ]);
        door.refused("logs counter --previous");
        door.refused("logs counter -c none");
        door.refused("logs none");
    }),
    ("logs, followed while they are written", |door| {
        door.namespace.apply(TALKERS);
        eventually("the counter to have begun", || {
            let ran = door.kubectl.run(["logs", "counter"]);
            ran.stdout.contains("line").then_some(())
        });
        let ran = door.line("logs counter --follow");
        assert!(ran.stdout.ends_with("line 10\n"), "{ran}");
    }),
    ("exec", |door| {
        web(door);
        let ran = door
            .kubectl
            .run(["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
        assert_eq!((ran.code, ran.text()), (Some(3), "out"), "{ran}");
        door.record(&ran);
        let ran = door
            .kubectl
            .run_with(["exec", "-i", "web", "--", "wc", "-c"], &[b'x'; 1_000_000])
            .ok();
        assert_eq!(ran.text(), "1000000");
        door.record(&ran);
        let ran = door.kubectl.run(["exec", "web", "--", "cat", "/www/large"]).ok();
        assert_eq!(ran.stdout.len(), 4_194_304, "all that it printed");
        door.note(&digest(ran.stdout.as_bytes()));
        door.refused("exec web -- nonsense");
        door.refused("exec web -c none -- true");
        door.refused("exec none -- true");
    }),
    ("exec with nothing to read", |door| {
        web(door);
        let ran = door.run(["exec", "-i", "web", "--", "cat"]);
        assert_eq!(ran.stdout, "");
    }),
    ("attach", |door| {
        door.namespace.apply(TALKERS);
        door.line("wait --for=condition=Ready pod/echo --timeout=60s");
        // What is told before kubectl is attached waits in its pipe; what it hears after the end of its input may be lost with
        // the container, directly too. So: speak, wait for the answer, go.
        let mut command = door.kubectl.command(["attach", "-i", "-q", "echo"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut heard = Vec::new();
        for word in ["one", "two"] {
            writeln!(stdin, "{word}").expect("kubectl reads");
            heard.push(stdout.next().expect("an answer").expect("text"));
        }
        drop(stdin);
        assert!(child.wait().expect("kubectl ends").success());
        assert_eq!(heard, ["heard one", "heard two"]);
        door.note(&heard.join("\n"));
    }),
    ("port-forward, two streams at once", |door| {
        web(door);
        let forward = Forward::start(&door.kubectl, "pod/web", &["8080", "9090"]);
        let fetches: Vec<_> = [
            (8080, "/large"),
            (9090, "/large"),
            (8080, "/none"),
            (9090, "/large"),
        ]
        .map(|(port, path)| {
            let address = forward.address(port);
            thread::spawn(move || fetch(&address, path))
        })
        .into();
        for fetched in fetches {
            door.note(&fetched.join().expect("an answer"));
        }
    }),
    ("port-forward to where nobody listens", |door| {
        web(door);
        let forward = Forward::start(&door.kubectl, "pod/web", &["7070"]);
        // The connection opens and ends; kubectl may give up on it or go on, directly as here.
        let mut stream = TcpStream::connect(forward.address(7070)).expect("kubectl listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }),
    ("an ephemeral container", |door| {
        web(door);
        let arguments = [
            "debug",
            "web",
            "-q",
            "--image",
            "localhost/mk8s/busybox:dev",
            "--image-pull-policy",
            "Never",
        ];
        let ran = door
            .kubectl
            .run(
                arguments
                    .iter()
                    .chain(&["--container", "debugger", "--", "true"])
                    .copied(),
            )
            .ok();
        door.record(&ran);
    }),
    ("run, attached, and remove", |door| {
        let arguments = [
            "run",
            "once",
            "--image",
            "localhost/mk8s/busybox:dev",
            "--image-pull-policy",
            "Never",
        ];
        let rest = [
            "--restart",
            "Never",
            "--rm",
            "-i",
            "-q",
            "--",
            "sh",
            "-c",
            "read word; echo heard $word",
        ];
        let ran = door
            .kubectl
            .run_with(arguments.iter().chain(&rest).copied(), b"hello\n");
        assert!(ran.stdout.contains("heard hello"), "{ran}");
        door.note("heard hello");
    }),
];

/// The web pod, ready.
pub(super) fn web(door: &Door) {
    door.namespace.apply(WEB_POD);
    door.namespace
        .kubectl()
        .run(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"])
        .ok();
    eventually("the web pod to serve", || {
        door.namespace
            .kubectl()
            .run(["logs", "web"])
            .stdout
            .contains("serving")
            .then_some(())
    });
}

/// `--raw` is of little use behind a gateway with kubectl before 1.34, which leaves its server's path out.
const RAW_ROWS: &[Row] = &[("the proxy to a pod", |door| {
    web(door);
    let path = |rest: &str| {
        format!(
            "/api/v1/namespaces/{}/pods/web:8080/proxy{rest}",
            door.namespace.name()
        )
    };
    let (large, none) = (path("/large"), path("/none"));
    let ran = door.kubectl.run(["get", "--raw", &large]).ok();
    door.note(&digest(ran.stdout.as_bytes()));
    let ran = door.kubectl.run(["get", "--raw", &none]).failed();
    door.record(&ran);
})];

#[test]
fn what_streams() {
    compare_with_all_clients(ROWS);
}

#[test]
fn what_streams_without_kubectls_help() {
    compare(RAW_ROWS);
}

/// 200 MB each way.
const COPIED: usize = 200_000_000;

#[test]
fn a_copy_of_200_mb_arrives_whole_both_ways_over_websocket_and_spdy() {
    let cluster = mk8s_testkit::Cluster::shared();
    let gateway = mk8s_testkit::Gateway::start();
    let namespace = cluster.namespace();
    namespace.apply(WEB_POD);
    namespace
        .kubectl()
        .run(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"])
        .ok();
    let directory = tempfile::tempdir().expect("a directory");
    let (original, back) = (directory.path().join("original"), directory.path().join("back"));
    let expected = make_random(&original);
    for websocket in ["true", "false"] {
        let kubectl = gateway
            .admin()
            .kubectl(mk8s_testkit::gateway::MAIN)
            .in_namespace(namespace.name());
        let kubectl = kubectl.with_variable("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websocket);
        let limit = Duration::from_secs(300);
        let there = kubectl
            .run_within(limit, ["cp", path(&original), "web:/copy"])
            .ok();
        let sum = namespace
            .kubectl()
            .run(["exec", "web", "--", "sha256sum", "/copy"])
            .ok();
        assert_eq!(sum.text().split(' ').next(), Some(expected.as_str()));
        let here = kubectl.run_within(limit, ["cp", "web:/copy", path(&back)]).ok();
        assert_eq!(checksum(&back), expected);
        eprintln!(
            "200 MB, WebSocket {websocket}: there in {:.1?}, back in {:.1?}",
            there.took, here.took
        );
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary directory's name is text")
}

/// Writes random bytes, and gives their checksum.
fn make_random(file: &Path) -> String {
    let limit = u64::try_from(COPIED).expect("a file's size");
    let mut random = fs::File::open("/dev/urandom").expect("random bytes").take(limit);
    std::io::copy(&mut random, &mut fs::File::create(file).expect("a file")).expect("room for 200 MB");
    checksum(file)
}

fn checksum(file: &Path) -> String {
    let ran = command::run(Command::new("sha256sum").arg(file)).ok();
    ran.text().split(' ').next().unwrap_or_default().to_owned()
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, SHA-256 {hex}", bytes.len())
}

/// `kubectl port-forward`, running.
struct Forward {
    child: Child,
    /// Port in the pod, address here.
    addresses: Vec<(u16, String)>,
}

impl Forward {
    #[track_caller]
    fn start(kubectl: &Kubectl, target: &str, ports: &[&str]) -> Self {
        let ports: Vec<_> = ports.iter().map(|port| format!(":{port}")).collect();
        let mut command = kubectl.command(["port-forward", "--address", "127.0.0.1", target]);
        let mut child = command
            .args(&ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut addresses = Vec::new();
        while addresses.len() < ports.len() {
            let line = lines
                .next()
                .expect("kubectl says where it listens")
                .expect("text");
            let (here, there) = line
                .strip_prefix("Forwarding from ")
                .and_then(|line| line.split_once(" -> "))
                .unwrap_or_else(|| panic!("where does it listen? {line}"));
            addresses.push((there.parse().expect("a port"), here.to_owned()));
        }
        // It reports each connection; nobody reads it, and it must not wait for that.
        thread::spawn(move || lines.for_each(drop));
        Self { child, addresses }
    }

    fn address(&self, port: u16) -> String {
        let found = self.addresses.iter().find(|(there, _)| *there == port);
        found.expect("a port that is forwarded").1.clone()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status line and what the body is, of a GET.
fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("kubectl listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a limit");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer to its end");
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    format!(
        "{}: {}",
        head.lines().next().unwrap_or_default(),
        digest(&answer[end..])
    )
}
