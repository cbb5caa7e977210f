//! Where manifests come from.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    context::Environment,
    error::{Failure, Result},
};

/// More than anybody's manifests, and little enough to be held several times.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A file, read.
#[derive(Debug)]
pub(crate) struct Source {
    /// As it is called in messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Reads the files, or standard input if there are none.
pub(crate) fn read(environment: &Environment, command: &str, files: &[PathBuf]) -> Result<Vec<Source>> {
    let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
    if files.iter().filter(is_stdin).count() > 1 {
        return Err(Failure::usage(
            "-f - is given twice, and standard input can be read once",
        ));
    }
    if !files.is_empty() {
        return files.iter().map(|path| source(path)).collect();
    }
    if environment.stdin_is_terminal {
        let hint =
            format!("mk8s {command} -f app.yaml, or kubectl get deployment web -o yaml | mk8s {command}");
        return Err(Failure::usage("nothing to read: standard input is a terminal").hint(hint));
    }
    Ok(vec![source(Path::new("-"))?])
}

fn source(path: &Path) -> Result<Source> {
    let (name, bytes) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), bytes(io::stdin().lock()))
    } else {
        let bytes = std::fs::File::open(path).and_then(bytes);
        (path.display().to_string(), bytes)
    };
    let bytes = bytes.map_err(|error| Failure::new(format!("can't read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .split(|&b| b == b'\n')
            .count();
        Failure::new(format!("{name}:{line}: this isn't UTF-8")).hint("save it as UTF-8 text")
    })?;
    // A byte order mark has no meaning in UTF-8, and in the middle of a stream it would be text.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Failure::new(format!("{name} is empty")).hint("give it a YAML or JSON document"));
    }
    Ok(Source { name, text })
}

fn bytes(reader: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it has more than 64 MiB; split it"));
    }
    Ok(bytes)
}
