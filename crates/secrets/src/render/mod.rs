//! Fields as bytes of a file, or as variables.
//!
//! What is written is read again as the same values by what reads the format, or it is refused: a value never becomes a
//! second line, a second variable or a command.

pub(crate) mod env;
mod ini;
pub(crate) mod kubernetes;
mod properties;

use serde::{Deserialize, Serialize};

pub use env::{VariableError, variable_name, variables};
pub use kubernetes::{KubernetesError, SecretKind, kubernetes_data};

use crate::{hidden::Hidden, record::Fields};

/// How fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object, indented by 2.
    Json,
    /// `NAME=value` lines that a shell can source.
    Env,
    /// What `java.util.Properties` loads.
    Properties,
    /// A YAML mapping.
    Yaml,
    /// `name=value` lines under `[secret]`.
    Ini,
    /// One value as it is.
    Raw,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [
        Self::Json,
        Self::Env,
        Self::Properties,
        Self::Yaml,
        Self::Ini,
        Self::Raw,
    ];

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Env => "env",
            Self::Properties => "properties",
            Self::Yaml => "yaml",
            Self::Ini => "ini",
            Self::Raw => "raw",
        }
    }
}

/// Fields that a format has no way to say. Values aren't quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A character that the format can't keep.
    #[error("field {field:?}: {format} can't keep {what}; choose json or yaml")]
    Unwritable {
        /// The field's name.
        field: String,
        /// The format.
        format: &'static str,
        /// What it can't keep.
        what: &'static str,
    },
    /// No variable can be called so.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Raw is for one value.
    #[error("{fields} fields can't be written raw; ask for one field, or choose another format")]
    NotSingle {
        /// How many there are.
        fields: usize,
    },
    /// The serializer failed.
    #[error("the fields can't be written as {format}; choose another format")]
    Serializer {
        /// The format.
        format: &'static str,
    },
}

/// Writes fields.
///
/// # Errors
/// If the format can't keep them as they are.
pub fn render(fields: &Fields, format: Format) -> Result<Hidden, RenderError> {
    let text = match format {
        Format::Json => json(fields)?,
        Format::Env => env::render(fields)?,
        Format::Properties => properties::render(fields),
        Format::Yaml => yaml(fields)?,
        Format::Ini => ini::render(fields)?,
        Format::Raw => match fields.single() {
            Some(mut text) => std::mem::take(&mut *text),
            None => {
                return Err(RenderError::NotSingle {
                    fields: fields.0.len(),
                });
            }
        },
    };
    Ok(Hidden::from(text))
}

fn json(fields: &Fields) -> Result<String, RenderError> {
    serde_json::to_string_pretty(fields).map_err(|_| RenderError::Serializer { format: "json" })
}

/// Every text is quoted, so that `yes`, `0123` and `null` stay text for YAML 1.1, too.
fn yaml(fields: &Fields) -> Result<String, RenderError> {
    let failed = RenderError::Serializer { format: "yaml" };
    let options = serde_saphyr::ser_options! { quote_all: true };
    let Ok(text) = serde_saphyr::to_string_with_options(fields, options) else {
        return Err(failed);
    };
    // The serializer has more cases than we can know; whoever reads it must read what was written.
    let is_same = serde_saphyr::from_str(&text).is_ok_and(|read: Fields| read == *fields);
    if is_same { Ok(text) } else { Err(failed) }
}

#[cfg(test)]
mod tests;
