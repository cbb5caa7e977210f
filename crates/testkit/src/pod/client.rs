//! The ordinary clients of `tests/clients`, and what they say.

use serde_json::Value;

use crate::Ran;

/// Where they are in a pod.
pub(super) const DIRECTORY: &str = "/clients";

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Client {
    /// client-go.
    Go,
    /// Python's `kubernetes`.
    Python,
    /// `@kubernetes/client-node`.
    Node,
    /// kube-rs.
    Rust,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Go, Self::Python, Self::Node, Self::Rust];

    /// What runs it in a pod: `["watch", "--seconds", "20"]` for instance; `tests/clients/README.md` has all that it can be
    /// asked.
    pub fn command(self, arguments: &[&str]) -> Vec<String> {
        let language = match self {
            Self::Go => "go",
            Self::Python => "python",
            Self::Node => "node",
            Self::Rust => "rust",
        };
        let program = format!("{DIRECTORY}/{language}/client");
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        [program].into_iter().chain(arguments).collect()
    }
}

/// What a client has said.
#[derive(Clone, Debug)]
pub struct Outcome {
    lines: Vec<Value>,
    /// How to show it in a failure.
    said: String,
}

/// What a watching client has seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// `applied` or `deleted`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The version that came with it.
    pub resource_version: String,
}

impl Outcome {
    /// Of a client that was run to its end.
    ///
    /// # Panics
    /// If what it said and its exit code aren't of one mind.
    #[track_caller]
    pub(super) fn of_run(ran: Ran) -> Self {
        let outcome = Self {
            lines: lines(&ran.stdout),
            said: ran.to_string(),
        };
        let ok = outcome.answer()["ok"].as_bool();
        assert!(
            ok.is_some() && ok == ran.code.map(|code| code == 0),
            "a client's last line must say how it went, and its exit code the same: {ran}"
        );
        outcome
    }

    /// Of a client that may still run.
    pub(super) fn of_log(log: &str) -> Self {
        Self {
            lines: lines(log),
            said: log.to_owned(),
        }
    }

    /// Itself, if the client has ended well.
    ///
    /// # Panics
    /// If it hasn't, with all that it said.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.answer()["ok"] == true, "{}", self.said);
        self
    }

    /// Its last line, which tells the result; null if there is none yet.
    pub fn answer(&self) -> &Value {
        self.lines.last().unwrap_or(&Value::Null)
    }

    /// All its lines.
    pub fn lines(&self) -> &[Value] {
        &self.lines
    }

    /// The events that a watching client has seen, in order.
    pub fn events(&self) -> Vec<Event> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = self.lines.iter().filter(|line| line["event"].is_string());
        events
            .map(|line| Event {
                kind: text(&line["event"]),
                name: text(&line["name"]),
                resource_version: text(&line["resource_version"]),
            })
            .collect()
    }
}

/// The objects among the lines: a pod's log has what libraries complain about, too.
fn lines(text: &str) -> Vec<Value> {
    let values = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    values.filter(Value::is_object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = concat!(
        r#"{"event":"applied","name":"a","resource_version":"1"}"#,
        "\nW0102 a library's complaint\n17\n",
        r#"{"second":1,"events":1,"errors":0}"#,
        "\n",
    );

    #[test]
    fn a_log_is_read_line_by_line() {
        let outcome = Outcome::of_log(LOG);
        let seen = Event {
            kind: "applied".to_owned(),
            name: "a".to_owned(),
            resource_version: "1".to_owned(),
        };
        assert_eq!(outcome.events(), [seen]);
        assert_eq!(outcome.answer()["second"], 1);
    }

    #[test]
    #[should_panic(expected = "a library's complaint")]
    fn a_client_that_hasnt_ended_isnt_ok() {
        Outcome::of_log(LOG).ok();
    }
}
