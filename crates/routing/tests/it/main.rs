//! Clusters and routes as people write them: which are taken, what they choose, and what is said of those that are wrong.

mod choosing;
mod refused;
mod support;
