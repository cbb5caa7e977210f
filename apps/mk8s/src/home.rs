//! `~/.mk8s`: what is in it, who may read it, and how its files are written.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    central_url::CentralUrl,
    error::{Failure, Result},
};

/// No file of ours is near this; a larger one isn't ours.
const LARGEST_FILE: u64 = 1024 * 1024;
/// A record of a hundred thousand things fits.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

/// The directory of configuration and credentials.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The directory at `root`, an absolute path; it needn't exist yet.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What the user chose.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.root.join("config.yaml")
    }

    /// The tokens.
    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.root.join("credentials.json")
    }

    /// The file that is locked while the tokens are changed.
    pub(crate) fn credentials_lock(&self) -> PathBuf {
        self.root.join("credentials.lock")
    }

    /// The certificate authority that was accepted for a central.
    pub(crate) fn ca_file(&self, central: &CentralUrl) -> PathBuf {
        self.root.join("ca").join(format!("{}.pem", central.file_stem()))
    }

    /// What is remembered of a central's list of clusters.
    pub(crate) fn cluster_cache(&self, central: &CentralUrl) -> PathBuf {
        self.root
            .join("cache")
            .join(format!("{}.json", central.file_stem()))
    }

    /// Where the kubeconfigs of `mk8s kubectl` are.
    pub(crate) fn run_directory(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The authority of `mk8s pki`, unless another directory is named.
    pub(crate) fn pki_directory(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Makes the directory (0700), or makes sure that nobody else can put files into it.
    pub(crate) fn ensure(&self) -> Result<()> {
        create_private_directory(&self.root)?;
        self.check()
    }

    /// Refuses a directory in which somebody else can replace our files. One that doesn't exist is fine.
    pub(crate) fn check(&self) -> Result<()> {
        let shown = self.root.display();
        let metadata = match fs::metadata(&self.root) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(cannot("read", &self.root, &error)),
        };
        if !metadata.is_dir() {
            return Err(Failure::new(format!("{shown} isn't a directory"))
                .hint("move it away, or set MK8S_HOME to another directory"));
        }
        refuse_foreign_owner(&self.root, &metadata)?;
        if metadata.mode() & 0o022 != 0 {
            return Err(Failure::new(format!("others can write to {shown}"))
                .hint(format!("chmod 700 {}", shell_word(&self.root))));
        }
        Ok(())
    }
}

/// Makes a directory and its parents, readable by this user alone.
pub(crate) fn create_private_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            cannot("create", path, &error).hint("set MK8S_HOME to a directory that you can write to")
        })
}

/// Replaces a file in one step: a reader, or a crash, sees the old content or the new. The file is 0600, its directory
/// (made if need be) 0700.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, 0o600)
}

/// The same for a file that everybody may read (0644).
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    // A link (a configuration kept in a repository of dotfiles) stays a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_private_directory(directory)?;
    replace(directory, &path, content, mode).map_err(|error| cannot("write", &path, &error))
}

fn replace(directory: &Path, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new()
        .prefix(".mk8s-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    // The rename itself must survive a crash too; some file systems can't sync a directory, and then it does or doesn't.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Reads a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    open(path)?.map(|file| read_all(path, file)).transpose()
}

/// Reads a file that grows with what is done, if there is one.
pub(crate) fn read_large(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = |file| read_at_most(path, file, LARGEST_RECORD);
    open(path)?.map(read).transpose()
}

/// Reads a file that holds secrets, if there is one; refuses one that others can read or change.
pub(crate) fn read_private(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let metadata = file.metadata().map_err(|error| cannot("read", path, &error))?;
    refuse_foreign_owner(path, &metadata)?;
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(
            Failure::new(format!("others can read {} (mode {mode:04o})", path.display()))
                .hint(format!("chmod 600 {}", shell_word(path))),
        );
    }
    read_all(path, file).map(Some)
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

fn read_all(path: &Path, file: File) -> Result<Vec<u8>> {
    read_at_most(path, file, LARGEST_FILE)
}

fn read_at_most(path: &Path, file: File, limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(|error| cannot("read", path, &error))?;
    if content.len() as u64 > limit {
        let mebibytes = limit / (1024 * 1024);
        return Err(Failure::new(format!(
            "{} is larger than {mebibytes} MiB",
            path.display()
        )));
    }
    Ok(content)
}

fn refuse_foreign_owner(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() == user || metadata.uid() == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} belongs to user {}, and you are user {user}",
        path.display(),
        metadata.uid()
    ))
    .hint("run mk8s as its owner, or set MK8S_HOME to a directory of your own"))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("can't {what} {}: {}", path.display(), reason(error)))
}

/// The operating system's words without its error number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The path as it can be pasted into a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%=:".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::at(directory.path().join("dot"));
        (directory, home)
    }

    #[test]
    fn files_and_directories_are_private() {
        let (_keep, home) = home();
        home.ensure().expect("made");
        let path = home.run_directory().join("x");
        write_private(&path, b"1").expect("written");
        write_private(&path, b"2").expect("replaced");
        let mode = |path: &Path| fs::metadata(path).expect("exists").mode() & 0o777;
        assert_eq!(
            (mode(home.root()), mode(&home.run_directory()), mode(&path)),
            (0o700, 0o700, 0o600)
        );
        assert_eq!(read_private(&path).expect("read"), Some(b"2".to_vec()));
        assert_eq!(
            fs::read_dir(home.run_directory()).expect("listed").count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_link_stays_a_link() {
        let (keep, home) = home();
        home.ensure().expect("made");
        let target = keep.path().join("dotfiles.yaml");
        fs::write(&target, "a").expect("written");
        std::os::unix::fs::symlink(&target, home.config_file()).expect("linked");
        write_private(&home.config_file(), b"b").expect("written");
        assert_eq!(fs::read_to_string(&target).expect("read"), "b");
    }

    #[test]
    fn what_others_can_touch_is_refused_with_the_remedy() {
        let (_keep, home) = home();
        home.ensure().expect("made");
        let path = home.credentials_file();
        write_private(&path, b"secret").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("changed");
        let failure = read_private(&path).expect_err("refused");
        let (message, hint) = failure.lines().expect("lines");
        assert!(message.contains("(mode 0640)"), "{message}");
        assert!(hint.expect("a hint").starts_with("chmod 600 /"), "{hint:?}");

        fs::set_permissions(home.root(), Permissions::from_mode(0o770)).expect("changed");
        assert!(home.check().is_err());
    }

    #[test]
    fn a_path_can_be_pasted() {
        assert_eq!(shell_word(Path::new("/a b/c'd")), r"'/a b/c'\''d'");
        assert_eq!(shell_word(Path::new("/home/x/.mk8s")), "/home/x/.mk8s");
    }
}
