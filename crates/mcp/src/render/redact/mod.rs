//! Secrets out of whatever a cluster says.
//!
//! [`Redactor`] hides them in objects of the API, by where they stand and by what they look like; [`Stream`] in text that comes in
//! pieces, as logs do. Both rest on the same finders: `words` know forms, `line` what stands before a secret, `scrub` what goes over
//! lines. It is better to hide too much than too little; what must stay readable is said by tests.

use std::ops::Range;

pub(crate) mod names;

mod line;
mod manifest;
mod object;
mod scrub;
mod stream;
mod words;

pub use object::Redactor;
pub use stream::Stream;

/// Stands where a secret stood.
pub const REDACTED: &str = "<redacted>";

/// The text with a mark in the place of each range, and how many marks these are.
fn hide(text: &str, mut found: Vec<Range<usize>>, mark: &str) -> (String, u32) {
    if found.is_empty() {
        return (text.to_owned(), 0);
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let (mut out, mut at, mut hits) = (String::with_capacity(text.len()), 0, 0);
    for range in found {
        // Found twice, by form and by name: what is longer counts.
        if range.start < at {
            if range.end > at {
                at = range.end;
            }
            continue;
        }
        if range.is_empty() || text[range.clone()].trim().starts_with("<redacted") {
            continue;
        }
        out.push_str(&text[at..range.start]);
        out.push_str(mark);
        hits += 1;
        at = range.end;
    }
    out.push_str(&text[at..]);
    (out, hits)
}
