//! Bodies that are looked into: read whole, and put back.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mk8s_net::{Body, status::Status};

/// The longest body that is looked into: what the API server takes.
pub(crate) const MAX_BODY: usize = 3 * 1024 * 1024;

/// Reads a request's body and takes it away.
///
/// # Errors
/// 413 if it is longer than what the API server takes, 400 if it breaks off.
pub(crate) async fn take(body: &mut Body) -> Result<bytes::Bytes, Status> {
    let body = std::mem::replace(body, Body::empty());
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(why) if why.is::<LengthLimitError>() => Err(Status::too_large(format!(
            "the body is longer than {} MiB; to find its cluster it is looked into",
            MAX_BODY / 1024 / 1024
        ))),
        Err(why) => Err(Status::bad_request(format!(
            "the request's body broke off: {why}"
        ))),
    }
}
