//! What holds for every method, path, query and name.

mod audit;
mod identities;
mod reference;
mod requests;
