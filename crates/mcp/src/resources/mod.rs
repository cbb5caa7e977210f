//! Objects, lists and logs as MCP's resources: named by URIs, read like tools read, and watched for those who subscribe.
//!
//! * A URI ([`ResourceUri`]) is a cluster's name before the API server's own path, so it means one request and is known without
//!   asking what the cluster has.
//! * Reading is an [`Answer`](crate::answer::Answer) like a tool's, and takes the same way out.
//! * A subscription is a watch in its subscriber's own name (`watch`), of which nothing is kept but where it is. What
//!   changed isn't told, only that something did; whoever wants to know reads, and is shown what they may see.

mod follow;
mod read;
mod templates;
mod uri;
mod watch;

pub(crate) use follow::{Left, Slot, Slots, follow};
pub(crate) use read::read;
pub(crate) use templates::{OVERVIEWS, TEMPLATES, Template};
pub use uri::{InvalidUri, Part, ResourceUri};
pub(crate) use watch::Watch;
