//! What a program says about itself: log lines on stderr, numbers for Prometheus, spans for OpenTelemetry.
//!
//! Two rules for whoever adds to it: a secret never becomes a field or a label, and a label takes its values from a
//! list that somebody wrote down (an outcome, a verb, a cluster), never from what a client sent (a path, a user, an
//! address).

mod answers;
mod logging;
mod metrics;
mod process;
mod traces;

pub use answers::Answers;
pub use logging::{InvalidLogFormat, LogFormat, LogSettings, LoggingError, init_logging, subscriber};
pub use metrics::{Metrics, OPENMETRICS_CONTENT_TYPE};
pub use prometheus_client;
pub use traces::{RequestSpan, Traces, TracesError};
