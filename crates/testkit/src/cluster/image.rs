//! Images of our programs on a cluster's node, made as `deploy/docker/Dockerfile` makes them: a program, its libraries, nothing
//! else.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use super::{Cluster, devcluster};
use crate::{command, workspace};

/// Making and loading one takes a few seconds, on a busy machine more.
const LIMIT: Duration = Duration::from_secs(180);

impl Cluster {
    /// The image of a program, on this cluster's node: to be named with `imagePullPolicy: Never`. The first call makes it.
    ///
    /// # Panics
    /// If it can't be made or loaded.
    #[track_caller]
    pub fn image(&self, program: &str) -> String {
        let path = workspace::program(program);
        let name = format!("localhost/mk8s/{program}:{}", version(&path));
        let kept = self.state.kubeconfig.with_file_name("test-images");
        fs::create_dir_all(&kept).unwrap_or_else(|error| panic!("{}: {error}", kept.display()));
        // One test makes it, in whatever process; the others wait.
        let lock = File::create(kept.join("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let done = kept.join(name.replace(['/', ':'], "-"));
        if !done.exists() {
            self.make(&path, &name);
            File::create(&done).unwrap_or_else(|error| panic!("{}: {error}", done.display()));
        }
        name
    }

    fn make(&self, program: &Path, name: &str) {
        let work = tempfile::tempdir().expect("a directory");
        let root = work.path().join("root");
        let mut script = Command::new(workspace::root().join("tools/image-root.sh"));
        script.arg(program).arg(&root);
        if program.ends_with("keeper-secrets") {
            script.arg(workspace::exec_program());
        }
        command::run_with(&mut script, b"", LIMIT).ok();
        let file_name = program
            .file_name()
            .expect("a program has a name")
            .to_string_lossy();
        let archive = work.path().join("image.tar");
        let mut build = Command::new(devcluster::program());
        build
            .args([
                "image",
                "build",
                "--name",
                name,
                "--entrypoint",
                &format!("/{file_name}"),
                "-o",
            ])
            .arg(&archive);
        for file in files(&root) {
            let inside = file.strip_prefix(&root).expect("below the root");
            build
                .arg("--file")
                .arg(format!("{}:/{}:0755", file.display(), inside.display()));
        }
        command::run_with(&mut build, b"", LIMIT).ok();
        let mut load = Command::new(devcluster::program());
        load.args(["image", "load", "--name", self.name()]).arg(&archive);
        command::run_with(&mut load, b"", LIMIT).ok();
    }
}

/// A tag that changes with the program.
fn version(program: &Path) -> String {
    let metadata = fs::metadata(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let built = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .unwrap_or_default();
    format!("{:x}-{:x}", built.as_millis(), metadata.len())
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
