//! A small, careful client of Keeper Secrets Manager, which only reads: all records that an application may see, their folders,
//! and the files attached to them.
//!
//! The official Rust crate is no choice here: it changes features of `serde_json` for the whole build, panics on unusual replies,
//! follows a server that keeps asking for other keys for ever, and downloads files past the transport that it was given.
//!
//! ```no_run
//! # async fn example(text: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use mk8s_keeper::{Client, Config, HttpOptions, HttpTransport};
//!
//! let config = Config::parse(text)?;
//! if config.host() != "keepersecurity.eu" {
//!     return Err("that host isn't ours to call".into());
//! }
//! let client = Client::new(config, HttpTransport::new(HttpOptions::default())?);
//! let vault = client.fetch(false).await?;
//! for record in &vault.records {
//!     println!("{}: {} files", record.uid, record.files.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What holds:
//! - One fetch is one request, however many records there are, and a second for the names of folders if they are asked for. The
//!   service lets 100 requests pass in ten seconds.
//! - A record, file or folder that can't be read is told of in [`Vault::damaged`], and costs no other.
//! - No reply, however odd, makes it panic, wait for ever, or take more memory than the limits: [`REPLY_LIMIT`], [`FILE_LIMIT`].
//! - Nothing secret is in any `Debug`, `Display` or error text. What was decrypted is wiped when it is dropped.
//! - Which hosts may be called is the caller's decision: [`Config::host`], [`FileRef::host`].

mod base64;
mod client;
mod config;
mod crypto;
mod error;
mod http_transport;
mod refusal;
mod reply;
mod request;
mod server_key;
mod text;
mod transport;
mod vault;

pub use client::{Client, FILE_LIMIT, REPLY_LIMIT};
pub use config::{Config, ConfigError};
pub use error::{FetchError, KeyProblem, Malformed};
pub use http_transport::{HttpOptions, HttpTransport, SetupError};
pub use transport::{Reply, Transport, TransportError};
pub use vault::{Damaged, FileRef, Folder, Part, Place, Record, Vault, Why};
