//! Certificate requests: the key counts, once it is proven; nothing else does.

use mk8s_tls::{
    AuthorityError, CsrError, Issued, PeerCertificate, generate_csr,
    server::{self, ClientAuth},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    RsaKeySize,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{DAY, authority, jane, now, reloading, server, shake_hands, trust};

fn request(pair: &KeyPair) -> Vec<u8> {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("names");
    parameters
        .distinguished_name
        .push(DnType::CommonName, "system:admin");
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters
        .serialize_request(pair)
        .expect("request")
        .der()
        .to_vec()
}

fn refusal(bytes: &[u8]) -> CsrError {
    match authority().sign_csr(bytes, &jane(), DAY, now()) {
        Err(AuthorityError::Request(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_gets_its_certificate_by_request() {
    let ours = authority();
    let (key, request) = generate_csr().expect("request");
    for encoded in [request.pem().into_bytes(), request.der().to_vec()] {
        let chain = ours.sign_csr(&encoded, &jane(), DAY, now()).expect("signed");
        let issued = Issued::new(chain, key.clone()).expect("a pair");
        let server = server::config_tls13(
            reloading(&server(&ours)),
            &ClientAuth::Required(trust(&ours)),
            &[],
        )
        .expect("server");
        let client =
            mk8s_tls::client::config_tls13(&trust(&ours), Some(reloading(&issued)), &[]).expect("client");
        let met = shake_hands(server, client).await.expect("handshake");
        assert_eq!(met.peer.expect("certificate").common_name, "jane");
    }
}

#[test]
fn names_and_extensions_of_a_request_are_ignored() {
    let pair = KeyPair::generate().expect("key");
    let chain = authority()
        .sign_csr(&request(&pair), &jane(), DAY, now())
        .expect("signed");
    let peer = PeerCertificate::from_der(chain.leaf()).expect("read");
    assert_eq!(
        (peer.common_name.as_str(), peer.organizations.as_slice()),
        ("jane", &["dev".into(), "ops".into()][..])
    );
    let (_, leaf) = X509Certificate::from_der(chain.leaf()).expect("parsed");
    assert!(!leaf.is_ca());
    assert!(!leaf.subject().to_string().contains("system"));
    let purpose = leaf.extended_key_usage().expect("parsed").expect("present").value;
    assert!(purpose.client_auth && !purpose.server_auth);
    let names = leaf
        .subject_alternative_name()
        .expect("parsed")
        .expect("present")
        .value;
    assert!(!format!("{names:?}").contains("localhost"));
}

#[test]
fn a_request_must_be_signed_with_its_own_key() {
    let pair = KeyPair::generate().expect("key");
    let other = KeyPair::generate().expect("key");
    let good = request(&pair);
    // Another public key of the same length in the same place.
    let from = pair.subject_public_key_info_bytes();
    let to = other.subject_public_key_info_bytes();
    let at = good
        .windows(from.len())
        .position(|w| w == from)
        .expect("the key is in it");
    let mut forged = good.clone();
    forged[at..at + to.len()].copy_from_slice(&to);
    assert!(matches!(refusal(&forged), CsrError::BadSignature));

    let mut broken = good;
    *broken.last_mut().expect("bytes") ^= 1;
    assert!(matches!(
        refusal(&broken),
        CsrError::BadSignature | CsrError::Damaged(_)
    ));
}

trait PublicKeyBytes {
    fn subject_public_key_info_bytes(&self) -> Vec<u8>;
}

impl PublicKeyBytes for KeyPair {
    fn subject_public_key_info_bytes(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(self)
    }
}

#[test]
fn keys_of_other_kinds_are_taken_if_they_are_strong() {
    let pairs = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&rcgen::PKCS_ED25519),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
    ];
    for pair in pairs {
        let pair = pair.expect("key");
        let chain = authority()
            .sign_csr(&request(&pair), &jane(), DAY, now())
            .expect("signed");
        Issued::from_pem(chain.pem().as_bytes(), pair.serialize_pem().as_bytes()).expect("a pair");
    }
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("key");
    assert!(matches!(refusal(&request(&p521)), CsrError::UnsupportedKey(_)));
}

/// `openssl req -new -newkey rsa:1024 -nodes -subj /CN=weak`.
const RSA_1024: &str = include_str!("rsa-1024.csr");

#[test]
fn a_weak_key_is_refused_by_its_size() {
    let error = refusal(RSA_1024.as_bytes());
    assert!(matches!(error, CsrError::UnsupportedKey(_)), "{error}");
    assert!(error.to_string().contains("1024 bits"), "{error}");
}

#[test]
fn damaged_requests_are_errors_not_panics() {
    let (key, good) = generate_csr().expect("request");
    assert!(matches!(refusal(b""), CsrError::Damaged(_)));
    assert!(matches!(refusal(&[0x30; 20_000]), CsrError::TooLarge(20_000)));
    assert!(matches!(
        refusal(b"-----BEGIN CERTIFICATE REQUEST-----\n%\n"),
        CsrError::Damaged(_)
    ));
    let mut trailing = good.der().to_vec();
    trailing.push(0);
    assert!(matches!(refusal(&trailing), CsrError::Damaged(_)));
    let ours = authority();
    for at in 0..good.der().len() {
        let mut changed = good.der().to_vec();
        changed[at] ^= 0x41;
        // The name of the signature's algorithm isn't signed itself (RFC 2986), but can't change whose key it is.
        if let Ok(chain) = ours.sign_csr(&changed, &jane(), DAY, now()) {
            Issued::new(chain, key.clone()).expect("the same key");
        }
        assert!(
            ours.sign_csr(&good.der()[..at], &jane(), DAY, now()).is_err(),
            "cut at {at}"
        );
    }
}
