//! The events of a watch, of which we look at names.
//!
//! Source: `k8s.io/apimachinery/pkg/apis/meta/v1/watch.go`, `k8s.io/apiserver/pkg/endpoints/handlers/watch.go`.

use serde::Deserialize;

/// The longest event, in bytes. With metadata alone they are far shorter.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// A stream's pieces, put together to lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where what hasn't been taken begins.
    from: usize,
    /// Up to where there is no line's end after that.
    searched: usize,
}

/// An event as it comes.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: Object,
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is another state of an object.
    Changed(Changed),
    /// Nothing but that the watch is alive.
    Bookmark,
    /// The watch can't go on.
    Error,
}

/// An object that changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    pub(crate) is_deleted: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    namespace: Option<Box<str>>,
    name: Option<Box<str>>,
    resource_version: Option<Box<str>>,
}

impl Lines {
    /// Adds a piece.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), &'static str> {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        if self.bytes.len() + data.len() > MAX_LINE {
            return Err("an event is longer than 4 MiB");
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Takes the next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let found = self.bytes[self.searched..].iter().position(|b| *b == b'\n');
        let Some(at) = found else {
            self.searched = self.bytes.len();
            return None;
        };
        let (from, end) = (self.from, self.searched + at);
        self.from = end + 1;
        self.searched = self.from;
        Some(&self.bytes[from..end])
    }
}

impl Event {
    pub(crate) fn read(line: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(line).map_err(|_| "an event can't be read")
    }

    pub(crate) fn seen(self) -> Seen {
        match &*self.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let metadata = self.object.metadata;
                Seen::Changed(Changed {
                    namespace: metadata.namespace,
                    name: metadata.name,
                    version: metadata.resource_version,
                    is_deleted: self.kind == "DELETED",
                })
            }
            "BOOKMARK" => Seen::Bookmark,
            _ => Seen::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_names_its_object() {
        let line = br#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"p","namespace":"n","resourceVersion":"7"},"spec":{}}}"#;
        let expected = Changed {
            namespace: Some("n".into()),
            name: Some("p".into()),
            version: Some("7".into()),
            is_deleted: false,
        };
        assert_eq!(
            Event::read(line).expect("an event").seen(),
            Seen::Changed(expected)
        );
    }

    #[test]
    fn what_is_no_known_event_ends_the_watch() {
        let gone = br#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"code":410}}"#;
        assert_eq!(Event::read(gone).expect("an event").seen(), Seen::Error);
        let new = br#"{"type":"SOMETHING"}"#;
        assert_eq!(Event::read(new).expect("an event").seen(), Seen::Error);
        for broken in ["", "{}", "[", "\u{0}", r#"{"type":1}"#] {
            assert!(Event::read(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_event_without_end_is_not_waited_for() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1024 * 1024];
        let pushed: Vec<bool> = (0..5).map(|_| lines.push(&piece).is_ok()).collect();
        assert_eq!(pushed, [true, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(lines in prop::collection::vec("[a-z]{0,9}", 0..9), cut in 1_usize..7) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut read = Lines::default();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(cut) {
                read.push(piece).expect("short");
                while let Some(line) = read.next() {
                    seen.push(String::from_utf8(line.to_vec()).expect("text"));
                }
            }
            prop_assert_eq!(seen, lines);
        }
    }
}
