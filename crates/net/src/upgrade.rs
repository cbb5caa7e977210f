//! Splicing two upgraded connections: bytes go both ways until both ends are done, through fixed buffers.

use std::io;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// Per direction, in bytes. SPDY and WebSocket frames of `kubectl cp` are 32 KiB at most.
const BUFFER: usize = 32 * 1024;

/// Copies both ways until both directions ended or one failed. Returns the bytes that went from `client` and to it.
///
/// # Errors
/// What broke either side.
pub async fn splice(client: Upgraded, upstream: Upgraded) -> io::Result<(u64, u64)> {
    let mut client = TokioIo::new(client);
    let mut upstream = TokioIo::new(upstream);
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await
}
