//! The cryptography that everything is built on.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// aws-lc-rs with rustls' own choice of suites and groups.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Makes [`provider`] the process-wide default, for libraries that look for one (reqwest, sqlx, kube). Doing so again
/// changes nothing.
pub fn install_default_provider() {
    // An error says that a default stands already.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// Random bytes from the operating system by way of aws-lc-rs.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], rustls::Error> {
    let mut bytes = [0; N];
    provider().secure_random.fill(&mut bytes)?;
    Ok(bytes)
}
