//! Keeper notation: one value of one record, as a URL-like text.
//!
//! ```text
//! keeper://RECORD/field/NAME          the first value of a standard field, by label or type
//! keeper://RECORD/custom_field/NAME   the same of a custom field
//! keeper://RECORD/field/NAME[1]       its second value; [] is all of them, as a JSON array
//! keeper://RECORD/field/NAME[0][first], NAME[][first], NAME[first]   one property of a value that has several
//! keeper://RECORD/file/NAME           an attached file, by name, title or UID
//! keeper://RECORD/type, /title, /notes
//! ```
//!
//! `RECORD` is a UID or a title. `\` takes the meaning from `/`, `[`, `]`, `:` and from itself; before anything else it is an
//! error. A number in the first brackets is an index, so a property that is a number can only be in the second.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What every notation begins with.
pub const PREFIX: &str = "keeper://";

/// One value of one record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Notation {
    /// UID or title.
    pub record: String,
    /// What of it.
    pub selector: Selector,
}

/// What of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// The record's type.
    Type,
    /// Its title.
    Title,
    /// Its notes.
    Notes,
    /// An attached file, by name, title or UID.
    File(String),
    /// A field's value.
    Field {
        /// Among which fields.
        section: Section,
        /// Label or type.
        name: String,
        /// Which of its values.
        index: Index,
        /// Which property of a value.
        property: Option<String>,
    },
}

/// The two lists of fields that a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The fields of the record's type.
    Standard,
    /// Those that somebody added.
    Custom,
}

/// Which of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// The first, because nothing is said.
    First,
    /// The one with this index, from 0.
    At(usize),
    /// All, as an array.
    All,
}

/// Why a text is no notation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {column}: {problem}")]
pub struct InvalidNotation {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong, and what to write.
    pub problem: String,
}

impl FromStr for Notation {
    type Err = InvalidNotation;

    fn from_str(text: &str) -> Result<Self, InvalidNotation> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Err(invalid(0, "a notation begins with keeper://"));
        };
        let mut reader = Reader {
            text: rest.chars().collect(),
            at: 0,
        };
        let record = reader.name("record", "a UID or a title")?;
        reader.slash("/field/NAME, /custom_field/NAME, /file/NAME, /type, /title or /notes")?;
        let kind_at = reader.at;
        let kind = reader.name("selector", "field, custom_field, file, type, title or notes")?;
        let selector = match kind.as_str() {
            "type" => Selector::Type,
            "title" => Selector::Title,
            "notes" => Selector::Notes,
            "file" => {
                reader.slash("/ and the file's name")?;
                Selector::File(reader.name("file", "its name")?)
            }
            "field" | "custom_field" => {
                reader.slash("/ and the field's label or type")?;
                let name = reader.name("field", "its label or type")?;
                let (index, property) = reader.brackets()?;
                let section = match kind.as_str() {
                    "field" => Section::Standard,
                    _ => Section::Custom,
                };
                Selector::Field {
                    section,
                    name,
                    index,
                    property,
                }
            }
            _ => {
                return Err(reader.invalid(
                    kind_at,
                    "write field, custom_field, file, type, title or notes after the record",
                ));
            }
        };
        if reader.at < reader.text.len() {
            return Err(reader.invalid(
                reader.at,
                "the notation should end here; write \\/, \\[ or \\] for characters of a name",
            ));
        }
        Ok(Self { record, selector })
    }
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", Escaped(&self.record))?;
        match &self.selector {
            Selector::Type => f.write_str("/type"),
            Selector::Title => f.write_str("/title"),
            Selector::Notes => f.write_str("/notes"),
            Selector::File(name) => write!(f, "/file/{}", Escaped(name)),
            Selector::Field {
                section,
                name,
                index,
                property,
            } => {
                let kind = match section {
                    Section::Standard => "field",
                    Section::Custom => "custom_field",
                };
                write!(f, "/{kind}/{}", Escaped(name))?;
                match (index, property) {
                    (Index::First, None) => Ok(()),
                    // Such a property would be taken for an index in the first brackets.
                    (Index::First, Some(property)) if is_index(property) => {
                        write!(f, "[0][{}]", Escaped(property))
                    }
                    (Index::First, Some(property)) => write!(f, "[{}]", Escaped(property)),
                    (Index::At(at), None) => write!(f, "[{at}]"),
                    (Index::At(at), Some(property)) => write!(f, "[{at}][{}]", Escaped(property)),
                    (Index::All, None) => f.write_str("[]"),
                    (Index::All, Some(property)) => write!(f, "[][{}]", Escaped(property)),
                }
            }
        }
    }
}

impl TryFrom<String> for Notation {
    type Error = InvalidNotation;

    fn try_from(text: String) -> Result<Self, InvalidNotation> {
        text.parse()
    }
}

impl From<Notation> for String {
    fn from(notation: Notation) -> Self {
        notation.to_string()
    }
}

/// A name with `\` before whatever would end it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // A colon needs none here. Other readers of notations don't know it.
            if matches!(c, '/' | '[' | ']' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    /// Up to what ends a name, which isn't read.
    fn name(&mut self, what: &str, write: &str) -> Result<String, InvalidNotation> {
        let begin = self.at;
        let mut name = String::new();
        while let Some(&c) = self.text.get(self.at) {
            match c {
                '/' | '[' | ']' => break,
                '\\' => {
                    match self.text.get(self.at + 1) {
                        Some(&c @ ('/' | '[' | ']' | '\\' | ':')) => name.push(c),
                        _ => {
                            return Err(self.invalid(
                                self.at,
                                "\\ stands before / [ ] : or \\ alone; write \\\\ for one",
                            ));
                        }
                    }
                    self.at += 2;
                }
                c if c.is_control() => {
                    return Err(self.invalid(self.at, "a control character; remove it"));
                }
                c => {
                    name.push(c);
                    self.at += 1;
                }
            }
        }
        if name.is_empty() {
            return Err(self.invalid(begin, &format!("the {what} is missing; write {write}")));
        }
        Ok(name)
    }

    fn slash(&mut self, write: &str) -> Result<(), InvalidNotation> {
        if self.text.get(self.at) != Some(&'/') {
            return Err(self.invalid(self.at, &format!("write {write} here")));
        }
        self.at += 1;
        Ok(())
    }

    fn brackets(&mut self) -> Result<(Index, Option<String>), InvalidNotation> {
        let Some((at, first)) = self.bracket()? else {
            return Ok((Index::First, None));
        };
        let index = match first.as_str() {
            "" => Index::All,
            digits if is_index(digits) => match digits.parse() {
                Ok(index) => Index::At(index),
                Err(_) => return Err(self.invalid(at, "the index is too large")),
            },
            _ => return Ok((Index::First, Some(first))),
        };
        let property = match self.bracket()? {
            None => None,
            Some((at, property)) if property.is_empty() => {
                return Err(self.invalid(at, "the property is missing; write its name between the brackets"));
            }
            Some((_, property)) => Some(property),
        };
        Ok((index, property))
    }

    /// What is between brackets, and where it begins.
    fn bracket(&mut self) -> Result<Option<(usize, String)>, InvalidNotation> {
        if self.text.get(self.at) != Some(&'[') {
            return Ok(None);
        }
        self.at += 1;
        let begin = self.at;
        let inside = match self.text.get(self.at) {
            Some(']') => String::new(),
            _ => self.name("text between brackets", "an index or a property")?,
        };
        if self.text.get(self.at) != Some(&']') {
            return Err(self.invalid(self.at, "write ] here"));
        }
        self.at += 1;
        Ok(Some((begin, inside)))
    }

    /// An error at an offset after the prefix.
    fn invalid(&self, at: usize, problem: &str) -> InvalidNotation {
        invalid(at + PREFIX.len(), problem)
    }
}

fn is_index(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn invalid(at: usize, problem: &str) -> InvalidNotation {
    InvalidNotation {
        column: at + 1,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str, index: Index, property: Option<&str>) -> Notation {
        Notation {
            record: "R".to_owned(),
            selector: Selector::Field {
                section: Section::Standard,
                name: name.to_owned(),
                index,
                property: property.map(str::to_owned),
            },
        }
    }

    #[test]
    fn reads_every_form() {
        for (text, expected) in [
            ("keeper://R/field/password", field("password", Index::First, None)),
            ("keeper://R/field/phone[1]", field("phone", Index::At(1), None)),
            ("keeper://R/field/phone[]", field("phone", Index::All, None)),
            (
                "keeper://R/field/name[first]",
                field("name", Index::First, Some("first")),
            ),
            (
                "keeper://R/field/name[2][last]",
                field("name", Index::At(2), Some("last")),
            ),
            (
                "keeper://R/field/name[][last]",
                field("name", Index::All, Some("last")),
            ),
            (
                r"keeper://R/field/a\/b\[c\]\\\:",
                field(r"a/b[c]\:", Index::First, None),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, selector) in [
            ("keeper://My title/type", Selector::Type),
            ("keeper://My title/title", Selector::Title),
            ("keeper://My title/notes", Selector::Notes),
            (
                "keeper://My title/file/cert.pem",
                Selector::File("cert.pem".to_owned()),
            ),
        ] {
            let expected = Notation {
                record: "My title".to_owned(),
                selector,
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_where_it_is_wrong() {
        for (text, column, about) in [
            ("vault://R/field/x", 1, "begins with keeper://"),
            ("keeper:///field/x", 10, "record is missing"),
            ("keeper://R", 11, "write /field/NAME"),
            ("keeper://R/fields/x", 12, "write field, custom_field"),
            ("keeper://R/field/", 18, "field is missing"),
            ("keeper://R/field/x/y", 19, "should end here"),
            ("keeper://R/type/x", 16, "should end here"),
            ("keeper://R/field/x[0", 21, "write ] here"),
            ("keeper://R/field/x[0][]", 23, "property is missing"),
            ("keeper://R/field/x[99999999999999999999999]", 20, "too large"),
            (r"keeper://R/field/x\n", 19, "stands before"),
            ("keeper://R\u{7}/type", 11, "control character"),
            (r"keeper://R/file/x\", 18, "stands before"),
        ] {
            let error = text.parse::<Notation>().unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.problem.contains(about), "{text}: {error}");
        }
    }

    fn names() -> impl Strategy<Value = String> {
        r"[a-zA-Z0-9 /\\\[\]:.ü-]{1,12}"
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            record in names(),
            name in names(),
            index in prop_oneof![Just(Index::First), (0usize..100).prop_map(Index::At), Just(Index::All)],
            property in proptest::option::of(names()),
            is_custom: bool,
        ) {
            let section = if is_custom { Section::Custom } else { Section::Standard };
            let notation = Notation { record, selector: Selector::Field { section, name, index, property } };
            let read: Notation = notation.to_string().parse().unwrap();
            let same = match (&notation.selector, &read.selector) {
                // The first value, said and unsaid.
                (
                    Selector::Field { name: a, index: Index::First, property: Some(p), .. },
                    Selector::Field { name: b, index: Index::At(0), property: Some(q), .. },
                ) => a == b && p == q && read.record == notation.record,
                _ => read == notation,
            };
            prop_assert!(same, "{} {:?}", notation, read);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", tail in r"[/\\\[\]a-z0-9]*") {
            let _ = text.parse::<Notation>();
            if let Ok(read) = format!("keeper://{tail}").parse::<Notation>() {
                prop_assert_eq!(read.to_string().parse::<Notation>(), Ok(read));
            }
        }
    }
}
