//! The keys that sign tokens: files in a directory, the newest of which signs while all verify.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use zeroize::Zeroizing;

/// The smallest RSA modulus taken, in base64url characters: 2048 bits.
const MIN_MODULUS_CHARS: usize = 342;

/// RSA keys, newest first. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    keys: Arc<[Key]>,
    jwks: Arc<str>,
}

struct Key {
    /// The key's RFC 7638 thumbprint, by which tokens name it.
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Jwk,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or the directory couldn't be read or written.
    #[error(
        "{path}: {source}: the directory of the token keys must be readable, and writable at the first start"
    )]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no usable key.
    #[error(
        "{path}: {reason}: put the key back, or move the file away and restart (everyone must log in again)"
    )]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// No key could be made.
    #[error("no RSA key could be made: the random generator failed")]
    Generation,
}

impl SigningKeys {
    /// Reads all `token-*.pem` of a directory, in the order of their names: the last signs, all verify. If there is none,
    /// makes the directory (mode 0700) and a 2048-bit key `token-0001.pem` (PKCS#8 PEM, mode 0600). Two programs that
    /// start at once end with the same key.
    ///
    /// # Errors
    /// [`KeyError`] if the directory or a key can't be read, or the first key can't be made.
    pub fn load_or_create(directory: &Path) -> Result<Self, KeyError> {
        let mut files = key_files(directory)?;
        if files.is_empty() {
            create_directory(directory)?;
            create(directory, 1)?;
            files = key_files(directory)?;
        }
        let keys = files
            .iter()
            .rev()
            .map(|path| load(path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_keys(keys))
    }

    /// Adds a key, which signs from the next [`SigningKeys::load_or_create`] on. Tokens signed before still verify, until
    /// the old file is removed.
    ///
    /// # Errors
    /// [`KeyError`] if the key can't be made or written.
    pub fn rotate(directory: &Path) -> Result<PathBuf, KeyError> {
        let files = key_files(directory)?;
        let newest = files.last().and_then(|path| number(path)).unwrap_or(0);
        create_directory(directory)?;
        create(directory, newest + 1)
    }

    /// One new key that is written nowhere: for tests, and for a program that needn't outlive its tokens.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn ephemeral() -> Result<Self, KeyError> {
        let pem = generate()?;
        let key = read(pem.as_bytes()).map_err(|_| KeyError::Generation)?;
        Ok(Self::from_keys(vec![key]))
    }

    /// The public keys as a JWK set (RFC 7517), for `/.well-known/jwks.json`.
    pub fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.jwks)
    }

    /// The id of the key that signs.
    pub fn signing_key_id(&self) -> &str {
        &self.signer().id
    }

    pub(super) fn signing_key(&self) -> (&str, &EncodingKey) {
        let key = self.signer();
        (&key.id, &key.signing)
    }

    pub(super) fn verifying_key(&self, id: &str) -> Option<&DecodingKey> {
        self.keys
            .iter()
            .find(|key| key.id == id)
            .map(|key| &key.verifying)
    }

    fn signer(&self) -> &Key {
        // `from_keys` is only called with at least one.
        &self.keys[0]
    }

    fn from_keys(keys: Vec<Key>) -> Self {
        let set = JwkSet {
            keys: keys.iter().map(|key| key.public.clone()).collect(),
        };
        let jwks = serde_json::to_string(&set).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned());
        Self {
            keys: keys.into(),
            jwks: jwks.into(),
        }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

/// The key files of a directory, sorted by name; none if the directory isn't there.
fn key_files(directory: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(KeyError::Io {
                path: directory.to_owned(),
                source,
            });
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|source| KeyError::Io {
                path: directory.to_owned(),
                source,
            })?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("token-") && name.ends_with(".pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// 7 of `token-0007.pem`.
fn number(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.strip_prefix("token-")?.parse().ok()
}

fn create_directory(directory: &Path) -> Result<(), KeyError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|source| KeyError::Io {
        path: directory.to_owned(),
        source,
    })
}

/// Makes the key of that number, or leaves the one that somebody else made meanwhile: the file appears whole or not at
/// all, and is never replaced.
fn create(directory: &Path, number: u32) -> Result<PathBuf, KeyError> {
    let path = directory.join(format!("token-{number:04}.pem"));
    let draft = directory.join(format!(".token-{}.tmp", uuid::Uuid::new_v4().simple()));
    let pem = generate()?;
    let written = write_new(&draft, pem.as_bytes()).and_then(|()| match fs::hard_link(&draft, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // What is left of the draft has no use, whatever became of it.
    let _ = fs::remove_file(&draft);
    written
        .and_then(|()| fs::File::open(directory)?.sync_all())
        .map_err(|source| KeyError::Io {
            path: path.clone(),
            source,
        })?;
    Ok(path)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A new 2048-bit RSA key as PKCS#8 PEM (RFC 5958, RFC 7468).
fn generate() -> Result<Zeroizing<String>, KeyError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generation)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generation)?;
    let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

fn load(path: &Path) -> Result<Key, KeyError> {
    let pem = fs::read(path).map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    let pem = Zeroizing::new(pem);
    read(&pem).map_err(|reason| KeyError::Unusable {
        path: path.to_owned(),
        reason,
    })
}

fn read(pem: &[u8]) -> Result<Key, &'static str> {
    const NO_KEY: &str = "not an RSA private key in PEM";
    let signing = EncodingKey::from_rsa_pem(pem).map_err(|_| NO_KEY)?;
    let mut public = Jwk::from_encoding_key(&signing, Algorithm::RS256).map_err(|_| NO_KEY)?;
    match &public.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= MIN_MODULUS_CHARS => {}
        _ => return Err("an RSA key of less than 2048 bits"),
    }
    let verifying = DecodingKey::from_jwk(&public).map_err(|_| NO_KEY)?;
    let id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| NO_KEY)?;
    public.common.key_id = Some(id.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(Key {
        id,
        signing,
        verifying,
        public,
    })
}
