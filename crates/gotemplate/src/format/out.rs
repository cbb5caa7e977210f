//! A text that grows up to a limit.

/// Bytes that were written, and how many more may be.
pub(crate) struct Out {
    bytes: Vec<u8>,
    room: usize,
    full: bool,
}

impl Out {
    /// An empty text with room for so many bytes.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            bytes: Vec::new(),
            room,
            full: false,
        }
    }

    /// Appends, if it all fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.full || bytes.len() > self.room - self.bytes.len() {
            self.full = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Appends one byte so many times, if all fits.
    pub(crate) fn fill(&mut self, byte: u8, count: usize) {
        if self.full || count > self.room - self.bytes.len() {
            self.full = true;
        } else {
            self.bytes.resize(self.bytes.len() + count, byte);
        }
    }

    /// Was something left out? Then there's no use in writing on.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// What was written, unless something was left out.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (!self.full).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_seen() {
        let mut out = Out::new(3);
        out.push(b"ab");
        assert!(!out.is_full());
        out.fill(b' ', 2);
        assert!(out.is_full());
        assert_eq!(out.finish(), None);
    }
}
