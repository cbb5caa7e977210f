//! What a template may use up. Templates come from users, so each of them may be hostile.

/// What one rendering may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many steps: actions, calls, rounds of a range, values compared, and so on.
    pub steps: u64,
    /// How many bytes the output may have.
    pub output_bytes: usize,
    /// How many bytes all values together may have that functions make on the way. Nothing is given back.
    pub value_bytes: usize,
    /// How many `template` calls may be in each other.
    pub depth: usize,
}

impl Default for Limits {
    /// Far more than any template of a pod needs, and well under a second.
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            output_bytes: 4 << 20,
            value_bytes: 32 << 20,
            depth: 500,
        }
    }
}

/// How deep lists and maps may be in each other.
pub(crate) const NESTING: usize = 128;
/// How deep parentheses and control structures may be in each other.
pub(crate) const SYNTAX_NESTING: usize = 64;
/// How long a source may be, in bytes.
pub(crate) const SOURCE_BYTES: usize = 1 << 20;
/// How many variables may be visible at once.
pub(crate) const VARIABLES: usize = 1000;
