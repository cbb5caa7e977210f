//! One line of a segment: `o` and an [`AuditOpen`], or `c` and an [`AuditClose`], as JSON.

use mk8s_model::{AuditClose, AuditOpen};

/// A line read back.
pub(crate) enum Record<'a> {
    Open(Box<AuditOpen<'a>>),
    Close(AuditClose),
}

/// Appends an open's line to `buffer`.
pub(crate) fn write_open(buffer: &mut Vec<u8>, event: &AuditOpen<'_>) -> serde_json::Result<()> {
    buffer.push(b'o');
    serde_json::to_writer(&mut *buffer, event)?;
    buffer.push(b'\n');
    Ok(())
}

/// Appends a close's line to `buffer`.
pub(crate) fn write_close(buffer: &mut Vec<u8>, event: &AuditClose) -> serde_json::Result<()> {
    buffer.push(b'c');
    serde_json::to_writer(&mut *buffer, event)?;
    buffer.push(b'\n');
    Ok(())
}

/// Reads a line. None for a line that was cut short by the death of the machine.
pub(crate) fn read(line: &[u8]) -> Option<Record<'_>> {
    match line.split_first()? {
        (b'o', json) => serde_json::from_slice(json)
            .ok()
            .map(|open| Record::Open(Box::new(open))),
        (b'c', json) => serde_json::from_slice(json).ok().map(Record::Close),
        _ => None,
    }
}
