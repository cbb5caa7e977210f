//! Several clusters, answered as one.

mod bounds;
mod failures;
mod lists;
mod pages;
mod support;
mod tables;
mod watch_ends;
mod watch_lists;
mod watches;
mod writes;
