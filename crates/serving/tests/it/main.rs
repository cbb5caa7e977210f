//! Replicas of an aggregated API before an API server that is in memory.

mod fake;
mod files;
mod replica;
mod replicas;
mod rotation;
