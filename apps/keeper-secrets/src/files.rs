//! Files, written beneath the directories that are mounted for them.
//!
//! Nothing is followed that could lead elsewhere: every path is opened beneath its mount, and without symbolic links
//! (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS). A file is there whole or not at all: it is written under another
//! name, given its mode and group, and renamed. One that has its content already isn't touched.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use mk8s_secrets::{Hidden, outputs::OutputFile};
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// Directories are searched by those who may read the files.
const DIRECTORY_MODE: u32 = 0o750;

/// Writes files into mounted directories.
#[derive(Debug)]
pub(crate) struct Files {
    mounts: Vec<Mount>,
    readers: Option<u32>,
    /// What this process wrote, so that it can be taken away when it is wanted no longer.
    written: BTreeSet<String>,
}

#[derive(Debug)]
struct Mount {
    path: String,
    directory: OwnedFd,
}

/// A file that can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// There is no mount for it.
    #[error("{0}: nothing is mounted there; let the webhook inject the pod")]
    NoMount(String),
    /// Another path lies in the way.
    #[error("{path}: {problem}")]
    InTheWay { path: String, problem: &'static str },
    /// The volume is full.
    #[error("{path}: the volume is full; ask your operator for a larger sizeLimit, or for less")]
    Full { path: String },
    /// Anything else.
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

impl Files {
    /// Opens the mounts. Files are for this group; without one, for their owner's.
    pub(crate) fn open(mounts: Vec<String>, readers: Option<u32>) -> Result<Self, FileError> {
        let open = |path: String| {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            match rustix::fs::open(path.as_str(), flags, Mode::empty()) {
                Ok(directory) => Ok(Mount { path, directory }),
                Err(Errno::NOENT) => Err(FileError::NoMount(path)),
                Err(errno) => Err(FileError::of(&path, errno)),
            }
        };
        Ok(Self {
            mounts: mounts.into_iter().map(open).collect::<Result<_, _>>()?,
            readers,
            written: BTreeSet::new(),
        })
    }

    /// Writes a file unless it is there already, and says whether it did.
    pub(crate) fn write(&mut self, file: &OutputFile) -> Result<bool, FileError> {
        let (mount, parents, name) = self.place(&file.path)?;
        let directory = self.directory(mount, parents, &file.path)?;
        let directory = directory
            .as_ref()
            .map_or_else(|| mount.directory.as_fd(), |fd| fd.as_fd());
        if has(directory, name, file) {
            self.written.insert(file.path.clone());
            return Ok(false);
        }
        self.replace(directory, name, file)?;
        self.written.insert(file.path.clone());
        Ok(true)
    }

    /// Takes away what this process wrote and nobody wants any more. Returns what went.
    pub(crate) fn keep_only(&mut self, wanted: &BTreeSet<&str>) -> Vec<String> {
        let gone: Vec<String> = self
            .written
            .iter()
            .filter(|path| !wanted.contains(path.as_str()))
            .cloned()
            .collect();
        for path in &gone {
            self.written.remove(path);
            let removed = self.place(path).and_then(|(mount, parents, name)| {
                let directory = open_beneath(&mount.directory, &parents.join("/"), path)?;
                let directory = directory
                    .as_ref()
                    .map_or_else(|| mount.directory.as_fd(), |fd| fd.as_fd());
                rustix::fs::unlinkat(directory, name, AtFlags::empty())
                    .map_err(|errno| FileError::of(path, errno))
            });
            if let Err(error) = removed {
                tracing::warn!(%error, "can't take a file away");
            }
        }
        gone
    }

    /// The mount, the directories beneath it, and the name.
    fn place<'a>(&self, path: &'a str) -> Result<(&Mount, Vec<&'a str>, &'a str), FileError> {
        let beneath = |mount: &&Mount| {
            path.strip_prefix(mount.path.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let mount = self
            .mounts
            .iter()
            .filter(beneath)
            .max_by_key(|mount| mount.path.len())
            .ok_or_else(|| FileError::NoMount(path.to_owned()))?;
        let mut parts: Vec<&str> = path[mount.path.len() + 1..].split('/').collect();
        match parts.pop() {
            Some(name) if !name.is_empty() => Ok((mount, parts, name)),
            _ => Err(FileError::InTheWay {
                path: path.to_owned(),
                problem: "it names no file",
            }),
        }
    }

    /// The directory that a file goes into, made if it isn't there; `None` for the mount itself.
    fn directory(&self, mount: &Mount, parents: Vec<&str>, path: &str) -> Result<Option<OwnedFd>, FileError> {
        let mut beneath = String::new();
        for parent in parents {
            if !beneath.is_empty() {
                beneath.push('/');
            }
            let above = open_beneath(&mount.directory, beneath.trim_end_matches('/'), path)?;
            let above = above
                .as_ref()
                .map_or_else(|| mount.directory.as_fd(), |fd| fd.as_fd());
            beneath.push_str(parent);
            match rustix::fs::mkdirat(above, parent, Mode::from_raw_mode(DIRECTORY_MODE)) {
                Ok(()) => {
                    let made = open_beneath(&mount.directory, &beneath, path)?;
                    if let (Some(made), Some(readers)) = (&made, self.readers) {
                        give(made.as_fd(), readers).map_err(|errno| FileError::of(path, errno))?;
                    }
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(FileError::of(path, errno)),
            }
        }
        open_beneath(&mount.directory, &beneath, path)
    }

    fn replace(&self, directory: BorrowedFd<'_>, name: &str, file: &OutputFile) -> Result<(), FileError> {
        let failed = |errno| FileError::of(&file.path, errno);
        let temporary = format!(".keeper-{:016x}", rand::random::<u64>());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(directory, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?;
        let written = || -> Result<(), FileError> {
            let io = |error: io::Error| match Errno::from_io_error(&error) {
                Some(errno) => FileError::of(&file.path, errno),
                None => FileError::Io {
                    path: file.path.clone(),
                    error,
                },
            };
            let mut made = File::from(made);
            made.write_all(file.bytes.expose()).map_err(io)?;
            if let Some(readers) = self.readers {
                give(made.as_fd(), readers).map_err(failed)?;
            }
            rustix::fs::fchmod(&made, Mode::from_raw_mode(file.mode)).map_err(failed)?;
            rustix::fs::renameat(directory, temporary.as_str(), directory, name).map_err(failed)
        };
        written().inspect_err(|_| {
            // Half a file is nobody's.
            let _ = rustix::fs::unlinkat(directory, temporary.as_str(), AtFlags::empty());
        })
    }
}

/// Lets a group have it. Whoever runs this is in the group, or may do everything.
fn give(of: BorrowedFd<'_>, readers: u32) -> rustix::io::Result<()> {
    rustix::fs::fchown(of, None, Some(Gid::from_raw(readers)))
}

/// Opens a directory beneath another; `None` for itself.
fn open_beneath(above: &OwnedFd, beneath: &str, path: &str) -> Result<Option<OwnedFd>, FileError> {
    if beneath.is_empty() {
        return Ok(None);
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(above, beneath, flags, Mode::empty(), resolve) {
        Ok(directory) => Ok(Some(directory)),
        Err(errno) => Err(FileError::of(path, errno)),
    }
}

/// Whether the file is there with this content, mode included.
fn has(directory: BorrowedFd<'_>, name: &str, file: &OutputFile) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(there) = rustix::fs::openat(directory, name, flags, Mode::empty()) else {
        return false;
    };
    let there = File::from(there);
    let is_alike = there.metadata().is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt as _;
        metadata.is_file()
            && metadata.len() == file.bytes.len() as u64
            && metadata.mode() & 0o7777 == file.mode
    });
    if !is_alike {
        return false;
    }
    let mut content = Vec::with_capacity(file.bytes.len());
    let read = there.take(file.bytes.len() as u64 + 1).read_to_end(&mut content);
    let content = Hidden::new(content);
    read.is_ok() && content == file.bytes
}

impl FileError {
    fn of(path: &str, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::Full { path },
            Errno::LOOP | Errno::XDEV => Self::InTheWay {
                path,
                problem: "a symbolic link is on the way, and none is followed; take it away",
            },
            Errno::NOTDIR => Self::InTheWay {
                path,
                problem: "a file is where a directory should be; write to another path",
            },
            Errno::ISDIR => Self::InTheWay {
                path,
                problem: "a directory is where the file should be; write to another path",
            },
            errno => Self::Io {
                path,
                error: errno.into(),
            },
        }
    }
}

/// Writes a file of ours into a mounted directory: a program, or the variables.
pub(crate) fn place(
    directory: &Path,
    name: &str,
    bytes: &[u8],
    mode: u32,
    readers: Option<u32>,
) -> Result<bool, FileError> {
    let root = directory.display().to_string();
    let mut files = Files::open(vec![root.clone()], readers)?;
    files.write(&OutputFile {
        path: format!("{root}/{name}"),
        bytes: Hidden::new(bytes.to_vec()),
        mode,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    };

    use super::*;

    fn file(path: &str, content: &str) -> OutputFile {
        OutputFile {
            path: path.to_owned(),
            bytes: Hidden::from(content.to_owned()),
            mode: 0o440,
        }
    }

    fn mounted() -> (tempfile::TempDir, Files, impl Fn(&str) -> String) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().to_str().expect("a path in UTF-8").to_owned();
        let files = Files::open(vec![root.clone()], None).expect("mounted");
        (directory, files, move |name: &str| format!("{root}/{name}"))
    }

    #[test]
    fn a_file_is_whole_for_its_readers_and_untouched_if_nothing_changed() {
        let (_directory, mut files, at) = mounted();
        assert!(files.write(&file(&at("a/b/c"), "one")).expect("written"));
        let first = fs::metadata(at("a/b/c")).expect("there");
        assert_eq!(first.permissions().mode() & 0o7777, 0o440);
        assert_eq!(
            fs::metadata(at("a/b")).expect("there").permissions().mode() & 0o7777,
            0o750
        );
        assert!(!files.write(&file(&at("a/b/c"), "one")).expect("there already"));
        assert_eq!(fs::metadata(at("a/b/c")).expect("there").ino(), first.ino());
        assert!(files.write(&file(&at("a/b/c"), "two")).expect("written"));
        assert_ne!(fs::metadata(at("a/b/c")).expect("there").ino(), first.ino());
        assert_eq!(fs::read_to_string(at("a/b/c")).expect("there"), "two");
        assert_eq!(
            fs::read_dir(at("a/b")).expect("there").count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn a_symlinked_parent_is_refused_and_a_symlink_at_the_end_replaced() {
        let (_directory, mut files, at) = mounted();
        let elsewhere = tempfile::tempdir().expect("a directory");
        symlink(elsewhere.path(), at("out")).expect("a link");
        let error = files
            .write(&file(&at("out/x"), "s"))
            .expect_err("refused")
            .to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("there").count(), 0);
        symlink(elsewhere.path().join("target"), at("link")).expect("a link");
        assert!(files.write(&file(&at("link"), "s")).expect("written"));
        assert!(!elsewhere.path().join("target").exists());
        assert!(fs::symlink_metadata(at("link")).expect("there").is_file());
    }

    #[test]
    fn a_path_outside_is_refused() {
        let (_directory, mut files, at) = mounted();
        for path in [
            "/elsewhere/x".to_owned(),
            at("../x"),
            at("a/../../x"),
            at(""),
            at("a/"),
        ] {
            assert!(files.write(&file(&path, "s")).is_err(), "{path}");
        }
        let error = Files::open(vec![at("not-there")], None)
            .expect_err("no mount")
            .to_string();
        assert!(error.contains("nothing is mounted"), "{error}");
    }

    #[test]
    fn a_file_where_a_directory_should_be_is_said() {
        let (_directory, mut files, at) = mounted();
        files.write(&file(&at("a"), "s")).expect("written");
        let error = files
            .write(&file(&at("a/b"), "s"))
            .expect_err("refused")
            .to_string();
        assert!(error.contains("a file is where a directory should be"), "{error}");
        files.write(&file(&at("d/e"), "s")).expect("written");
        let error = files
            .write(&file(&at("d"), "s"))
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("a directory is where the file should be"),
            "{error}"
        );
    }

    #[test]
    fn what_nobody_wants_any_more_goes_and_strangers_stay() {
        let (_directory, mut files, at) = mounted();
        for name in ["a/one", "two"] {
            files.write(&file(&at(name), "s")).expect("written");
        }
        fs::write(at("stranger"), "x").expect("written");
        let two = at("two");
        assert_eq!(files.keep_only(&BTreeSet::from([two.as_str()])), [at("a/one")]);
        assert!(!fs::exists(at("a/one")).expect("seen"));
        assert!(fs::exists(at("stranger")).expect("seen") && fs::exists(two).expect("seen"));
    }

    #[test]
    fn a_full_volume_keeps_the_old_file() {
        use std::process::Command;
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().to_str().expect("a path in UTF-8").to_owned();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", &root])
            .status()
            .expect("mount (Debian: mount)");
        assert!(mounted.success(), "a tmpfs can't be mounted: the tests need root");
        let mut files = Files::open(vec![root.clone()], None).expect("mounted");
        files.write(&file(&format!("{root}/a"), "old")).expect("written");
        let error = files.write(&file(&format!("{root}/a"), &"x".repeat(100 * 1024)));
        let error = error.expect_err("full").to_string();
        let content = fs::read_to_string(format!("{root}/a"));
        let entries = fs::read_dir(&root).expect("there").count();
        drop(files);
        let unmounted = Command::new("umount").arg(&root).status().expect("umount");
        assert!(error.contains("the volume is full"), "{error}");
        assert_eq!(content.expect("there"), "old");
        assert_eq!(entries, 1, "half a file is nobody's");
        assert!(unmounted.success());
    }
}
