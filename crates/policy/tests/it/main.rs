//! Policies as people write them, asked about requests as kubectl sends them.

mod decisions;
mod denials;
mod properties;
mod support;
mod writing;
