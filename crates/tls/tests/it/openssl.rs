//! OpenSSL's command line, which knows nothing of our code.

use std::{path::Path, process::Command};

/// What the command says on both its outputs. Words are separated by single spaces.
pub(crate) fn openssl(directory: &Path, line: &str) -> String {
    let output = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(directory)
        .output()
        .expect("the command openssl; install the package openssl");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
