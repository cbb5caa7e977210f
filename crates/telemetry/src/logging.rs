//! Log lines.

use std::{
    fmt,
    io::{IsTerminal, stderr},
    str::FromStr,
};

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: time, level, where, message, fields; coloured on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// What a program's configuration file says of its log: `log: {format: json, filter: info}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How the lines look.
    pub format: LogFormat,
    /// A level, or levels by module.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// The text names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log format; use \"text\" or \"json\"")]
pub struct InvalidLogFormat(String);

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter can't be read.
    #[error(
        "the log filter {filter:?} can't be read: {reason}; use a level (\"info\") or levels by module (\"info,hyper=debug\")"
    )]
    BadFilter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was set up before.
    #[error("logging is set up already")]
    AlreadyInitialised,
}

/// Sends log lines to stderr from now on. `filter` is a level, or levels by module: `info,hyper=debug`. Colours
/// appear on a terminal alone, and not there either if `NO_COLOR` is set and not empty (<https://no-color.org>).
///
/// Call it once, in main.
///
/// # Errors
/// [`LoggingError`] if the filter can't be read, or logging was set up before.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(format, filter, colour, stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::AlreadyInitialised)
}

/// What [`init_logging`] installs, for a writer of the caller's choice. Tests use it with
/// `tracing::subscriber::with_default`.
///
/// # Errors
/// [`LoggingError::BadFilter`] if the filter can't be read.
pub fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let bad = |reason: String| LoggingError::BadFilter {
        filter: filter.to_owned(),
        reason,
    };
    if filter.trim().is_empty() {
        return Err(bad("it is empty".to_owned()));
    }
    // Taken for a module's name, it would silence everything.
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"_:-=, ".contains(c);
    if let Some(odd) = filter.chars().find(|c| is_odd(*c)) {
        return Err(bad(format!("{odd:?} is in no level and no module's name")));
    }
    let filter: Targets = filter
        .parse()
        .map_err(|e: tracing_subscriber::filter::ParseError| bad(e.to_string()))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(colour).boxed(),
        LogFormat::Json => layer
            .with_ansi(false)
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    Ok(tracing_subscriber::registry().with(filter).with(layer))
}

impl FromStr for LogFormat {
    type Err = InvalidLogFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InvalidLogFormat(text.chars().take(32).collect())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
