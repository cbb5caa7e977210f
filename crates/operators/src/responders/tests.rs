//! Responders of this machine: OpenSSL answers, and what stands between it and us may lie, dawdle or be away.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::Method;
use mk8s_model::{AuthMethod, ClusterName, Decision, Identity, KubeRequest};
use mk8s_proxy::{Authorizer as _, Caller, Extra};
use mk8s_tls::{CertificateAuthority, ClientTrust, Issued, ReloadingClientAuth, Roots, SerialNumber, Terms};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{holders::Held, settings::ExpiredCrls};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How the responder behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    Slow,
    Nonsense,
    Redirects,
    Large,
    Failing,
    /// It answers about somebody else's certificate.
    Confused,
}

/// An authority with a responder, and a door that trusts it.
struct World {
    directory: TempDir,
    authority: CertificateAuthority,
    url: String,
    manner: Arc<StdMutex<Manner>>,
    questions: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
    holders: Arc<Holders>,
    responders: Arc<Responders>,
    counted: Questions,
}

impl World {
    async fn new(ocsp: Ocsp) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = CertificateAuthority::generate("people", Timestamp::now()).expect("an authority");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
        write("ca.crt", &authority.certificate_pem());
        write("ca.key", &authority.key_pem());
        write("index.txt", "");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://user:secret@{}/ocsp",
            listener.local_addr().expect("an address")
        );
        let (manner, questions) = (
            Arc::new(StdMutex::new(Manner::Honest)),
            Arc::new(AtomicUsize::new(0)),
        );
        let serving = tokio::spawn(serve(
            listener,
            directory.path().to_owned(),
            manner.clone(),
            questions.clone(),
        ));
        let authorities = vec![directory.path().join("ca.crt")];
        let trust = ReloadingClientAuth::new(
            ClientTrust {
                authorities: Roots::Files(authorities.clone()),
                lists: Vec::new(),
                expired: ExpiredCrls::Use.into(),
                optional: false,
            },
            Timestamp::now(),
        );
        let holders = Holders::new(trust.expect("a trusted authority"));
        let counted = Questions::default();
        Self {
            responders: Responders::new(ocsp, authorities, holders.clone(), counted.clone()),
            directory,
            authority,
            url,
            manner,
            questions,
            serving,
            holders,
            counted,
        }
    }

    fn issue(&self) -> Issued {
        let terms = Terms {
            ocsp: Some(self.url.clone()),
            ..Terms::of(DAY)
        };
        let issued = self.authority.issue_user("anna", &[], &terms, Timestamp::now());
        issued.expect("a certificate")
    }

    /// Puts a certificate into the responder's index, as `V` or `R`.
    fn record(&self, issued: &Issued, status: char) {
        let serial = SerialNumber::of(issued.chain.leaf())
            .expect("a number")
            .to_string();
        let revoked = if status == 'R' { "260102030405Z" } else { "" };
        let line = format!(
            "{status}\t390101000000Z\t{revoked}\t{}\tunknown\t/CN=anna\n",
            serial.to_uppercase()
        );
        fs::write(self.directory.path().join("index.txt"), line).expect("written");
    }

    fn behaves(&self, manner: Manner) {
        *self.manner.lock().expect("unpoisoned") = manner;
    }

    /// Comes in with a certificate and has its responder asked; gives why it is refused, if it is.
    async fn comes(&self, issued: &Issued) -> (Held, Option<String>) {
        let held = self.holders.enter(issued.chain.der());
        self.responders.settle_first(held.id).await;
        let refused = self.refused(&held);
        (held, refused)
    }

    fn refused(&self, held: &Held) -> Option<String> {
        let caller = Caller {
            identity: Identity::new("anna", Vec::<String>::new(), AuthMethod::Certificate)
                .expect("an identity"),
            subject: None,
            session: Some(held.id),
            source: [127, 0, 0, 1].into(),
            until: None,
            extra: Extra::default(),
            held: None,
        };
        let uri = "/api/v1/pods".parse().expect("a URI");
        let request = KubeRequest::classify(&Method::GET, &uri).expect("a request");
        let cluster: ClusterName = "local".parse().expect("a name");
        match self.holders.decide(&caller, &cluster, &request) {
            Decision::Deny(denial) => Some(denial.reason),
            Decision::Allow(_) => None,
        }
    }

    fn asked(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    fn counted(&self, outcome: &'static str) -> bool {
        self.counted
            .get(&[("outcome", outcome)])
            .is_some_and(|count| count.get() == 1)
    }

    /// Makes what is known look as if its time were over.
    async fn age(&self, held: &Held) {
        let place = self.responders.kept()[&held.id].clone();
        let mut known = place.lock().await;
        let known = known.as_mut().expect("something known");
        (known.again, known.until) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    listener: TcpListener,
    directory: PathBuf,
    manner: Arc<StdMutex<Manner>>,
    questions: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        questions.fetch_add(1, Ordering::SeqCst);
        let manner = *manner.lock().expect("unpoisoned");
        tokio::spawn(answer(stream, directory.clone(), manner));
    }
}

async fn answer(mut stream: TcpStream, directory: PathBuf, manner: Manner) {
    let mut read = Vec::new();
    let body_at = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut read).await.expect("bytes") == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&read[..body_at]).to_lowercase();
    assert!(head.starts_with("post /ocsp http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/ocsp-request"), "{head}");
    assert!(
        !head.contains("authorization") && !head.contains("secret"),
        "{head}"
    );
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    while read.len() < body_at + length {
        stream.read_buf(&mut read).await.expect("bytes");
    }
    let (status, body) = match manner {
        Manner::Slow => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return;
        }
        Manner::Nonsense => ("200 OK", b"<html>welcome</html>".to_vec()),
        Manner::Redirects => ("302 Found\r\nLocation: http://127.0.0.1:1/", Vec::new()),
        Manner::Large => ("200 OK", vec![0; ocsp::MAX_RESPONSE_BYTES + 1]),
        Manner::Failing => ("500 Internal Server Error", Vec::new()),
        Manner::Confused => {
            let other = CertificateAuthority::generate("people", Timestamp::now()).expect("an authority");
            fs::write(directory.join("ca.crt.other"), other.certificate_pem()).expect("written");
            fs::write(directory.join("ca.key.other"), other.key_pem()).expect("written");
            ("200 OK", openssl(&directory, &read[body_at..], ".other"))
        }
        Manner::Honest => ("200 OK", openssl(&directory, &read[body_at..], "")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Who has heard enough hangs up.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
}

/// OpenSSL's answer, signed by `ca.crt` with this ending.
fn openssl(directory: &std::path::Path, question: &[u8], ending: &str) -> Vec<u8> {
    let own = tempfile::tempdir().expect("a directory");
    let (asked, said) = (own.path().join("question"), own.path().join("answer"));
    fs::write(&asked, question).expect("written");
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(["ocsp", "-index", "index.txt", "-CA", "ca.crt", "-ndays", "1"])
        .args([
            "-rsigner",
            &format!("ca.crt{ending}"),
            "-rkey",
            &format!("ca.key{ending}"),
            "-reqin",
        ])
        .arg(&asked)
        .arg("-respout")
        .arg(&said)
        .output()
        .expect("openssl; install it: apt-get install openssl");
    fs::read(said).unwrap_or_else(|_| panic!("an answer: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_good_certificate_comes_in_and_is_asked_about_once() {
    let world = World::new(Ocsp::Hard).await;
    let anna = world.issue();
    world.record(&anna, 'V');
    let (first, second) = tokio::join!(world.comes(&anna), world.comes(&anna));
    assert_eq!((first.1, second.1), (None, None));
    drop((first.0, second.0));
    // Somebody who comes again later is known, too.
    assert_eq!(world.comes(&anna).await.1, None);
    assert_eq!(world.asked(), 1);
    assert!(world.counted("good"), "{:?}", world.counted);
}

#[tokio::test]
async fn what_is_revoked_is_refused_softly_and_hard() {
    for ocsp in [Ocsp::Soft, Ocsp::Hard] {
        let world = World::new(ocsp).await;
        let anna = world.issue();
        world.record(&anna, 'R');
        let refused = world.comes(&anna).await.1.expect("a refusal");
        assert!(refused.contains("revoked at 2026-01-02T03:04:05Z"), "{refused}");
        assert!(world.counted("revoked"));
    }
}

#[tokio::test]
async fn what_nobody_knows_is_refused_hard_alone() {
    let world = World::new(Ocsp::Soft).await;
    assert_eq!(world.comes(&world.issue()).await.1, None);
    assert!(world.counted("unknown"));
    let world = World::new(Ocsp::Hard).await;
    let refused = world.comes(&world.issue()).await.1.expect("a refusal");
    assert!(refused.contains("doesn't know"), "{refused}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused_hard_alone() {
    for manner in [
        Manner::Nonsense,
        Manner::Redirects,
        Manner::Large,
        Manner::Failing,
        Manner::Confused,
    ] {
        for ocsp in [Ocsp::Soft, Ocsp::Hard] {
            let world = World::new(ocsp).await;
            let anna = world.issue();
            world.record(&anna, 'V');
            world.behaves(manner);
            let refused = world.comes(&anna).await.1;
            assert_eq!(
                refused.as_deref(),
                (ocsp == Ocsp::Hard).then_some(NO_ANSWER),
                "{manner:?}"
            );
            assert!(world.counted("none"), "{manner:?}");
            assert_eq!(world.asked(), 1, "{manner:?}");
        }
    }
}

#[tokio::test]
async fn a_responder_that_is_slow_or_away_takes_three_seconds_at_most() {
    for ocsp in [Ocsp::Soft, Ocsp::Hard] {
        let world = World::new(ocsp).await;
        let anna = world.issue();
        world.behaves(Manner::Slow);
        let began = std::time::Instant::now();
        let (held, refused) = world.comes(&anna).await;
        assert_eq!(refused.is_some(), ocsp == Ocsp::Hard, "{refused:?}");
        let took = began.elapsed();
        assert!(took >= LIMIT && took < LIMIT * 2, "{took:?}");
        // The next connection doesn't wait for it again.
        let began = std::time::Instant::now();
        let (_second, refused) = world.comes(&anna).await;
        assert_eq!(refused.is_some(), ocsp == Ocsp::Hard, "{refused:?}");
        assert!(began.elapsed() < LIMIT / 2);
        world.serving.abort();
        world.age(&held).await;
        let (_third, refused) = world.comes(&anna).await;
        assert_eq!(refused.is_some(), ocsp == Ocsp::Hard, "{refused:?}");
    }
}

#[tokio::test]
async fn a_revocation_ends_those_who_are_here_when_the_answer_ends() {
    let world = World::new(Ocsp::Soft).await;
    let anna = world.issue();
    world.record(&anna, 'V');
    let (held, refused) = world.comes(&anna).await;
    assert_eq!(refused, None);
    let following = tokio::spawn(world.responders.clone().follow());
    let mut changes = world.holders.changes().expect("changes");
    changes.mark_unchanged();
    world.record(&anna, 'R');
    world.age(&held).await;
    let moved = tokio::time::timeout(Duration::from_secs(20), changes.changed()).await;
    assert!(moved.is_ok(), "nobody was told");
    assert!(world.refused(&held).is_some_and(|why| why.contains("revoked")));
    // Whoever silences the responder now gains nothing.
    world.behaves(Manner::Failing);
    world.age(&held).await;
    let before = world.asked();
    while world.asked() == before {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(held);
    assert!(
        world
            .comes(&anna)
            .await
            .1
            .is_some_and(|why| why.contains("revoked"))
    );
    following.abort();
}

#[tokio::test]
async fn nobody_is_asked_if_it_is_off_or_the_certificate_names_nobody() {
    let world = World::new(Ocsp::Off).await;
    let anna = world.issue();
    world.record(&anna, 'R');
    assert_eq!(world.comes(&anna).await.1, None);
    let world = World::new(Ocsp::Hard).await;
    let plain = world
        .authority
        .issue_user("anna", &[], &Terms::of(DAY), Timestamp::now());
    assert_eq!(world.comes(&plain.expect("a certificate")).await.1, None);
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn what_nobody_needs_any_more_is_forgotten() {
    let world = World::new(Ocsp::Soft).await;
    let anna = world.issue();
    world.record(&anna, 'V');
    let (held, _) = world.comes(&anna).await;
    let now = Timestamp::now();
    assert!(world.responders.due(now).is_empty());
    world.age(&held).await;
    let id = held.id;
    drop(held);
    assert!(world.responders.due(now).is_empty());
    assert!(!world.responders.kept().contains_key(&id));
}

#[tokio::test]
async fn only_http_is_spoken() {
    for url in [
        "ldap://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1",
        "http://",
        "http://a b/",
        "",
    ] {
        let error = post::post(url, Vec::new()).await.expect_err(url).to_string();
        assert!(error.contains("isn't one of http"), "{url}: {error}");
    }
}
