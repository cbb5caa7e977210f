//! Whom to believe to be central: the system's authorities, or one that was accepted at the first login, alone.

use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use mk8s_tls::{
    CertificateDer, Fingerprint, Roots,
    pin::{PinError, PresentedChain, probe, probe_stream},
    pki_types::pem::PemObject as _,
    rustls,
};
use tower::Service as _;

use crate::{
    central_url::CentralUrl,
    error::{Failure, Result},
    output::plain,
};

/// How long looking at central's certificate may take.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// The authorities that vouch for central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of the operating system.
    System,
    /// Those in this file, and no others.
    Only {
        /// Where they were read.
        path: PathBuf,
        /// The file's content.
        pem: Vec<u8>,
        /// Their fingerprints, at least one.
        fingerprints: Vec<Fingerprint>,
    },
}

impl Trust {
    /// The authorities in a PEM text that was read from `path`.
    pub(crate) fn only(path: PathBuf, pem: Vec<u8>) -> Result<Self> {
        let unusable = |why: &str| {
            Failure::new(format!("{} {why}", path.display())).hint(
                "a file of certificate authorities has blocks that begin with -----BEGIN CERTIFICATE-----",
            )
        };
        let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| unusable(&format!("isn't PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(unusable("holds no certificate"));
        }
        let fingerprints = certificates
            .iter()
            .map(|certificate| Fingerprint::of(certificate))
            .collect();
        let trust = Self::Only {
            path,
            pem,
            fingerprints,
        };
        mk8s_tls::client::config(&trust.roots(), None, &[])
            .map_err(|error| Failure::new(error.to_string()))?;
        Ok(trust)
    }

    /// For the TLS configuration.
    pub(crate) fn roots(&self) -> Roots {
        match self {
            Self::System => Roots::System,
            Self::Only { pem, .. } => Roots::Pem(pem.clone()),
        }
    }

    /// For a kubeconfig: the authorities to embed, unless they are the system's.
    pub(crate) fn pem(&self) -> Option<&[u8]> {
        match self {
            Self::System => None,
            Self::Only { pem, .. } => Some(pem),
        }
    }
}

/// Looks at what central presents, without believing it.
pub(crate) async fn presented(central: &CentralUrl) -> Result<PresentedChain, PinError> {
    let attempt = async {
        let uri: http::Uri = central
            .endpoint("/")
            .as_str()
            .parse()
            .map_err(|_| PinError::BadHost(central.host().to_owned()))?;
        // What goes to central goes through the proxy that the environment names, and so must this.
        let Some(proxy) = Matcher::from_system().intercept(&uri) else {
            return probe(central.host(), central.port(), PROBE_LIMIT).await;
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(true);
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let through_proxy = |error: &dyn StdError| PinError::Connect {
            host: central.host().to_owned(),
            port: central.port(),
            source: io::Error::other(format!("through the proxy: {}", innermost(error))),
        };
        std::future::poll_fn(|context| tunnel.poll_ready(context))
            .await
            .map_err(|error| through_proxy(&error))?;
        let stream = tunnel.call(uri).await.map_err(|error| through_proxy(&error))?;
        probe_stream(TokioIo::new(stream), central.host()).await
    };
    let timeout = || PinError::Timeout {
        host: central.host().to_owned(),
        port: central.port(),
        seconds: PROBE_LIMIT.as_secs(),
    };
    tokio::time::timeout(PROBE_LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Err(timeout()))
}

/// What to say of a certificate that was refused with `reason`: whether central presents another authority than before.
pub(crate) async fn explain_refusal(
    central: &CentralUrl,
    trust: &Trust,
    reason: &str,
    now: jiff::Timestamp,
) -> Failure {
    let presented = match presented(central).await {
        Ok(chain) => chain.authority(now),
        Err(error) => Err(error),
    };
    match (trust, presented) {
        (Trust::Only { path, fingerprints, .. }, Ok(authority))
            if !fingerprints.contains(&authority.fingerprint) =>
        {
            let expected: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
            Failure::new(format!(
                "THE CERTIFICATE AUTHORITY OF {central} HAS CHANGED: expected {} ({}), presented {}",
                expected.join(" or "),
                path.display(),
                authority.fingerprint
            ))
            .hint("somebody may stand between you and central; if your administrator confirms the new fingerprint, run `mk8s login --ca-fingerprint` with it")
        }
        (Trust::System, Ok(_)) => Failure::new(format!("this machine doesn't trust the certificate of {central}: {reason}"))
            .hint("mk8s login --central URL shows the fingerprint of its certificate authority and asks; --ca-file FILE names the authority"),
        (_, Err(error @ (PinError::WrongName(_) | PinError::NotValidNow(_)))) => {
            Failure::new(format!("the certificate of {central} can't be trusted: {}", plain(&error.to_string())))
        }
        _ => Failure::new(format!("the certificate of {central} can't be trusted: {reason}"))
            .hint("ask your administrator for central's certificate authority: mk8s login --ca-file FILE"),
    }
}

/// Why a certificate was refused, if that is what is at the bottom of this error.
pub(crate) fn certificate_refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            return Some(plain(&why.to_string()));
        }
        next = cause(error);
    }
    None
}

/// The words of the first cause.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = cause(error);
    }
    plain(text.split(" (os error").next().unwrap_or_default())
}

/// The cause of an error; an I/O error hides the one that it wraps from [`StdError::source`].
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(wrapped);
    }
    error.source()
}
