//! The short forms of `secret-NAME` and `file-NAME`.
//!
//! ```text
//! /PATH                     the record called NAME, as JSON
//! RECORD:/PATH              a record, as JSON
//! RECORD[FIELD]:/PATH       one field, raw
//! keeper://…[:/PATH]        one value, raw; the path is /keeper/secrets/NAME if none is said
//! RECORD:FILE[:/PATH]       (of file-NAME) an attached file
//! ```
//!
//! What ends a title, and how it is kept from doing so, stands in the documentation of the module above. `\` before anything
//! that needs none is a backslash.

use super::{
    finding::{Position, quote},
    paths::{BASE, OutputPath, name_of, name_of_file},
    request::Source,
};
use crate::notation::{self, Notation, Selector};

/// What is wrong, and where.
pub(super) type Wrong = (Option<Position>, String);

/// `secret-NAME`.
pub(super) fn secret(name: &str, value: &str) -> Result<(Source, OutputPath), Wrong> {
    if value.starts_with(notation::PREFIX) {
        return notated(name, value);
    }
    if value.starts_with('/') {
        let record = name.to_owned();
        return Ok((
            Source::Record {
                record,
                fields: Vec::new(),
            },
            path(value, 0)?,
        ));
    }
    let Some(colon) = path_colon(value) else {
        let problem = format!(
            "{} says no path; write RECORD:/PATH, RECORD[FIELD]:/PATH or keeper://…",
            quote(value)
        );
        return Err((None, problem));
    };
    let (before, path) = (
        &value[..colon],
        path(&value[colon + 1..], chars(&value[..=colon]))?,
    );
    let (record, field) = match brackets(before) {
        None => (before, None),
        Some((open, close)) => {
            let field = unescape(before[open + 1..close].trim());
            if field.is_empty() {
                let problem = "the field's name is missing; write it between the brackets, or \\[ for a bracket of the title";
                return Err((
                    Some(Position::Character(chars(&before[..open]) + 2)),
                    problem.to_owned(),
                ));
            }
            (&before[..open], Some(field))
        }
    };
    let record = unescape(record.trim());
    if record.is_empty() {
        return Err((
            Some(Position::Character(1)),
            "the record is missing; write its title or UID first".to_owned(),
        ));
    }
    let fields = field.into_iter().collect();
    Ok((Source::Record { record, fields }, path))
}

/// `file-NAME`.
pub(super) fn file(name: &str, value: &str) -> Result<(Source, OutputPath), Wrong> {
    if value.starts_with(notation::PREFIX) {
        let read = notated(name, value)?;
        return match read.0 {
            Source::File { .. } => Ok(read),
            _ => Err((
                None,
                "the notation names no file; write keeper://RECORD/file/NAME".to_owned(),
            )),
        };
    }
    let (before, path) = match path_colon(value) {
        Some(colon) => (
            &value[..colon],
            Some(path(&value[colon + 1..], chars(&value[..=colon]))?),
        ),
        None => (value, None),
    };
    let Some(colon) = unescaped(before, ':').last() else {
        return Err((
            None,
            format!(
                "{} names no file; write RECORD:FILE or RECORD:FILE:/PATH",
                quote(value)
            ),
        ));
    };
    let (record, name) = (
        unescape(before[..colon].trim()),
        unescape(before[colon + 1..].trim()),
    );
    if record.is_empty() {
        return Err((
            Some(Position::Character(1)),
            "the record is missing; write its title or UID first".to_owned(),
        ));
    }
    if name.is_empty() {
        let at = Position::Character(chars(&before[..=colon]) + 1);
        return Err((
            Some(at),
            "the file's name is missing; write it behind the record".to_owned(),
        ));
    }
    let path = match path {
        Some(path) => path,
        None => default_file(&name).map_err(|problem| (None, problem))?,
    };
    Ok((Source::File { record, name }, path))
}

/// `/keeper/secrets/…` for a record.
pub(super) fn default_record(title: &str) -> Result<OutputPath, String> {
    OutputPath::try_from(format!("{BASE}/{}.json", name_of(title)?))
}

/// `/keeper/secrets/…` for an attached file.
pub(super) fn default_file(name: &str) -> Result<OutputPath, String> {
    OutputPath::try_from(format!("{BASE}/{}", name_of_file(name)?))
}

/// What a notation asks for: a file of it is like any other file.
pub(super) fn source(notation: Notation) -> Source {
    match notation {
        Notation {
            record,
            selector: Selector::File(name),
        } => Source::File { record, name },
        notation => Source::Notation(notation),
    }
}

/// Titles by comma, each with its number from 1; `\,` is a comma of a title.
pub(super) fn titles(list: &str) -> impl Iterator<Item = (usize, String)> {
    let mut ends: Vec<usize> = unescaped(list, ',').collect();
    ends.push(list.len());
    let mut begin = 0;
    let entries = ends.into_iter().map(move |end| {
        let entry = unescape(list[begin..end].trim());
        begin = end + 1;
        entry
    });
    entries
        .enumerate()
        .map(|(at, title)| (at + 1, title))
        .filter(|(_, title)| !title.is_empty())
}

fn notated(name: &str, value: &str) -> Result<(Source, OutputPath), Wrong> {
    for (at, _) in value
        .match_indices(":/")
        .filter(|(at, _)| *at >= notation::PREFIX.len())
    {
        if let Ok(notation) = value[..at].parse() {
            return Ok((source(notation), path(&value[at + 1..], chars(&value[..=at]))?));
        }
    }
    match value.parse() {
        Ok(notation) => Ok((
            source(notation),
            default_file(name).map_err(|problem| (None, problem))?,
        )),
        Err(error) => Err((Some(Position::Character(error.column)), error.problem)),
    }
}

/// A path that begins behind so many characters.
fn path(text: &str, behind: usize) -> Result<OutputPath, Wrong> {
    OutputPath::try_from(text.trim()).map_err(|problem| (Some(Position::Character(behind + 1)), problem))
}

/// The colon before the path.
fn path_colon(value: &str) -> Option<usize> {
    unescaped(value, ':')
        .filter(|at| value[at + 1..].starts_with('/'))
        .last()
}

/// The brackets at the end.
fn brackets(text: &str) -> Option<(usize, usize)> {
    let text = text.trim_end();
    let close = unescaped(text, ']').last().filter(|at| at + 1 == text.len())?;
    let open = unescaped(&text[..close], '[').last()?;
    Some((open, close))
}

/// Where a character (of ASCII) stands without `\` before it.
fn unescaped(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut is_escaped = false;
    text.char_indices().filter_map(move |(at, c)| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        (c == wanted && !was_escaped).then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.next_if(|next| c == '\\' && matches!(next, ':' | '[' | ']' | ',' | '\\'));
        plain.push(next.unwrap_or(c));
    }
    plain
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(record: &str, fields: &[&str]) -> Source {
        Source::Record {
            record: record.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        }
    }

    fn attached(record: &str, name: &str) -> Source {
        Source::File {
            record: record.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn secrets_have_four_forms() {
        let notation = |text: &str| Source::Notation(text.parse().unwrap());
        for (value, source, path) in [
            ("/app/d/x.json", record("db", &[]), "/app/d/x.json"),
            ("My DB:/app/d/x", record("My DB", &[]), "/app/d/x"),
            ("Prod: DB:/app/d/x", record("Prod: DB", &[]), "/app/d/x"),
            ("https://db:/app/d/x", record("https://db", &[]), "/app/d/x"),
            (
                "My DB[password]:/app/d/x",
                record("My DB", &["password"]),
                "/app/d/x",
            ),
            (
                "My DB [API key]:/app/d/x",
                record("My DB", &["API key"]),
                "/app/d/x",
            ),
            (r"DB \[prod\]:/app/d/x", record("DB [prod]", &[]), "/app/d/x"),
            (
                r"DB \[prod\][a\]b]:/app/d/x",
                record("DB [prod]", &["a]b"]),
                "/app/d/x",
            ),
            (r"a\\b\n:/app/d/x", record(r"a\b\n", &[]), "/app/d/x"),
            (
                "keeper://R/field/password:/app/d/x",
                notation("keeper://R/field/password"),
                "/app/d/x",
            ),
            (
                "keeper://R/field/password",
                notation("keeper://R/field/password"),
                "/keeper/secrets/db",
            ),
            (
                "keeper://T:/field/x",
                notation("keeper://T:/field/x"),
                "/keeper/secrets/db",
            ),
            (
                "keeper://R/file/a.pem:/app/d/x",
                attached("R", "a.pem"),
                "/app/d/x",
            ),
        ] {
            let read = secret("db", value).unwrap_or_else(|error| panic!("{value}: {error:?}"));
            assert_eq!((read.0, read.1.as_str()), (source, path), "{value}");
        }
    }

    #[test]
    fn files_have_two_forms() {
        for (value, source, path) in [
            ("DB:cert.pem:/app/d/x", attached("DB", "cert.pem"), "/app/d/x"),
            (
                "DB:Cert 1.pem",
                attached("DB", "Cert 1.pem"),
                "/keeper/secrets/Cert-1.pem",
            ),
            (r"a\:b:c", attached("a:b", "c"), "/keeper/secrets/c"),
            ("Prod: DB:c", attached("Prod: DB", "c"), "/keeper/secrets/c"),
            (
                "keeper://R/file/a\\/b",
                attached("R", "a/b"),
                "/keeper/secrets/key",
            ),
        ] {
            let read = file("key", value).unwrap_or_else(|error| panic!("{value}: {error:?}"));
            assert_eq!((read.0, read.1.as_str()), (source, path), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let at = |character| Some(Position::Character(character));
        for (value, position, about) in [
            ("My DB", None, "says no path"),
            ("config/db.json", None, "says no path"),
            ("My DB[password]", None, "says no path"),
            ("My DB:/app/../x", at(7), ".."),
            (":/app/d/x", at(1), "record is missing"),
            ("[a]:/app/d/x", at(1), "record is missing"),
            ("DB[]:/app/d/x", at(4), "field's name is missing"),
            ("keeper://R/fields/x", at(12), "write field"),
            ("/etc/passwd", at(1), "mount at /etc"),
        ] {
            let error = secret("db", value).unwrap_err();
            assert_eq!(error.0, position, "{value}: {error:?}");
            assert!(error.1.contains(about), "{value}: {error:?}");
        }
        for (value, position, about) in [
            ("DB", None, "names no file"),
            ("DB:/app/d/x", None, "names no file"),
            ("DB:", at(4), "file's name is missing"),
            (":x", at(1), "record is missing"),
            ("DB:..", None, "no file's name"),
            ("keeper://R/type", None, "names no file"),
        ] {
            let error = file("db", value).unwrap_err();
            assert_eq!(error.0, position, "{value}: {error:?}");
            assert!(error.1.contains(about), "{value}: {error:?}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_that_stand_alone() {
        let read: Vec<_> = titles(r" a , b\,c,,d\\,").collect();
        assert_eq!(
            read,
            [(1, "a".to_owned()), (2, "b,c".to_owned()), (4, r"d\".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(name in ".{0,8}", value in r"(keeper://)?[a-z:/\[\]\\, ü.]{0,24}") {
            let _ = (secret(&name, &value), file(&name, &value), titles(&value).count());
        }
    }
}
