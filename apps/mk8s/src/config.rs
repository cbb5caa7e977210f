//! `~/.mk8s/config.yaml`: what the user chose.

use std::path::{Path, PathBuf};

use mk8s_model::ClusterName;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Failure, Result},
    home::{self, Home},
    output::plain,
};

/// The file, key for key.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where central is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) central_url: Option<String>,
    /// The cluster that `mk8s kubectl` works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current_cluster: Option<ClusterName>,
    /// kubectl's default namespace on that cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The kubectl to run: a path, or a name to look for on the PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubectl: Option<PathBuf>,
    /// A PEM file of the certificate authorities to trust, alone, for central.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Config {
    /// Reads the file; without one everything is at its default.
    pub(crate) fn load(home: &Home) -> Result<Self> {
        home.check()?;
        let path = home.config_file();
        let Some(content) = home::read(&path)? else {
            return Ok(Self::default());
        };
        let text = String::from_utf8(content)
            .map_err(|_| Failure::new(format!("{} isn't UTF-8 text", path.display())))?;
        Self::parse(&path, &text)
    }

    /// Writes the file, keeping comments and the order of keys where it can.
    pub(crate) fn save(&self, home: &Home) -> Result<()> {
        home.ensure()?;
        let path = home.config_file();
        let before = home::read(&path)?
            .and_then(|content| String::from_utf8(content).ok())
            .unwrap_or_default();
        let edited = self.edit(&before);
        let text = match Self::parse(&path, &edited) {
            Ok(config) if config == *self => edited,
            _ => self
                .entries()
                .iter()
                .filter_map(|(key, value)| Some(line(key, value.as_deref()?)))
                .collect(),
        };
        if text == before {
            return Ok(());
        }
        home::write_private(&path, text.as_bytes())
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let blank =
            |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---";
        if text.lines().all(blank) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| malformed(path, text, &error))
    }

    /// The keys with their values, in the order of a new file.
    fn entries(&self) -> [(&'static str, Option<String>); 5] {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        [
            ("central_url", self.central_url.clone()),
            (
                "current_cluster",
                self.current_cluster.as_ref().map(ToString::to_string),
            ),
            ("namespace", self.namespace.clone()),
            ("kubectl", path(&self.kubectl)),
            ("ca_file", path(&self.ca_file)),
        ]
    }

    /// The text with the lines of changed keys replaced, dropped or added.
    fn edit(&self, before: &str) -> String {
        let mut text = before.to_owned();
        for (key, value) in self.entries() {
            let mut lines: Vec<String> = Vec::new();
            let mut written = false;
            for old in text.lines() {
                if !is_entry(old, key) {
                    lines.push(format!("{old}\n"));
                } else if let (Some(value), false) = (&value, written) {
                    let same = scalar_of(old).as_deref() == Some(value);
                    lines.push(if same {
                        format!("{old}\n")
                    } else {
                        line(key, value)
                    });
                    written = true;
                }
            }
            if let (Some(value), false) = (&value, written) {
                lines.push(line(key, value));
            }
            text = lines.concat();
        }
        text
    }
}

/// Whether the line is `key: …` at the top level.
fn is_entry(line: &str, key: &str) -> bool {
    line.strip_prefix(key)
        .is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// The value of a `key: value` line, as YAML reads it.
fn scalar_of(line: &str) -> Option<String> {
    let map: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(line).ok()?;
    map.into_values().next()
}

fn line(key: &str, value: &str) -> String {
    // A JSON string is a YAML string whatever it holds; most values need no quotes.
    let bare = format!("{key}: {value}\n");
    if scalar_of(&bare).as_deref() == Some(value) {
        return bare;
    }
    format!("{key}: {}\n", serde_json::Value::from(value))
}

/// File, line and key of what can't be read.
fn malformed(path: &Path, text: &str, error: &serde_saphyr::Error) -> Failure {
    // What isn't closed is noticed past the last line.
    let last = text.lines().count();
    let at = error
        .location()
        .map(|location| usize::try_from(location.line()).unwrap_or(last).min(last));
    let key = at.and_then(|at| text.lines().take(at).filter_map(top_level_key).last());
    let place = at.map_or(path.display().to_string(), |at| {
        format!("{}:{at}", path.display())
    });
    // Line and column are said once, in front.
    let why = plain(&error.without_snippet().to_string());
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
    let message = match key {
        Some(key) if !why.contains(key) => format!("{place}: {}: {why}", plain(key)),
        _ => format!("{place}: {why}"),
    };
    Failure::new(message).hint(
        "the keys are central_url, current_cluster, namespace, kubectl and ca_file; each takes one text",
    )
}

/// The key of a line that begins an entry.
fn top_level_key(line: &str) -> Option<&str> {
    let starts = line.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '\'');
    line.split_once(':').filter(|_| starts).map(|(key, _)| key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(Path::new("/h/config.yaml"), text)
    }

    #[test]
    fn the_documented_file_is_read() {
        let config =
            parse("central_url: https://central.example.com:8080\ncurrent_cluster: production-us-east\n")
                .expect("valid");
        assert_eq!(
            config.central_url.as_deref(),
            Some("https://central.example.com:8080")
        );
        assert_eq!(
            config.current_cluster,
            Some("production-us-east".parse().expect("valid"))
        );
    }

    #[test]
    fn nothing_is_the_default() {
        for text in ["", "\n", "# only a comment\n", "---\n"] {
            assert_eq!(parse(text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        for (text, line, key) in [
            ("central_url: https://a\nclustr: x\n", ":2:", "clustr"),
            ("# c\ncentral_url: [1, 2]\n", ":2:", "central_url"),
            ("central_url:\n  - https://a\n", ":2:", "central_url"),
            ("current_cluster: Not/A/Name\n", ":1:", "current_cluster"),
            ("central_url: a\ncentral_url: b\n", ":2:", "central_url"),
        ] {
            let failure = parse(text).expect_err(text);
            let (message, _) = failure.lines().expect("lines");
            assert!(
                message.starts_with(&format!("/h/config.yaml{line}")),
                "{text:?}: {message}"
            );
            assert!(message.contains(key), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn an_edit_keeps_comments_and_order() {
        let before = "# mine\nkubectl: kubecolor # pretty\ncurrent_cluster: a\n";
        let mut config = parse(before).expect("valid");
        config.current_cluster = Some("b".parse().expect("valid"));
        config.namespace = Some("web".to_owned());
        let after = config.edit(before);
        assert_eq!(
            after,
            "# mine\nkubectl: kubecolor # pretty\ncurrent_cluster: b\nnamespace: web\n"
        );
        assert_eq!(parse(&after), Ok(config));
    }

    #[test]
    fn an_edit_drops_what_is_unset() {
        let config = Config {
            central_url: Some("https://a".to_owned()),
            ..Config::default()
        };
        assert_eq!(
            config.edit("namespace: x\ncurrent_cluster: a\n"),
            "central_url: https://a\n"
        );
    }

    #[test]
    fn a_value_that_needs_quotes_gets_them() {
        for value in ["12", "true", "a: b", "# x", "", "null", "quote\"d", "-"] {
            let config = Config {
                namespace: Some(value.to_owned()),
                ..Config::default()
            };
            assert_eq!(parse(&config.edit("")), Ok(config.clone()), "{value:?}");
        }
    }
}
