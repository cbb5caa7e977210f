//! Real files, and real processes that are killed.

mod disk;
mod killed;
mod shipping;
mod support;
