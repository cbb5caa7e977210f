//! Who asks, and one call of theirs.

use std::{
    any::Any,
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use mk8s_model::Identity;
use uuid::Uuid;

/// Who asks, as the door found out. Cheap to clone. Nothing in it comes from a tool's arguments.
#[derive(Clone)]
pub struct Principal {
    /// The name that is written down, and that clusters are told where they are told one.
    pub identity: Identity,
    /// From which address.
    pub source: IpAddr,
    /// Until when the door's proof of identity holds.
    pub until: Option<Instant>,
    /// What tells this proof of identity from another of the same user's: a token's SHA-256. What is kept for somebody is kept
    /// under it. Absent where nothing is proven anew, as on standard input.
    pub proof: Option<[u8; 32]>,
    /// What else the door knows of them, for whoever reaches clusters in their name: a verified token, say.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Principal {
    /// Somebody on this machine, who started us.
    #[must_use]
    pub fn local(identity: Identity) -> Self {
        Self {
            identity,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            until: None,
            proof: None,
            held: None,
        }
    }
}

/// What the door holds may be a credential.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("identity", &self.identity)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// One call of a tool.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose.
    pub principal: Principal,
    /// What it is called in every record of it. UUID version 7: ids sort by time.
    pub id: Uuid,
    /// The tool's name.
    pub tool: &'static str,
    /// What the client's program calls itself. Never believed for anything.
    pub client: Option<String>,
}
