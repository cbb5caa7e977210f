//! Calls are written down beside the requests they made, in one file.

use std::sync::Arc;

use mk8s_audit::AuditFile;
use mk8s_mcp_core::record::{CallLog, CallRecord};
use tracing::error;

/// The audit file, for calls.
pub(crate) struct Calls(pub(crate) Arc<AuditFile>);

impl CallLog for Calls {
    fn record(&self, call: &CallRecord) {
        if let Err(why) = self.0.note("call", call) {
            error!(id = %call.id, tool = %call.tool, %why, "a call can't be written to the audit file");
        }
    }
}
