//! Text that comes in pieces.

use super::scrub::{Out, Scrub};
use crate::render::{EnvPolicy, clean};

/// A line that doesn't end is taken for one when it is this long.
const LONGEST: usize = 256 * 1024;

/// Redacts text that comes in pieces, as logs and the output of commands do: bytes in, clean text without secrets out.
///
/// It keeps what it must to see secrets that go over pieces and lines: the line that hasn't ended, and the one before it. Neither
/// grows beyond a bound.
#[derive(Debug)]
pub struct Stream {
    scrub: Scrub,
    pending: Vec<u8>,
    /// Up to where `pending` has been searched for a line's end.
    searched: usize,
}

const WHOLE: usize = 0;
const PART: usize = 1;

impl Default for Stream {
    fn default() -> Self {
        Self::new(EnvPolicy::Harmless)
    }
}

impl Stream {
    /// Before the first piece.
    pub fn new(env: EnvPolicy) -> Self {
        Self {
            scrub: Scrub::new(env, true, 0),
            pending: Vec::new(),
            searched: 0,
        }
    }

    /// Takes a piece; gives what can be told already: whole lines, each with its end.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        for part in bytes.chunks(LONGEST) {
            self.pending.extend_from_slice(part);
            self.take_lines(&mut out);
        }
        out
    }

    /// The rest: what came after the last line's end.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.searched = 0;
            self.line(&rest, PART, &mut out);
        }
        let mut lines = Out::new();
        self.scrub.finish(&mut lines);
        write(lines, &mut out);
        out
    }

    /// How many secrets were hidden until now.
    pub fn hits(&self) -> u32 {
        self.scrub.hits()
    }

    fn take_lines(&mut self, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        let mut start = 0;
        let mut search = self.searched;
        while let Some(end) = pending[search..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|at| search + at)
        {
            self.line(&pending[start..end], WHOLE, out);
            start = end + 1;
            search = start;
        }
        while pending.len() - start > LONGEST {
            let cut = start + cut(&pending[start..start + LONGEST]);
            self.line(&pending[start..cut], PART, out);
            start = cut;
        }
        self.pending = pending[start..].to_vec();
        self.searched = self.pending.len();
    }

    fn line(&mut self, bytes: &[u8], tag: usize, out: &mut String) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut lines = Out::new();
        // A bar that shows progress draws over its line.
        let mut parts = text.split('\r').peekable();
        while let Some(part) = parts.next() {
            let tag = if parts.peek().is_some() { WHOLE } else { tag };
            self.scrub.line(&clean::clean(part), tag, &mut lines);
        }
        write(lines, out);
    }
}

fn write(lines: Out, out: &mut String) {
    for (tag, line) in lines {
        if let Some(line) = line {
            out.push_str(&line);
            if tag == WHOLE {
                out.push('\n');
            }
        }
    }
}

/// Where an endless line is cut: after a blank, or a comma, or anyway, but within no character.
fn cut(bytes: &[u8]) -> usize {
    let late = bytes.len() / 2;
    let after = |wanted: &[u8]| {
        bytes[late..]
            .iter()
            .rposition(|byte| wanted.contains(byte))
            .map(|at| late + at + 1)
    };
    after(b" \t").or_else(|| after(b",;")).unwrap_or_else(|| {
        let mut end = bytes.len();
        while end > bytes.len() - 3 && bytes[end - 1] & 0xc0 == 0x80 {
            end -= 1;
        }
        if bytes[end - 1] >= 0xc0 { end - 1 } else { end }
    })
}
