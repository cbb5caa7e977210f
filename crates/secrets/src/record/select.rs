//! Records and folders by what people call them.

use std::collections::BTreeSet;

use super::{Folder, Record};

/// Something found, and what should be known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// What was looked for.
    pub it: T,
    /// That it was one of several.
    pub warning: Option<String>,
}

/// Something isn't found, or isn't the only one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing is called so.
    #[error("there is no {what} {wanted:?}; share it with the application in the vault, or correct the name")]
    Absent {
        /// Record, folder, or file of a record.
        what: &'static str,
        /// What was looked for.
        wanted: String,
    },
    /// Several are called so.
    #[error("there are {} {what}s {wanted:?}: {}; ask for one by its UID", .uids.len(), .uids.join(", "))]
    Ambiguous {
        /// Record, folder, or file of a record.
        what: &'static str,
        /// What was looked for.
        wanted: String,
        /// All that are called so.
        uids: Vec<String>,
    },
}

/// Finds a record by UID, else by title (the same to the letter). Of several with one title it is the one whose UID is first
/// in the alphabet, so that it is the same one every time, with a warning; `is_strict` makes that an error.
///
/// # Errors
/// If there is none, or there are several and `is_strict`.
pub fn record<'a>(
    records: &'a [Record],
    wanted: &str,
    is_strict: bool,
) -> Result<Found<&'a Record>, SelectError> {
    if let Some(it) = records.iter().find(|record| record.uid == wanted) {
        return Ok(Found { it, warning: None });
    }
    let titled = records.iter().filter(|record| record.title == wanted);
    one("record", wanted, titled, |record| &record.uid, is_strict)
}

/// Finds a folder by UID, else by its path from a shared folder: `A/B/C`, case matters, `\/` is a slash in a name.
///
/// # Errors
/// If there is none, or there are several: which of them is never guessed.
pub fn folder<'a>(folders: &'a [Folder], wanted: &str) -> Result<&'a Folder, SelectError> {
    if let Some(it) = folders.iter().find(|folder| folder.uid == wanted) {
        return Ok(it);
    }
    let uids: BTreeSet<&str> = folders.iter().map(|folder| folder.uid.as_str()).collect();
    let mut parents: Option<BTreeSet<&str>> = None;
    let mut found: Vec<&Folder> = Vec::new();
    for name in segments(wanted) {
        let is_here = |folder: &&Folder| match (&parents, &folder.parent) {
            // A folder whose parent wasn't shared is where a path begins.
            (None, parent) => parent
                .as_ref()
                .is_none_or(|parent| !uids.contains(parent.as_str())),
            (Some(_), None) => false,
            (Some(parents), Some(parent)) => parents.contains(parent.as_str()),
        };
        found = folders
            .iter()
            .filter(is_here)
            .filter(|folder| folder.name == name)
            .collect();
        parents = Some(found.iter().map(|folder| folder.uid.as_str()).collect());
    }
    one("folder", wanted, found.into_iter(), |folder| &folder.uid, true).map(|found| found.it)
}

/// The only one, or the first by UID.
pub(crate) fn one<'a, T>(
    what: &'static str,
    wanted: &str,
    candidates: impl Iterator<Item = &'a T>,
    uid: impl Fn(&T) -> &String,
    is_strict: bool,
) -> Result<Found<&'a T>, SelectError> {
    let mut candidates: Vec<&T> = candidates.collect();
    candidates.sort_by(|a, b| uid(a).cmp(uid(b)));
    // The same one may be in two folders, and be told twice.
    candidates.dedup_by(|a, b| uid(a) == uid(b));
    let wanted = wanted.to_owned();
    match candidates.as_slice() {
        [] => Err(SelectError::Absent { what, wanted }),
        [it] => Ok(Found { it, warning: None }),
        several => {
            let uids = several.iter().map(|it| uid(it).clone()).collect();
            let ambiguous = SelectError::Ambiguous { what, wanted, uids };
            if is_strict {
                return Err(ambiguous);
            }
            Ok(Found {
                it: several[0],
                warning: Some(format!("{ambiguous} (the first is taken)")),
            })
        }
    }
}

/// A folder's path in its names.
fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => segments.push(String::new()),
            '\\' => push(&mut segments, chars.next().unwrap_or('\\')),
            c => push(&mut segments, c),
        }
    }
    // A slash at either end says nothing.
    segments.retain(|segment| !segment.is_empty());
    segments
}

fn push(segments: &mut [String], c: char) {
    if let Some(last) = segments.last_mut() {
        last.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(uid: &str, title: &str) -> Record {
        let data = serde_json::json!({"title": title, "type": "login"}).to_string();
        Record::read(uid, data.as_bytes()).unwrap()
    }

    fn sub(uid: &str, parent: Option<&str>, name: &str) -> Folder {
        Folder {
            uid: uid.to_owned(),
            parent: parent.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_uid_goes_before_a_title() {
        let records = [titled("b", "x"), titled("a", "b")];
        assert_eq!(record(&records, "b", true).unwrap().it.uid, "b");
        assert_eq!(record(&records, "x", true).unwrap().it.uid, "b");
    }

    #[test]
    fn titles_are_compared_to_the_letter() {
        let records = [titled("a", "Database")];
        let error = record(&records, "database", false).unwrap_err().to_string();
        assert!(error.starts_with("there is no record \"database\""), "{error}");
    }

    #[test]
    fn of_several_with_one_title_it_is_always_the_same_one_and_strictly_none() {
        let mut records = vec![titled("b", "x"), titled("a", "x"), titled("c", "y")];
        for _ in 0..2 {
            let found = record(&records, "x", false).unwrap();
            assert_eq!(found.it.uid, "a");
            assert!(found.warning.unwrap().contains("there are 2 records \"x\": a, b"));
            records.reverse();
        }
        let error = record(&records, "x", true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are 2 records \"x\": a, b; ask for one by its UID"
        );
    }

    #[test]
    fn one_record_in_two_folders_is_one() {
        let records = [titled("a", "x"), titled("a", "x")];
        assert_eq!(record(&records, "x", true).unwrap().warning, None);
    }

    #[test]
    fn folders_are_found_by_uid_and_by_path() {
        let folders = [
            sub("1", None, "Production"),
            sub("2", Some("1"), "Databases"),
            sub("3", Some("2"), "A/B"),
            sub("4", Some("unshared"), "Shared"),
            sub("5", None, "Databases"),
        ];
        for (wanted, uid) in [
            ("3", "3"),
            ("Production", "1"),
            ("Production/Databases", "2"),
            ("/Production/Databases/", "2"),
            (r"Production/Databases/A\/B", "3"),
            ("Shared", "4"),
            ("Databases", "5"),
        ] {
            assert_eq!(folder(&folders, wanted).unwrap().uid, uid, "{wanted}");
        }
        for wanted in [
            "production",
            "Production/databases",
            "A/B",
            "",
            "/",
            "Production/Databases/A/B",
        ] {
            assert!(folder(&folders, wanted).is_err(), "{wanted}");
        }
    }

    #[test]
    fn two_folders_of_one_path_are_refused() {
        let folders = [sub("1", None, "A"), sub("2", None, "A")];
        assert!(matches!(
            folder(&folders, "A"),
            Err(SelectError::Ambiguous { .. })
        ));
    }
}
