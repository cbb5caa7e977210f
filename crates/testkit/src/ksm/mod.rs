//! A Keeper Secrets Manager server on this machine. It speaks the service's own protocol over HTTPS, so that official SDKs and
//! our own client can be tested against it, and does wrong whatever a test wants.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mk8s_testkit::ksm::{Behaviour, Endpoint, Fault, KsmServer, NewRecord};
//!
//! let server = KsmServer::start("127.0.0.1:0".parse()?).await?;
//! let uid = server.vault().add(NewRecord::login("database", "app", "made up"));
//! let config = server.app_config_json(); // goes into a Secret; server.ca_pem() beside it
//! server.behave(Behaviour::once(Fault::Throttled(Some(2))).at(Endpoint::GetSecret));
//! // … the client under test reads the record …
//! assert_eq!(server.requests(Endpoint::GetSecret), 2);
//! # Ok(())
//! # }
//! ```
//!
//! [`Served`] is the same for tests that aren't async.
//!
//! Each server has one application with any number of clients. Everything is in memory, and made anew at each start: keys,
//! certificates, tokens.
//!
//! Traps of the official SDKs, which this server can't take away:
//! * They split a one-time token at its colons. Without a region's abbreviation in front of it, the host goes apart.
//! * The Rust crate drops a port from the host name, and can't be told of a certificate authority; given `serverPublicKey`, it asks
//!   again for ever when the server wants another key; and it panics on a reply without `records` or `folders`, or a record that
//!   isn't JSON.
//! * Both trust keys of the server that are built in. A configuration with `serverPublicKey` overrides that; then a change of the
//!   server's key can't be followed.
//!
//! Where the service doesn't say what it does, this is the strict guess: a token is used up by the first valid request even if
//! the reply is lost; a write with an old revision is refused as `out_of_sync`; an update within a transaction is seen at once.

mod behaviour;
mod clients;
mod contents;
mod crypto;
mod door;
mod endpoints;
mod form;
mod log;
mod served;
mod server;
mod vault;
mod wire;

pub use behaviour::{Behaviour, Endpoint, Fault, RateLimit};
pub use clients::AppConfig;
pub use contents::Damage;
pub use log::Logged;
pub use served::Served;
pub use server::{KsmServer, Settings, StartError};
pub use vault::{Field, NewFile, NewRecord, Vault};
