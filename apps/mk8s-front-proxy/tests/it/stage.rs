//! Everything that stands around a front proxy: an authority, a responder, an API server, and who comes in.

use std::{
    convert::Infallible,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use mk8s_tls::{
    CertificateAuthority, Issued, ReloadingCertificate, Roots, SerialNumber, ServerName, Terms, TlsAcceptor,
    TlsConnector,
    server::{self, ClientAuth},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the API server answers.
pub(crate) const ANSWER: &str = r#"{"kind":"Status","message":"the API server was here"}"#;

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole.
pub(crate) struct Stage {
    directory: TempDir,
    authority: CertificateAuthority,
    responder: Option<Running>,
    responder_port: u16,
    port: u16,
    metrics_port: u16,
    _proxy: Running,
    _api_server: ApiServer,
}

impl Stage {
    /// A front proxy with this setting of `clients.ocsp`, ready.
    pub(crate) fn open(ocsp: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let now = Timestamp::now();
        let authority = CertificateAuthority::generate("operators", now).expect("an authority");
        fs::write(path("ca.crt"), authority.certificate_pem()).expect("written");
        fs::write(path("ca.key"), authority.key_pem().as_bytes()).expect("written");
        fs::write(path("index.txt"), "").expect("written");
        let names = ["localhost".to_owned()];
        let certificate = authority.issue_server(&names, DAY, now).expect("a certificate");
        certificate
            .save(&path("tls.crt"), &path("tls.key"))
            .expect("written");
        let api_server = ApiServer::start(&certificate);
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: x, cluster: {{server: 'https://localhost:{}', certificate-authority: {}}}}}]\n\
             users: [{{name: x, user: {{token: none}}}}]\ncontexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n",
            api_server.port,
            path("ca.crt").display()
        );
        fs::write(path("kubeconfig"), kubeconfig).expect("written");
        let (port, metrics_port) = (free_port(), free_port());
        let config = format!(
            "server: {{bind: 127.0.0.1, port: {port}, cert_file: tls.crt, key_file: tls.key, metrics: '127.0.0.1:{metrics_port}'}}\n\
             clients: {{ca_files: [ca.crt], ocsp: {ocsp}}}\nkubernetes: {{kubeconfig: kubeconfig}}\naudit: {{file: audit.jsonl}}\n"
        );
        fs::write(path("front-proxy.yaml"), config).expect("written");
        let log = File::create(path("log")).expect("a file");
        let proxy = Command::new(env!("CARGO_BIN_EXE_mk8s-front-proxy"))
            .args(["--config", "front-proxy.yaml"])
            .current_dir(directory.path())
            .env_remove("KUBECONFIG")
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it runs");
        let proxy = Running(proxy);
        let (responder, responder_port) = responder(&directory);
        let stage = Self {
            directory,
            authority,
            responder: Some(responder),
            responder_port,
            port,
            metrics_port,
            _proxy: proxy,
            _api_server: api_server,
        };
        let began = Instant::now();
        while !stage.log().contains("ready") {
            assert!(began.elapsed() < PATIENCE, "{}", stage.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        stage
    }

    /// A certificate that names the responder, which has it as valid (`V`) or revoked (`R`).
    pub(crate) fn issue(&mut self, status: char) -> Issued {
        let terms = Terms {
            ocsp: Some(format!("http://127.0.0.1:{}/", self.responder_port)),
            ..Terms::of(DAY)
        };
        let issued = self.authority.issue_user("anna", &[], &terms, Timestamp::now());
        let issued = issued.expect("a certificate");
        let serial = SerialNumber::of(issued.chain.leaf())
            .expect("a number")
            .to_string();
        let revoked = if status == 'R' { "260102030405Z" } else { "" };
        let line = format!(
            "{status}\t390101000000Z\t{revoked}\t{}\tunknown\t/CN=anna\n",
            serial.to_uppercase()
        );
        fs::write(self.path("index.txt"), line).expect("written");
        // It has read the index at its start.
        self.send_the_responder_away();
        let (responder, port) = responder_on(&self.directory, self.responder_port);
        assert_eq!(port, self.responder_port);
        self.responder = Some(responder);
        issued
    }

    pub(crate) fn send_the_responder_away(&mut self) {
        self.responder = None;
    }

    /// One request on a connection of its own: the status and the whole answer.
    pub(crate) fn request(&self, issued: &Issued) -> (u16, String) {
        let certificate = ReloadingCertificate::from_issued(issued).expect("a pair");
        let roots = Roots::Certificates(vec![self.authority.certificate().clone()]);
        let config = mk8s_tls::client::config(&roots, Some(certificate), &[b"http/1.1"]).expect("TLS");
        let asking = async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                .await
                .expect("a connection");
            let name = ServerName::try_from("localhost").expect("a name");
            let mut stream = TlsConnector::from(config)
                .connect(name, stream)
                .await
                .expect("a handshake");
            let request = "GET /api/v1/pods HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            // Whoever hangs up without saying so has said all the same.
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer =
            runtime().block_on(async { tokio::time::timeout(PATIENCE, asking).await.expect("in time") });
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (
            status.unwrap_or_else(|| panic!("a status: {answer}\n{}", self.log())),
            answer,
        )
    }

    /// The lines of `/metrics` about questions to responders.
    pub(crate) fn questions(&self) -> Vec<String> {
        let page = runtime().block_on(async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.metrics_port))
                .await
                .expect("a connection");
            let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut page = String::new();
            stream.read_to_string(&mut page).await.expect("a page");
            page
        });
        let rows = page
            .lines()
            .filter(|line| line.starts_with("mk8s_ocsp_questions_total"));
        rows.map(str::to_owned).collect()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn responder(directory: &TempDir) -> (Running, u16) {
    responder_on(directory, 0)
}

/// OpenSSL's responder, listening.
fn responder_on(directory: &TempDir, port: u16) -> (Running, u16) {
    let child = Command::new("openssl")
        .current_dir(directory.path())
        .args([
            "ocsp",
            "-port",
            &port.to_string(),
            "-index",
            "index.txt",
            "-CA",
            "ca.crt",
            "-ndays",
            "1",
        ])
        .args(["-rsigner", "ca.crt", "-rkey", "ca.key", "-ignore_err"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl; install it: apt-get install openssl");
    let mut running = Running(child);
    let said = running.0.stdout.take().expect("piped");
    let line = BufReader::new(said)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("ACCEPT"))
        .expect("a responder that listens");
    let port = line
        .split_whitespace()
        .nth(1)
        .and_then(|at| at.rsplit(':').next()?.parse().ok());
    (running, port.unwrap_or_else(|| panic!("a port: {line}")))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Answers every request alike; dropped, it stops.
struct ApiServer {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    fn start(certificate: &Issued) -> Self {
        let certificate = ReloadingCertificate::from_issued(certificate).expect("a pair");
        let config = server::config(certificate, &ClientAuth::None, &[b"h2"]).expect("TLS");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.expect("a connection");
                        tokio::spawn(answer(stream, config.clone()));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(stream: TcpStream, config: Arc<mk8s_tls::ServerConfig>) {
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let yes = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(ANSWER)))
    });
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), yes);
    // A proxy that is ended hangs up.
    let _ = connection.await;
}
