//! Certificates that were taken back, at a door whose files change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use mk8s_tls::{
    CertificateAuthority, CertificateDer, ClientTrust, ExpiredLists, Issued, Refresh, ReloadingClientAuth,
    RevocationError, RevocationReason, Revoked, Roots, SerialNumber, client,
    server::{self, ClientAuth},
};
use tempfile::{TempDir, tempdir};

use crate::{
    openssl::openssl,
    support::{
        DAY, ago, authority, client as client_certificate, now, reloading, server as server_certificate,
        shake_hands, trust,
    },
};

/// A door, and the directory of its authorities and lists.
pub(crate) struct Door {
    server: CertificateAuthority,
    pub(crate) auth: Arc<ReloadingClientAuth>,
    directory: TempDir,
}

impl Door {
    /// One for clients of these authorities, without any list yet.
    pub(crate) fn new(authorities: &[&CertificateAuthority], expired: ExpiredLists) -> Self {
        let directory = tempdir().expect("directory");
        let bundle: String = authorities.iter().map(|a| a.certificate_pem()).collect();
        fs::write(directory.path().join("clients.crt"), bundle).expect("bundle");
        let auth = ReloadingClientAuth::new(
            ClientTrust {
                authorities: Roots::Files(vec![directory.path().join("clients.crt")]),
                lists: vec![directory.path().to_owned()],
                expired,
                optional: false,
            },
            now(),
        );
        Self {
            server: authority(),
            auth: auth.expect("read"),
            directory,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn refresh(&self) -> Result<Refresh, RevocationError> {
        self.auth.refresh(now())
    }

    pub(crate) async fn enter(&self, client: &Issued) -> Result<(), String> {
        let server = server::config(
            reloading(&server_certificate(&self.server)),
            &ClientAuth::Reloading(self.auth.clone()),
            &[b"h2"],
        );
        let client = client::config(&trust(&self.server), Some(reloading(client)), &[b"h2"]);
        shake_hands(server.expect("server"), client.expect("client"))
            .await
            .map(drop)
    }

    pub(crate) fn revoked(&self, client: &Issued) -> Option<Revoked> {
        self.auth.lists().revoked(client.chain.der())
    }
}

fn entry(issued: &Issued) -> Revoked {
    Revoked {
        serial: SerialNumber::of(issued.chain.leaf()).expect("serial"),
        at: Timestamp::from_second(1_700_000_000).expect("time"),
        reason: RevocationReason::KeyCompromise,
    }
}

fn list(authority: &CertificateAuthority, number: u64, revoked: &[&Issued]) -> String {
    list_at(authority, number, revoked, now(), now() + DAY)
}

pub(crate) fn list_at(
    authority: &CertificateAuthority,
    number: u64,
    revoked: &[&Issued],
    made: Timestamp,
    next_update: Timestamp,
) -> String {
    let entries: Vec<_> = revoked.iter().map(|issued| entry(issued)).collect();
    let list = authority.sign_revocation_list(&entries, number, made, next_update);
    list.expect("signed").pem()
}

pub(crate) fn assert_revoked(outcome: Result<(), String>) {
    let error = outcome.expect_err("refused");
    assert!(error.contains("Revoked"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_is_refused_from_the_next_handshake_on() {
    let ours = authority();
    let (jane, joe) = (client_certificate(&ours), client_certificate(&ours));
    let door = Door::new(&[&ours], ExpiredLists::Use);
    door.enter(&jane).await.expect("no list yet");

    door.write("clients.crl", list(&ours, 1, &[]));
    assert_eq!(door.refresh().expect("read"), Refresh::Changed);
    assert_eq!(door.refresh().expect("read"), Refresh::Unchanged);
    door.enter(&jane).await.expect("nobody is on the list");
    assert_eq!(door.revoked(&jane), None);

    door.write("clients.crl", list(&ours, 2, &[&jane]));
    assert_eq!(door.refresh().expect("read"), Refresh::Changed);
    assert_revoked(door.enter(&jane).await);
    door.enter(&joe).await.expect("another's certificate");
    assert_eq!(door.revoked(&jane), Some(entry(&jane)));
    assert_eq!(door.revoked(&joe), None);
}

#[tokio::test]
async fn who_keeps_connections_hears_of_a_new_list() {
    let ours = authority();
    let jane = client_certificate(&ours);
    let door = Door::new(&[&ours], ExpiredLists::Use);
    let mut changes = door.auth.subscribe();
    door.refresh().expect("read");
    assert!(!changes.has_changed().expect("open"));

    door.write("clients.crl", list(&ours, 1, &[&jane]));
    door.refresh().expect("read");
    changes.changed().await.expect("open");
    let lists = changes.borrow_and_update().clone();
    assert_eq!(lists.revoked(jane.chain.der()), Some(entry(&jane)));
    let (_, leaf) = x509_parser::parse_x509_certificate(jane.chain.leaf()).expect("parsed");
    assert_eq!(
        lists.find(leaf.issuer().as_raw(), &entry(&jane).serial),
        Some(entry(&jane))
    );
    assert_eq!(lists.find(b"somebody else", &entry(&jane).serial), None);
}

#[tokio::test]
async fn a_damaged_list_changes_nothing_and_is_named() {
    let ours = authority();
    let (jane, joe) = (client_certificate(&ours), client_certificate(&ours));
    let door = Door::new(&[&ours], ExpiredLists::Use);
    let good = list(&ours, 1, &[&jane]);
    door.write("clients.crl", &good);
    door.refresh().expect("read");

    let cut = good.len() / 2;
    for (bad, word) in [
        ("".as_bytes(), "no revocation list"),
        (b"nothing", "no revocation list"),
        (ours.certificate_pem().as_bytes(), "no revocation list"),
        (&good.as_bytes()[..cut], "END X509 CRL"),
        (
            b"-----BEGIN X509 CRL-----\n%%%\n-----END X509 CRL-----\n",
            "base64",
        ),
        (
            b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
            "damaged",
        ),
        (b"\x30\x82\xff\xff", "damaged"),
    ] {
        door.write("clients.crl", bad);
        let error = door.refresh().expect_err("not good").to_string();
        assert!(error.contains("clients.crl") && error.contains(word), "{error}");
        assert_revoked(door.enter(&jane).await);
        door.enter(&joe).await.expect("as before");
    }
}

#[test]
fn a_list_cut_short_anywhere_is_refused() {
    let ours = authority();
    let jane = client_certificate(&ours);
    let signed = ours
        .sign_revocation_list(&[entry(&jane)], 1, now(), now() + DAY)
        .expect("signed");
    let door = Door::new(&[&ours], ExpiredLists::Use);
    for length in 1..signed.der().len() {
        door.write("clients.der", &signed.der()[..length]);
        door.refresh().expect_err("not good");
    }
    door.write("clients.der", signed.der());
    door.refresh().expect("whole");
    assert_eq!(door.revoked(&jane), Some(entry(&jane)));
}

#[tokio::test]
async fn a_list_in_the_name_of_an_authority_that_did_not_sign_it_is_refused() {
    let (ours, impostor) = (authority(), authority());
    let jane = client_certificate(&ours);
    let door = Door::new(&[&ours], ExpiredLists::Use);
    door.write("clients.crl", list(&impostor, 1, &[&jane]));
    let error = door.refresh().expect_err("forged");
    assert!(matches!(error, RevocationError::BadSignature { .. }), "{error}");
    assert!(error.to_string().contains("test authority"), "{error}");
    door.enter(&jane).await.expect("as before");
}

#[tokio::test]
async fn the_list_of_a_stranger_says_nothing_of_our_certificates() {
    let ours = authority();
    let stranger = CertificateAuthority::generate("a stranger", now()).expect("authority");
    let jane = client_certificate(&ours);
    let door = Door::new(&[&ours], ExpiredLists::Refuse);
    door.write(
        "stranger.crl",
        list_at(&stranger, 1, &[&jane], ago(2 * DAY), ago(DAY)),
    );
    door.refresh().expect("read");
    door.enter(&jane).await.expect("none of the stranger's business");
    assert_eq!(door.revoked(&jane), None);
    let verified: Vec<_> = door.auth.lists().infos().map(|info| info.verified).collect();
    assert_eq!(verified, [false]);
}

#[tokio::test]
async fn of_several_lists_of_an_authority_the_newest_counts() {
    let ours = authority();
    let jane = client_certificate(&ours);
    let old = list_at(&ours, 1, &[], ago(DAY), now() + DAY);
    let same_second = now();
    let second = list_at(&ours, 2, &[], same_second, now() + DAY);
    let third = list_at(&ours, 300, &[&jane], same_second, now() + DAY);
    for order in [
        [&old, &second, &third],
        [&third, &second, &old],
        [&second, &third, &old],
    ] {
        let door = Door::new(&[&ours], ExpiredLists::Use);
        door.write("a.crl", order[0]);
        door.write("b.crl", format!("{}{}", order[1], order[2]));
        door.refresh().expect("read");
        assert_eq!(door.auth.lists().infos().len(), 1);
        assert_revoked(door.enter(&jane).await);
    }
}

#[tokio::test]
async fn an_authority_that_began_anew_under_its_name_has_a_list_of_its_own() {
    let (old, new) = (authority(), authority());
    let (olds, news) = (client_certificate(&old), client_certificate(&new));
    let (gone_old, gone_new) = (client_certificate(&old), client_certificate(&new));
    let door = Door::new(&[&old, &new], ExpiredLists::Use);
    door.write("old.crl", list(&old, 1, &[&gone_old]));
    door.write("new.crl", list(&new, 1, &[&gone_new]));
    door.refresh().expect("read");
    for good in [&olds, &news] {
        door.enter(good).await.expect("not on a list");
        assert_eq!(door.revoked(good), None);
    }
    for gone in [&gone_old, &gone_new] {
        assert_revoked(door.enter(gone).await);
        assert_eq!(door.revoked(gone), Some(entry(gone)));
    }
    // The old one's list names a number that the new one gave out, too.
    door.write("old.crl", list(&old, 2, &[&news]));
    door.refresh().expect("read");
    door.enter(&news).await.expect("another's number");
    assert_eq!(door.revoked(&news), None);
    let nobodys = client_certificate(&authority());
    assert!(door.enter(&nobodys).await.is_err());
}

#[tokio::test]
async fn authorities_change_with_their_file() {
    let (old, new) = (
        authority(),
        CertificateAuthority::generate("new", now()).expect("authority"),
    );
    let (olds, news) = (client_certificate(&old), client_certificate(&new));
    let door = Door::new(&[&old], ExpiredLists::Use);
    assert!(door.enter(&news).await.is_err());
    door.write("clients.crt", new.certificate_pem());
    assert_eq!(door.refresh().expect("read"), Refresh::Changed);
    door.enter(&news).await.expect("known now");
    assert!(door.enter(&olds).await.is_err());
    for bad in ["", "nothing"] {
        door.write("clients.crt", bad);
        let error = door.refresh().expect_err("not good").to_string();
        assert!(error.contains("clients.crt"), "{error}");
        door.enter(&news).await.expect("as before");
    }
}

#[tokio::test]
async fn without_a_certificate_only_where_it_is_optional() {
    let ours = authority();
    for optional in [true, false] {
        let auth = ReloadingClientAuth::new(
            ClientTrust {
                authorities: trust(&ours),
                lists: Vec::new(),
                expired: ExpiredLists::Use,
                optional,
            },
            now(),
        );
        let auth = ClientAuth::Reloading(auth.expect("read"));
        let server = server::config(reloading(&server_certificate(&ours)), &auth, &[]).expect("server");
        let client = client::config(&trust(&ours), None, &[]).expect("client");
        assert_eq!(shake_hands(server, client).await.is_ok(), optional);
    }
}

#[test]
fn a_list_that_is_not_there_is_named() {
    let ours = authority();
    let missing = |path: &Path| {
        let made = ReloadingClientAuth::new(
            ClientTrust {
                authorities: trust(&ours),
                lists: vec![path.to_owned()],
                expired: ExpiredLists::Use,
                optional: false,
            },
            now(),
        );
        made.expect_err("missing").to_string()
    };
    assert!(missing(Path::new("/nowhere/clients.crl")).contains("/nowhere/clients.crl"));
    let large = tempdir().expect("directory");
    let path = large.path().join("large.crl");
    let file = fs::File::create(&path).expect("file");
    file.set_len(65 * 1024 * 1024).expect("sparse");
    assert!(missing(large.path()).contains("at most"));
}

#[tokio::test]
async fn a_mounted_directory_changes_through_its_symbolic_link() {
    let ours = authority();
    let jane = client_certificate(&ours);
    let door = Door::new(&[&ours], ExpiredLists::Use);
    for (version, revoked) in [("1", &[][..]), ("2", &[&jane][..])] {
        let directory = door.path(&format!("..{version}"));
        fs::create_dir(&directory).expect("directory");
        fs::write(directory.join("clients.crl"), list(&ours, 1, revoked)).expect("written");
    }
    std::os::unix::fs::symlink("..1", door.path("..data")).expect("link");
    std::os::unix::fs::symlink("..data/clients.crl", door.path("clients.crl")).expect("link");
    door.write("README", "not a list");
    door.write(".hidden.crl", "not a list");
    door.refresh().expect("read");
    door.enter(&jane).await.expect("not on the list");
    std::os::unix::fs::symlink("..2", door.path("..data_tmp")).expect("link");
    fs::rename(door.path("..data_tmp"), door.path("..data")).expect("swapped");
    assert_eq!(door.refresh().expect("read"), Refresh::Changed);
    assert_revoked(door.enter(&jane).await);
}

/// A chain of three made by another tool than ours: a root, an authority below it, and a client of that.
struct Deep {
    root: String,
    chain: Issued,
    middle: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Deep {
    fn new() -> Self {
        let ca = |name: &str| {
            let mut parameters = rcgen::CertificateParams::default();
            parameters
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters
        };
        let key = || rcgen::KeyPair::generate().expect("key");
        let root = rcgen::CertifiedIssuer::self_signed(ca("deep root"), key()).expect("root");
        let middle = rcgen::CertifiedIssuer::signed_by(ca("deep middle"), key(), &root).expect("middle");
        let mut leaf = rcgen::CertificateParams::default();
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "jane");
        leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        leaf.serial_number = Some(vec![0x12, 0x34].into());
        let leaf_key = key();
        let leaf = leaf.signed_by(&leaf_key, &middle).expect("leaf");
        let pem = format!("{}{}", leaf.pem(), middle.pem());
        Self {
            root: root.pem(),
            chain: Issued::from_pem(pem.as_bytes(), leaf_key.serialize_pem().as_bytes()).expect("a pair"),
            middle,
        }
    }

    fn list(&self, serial: u64) -> String {
        let parameters = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2099, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: serial.into(),
                revocation_time: rcgen::date_time_ymd(2025, 12, 31),
                reason_code: Some(rcgen::RevocationReason::Superseded),
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        parameters
            .signed_by(&self.middle)
            .expect("list")
            .pem()
            .expect("pem")
    }
}

#[tokio::test]
async fn an_authority_between_has_its_own_list() {
    let deep = Deep::new();
    let door = Door::new(&[&authority()], ExpiredLists::Use);
    door.write("clients.crt", &deep.root);
    door.refresh().expect("read");
    door.enter(&deep.chain).await.expect("no list yet");
    door.write("middle.crl", deep.list(0x1235));
    door.refresh().expect("read");
    door.enter(&deep.chain).await.expect("another's number");
    door.write("middle.crl", deep.list(0x1234));
    door.refresh().expect("read");
    assert_revoked(door.enter(&deep.chain).await);
    let revoked = door.revoked(&deep.chain).expect("on the list");
    assert_eq!(revoked.reason, RevocationReason::Superseded);
    assert_eq!(revoked.serial.to_string(), "1234");
    // Without the authority's certificate nobody can tell whose list it is.
    let alone: &[CertificateDer<'_>] = &deep.chain.chain.der()[..1];
    assert_eq!(door.auth.lists().revoked(alone), None);
}

#[test]
fn openssl_reads_our_list_and_believes_it() {
    let ours = authority();
    let jane = client_certificate(&ours);
    let directory = tempdir().expect("directory");
    let at = |name: &str| directory.path().join(name);
    fs::write(at("ca.crt"), ours.certificate_pem()).expect("written");
    fs::write(at("jane.crt"), jane.chain.pem()).expect("written");
    for (revoked, verdict) in [(&[][..], "OK"), (&[&jane][..], "certificate revoked")] {
        fs::write(at("crl.pem"), list(&ours, 42, revoked)).expect("written");
        let shown = openssl(directory.path(), "crl -in crl.pem -CAfile ca.crt -noout -text");
        assert!(shown.contains("verify OK"), "{shown}");
        assert!(shown.contains("Version 2") && shown.contains("42"), "{shown}");
        assert_eq!(shown.contains("Key Compromise"), !revoked.is_empty(), "{shown}");
        let shown = openssl(
            directory.path(),
            "verify -crl_check -CAfile ca.crt -CRLfile crl.pem jane.crt",
        );
        assert!(shown.contains(verdict), "{shown}");
    }
}
