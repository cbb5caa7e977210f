//! The cache before an API server in memory: who gets what, for how long, and what makes it forget.

mod age;
mod bodies;
mod eligible;
mod identities;
mod support;
mod watches;
mod writes;
