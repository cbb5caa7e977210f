//! An OAuth 2.1 resource server, as the Model Context Protocol asks for (its chapter on authorization): whose a bearer token is, what
//! it lets them do, how a client without one learns where to get it, and by which other token Kubernetes is told who asks.
//!
//! ```text
//!  Authorization: Bearer …          ┌ Verifier ─ Keys ─ Discovery ─► issuer
//!  ────────────────────────► bearer ┤
//!                                   └► Verified ─► KubernetesTokens ─► a token for Kubernetes
//!  ◄── 401, 403, 503: Challenge          (Exchange ─► token endpoint, or PassThrough)
//!  ◄── /.well-known/…: ProtectedResource
//! ```
//!
//! Invariants:
//!
//! * a token is believed only if a key of the configured issuer signed it, by an asymmetric algorithm that is allowed and that the
//!   key is for; keys and places of keys that a token names itself are never looked at;
//! * a token is taken only if it is for us: its audiences have our resource's name in them, byte by byte;
//! * whom a token names becomes an [`Identity`](mk8s_model::Identity), so never a `system:` user or group;
//! * a token got for a user is given for the very token it was got for, and for no other;
//! * no token, secret or key has a printable form, and no message has a part of one in it.
//!
//! Nothing runs by itself: who asks fetches, one at a time, in bounded time and size. The clock is a parameter.

mod algorithm;
mod bearer;
mod broker;
mod clock;
mod discovery;
mod exchange;
mod fetch;
mod issuer;
mod jws;
mod kept;
mod keys;
mod metadata;
mod object;
mod refused;
mod scope;
mod settings;
mod url;
mod verify;

pub use algorithm::Algorithm;
pub use bearer::bearer;
pub use broker::{
    KubernetesSettings, KubernetesTokens, NoToken, PassThrough, PassThroughSettings, kubernetes_tokens,
};
pub use clock::{Clock, system_clock};
pub use exchange::{Exchange, ExchangeSettings};
pub use fetch::{FetchError, SetupError};
pub use issuer::Issuer;
pub use metadata::ProtectedResource;
pub use refused::{Challenge, Challenges, Refused};
pub use scope::{InvalidScope, Scope};
pub use settings::{Settings, SettingsError};
pub use verify::{TokenDigest, Verified, Verifier};
