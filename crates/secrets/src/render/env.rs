//! Variables: their names, the map of them, and files of them.
//!
//! In a file a value of plain characters stands bare; else in single quotes; with a single quote or a backslash in it, in
//! double quotes with `\` before `"`, `\`, `$` and the backtick. That is for a POSIX shell's `.`, line breaks included. Compose's
//! `env_file` reads it alike, but for two things that it has no way to say: `\r\n` becomes `\n`, and a backtick beside a single
//! quote or a backslash keeps the `\` before it. `docker run --env-file` knows no quotes, and reads bare values alone.
//!
//! The map is for whoever starts the process. Kubernetes must not see the values: they would stand in the pod's spec, and
//! the kubelet would expand `$(NAME)` in them.

use std::{collections::BTreeMap, fmt::Write as _};

use super::RenderError;
use crate::{
    hidden::Hidden,
    record::{Fields, Value},
};

/// Names that steer a shell, a loader or a runtime rather than an application.
const STEERING: [&str; 22] = [
    "BASH_ENV",
    "CDPATH",
    "CLASSPATH",
    "ENV",
    "GCONV_PATH",
    "GODEBUG",
    "HOME",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "LOCPATH",
    "NODE_OPTIONS",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PS4",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "SHELL",
    "SHELLOPTS",
    "TMPDIR",
];

/// Linux takes 128 KiB with the name; this leaves room for one.
const LONGEST: usize = 127 * 1024;

/// A field that no variable can be made of. The value isn't quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The field's name makes no variable's.
    #[error(
        "field {field:?}: a variable's name begins with a letter or _; set an env prefix, or give the field another label"
    )]
    Name {
        /// The field's name.
        field: String,
    },
    /// Two fields would be one variable.
    #[error("fields {first:?} and {second:?} would both be the variable {name}; give one another label")]
    Twice {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// The variable.
        name: String,
    },
    /// The variable would change how programs run.
    #[error(
        "field {field:?}: the variable {name} changes how programs run; set an env prefix, or give the field another label"
    )]
    Steering {
        /// The field's name.
        field: String,
        /// The variable.
        name: String,
    },
    /// Linux starts no program with it.
    #[error("field {field:?}: a variable holds up to {LONGEST} bytes; write the field to a file")]
    TooLong {
        /// The field's name.
        field: String,
    },
    /// A variable ends at a NUL.
    #[error("field {field:?}: a variable can't hold a NUL byte; write the field to a file")]
    Nul {
        /// The field's name.
        field: String,
    },
}

/// A variable's name for a field's: capitals, and `_` for whatever isn't a letter or digit of ASCII: `API key` is `API_KEY`.
/// The prefix gets capitals, too.
///
/// # Errors
/// If it wouldn't begin with a letter or `_`, or is a name that changes how programs run.
pub fn variable_name(prefix: &str, field: &str) -> Result<String, VariableError> {
    let name = format!("{}{}", prefix.to_ascii_uppercase(), upper_snake(field));
    let first = name.bytes().next();
    let is_empty = !name.bytes().any(|b| b.is_ascii_alphanumeric());
    if is_empty || !first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
        return Err(VariableError::Name {
            field: field.to_owned(),
        });
    }
    if name.starts_with("LD_") || name.starts_with("DYLD_") || STEERING.contains(&name.as_str()) {
        return Err(VariableError::Steering {
            field: field.to_owned(),
            name,
        });
    }
    Ok(name)
}

/// Fields as variables.
///
/// # Errors
/// If a field can't be one, or two would be the same.
pub fn variables(fields: &Fields, prefix: &str) -> Result<BTreeMap<String, Hidden>, VariableError> {
    let mut variables = BTreeMap::new();
    for (name, (field, value)) in named(fields, prefix)? {
        let value = Hidden::from(value.text().as_str());
        if value.len() > LONGEST {
            return Err(VariableError::TooLong {
                field: field.to_owned(),
            });
        }
        variables.insert(name, value);
    }
    Ok(variables)
}

/// A file of variables.
pub(super) fn render(fields: &Fields) -> Result<String, RenderError> {
    let mut text = String::new();
    for (name, (_, value)) in named(fields, "")? {
        // Infallible for a String.
        let _ = writeln!(text, "{name}={}", quoted(&value.text()));
    }
    Ok(text)
}

type Named<'a> = BTreeMap<String, (&'a str, &'a Value)>;

fn named<'a>(fields: &'a Fields, prefix: &str) -> Result<Named<'a>, VariableError> {
    let mut named: Named<'a> = BTreeMap::new();
    for (field, value) in &fields.0 {
        let name = variable_name(prefix, field)?;
        if value.text().contains('\0') {
            return Err(VariableError::Nul { field: field.clone() });
        }
        if let Some((first, _)) = named.get(&name) {
            return Err(VariableError::Twice {
                first: (*first).to_owned(),
                second: field.clone(),
                name,
            });
        }
        named.insert(name, (field, value));
    }
    Ok(named)
}

fn upper_snake(name: &str) -> String {
    let snake = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.trim().chars().map(snake).collect()
}

fn quoted(value: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&b);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\']) {
        return format!("'{value}'");
    }
    let mut quoted = String::with_capacity(value.len() + 8);
    quoted.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upper_snake() {
        for (field, name) in [
            ("login", "LOGIN"),
            ("API key", "API_KEY"),
            ("db-host.name", "DB_HOST_NAME"),
            ("oneTimeCode", "ONETIMECODE"),
            ("URL", "URL"),
            ("_x", "_X"),
            ("Schlüssel", "SCHL_SSEL"),
        ] {
            assert_eq!(variable_name("", field), Ok(name.to_owned()));
        }
        assert_eq!(variable_name("db_", "2fa"), Ok("DB_2FA".to_owned()));
    }

    #[test]
    fn a_value_that_no_program_starts_with_is_refused() {
        let fields = |length| {
            Fields(BTreeMap::from([(
                "a".to_owned(),
                Value::from("x".repeat(length).as_str()),
            )]))
        };
        assert!(variables(&fields(LONGEST), "").is_ok());
        assert!(matches!(
            variables(&fields(LONGEST + 1), ""),
            Err(VariableError::TooLong { .. })
        ));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for field in ["2fa", "", "  ", "ключ", "---"] {
            assert!(
                matches!(variable_name("", field), Err(VariableError::Name { .. })),
                "{field}"
            );
        }
    }

    #[test]
    fn a_field_cant_change_how_programs_run() {
        for field in ["path", "LD_PRELOAD", "ld preload", "Bash_Env", "IFS"] {
            assert!(
                matches!(variable_name("", field), Err(VariableError::Steering { .. })),
                "{field}"
            );
        }
        assert_eq!(variable_name("APP_", "path"), Ok("APP_PATH".to_owned()));
        assert!(matches!(
            variable_name("LD_", "preload"),
            Err(VariableError::Steering { .. })
        ));
    }
}
