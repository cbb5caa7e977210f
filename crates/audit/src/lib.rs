//! The audit journal: an event is in a file before its request leaves, and in the database soon after.
//!
//! A database on the path of every request would make its latency everybody's and its outage an outage. So [`Journal`]
//! appends to a file, which survives the death of this process as soon as the write returns, and a [`Shipper`] moves
//! what is there into an [`AuditSink`] in batches. If the sink is away, the journal grows up to a bound and then refuses
//! requests: nothing happens unrecorded.
//!
//! A program without a database writes [`AuditFile`] instead: lines for others to collect.
//!
//! The journal on disk, in one directory of mode 0700 that one process at a time holds locked:
//! * `00000000000000000042.jsonl`: segments, a record a line, `o` an open and `c` a close; deleted once shipped;
//! * `00000000000000000042.unreadable`: a segment that was shipped as far as it could be read;
//! * `running.jsonl`: opens that were shipped while their request still ran. Whatever is left of it at the next start,
//!   and has no close, was interrupted.

mod file;
mod journal;
mod record;
mod ship;

pub use file::{AuditFile, AuditFileError};
pub use journal::{Journal, JournalError, Limits};
pub use ship::{AuditSink, Shipper, SinkError};
