//! Which cluster a request goes to.
//!
//! People write `Cluster` and `Route` objects (group `mca.k8s.io`, version `v1alpha1`), in files or as custom resources;
//! [`Table::read`] makes a table of them that can't be wrong: every name leads somewhere, nothing leads in a circle.
//! [`Table::choose`] asks the routes in their order, and the first that matches says where to. What it looks at of a request
//! is in [`Asked`] and, for labels and annotations, [`Labelled`].
//!
//! Pure: no I/O, no clock. Credentials are named here, and read elsewhere.

mod choose;
mod error;
mod labelled;
mod object;
mod read;
mod table;

pub use choose::{Asked, Choice, Requested};
pub use error::{Fault, RoutingError};
pub use labelled::Labelled;
pub use object::{API_VERSION, GROUP};
pub use table::{Cluster, Credentials, HOME, Place, Source, Table};
