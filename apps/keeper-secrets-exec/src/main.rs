//! `keeper-secrets-exec -- PROGRAM [ARGUMENT…]`: sets the variables in the file `environment` beside it, and becomes PROGRAM.
//!
//! It is gone before PROGRAM begins: the process id, signals and exit code are PROGRAM's own. What the pod sets itself is
//! replaced by a secret of the same name. Exit codes are those of `env` (POSIX): 126 if PROGRAM can't be run, 127 if it isn't
//! there, 125 for everything else that goes wrong here.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

const USAGE: &str = "\
Sets the variables in the file \"environment\" beside this program, and becomes PROGRAM.

Usage: keeper-secrets-exec -- PROGRAM [ARGUMENT...]

The file has NAME=value, each ended by a NUL byte; keeper-secrets writes it.
Containers are started by this program if their pod asks for
keeper.security/inject-env-vars.";
const FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    match arguments.peek().map(|first| first.as_bytes()) {
        Some(b"--help" | b"-h") => {
            eprintln!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(b"--") => drop(arguments.next()),
        _ => {}
    }
    let Some(program) = arguments.next() else {
        eprintln!("{USAGE}");
        return ExitCode::from(FAILED);
    };
    let variables = match variables() {
        Ok(variables) => variables,
        Err(why) => {
            eprintln!("keeper-secrets-exec: {why}");
            return ExitCode::from(FAILED);
        }
    };
    // Returns only if it fails. It leaves signals as they are by default, and none blocked.
    let error = Command::new(&program).args(arguments).envs(variables).exec();
    eprintln!("keeper-secrets-exec: {}: {error}", program.display());
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_RUN,
    })
}

/// The variables to set. An error names the file, and shows nothing of it.
fn variables() -> Result<Vec<(OsString, OsString)>, String> {
    let path = file().map_err(|error| format!("can't tell where this program is: {error}"))?;
    let content = fs::read(&path).map_err(|error| {
        format!(
            "{}: {error}; keeper-secrets writes it, look at the log of the container keeper-secrets-init",
            path.display()
        )
    })?;
    parse(&content).ok_or_else(|| format!("{} isn't what keeper-secrets writes", path.display()))
}

fn file() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("environment"))
}

fn parse(content: &[u8]) -> Option<Vec<(OsString, OsString)>> {
    let Some(content) = content.strip_suffix(b"\0") else {
        return content.is_empty().then(Vec::new);
    };
    let entries = content.split(|byte| *byte == 0);
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let text = |bytes| OsStr::from_bytes(bytes).to_owned();
        Some((text(&entry[..at]), text(&entry[at + 1..])))
    };
    entries.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_are() {
        let parsed = parse(b"A=1\0B=\0C=a=b\nc $X\0").expect("a file");
        let expected = [("A", "1"), ("B", ""), ("C", "a=b\nc $X")];
        assert_eq!(parsed, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(parse(b""), Some(Vec::new()));
    }

    #[test]
    fn what_nobody_wrote_so_is_no_file() {
        for odd in [&b"A=1"[..], b"A\0", b"=1\0", b"A=1\0\0", b"\0"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
