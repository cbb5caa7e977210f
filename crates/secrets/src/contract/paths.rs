//! Where files go: paths that are safe, names made of titles, and the directories that must be mounted.

use std::collections::BTreeMap;

use super::{finding::quote, values::checked_text};

/// Where files go if nobody says otherwise: a mount of its own.
pub const BASE: &str = "/keeper/secrets";
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// Nothing may be written below these.
const SYSTEM_TREES: [&str; 15] = [
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/var/run/secrets/kubernetes.io",
    "/run/secrets/kubernetes.io",
    "/etc/ssl/certs",
];
/// A mount here would hide what every program needs, or another mount of ours.
const SYSTEM_DIRECTORIES: [&str; 16] = [
    "/",
    "/etc",
    "/etc/ssl",
    "/etc/pki",
    "/keeper",
    "/run",
    "/run/secrets",
    "/usr",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/run",
    "/var/run/secrets",
];

checked_text! {
    /// A file's absolute path: no `..`, no control characters, not in a directory of the system. `//` and `/./` are gone.
    OutputPath, file
}
checked_text! {
    /// A directory for files, with the same rules.
    OutputDirectory, directory
}

impl OutputPath {
    /// The directory it is in.
    #[must_use]
    pub fn parent(&self) -> &str {
        parent(self.as_str())
    }
}

impl Default for OutputDirectory {
    fn default() -> Self {
        Self(BASE.to_owned())
    }
}

fn file(text: &str) -> Result<String, String> {
    let path = normal(text)?;
    if text.ends_with('/') {
        return Err(format!(
            "{} is a directory; write a file's name behind it",
            quote(text)
        ));
    }
    if path == BASE {
        return Err(format!(
            "{} is the directory of all files; write a file's name behind it",
            quote(text)
        ));
    }
    system(parent(&path), text)?;
    Ok(path)
}

fn directory(text: &str) -> Result<String, String> {
    let path = normal(text)?;
    system(&path, text)?;
    Ok(path)
}

fn normal(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("{} is no absolute path; begin it with /", quote(text)));
    }
    if text.contains(char::is_control) {
        return Err(format!(
            "{} has a control character in it; remove it",
            quote(text)
        ));
    }
    if text.contains(':') {
        return Err(format!(
            "{} has a ':' in it, which Kubernetes mounts nowhere; remove it",
            quote(text)
        ));
    }
    let segments = || {
        text.split('/')
            .filter(|segment| !segment.is_empty() && *segment != ".")
    };
    if segments().any(|segment| segment == "..") {
        return Err(format!("{} has .. in it; write the path without", quote(text)));
    }
    if text.len() > LONGEST_PATH || segments().any(|segment| segment.len() > LONGEST_NAME) {
        return Err(format!(
            "{} is too long; a name has up to {LONGEST_NAME} bytes",
            quote(text)
        ));
    }
    let path: String = segments().flat_map(|segment| ["/", segment]).collect();
    match path.is_empty() {
        true => Err(format!(
            "{} is the root directory; write a file's path",
            quote(text)
        )),
        false => Ok(path),
    }
}

fn system(directory: &str, written: &str) -> Result<(), String> {
    if SYSTEM_TREES.iter().any(|tree| is_within(directory, tree)) {
        return Err(format!(
            "{} is among the system's own files; choose another directory",
            quote(written)
        ));
    }
    if SYSTEM_DIRECTORIES.contains(&directory) {
        return Err(format!(
            "{} would need a mount at {directory}, which hides what is there; choose a directory of its own, like {BASE} or \
             /etc/myapp",
            quote(written)
        ));
    }
    Ok(())
}

/// A file's name of a record's title: lower case, `-` for spaces, slashes and what no path should have in it. Not empty.
///
/// # Errors
/// If the title is empty or makes too long a name.
pub(crate) fn name_of(title: &str) -> Result<String, String> {
    let name: String = title.trim().to_lowercase().chars().map(safe).collect();
    fits(name, title)
}

/// The same of an attached file's name, which keeps its capitals.
pub(crate) fn name_of_file(file: &str) -> Result<String, String> {
    let name: String = file.trim().chars().map(safe).collect();
    match name.as_str() {
        "." | ".." => Err(format!("{} is no file's name; write a path", quote(file))),
        _ => fits(name, file),
    }
}

fn safe(c: char) -> char {
    match c {
        ' ' | '/' | '\\' | ':' => '-',
        c if c.is_control() || c.is_whitespace() => '-',
        c => c,
    }
}

fn fits(name: String, from: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("the name is empty; write a title or UID".to_owned());
    }
    // With room for an ending and a UID.
    if name.len() > LONGEST_NAME - 32 {
        return Err(format!(
            "{} is too long for a file's name; write a path",
            quote(from)
        ));
    }
    Ok(name)
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

fn is_within(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Files that were given a place, so that no two get the same. Capitals make no difference: not every reader of a volume
/// tells them apart.
#[derive(Debug, Default)]
pub(crate) struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Takes a path for somebody.
    pub(crate) fn take(&mut self, path: &str, by: &str) -> Result<(), String> {
        let key = path.to_lowercase();
        if let Some(first) = self.0.get(&key) {
            return Err(format!(
                "{} is used twice, first by {first}; choose another path",
                quote(path)
            ));
        }
        let is_above = |above: &str| is_within(&key, above);
        let below = format!("{key}/");
        let after = self.0.range(below.clone()..).next();
        let nested = after.filter(|(taken, _)| taken.starts_with(&below));
        let mut above = parent(&key);
        let mut outer = None;
        while above != "/" {
            if let Some(found) = self.0.get_key_value(above).filter(|(taken, _)| is_above(taken)) {
                outer = Some(found);
                break;
            }
            above = parent(above);
        }
        if let Some((other, first)) = nested.or(outer) {
            return Err(format!(
                "{} and {other} (of {first}) can't both be: one would be the other's directory; choose another path",
                quote(path)
            ));
        }
        self.0.insert(key, by.to_owned());
        Ok(())
    }
}

/// The fewest directories that hold all these, in alphabetical order: one within another needs no mount of its own.
pub(crate) fn mounts<'a>(directories: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut mounts: Vec<&str> = directories
        .map(|directory| {
            if is_within(directory, BASE) {
                BASE
            } else {
                directory
            }
        })
        .collect();
    mounts.sort_unstable();
    mounts.dedup();
    let all = mounts.clone();
    mounts.retain(|mount| !all.iter().any(|other| other != mount && is_within(mount, other)));
    mounts.into_iter().map(str::to_owned).collect()
}

/// Whether a mount there hides a directory directly below the root, which an image often fills.
pub(crate) fn hides(mount: &str) -> bool {
    mount != "/tmp" && parent(mount) == "/"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_made_normal() {
        for (text, path) in [
            ("/app/config/db.json", "/app/config/db.json"),
            ("//app/./config///x", "/app/config/x"),
            ("/keeper/secrets/a b", "/keeper/secrets/a b"),
            ("/etc/myapp/..x", "/etc/myapp/..x"),
        ] {
            assert_eq!(OutputPath::try_from(text).unwrap().as_str(), path);
        }
        assert_eq!(OutputDirectory::default().as_str(), BASE);
    }

    #[test]
    fn paths_that_leave_their_directory_or_reach_the_system_are_refused() {
        for (text, about) in [
            ("db.json", "no absolute path"),
            ("", "no absolute path"),
            ("/", "root directory"),
            ("/./", "root directory"),
            ("/keeper/secrets/../../etc/passwd", ".."),
            ("/app/..", ".."),
            ("/app/x\n", "control character"),
            ("/app/x\0", "control character"),
            ("/app/c:d", "':'"),
            ("/app/x/", "is a directory"),
            ("/keeper/secrets", "directory of all files"),
            ("/keeper/secrets/.", "directory of all files"),
            ("/keeper//secrets", "directory of all files"),
            ("/keeper/x", "mount at /keeper"),
            ("/proc/1/environ", "system's own"),
            ("/sys/x", "system's own"),
            ("//dev/./shm/x", "system's own"),
            ("/usr/bin/x", "system's own"),
            ("/etc/ssl/certs/x", "system's own"),
            (
                "/var/run/secrets/kubernetes.io/serviceaccount/token",
                "system's own",
            ),
            ("/etc/passwd", "mount at /etc"),
            ("/x", "mount at /,"),
            ("/var/x", "mount at /var"),
        ] {
            let error = OutputPath::try_from(text).unwrap_err();
            assert!(error.contains(about), "{text}: {error}");
        }
        assert!(OutputPath::try_from(format!("/app/{}", "x".repeat(256))).is_err());
        assert!(OutputDirectory::try_from("/etc").is_err());
    }

    #[test]
    fn names_of_titles_are_safe_and_never_empty() {
        for (title, name) in [
            ("Database Credentials", "database-credentials"),
            ("A/B", "a-b"),
            ("../../etc/passwd", "..-..-etc-passwd"),
            ("a\nb\0c:d", "a-b-c-d"),
            ("Größe", "größe"),
        ] {
            assert_eq!(name_of(title).unwrap(), name);
        }
        for title in ["", "  ", &"x".repeat(300)] {
            assert!(name_of(title).is_err(), "{title}");
        }
        assert_eq!(name_of_file("Cert.PEM").unwrap(), "Cert.PEM");
        assert!(name_of_file("..").is_err() && name_of_file(".").is_err());
    }

    #[test]
    fn no_two_files_get_one_path() {
        let mut taken = Taken::default();
        taken.take("/app/a", "first").unwrap();
        taken.take("/app/d/x", "first").unwrap();
        for (path, about) in [
            ("/app/a", "used twice, first by first"),
            ("/app/A", "used twice"),
            ("/app/a/b/c", "other's directory"),
            ("/app/d", "other's directory"),
            ("/app", "other's directory"),
        ] {
            let error = taken.take(path, "second").unwrap_err();
            assert!(error.contains(about), "{path}: {error}");
        }
        taken.take("/app/ab", "second").unwrap();
    }

    #[test]
    fn mounts_are_as_few_as_can_be() {
        let directories = [
            "/app/b",
            "/keeper/secrets/x",
            "/app/config",
            "/app/config/deep",
            "/app/b",
            BASE,
        ];
        assert_eq!(mounts(directories.into_iter()), ["/app/b", "/app/config", BASE]);
        assert!(hides("/app") && !hides("/app/config") && !hides("/tmp"));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_a_path_stays_in_its_place(text in r"[/.a-z\n:]{0,20}") {
            if let Ok(path) = OutputPath::try_from(text.as_str()) {
                let path = path.as_str();
                prop_assert!(path.starts_with('/') && !path.ends_with('/') && !path.contains("//"));
                prop_assert!(!path.split('/').any(|segment| segment == ".." || segment == "."));
                prop_assert_eq!(OutputPath::try_from(path).map(String::from), Ok(path.to_owned()));
            }
        }

        #[test]
        fn any_title_makes_a_path_below_the_base_or_none(title in ".*") {
            for name in [name_of(&title), name_of_file(&title)].into_iter().flatten() {
                let path = OutputPath::try_from(format!("{BASE}/{name}")).map(|path| path.parent().to_owned());
                prop_assert_eq!(path, Ok(BASE.to_owned()));
            }
        }
    }
}
