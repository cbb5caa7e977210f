//! An API server in memory, narrowed.

mod changes;
mod gets;
mod lists;
mod pages;
mod scopes;
mod support;
mod tables;
mod watches;
