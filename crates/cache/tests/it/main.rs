//! The cache before an API server in memory: who gets what, for how long, and what makes it forget.

mod age;
mod bodies;
mod cluster;
mod eligible;
mod exact;
mod identities;
mod interleavings;
mod support;
mod watches;
mod writes;
