//! Variables for the pod's own programs: a file, and beside it the program that sets them before it becomes theirs.

use std::path::Path;

use anyhow::Context as _;
use mk8s_secrets::{Hidden, outputs::Outcome};
use zeroize::Zeroizing;

use crate::files;

const FILE: &str = "environment";
const PROGRAM: &str = "keeper-secrets-exec";
const FILE_MODE: u32 = 0o440;
/// Whoever is in the pod may run it; there is nothing secret in it.
const PROGRAM_MODE: u32 = 0o555;

/// Writes both, and says whether the variables changed.
pub(crate) fn write(
    directory: &Path,
    program: &Path,
    outcome: &Outcome,
    readers: Option<u32>,
) -> anyhow::Result<bool> {
    let bytes = std::fs::read(program).with_context(|| format!("can't read {}", program.display()))?;
    files::place(directory, PROGRAM, &bytes, PROGRAM_MODE, readers)?;
    let content = content(outcome.env.iter().map(|(name, value)| (name.as_str(), value)));
    Ok(files::place(directory, FILE, &content, FILE_MODE, readers)?)
}

/// `NAME=value`, each ended by a NUL. Neither can have one: `mk8s_secrets` refuses it.
fn content<'a>(variables: impl Iterator<Item = (&'a str, &'a Hidden)>) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::new());
    for (name, value) in variables {
        content.extend_from_slice(name.as_bytes());
        content.push(b'=');
        content.extend_from_slice(value.expose());
        content.push(0);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_apart_whatever_is_in_them() {
        let (one, two) = (Hidden::from("a=b\nC=d"), Hidden::from(""));
        let content = content([("A", &one), ("B", &two)].into_iter());
        assert_eq!(content.as_slice(), b"A=a=b\nC=d\0B=\0");
    }
}
