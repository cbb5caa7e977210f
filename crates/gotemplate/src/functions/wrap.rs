//! Lines of a width. It counts bytes, as Go does.

use super::{Function, Type::Int, Type::Text, strings::find};
use crate::{format::Out, functions::printed};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("wrap", &[Int, Text], |run, a| {
        printed(run, |out| wrap(out, a.text(1), a.int(0), b"\n", false))
    }),
    Function::new("wrapWith", &[Int, Text, Text], |run, a| {
        let between = if a.text(1).is_empty() { b"\n" } else { a.text(1) };
        printed(run, |out| wrap(out, a.text(2), a.int(0), between, true))
    }),
];

fn wrap(out: &mut Out, text: &[u8], width: i64, between: &[u8], break_words: bool) {
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let mut rest = text;
    while rest.len() > width && !out.is_full() {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let (line, skipped) = match rest[..=width].iter().rposition(|&b| b == b' ') {
            Some(space) => (space, 1),
            None if break_words => (width, 0),
            None => match find(&rest[width..], b" ") {
                Some(space) => (width + space, 1),
                None => break,
            },
        };
        out.push(&rest[..line]);
        out.push(between);
        rest = &rest[line + skipped..];
    }
    out.push(rest);
}
