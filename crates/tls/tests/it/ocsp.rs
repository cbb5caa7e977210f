//! Answers of OpenSSL's responder, and what is done to them on the way.

use std::{fs, path::Path};

use jiff::Timestamp;
use mk8s_tls::{
    CertificateAuthority, CertificateDer, Issued, RevocationReason, SerialNumber, Terms,
    ocsp::{Answer, IdHash, MAX_RESPONSE_BYTES, Nonce, OcspError, Request, Status, issuer, responder},
};
use tempfile::{TempDir, tempdir};

use crate::{
    openssl::openssl,
    support::{DAY, authority, client, now},
};

const REVOKED_AT: &str = "2026-01-02T03:04:05Z";

/// A responder that knows two certificates.
struct Responder {
    authority: CertificateAuthority,
    good: Issued,
    revoked: Issued,
    directory: TempDir,
}

impl Responder {
    fn new() -> Self {
        let authority = authority();
        let (good, revoked) = (client(&authority), client(&authority));
        let directory = tempdir().expect("directory");
        let write =
            |name: &str, content: &str| fs::write(directory.path().join(name), content).expect("written");
        write("ca.crt", &authority.certificate_pem());
        write("ca.key", &authority.key_pem());
        let serial = |issued: &Issued| serial(issued).to_string().to_uppercase();
        write(
            "index.txt",
            &format!(
                "V\t390101000000Z\t\t{}\tunknown\t/CN=good\nR\t390101000000Z\t260102030405Z,keyCompromise\t{}\tunknown\t/CN=revoked\n",
                serial(&good),
                serial(&revoked)
            ),
        );
        Self {
            authority,
            good,
            revoked,
            directory,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn request(&self, about: &Issued, hash: IdHash, nonce: Nonce) -> Request {
        Request::new(about.chain.leaf(), self.authority.certificate(), hash, nonce).expect("a request")
    }

    fn plain(&self, about: &Issued) -> Request {
        self.request(about, IdHash::Sha1, Nonce::Without)
    }

    /// Its answer, signed with the files `signer.crt` and `.key`.
    fn answer_by(&self, request: &Request, signer: &str, options: &str) -> Vec<u8> {
        fs::write(self.path().join("request"), request.der()).expect("written");
        let _ = fs::remove_file(self.path().join("response"));
        let line = format!(
            "ocsp -index index.txt -CA ca.crt -rsigner {signer}.crt -rkey {signer}.key -reqin request -respout response{options}"
        );
        let said = openssl(self.path(), &line);
        fs::read(self.path().join("response")).unwrap_or_else(|_| panic!("an answer: {said}"))
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        self.answer_by(request, "ca", " -ndays 1")
    }

    /// Appoints a responder by a certificate with these usages and puts it into `name.crt` and `.key`.
    fn appoint(
        &self,
        name: &str,
        authority: &CertificateAuthority,
        usage: rcgen::ExtendedKeyUsagePurpose,
        until: i32,
    ) {
        let key = rcgen::KeyPair::from_pem(&authority.key_pem()).expect("key");
        let issuer = rcgen::Issuer::from_ca_cert_pem(&authority.certificate_pem(), key).expect("issuer");
        let mut parameters = rcgen::CertificateParams::default();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        parameters.extended_key_usages = vec![usage];
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        let own = rcgen::KeyPair::generate().expect("key");
        let certificate = parameters.signed_by(&own, &issuer).expect("certificate");
        fs::write(self.path().join(format!("{name}.crt")), certificate.pem()).expect("written");
        fs::write(self.path().join(format!("{name}.key")), own.serialize_pem()).expect("written");
    }
}

fn serial(issued: &Issued) -> SerialNumber {
    SerialNumber::of(issued.chain.leaf()).expect("serial")
}

fn good(outcome: Result<Answer, OcspError>) -> bool {
    outcome.expect("an answer").status == Status::Good
}

#[test]
fn good_revoked_and_unknown_are_told_apart() {
    let responder = Responder::new();
    let stranger = client(&responder.authority);
    let revoked = Status::Revoked {
        at: REVOKED_AT.parse::<Timestamp>().expect("time"),
        reason: RevocationReason::KeyCompromise,
    };
    for (about, status) in [
        (&responder.good, Status::Good),
        (&responder.revoked, revoked),
        (&stranger, Status::Unknown),
    ] {
        for hash in [IdHash::Sha1, IdHash::Sha256] {
            for nonce in [Nonce::Without, Nonce::Offered, Nonce::Required] {
                let request = responder.request(about, hash, nonce);
                let answer = request
                    .check(&responder.answer(&request), now())
                    .expect("an answer");
                assert_eq!(answer.status, status, "{hash:?} {nonce:?}");
                let lasts = answer.until.duration_since(answer.this_update);
                assert_eq!(lasts.as_hours(), 24);
            }
        }
    }
}

#[test]
fn openssl_reads_our_request() {
    let responder = Responder::new();
    let request = responder.request(&responder.good, IdHash::Sha1, Nonce::Offered);
    fs::write(responder.path().join("request"), request.der()).expect("written");
    let shown = openssl(responder.path(), "ocsp -reqin request -req_text");
    let number = serial(&responder.good).to_string().to_uppercase();
    for line in ["Hash Algorithm: sha1", &number, "OCSP Nonce"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn a_responder_that_the_authority_appointed_may_answer() {
    let responder = Responder::new();
    responder.appoint(
        "delegate",
        &responder.authority,
        rcgen::ExtendedKeyUsagePurpose::OcspSigning,
        2090,
    );
    let request = responder.plain(&responder.good);
    for naming in ["", " -resp_key_id"] {
        let answer = responder.answer_by(&request, "delegate", &format!(" -ndays 1{naming}"));
        assert!(good(request.check(&answer, now())));
    }
    // Without its certificate nobody knows who it is.
    let bare = responder.answer_by(&request, "delegate", " -ndays 1 -resp_no_certs");
    assert!(matches!(
        request.check(&bare, now()),
        Err(OcspError::NotAuthorized)
    ));
}

#[test]
fn an_answer_by_anybody_else_is_foreign() {
    let responder = Responder::new();
    let another = CertificateAuthority::generate("test authority", now()).expect("authority");
    let impostor =
        |name: &str, content: &str| fs::write(responder.path().join(name), content).expect("written");
    impostor("another.crt", &another.certificate_pem());
    impostor("another.key", &another.key_pem());
    // A client of the authority is no responder, and neither is another authority's.
    use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, OcspSigning};
    responder.appoint("person", &responder.authority, ClientAuth, 2090);
    responder.appoint("anything", &responder.authority, Any, 2090);
    responder.appoint("theirs", &another, OcspSigning, 2090);
    responder.appoint("expired", &responder.authority, OcspSigning, 2021);
    let request = responder.plain(&responder.good);
    for signer in ["another", "person", "anything", "theirs", "expired"] {
        let answer = responder.answer_by(&request, signer, " -ndays 1");
        let error = request.check(&answer, now()).expect_err(signer);
        assert!(matches!(error, OcspError::NotAuthorized), "{signer}: {error}");
    }
}

#[test]
fn an_answer_is_believed_for_its_time_alone() {
    let responder = Responder::new();
    let request = responder.plain(&responder.good);
    let answer = responder.answer(&request);
    let at = |time| request.check(&answer, time);
    assert!(good(at(now() - DAY / 1440)), "clocks differ a little");
    assert!(matches!(at(now() - DAY), Err(OcspError::NotYet(_))));
    assert!(good(at(now() + DAY - DAY / 1440)));
    assert!(matches!(at(now() + 2 * DAY), Err(OcspError::Overdue(_))));
    // Without a next update it is good for a moment alone.
    let unsaid = responder.answer_by(&request, "ca", "");
    assert!(good(request.check(&unsaid, now())));
    assert!(matches!(
        request.check(&unsaid, now() + DAY),
        Err(OcspError::Overdue(_))
    ));
}

#[test]
fn an_answer_replayed_for_another_certificate_is_refused() {
    let responder = Responder::new();
    let good_answer = responder.answer(&responder.plain(&responder.good));
    let about_revoked = responder.plain(&responder.revoked);
    let error = about_revoked.check(&good_answer, now()).expect_err("replayed");
    assert!(matches!(error, OcspError::AnotherCertificate), "{error}");
    // The same number at another authority of the same name and key hash is another's, too.
    let theirs = Responder::new();
    let request = theirs.plain(&theirs.good);
    assert!(request.check(&good_answer, now()).is_err());
}

#[test]
fn an_answer_replayed_from_another_request_is_refused() {
    let responder = Responder::new();
    let ask = |nonce| responder.request(&responder.good, IdHash::Sha1, nonce);
    let (first, second) = (ask(Nonce::Offered), ask(Nonce::Offered));
    let old = responder.answer(&first);
    assert!(good(first.check(&old, now())));
    assert!(matches!(
        second.check(&old, now()),
        Err(OcspError::AnotherRequest)
    ));
    let without = responder.answer(&ask(Nonce::Without));
    assert!(
        good(second.check(&without, now())),
        "not every responder returns it"
    );
    let strict = ask(Nonce::Required);
    assert!(matches!(strict.check(&without, now()), Err(OcspError::NoNonce)));
}

#[test]
fn a_damaged_answer_is_an_error_and_never_another_answer() {
    let responder = Responder::new();
    responder.appoint(
        "delegate",
        &responder.authority,
        rcgen::ExtendedKeyUsagePurpose::OcspSigning,
        2090,
    );
    let request = responder.request(&responder.revoked, IdHash::Sha1, Nonce::Offered);
    let whole = responder.answer_by(&request, "delegate", " -ndays 1");
    let expected = request.check(&whole, now()).expect("an answer");
    for length in 0..whole.len() {
        assert!(request.check(&whole[..length], now()).is_err(), "{length}");
    }
    let mut refused = 0;
    for at in 0..whole.len() {
        for bit in [0x01, 0x80] {
            let mut bent = whole.clone();
            bent[at] ^= bit;
            match request.check(&bent, now()) {
                Ok(answer) => assert_eq!(answer, expected, "{at}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > whole.len(), "{refused} of {}", 2 * whole.len());
    let mut longer = whole;
    longer.push(0);
    assert!(request.check(&longer, now()).is_err());
}

#[test]
fn what_is_no_answer_says_so() {
    let responder = Responder::new();
    let request = responder.plain(&responder.good);
    let refused = |code: u8| [0x30, 3, 0x0a, 1, code];
    for (code, word) in [
        (1, "couldn't read"),
        (2, "failed"),
        (3, "later"),
        (5, "signed"),
        (6, "no record"),
    ] {
        let error = request
            .check(&refused(code), now())
            .expect_err("refused")
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    for bad in [&b""[..], b"<html>", &refused(0), &refused(4), &refused(99)] {
        let error = request.check(bad, now()).expect_err("no answer");
        assert!(matches!(error, OcspError::Damaged(_)), "{error}");
    }
    let huge = vec![0x30; MAX_RESPONSE_BYTES + 1];
    assert!(matches!(request.check(&huge, now()), Err(OcspError::TooLarge(_))));
    let deep = [0x30, 0x80].repeat(1000);
    assert!(request.check(&deep, now()).is_err());
}

#[test]
fn a_request_needs_the_certificates_own_authority() {
    let responder = Responder::new();
    let other = CertificateAuthority::generate("another", now()).expect("authority");
    let ask = |about: &CertificateDer<'_>, issuer: &CertificateDer<'_>| {
        Request::new(about, issuer, IdHash::Sha1, Nonce::Without).expect_err("refused")
    };
    let error = ask(responder.good.chain.leaf(), other.certificate());
    assert!(matches!(error, OcspError::NotTheIssuer(_)), "{error}");
    let garbage = CertificateDer::from(&b"nothing"[..]);
    for (about, issuer) in [(&garbage, other.certificate()), (other.certificate(), &garbage)] {
        assert!(matches!(ask(about, issuer), OcspError::Certificate(_)));
    }
}

#[test]
fn a_certificate_names_its_responder() {
    let ours = authority();
    for (url, found) in [
        (
            Some("http://ocsp.example.com/a"),
            Some("http://ocsp.example.com/a"),
        ),
        (Some("https://ocsp.example.com"), Some("https://ocsp.example.com")),
        (None, None),
    ] {
        let terms = Terms {
            ocsp: url.map(str::to_owned),
            crl: Some("http://crl.example.com".to_owned()),
            ..Terms::of(DAY)
        };
        let issued = ours.issue_user("jane", &[], &terms, now()).expect("issued");
        assert_eq!(responder(issued.chain.leaf()).expect("read").as_deref(), found);
    }
    assert!(responder(&CertificateDer::from(&b"nothing"[..])).is_err());
}

#[test]
fn an_authority_is_found_by_its_signature_and_not_by_its_name() {
    let (real, namesake) = (authority(), authority());
    let holder = client(&real);
    let leaf = holder.chain.leaf();
    let garbage = CertificateDer::from(b"garbage".to_vec());
    let shown = [
        garbage.clone(),
        leaf.clone(),
        namesake.certificate().clone(),
        real.certificate().clone(),
    ];
    assert_eq!(issuer(leaf, &shown), Some(real.certificate()));
    assert_eq!(issuer(leaf, &shown[..3]), None);
    assert_eq!(issuer(&garbage, &shown), None);
}
