//! The service account that the containers see: an authority of our own, a placeholder token, the real namespace.
//!
//! Both the authority and the token stay the same for as long as the pod lives, because clients keep what they read: they
//! are kept in the state directory, which no other container mounts.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use mk8s_tls::CertificateAuthority;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

const TOKEN_FILE: &str = "token";
const TOKEN_BYTES: usize = 32;
/// For every user and group that containers may run as.
const READABLE: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// What stands in for the service account.
pub(crate) struct ServiceAccount {
    pub(crate) authority: CertificateAuthority,
    pub(crate) placeholder: Placeholder,
}

/// The token that the containers have. Whoever reaches the port without it is no container of this pod: the loopback is
/// open to `kubectl port-forward`, too.
#[derive(Clone)]
pub(crate) struct Placeholder(SecretString);

impl ServiceAccount {
    /// What is kept in the directory, or made there now.
    pub(crate) fn keep(state: &Path, now: Timestamp) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .with_context(|| unusable(state, "MCA_STATE_DIR"))?;
        let authority = CertificateAuthority::load_or_create(state, "mca-proxy", now)?;
        let placeholder = Placeholder::keep(&state.join(TOKEN_FILE))?;
        Ok(Self {
            authority,
            placeholder,
        })
    }

    /// Writes what the containers read. A file is whole at any moment; `ca.crt` comes last, because a client that finds it
    /// goes on to connect.
    pub(crate) fn share(&self, directory: &Path, namespace: &str) -> anyhow::Result<()> {
        let files = [
            ("namespace", namespace),
            (TOKEN_FILE, self.placeholder.0.expose_secret()),
            ("ca.crt", &self.authority.certificate_pem()),
        ];
        fs::create_dir_all(directory).with_context(|| unusable(directory, "MCA_SHARED_DIR"))?;
        for (name, content) in files {
            let path = directory.join(name);
            write(&path, content.as_bytes(), READABLE).with_context(|| unusable(&path, "MCA_SHARED_DIR"))?;
        }
        Ok(())
    }
}

impl Placeholder {
    /// Whether this is it. Takes the same time for every wrong token of its length.
    pub(crate) fn is(&self, token: &[u8]) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(token).into()
    }

    /// For a kubeconfig in development.
    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }

    fn keep(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(kept) if kept.len() >= TOKEN_BYTES => Ok(Self(kept.into())),
            Ok(_) => bail!(
                "{} is damaged: delete it, and clients must read the new token",
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>());
                write(path, made.as_bytes(), PRIVATE).with_context(|| unusable(path, "MCA_STATE_DIR"))?;
                Ok(Self(made.into()))
            }
            Err(error) => Err(error).with_context(|| unusable(path, "MCA_STATE_DIR")),
        }
    }
}

fn unusable(path: &Path, variable: &str) -> String {
    format!(
        "can't use {}: it must be a volume that this user may write to ({variable})",
        path.display()
    )
}

/// The whole file or nothing, with that mode whatever the umask says.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory: PathBuf = path.parent().unwrap_or_else(|| Path::new(".")).to_owned();
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
    io::Write::write_all(&mut file, content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_restart_keeps_the_authority_and_the_token() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (state, shared) = (dir.path().join("state"), dir.path().join("shared"));
        let first = ServiceAccount::keep(&state, Timestamp::now()).expect("made");
        first.share(&shared, "team-a").expect("shared");
        let ca = fs::read_to_string(shared.join("ca.crt")).expect("ca.crt");
        let token = fs::read_to_string(shared.join("token")).expect("token");
        let second = ServiceAccount::keep(&state, Timestamp::now()).expect("kept");
        assert_eq!(second.authority.certificate_pem(), ca);
        assert!(second.placeholder.is(token.as_bytes()));
        assert_eq!(
            fs::read_to_string(shared.join("namespace")).expect("namespace"),
            "team-a"
        );
        for name in ["ca.crt", "token", "namespace"] {
            assert_eq!(mode(&shared.join(name)), 0o644, "{name}");
        }
        for name in ["ca.key", "token"] {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&state), 0o700);
        let left_over = fs::read_dir(&shared).expect("readable").count();
        assert_eq!(left_over, 3, "no temporary file stays");
    }

    #[test]
    fn each_pod_has_a_token_of_its_own_and_no_other_is_taken_for_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let of = |name: &str| {
            let kept = ServiceAccount::keep(&dir.path().join(name), Timestamp::now()).expect("made");
            kept.placeholder.0.expose_secret().to_owned()
        };
        let (one, other) = (of("one"), of("other"));
        assert_ne!(one, other);
        let placeholder = Placeholder(one.clone().into());
        assert!(placeholder.is(one.as_bytes()));
        for wrong in [other.as_str(), "", &one[1..], &format!("{one} ")] {
            assert!(!placeholder.is(wrong.as_bytes()));
        }
    }

    #[test]
    fn a_damaged_token_is_said_and_not_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("token"), "").expect("write");
        let error = ServiceAccount::keep(dir.path(), Timestamp::now())
            .err()
            .expect("refused");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
