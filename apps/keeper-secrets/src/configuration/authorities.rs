//! Authorities that a pod brings (`ca-cert-*`), for whom clouds' SDKs believe, too.
//!
//! Not every SDK can be told of authorities, but each believes the system's, and SSL_CERT_FILE says where those are. No program can
//! change its own environment safely: so this one becomes itself once more, and that file is one in memory, with both in it.

use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use mk8s_secrets::contract::{Auth, Request};
use rustix::fs::MemfdFlags;

/// Where programs look for the system's authorities.
const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const DIRECTORY_VARIABLE: &str = "SSL_CERT_DIR";
/// Where the system has them if nobody says: Debian, Red Hat, Alpine.
const SYSTEMS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Says that it is done.
const DONE_VARIABLE: &str = "KEEPER_SECRETS_HAS_AUTHORITIES";

/// What the pod brings, PEM.
///
/// # Errors
/// If it isn't mounted.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let path = directory.join("ca.crt");
    fs::read(&path).with_context(|| {
        format!(
            "can't read {}: has the object of ca-cert-* that key?",
            path.display()
        )
    })
}

/// Makes clouds' SDKs believe what the pod brings: the program starts anew. Returns if there is nothing to do.
///
/// # Errors
/// If it can't.
pub(crate) fn bring(request: &Request, directory: &Path) -> anyhow::Result<()> {
    let is_cloud = !matches!(request.auth, Auth::Secret { .. } | Auth::Kubernetes {});
    if request.certificate_authorities.is_none() || !is_cloud || env::var_os(DONE_VARIABLE).is_some() {
        return Ok(());
    }
    let both = [systems(), read(directory)?].join(&b'\n');
    let file = in_memory(&both).context("can't keep authorities in memory")?;
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(FILE_VARIABLE, format!("/proc/self/fd/{}", file.as_raw_fd()))
        .env(DONE_VARIABLE, "true")
        .exec();
    Err(error).context("can't start anew with the authorities of ca-cert-*")
}

/// The system's own, if it has any.
fn systems() -> Vec<u8> {
    if let Some(file) = env::var_os(FILE_VARIABLE) {
        return fs::read(file).unwrap_or_default();
    }
    // Whoever names a directory alone means that one alone; it is looked into anyway.
    if env::var_os(DIRECTORY_VARIABLE).is_some() {
        return Vec::new();
    }
    SYSTEMS
        .iter()
        .find_map(|path| fs::read(path).ok())
        .unwrap_or_default()
}

/// A file that is there as long as the program is, whatever the program becomes.
fn in_memory(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("authorities", MemfdFlags::empty())?);
    file.write_all(content)?;
    Ok(file)
}
