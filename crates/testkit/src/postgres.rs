//! A PostgreSQL server of our own, from Debian's package: one for all tests of all processes of a run, a database for each.
//!
//! nextest runs each test in a process of its own, and a server takes two seconds to make. So the first test starts one
//! and those after it use the same. Who uses it holds a shared lock on a file, which the kernel gives back however the
//! process ends; a watchdog (a few lines of shell) stops the server and removes its files when nobody has held the lock
//! for [`IDLE_SECONDS`]. All of it is under `mk8s-test-postgres-<uid>` in the temporary directory.
//!
//! As root the server runs as the user `postgres`, since it refuses to run as root.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long the server outlives its last user.
pub const IDLE_SECONDS: u32 = 20;
/// The user that tests connect as.
pub const USER: &str = "mk8s";
/// Its password, asked for over TCP.
pub const PASSWORD: &str = "not-a-secret";

const NOT_INSTALLED: &str = "PostgreSQL is not installed: install postgresql (apt-get install postgresql)";

/// A database of one test's own, dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: Server,
    tools: Tools,
    /// The server stays while this lock is held.
    _in_use: File,
}

/// A server that runs, as written down for those who come after.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Server {
    pid: u32,
    watchdog: u32,
    port: u16,
    /// Data, socket, log and certificates.
    directory: PathBuf,
}

/// Where the programs are, and as whom they run.
#[derive(Clone, Debug)]
struct Tools {
    directory: PathBuf,
    /// Set if we are root: the name, user id and group id of another.
    run_as: Option<(&'static str, u32, u32)>,
}

impl TestDatabase {
    /// A new, empty database. Starts the server if none runs.
    ///
    /// # Errors
    /// If PostgreSQL isn't installed, or doesn't start; the text says what to do, or ends with the server's log.
    pub fn create() -> Result<Self> {
        let tools = Tools::find()?;
        let base = base_directory()?;
        let in_use = lock_file(&base.join("users.lock"))?;
        in_use.lock_shared().context("locking users.lock")?;
        let server = ensure_server(&tools, &base)?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let database = Self {
            name,
            server,
            tools,
            _in_use: in_use,
        };
        database.run("postgres", &format!("CREATE DATABASE {}", database.name))?;
        Ok(database)
    }

    /// The URL, with the password and without parameters.
    pub fn url(&self) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{}",
            self.server.port, self.name
        )
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The certificate of the authority that signed the server's own, for 127.0.0.1 and localhost.
    pub fn ca_file(&self) -> PathBuf {
        self.server.directory.join("ca.crt")
    }

    /// Runs SQL as the superuser, through the server's socket, and answers the rows: columns divided by `|`.
    ///
    /// # Errors
    /// If `psql` says so.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.run(&self.name, sql)
    }

    fn run(&self, database: &str, sql: &str) -> Result<String> {
        let output = Command::new(self.tools.directory.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                USER,
                "-d",
                database,
                "-c",
                sql,
            ])
            .arg("-h")
            .arg(&self.server.directory)
            .args(["-p", &self.server.port.to_string()])
            .stdin(Stdio::null())
            .output()
            .context("running psql")?;
        ensure!(
            output.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // If it fails, the database goes with the server.
        let _ = self.run(
            "postgres",
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
    }
}

/// The server that runs, or a new one. The caller holds `users.lock`, so that it stays.
fn ensure_server(tools: &Tools, base: &Path) -> Result<Server> {
    let starting = lock_file(&base.join("start.lock"))?;
    starting.lock().context("locking start.lock")?;
    let state = base.join("state.json");
    let known = fs::read(&state)
        .ok()
        .and_then(|text| serde_json::from_slice::<Server>(&text).ok());
    if let Some(mut server) = known
        && server.answers()
    {
        if !is_running(server.watchdog, "sh") {
            server.watchdog = spawn_watchdog(base, &server)?;
            fs::write(&state, serde_json::to_vec(&server)?)?;
        }
        return Ok(server);
    }
    remove_remains(base)?;
    let mut server = start(tools, base)?;
    server.watchdog = spawn_watchdog(base, &server)?;
    fs::write(&state, serde_json::to_vec(&server)?).context("writing state.json")?;
    Ok(server)
}

impl Server {
    fn answers(&self) -> bool {
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        is_running(self.pid, "postgres")
            && TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
    }
}

/// Whether that process is there, is what we took it for, and isn't a zombie that nobody waits for (proc(5), `stat`).
fn is_running(pid: u32, name: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (head, tail) = stat.rsplit_once(") ").unwrap_or_default();
    head.split_once('(').is_some_and(|(_, comm)| comm == name) && !tail.starts_with('Z')
}

/// What servers left that hang, or whose starter was killed: nobody can be using them. The caller holds `start.lock`.
fn remove_remains(base: &Path) -> Result<()> {
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"data-"))
        {
            continue;
        }
        let pid = fs::read_to_string(path.join("data/postmaster.pid")).unwrap_or_default();
        let pid = pid.lines().next().and_then(|line| line.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid| is_running(*pid, "postgres")) {
            let _ = Command::new("kill").args(["-QUIT", &pid.to_string()]).status();
        }
        let _ = fs::remove_dir_all(&path);
    }
    Ok(())
}

fn start(tools: &Tools, base: &Path) -> Result<Server> {
    let directory = base.join(format!("data-{}", Uuid::new_v4().simple()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .context("making the server's directory")?;
    tools.give_away(&directory)?;
    let data = directory.join("data");
    write_certificates(tools, &directory)?;
    let password = directory.join("password");
    fs::write(&password, PASSWORD)?;
    tools.give_away(&password)?;
    let made = tools
        .command("initdb", &directory)
        .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--username", USER])
        .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(&data)
        .output()
        .context("running initdb")?;
    ensure!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    let log = directory.join("log");
    // Between finding a free port and using it somebody else may take it.
    for _ in 0..3 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let configuration = directory.join("postgresql.conf");
        fs::write(&configuration, configure(&directory, port))?;
        tools.give_away(&configuration)?;
        let started = tools
            .command("pg_ctl", &directory)
            .args(["start", "--wait", "--timeout=60", "--silent"])
            .arg("--pgdata")
            .arg(&data)
            .arg("--log")
            .arg(&log)
            .arg("--options")
            .arg(format!("-c config_file={}", configuration.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("running pg_ctl")?;
        if started.success() {
            let pid = fs::read_to_string(data.join("postmaster.pid"))?;
            let pid = pid
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .context("postmaster.pid")?;
            return Ok(Server {
                pid,
                watchdog: 0,
                port,
                directory,
            });
        }
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_dir_all(&directory);
    bail!(
        "PostgreSQL doesn't start: {}",
        said.lines().rev().take(5).collect::<Vec<_>>().join(" / ")
    )
}

/// Nothing in it need survive a crash.
fn configure(directory: &Path, port: u16) -> String {
    let data = directory.display();
    format!(
        "listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{data}'
max_connections = 200
shared_buffers = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
ssl = on
ssl_cert_file = '{data}/server.crt'
ssl_key_file = '{data}/server.key'
hba_file = '{data}/data/pg_hba.conf'
ident_file = '{data}/data/pg_ident.conf'
"
    )
}

fn write_certificates(tools: &Tools, directory: &Path) -> Result<()> {
    let now = jiff::Timestamp::now();
    let authority = mk8s_tls::CertificateAuthority::generate("mk8s test PostgreSQL", now)?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = authority.issue_server(&names, Duration::from_secs(7 * 24 * 60 * 60), now)?;
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    issued.save(&certificate, &key)?;
    tools.give_away(&certificate)?;
    tools.give_away(&key)?;
    fs::write(directory.join("ca.crt"), authority.certificate_pem())?;
    Ok(())
}

/// Stops the server when its lock was free for a while. Whoever wants the lock while the server is being stopped waits,
/// and then finds no state and starts another.
const WATCHDOG: &str = r#"
lock=$1 pid=$2 directory=$3 state=$4 patience=$5 idle=0
while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if flock -n -x "$lock" true; then idle=$((idle + 1)); else idle=0; fi
    [ "$idle" -ge "$patience" ] || continue
    (
        flock -n -x 9 || exit 1
        rm -f "$state"
        kill -INT "$pid"
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.3; done
        kill -KILL "$pid" 2>/dev/null
        rm -rf "$directory"
    ) 9>>"$lock" && exit 0
    idle=0
done
rm -rf "$directory"
"#;

fn spawn_watchdog(base: &Path, server: &Server) -> Result<u32> {
    let child = Command::new("sh")
        .args(["-c", WATCHDOG, "mk8s-test-postgres-watchdog"])
        .arg(base.join("users.lock"))
        .arg(server.pid.to_string())
        .arg(&server.directory)
        .arg(base.join("state.json"))
        .arg(IDLE_SECONDS.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C and a killed test are not for the watchdog.
        .process_group(0)
        .spawn()
        .context("starting the watchdog")?;
    Ok(child.id())
}

impl Tools {
    fn find() -> Result<Self> {
        let installed = |directory: &PathBuf| {
            ["initdb", "pg_ctl", "psql"]
                .iter()
                .all(|program| directory.join(program).is_file())
        };
        // Debian's PATH has wrappers that know nothing of our server; the programs proper come first.
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|entries| {
                entries
                    .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
                    .collect()
            })
            .unwrap_or_default();
        versions.sort();
        versions.reverse();
        let path = std::env::var_os("PATH").unwrap_or_default();
        versions.extend(std::env::split_paths(&path));
        let directory = versions.into_iter().find(installed).context(NOT_INSTALLED)?;
        let run_as = if effective_uid()? == 0 {
            Some(postgres_user()?)
        } else {
            None
        };
        Ok(Self { directory, run_as })
    }

    fn command(&self, program: &str, directory: &Path) -> Command {
        let program = self.directory.join(program);
        let mut command = match self.run_as {
            None => Command::new(program),
            Some((name, ..)) => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", name, "--regid", name, "--init-groups", "--"])
                    .arg(program);
                command
            }
        };
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        match self.run_as {
            Some((_, uid, gid)) => {
                chown(path, Some(uid), Some(gid)).with_context(|| format!("chown {}", path.display()))
            }
            None => Ok(()),
        }
    }
}

/// From `/etc/passwd`: the package makes the user.
fn postgres_user() -> Result<(&'static str, u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = fields
        .into_iter()
        .find(|fields| fields.first() == Some(&"postgres"));
    match user.as_deref() {
        Some([_, _, uid, gid, ..]) => Ok(("postgres", uid.parse()?, gid.parse()?)),
        _ => bail!("there is no user postgres, and PostgreSQL doesn't run as root: {NOT_INSTALLED}"),
    }
}

fn effective_uid() -> Result<u32> {
    Ok(fs::metadata("/proc/self").context("/proc/self")?.uid())
}

fn base_directory() -> Result<PathBuf> {
    let base = std::env::temp_dir().join(format!("mk8s-test-postgres-{}", effective_uid()?));
    match fs::DirBuilder::new().mode(0o755).create(&base) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("making {}", base.display()));
        }
        _ => {}
    }
    let found = fs::metadata(&base)?;
    ensure!(
        found.is_dir() && found.uid() == effective_uid()?,
        "{}: belongs to somebody else; remove it",
        base.display()
    );
    // The umask may have taken away what the user postgres needs.
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755))?;
    Ok(base)
}

fn lock_file(path: &Path) -> Result<File> {
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    opened.with_context(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_each_their_own_on_one_server_and_go_when_dropped() {
        let (one, two) = (
            TestDatabase::create().expect("made"),
            TestDatabase::create().expect("made"),
        );
        assert_eq!(one.port(), two.port());
        one.psql("CREATE TABLE only_here (n INT)").expect("made");
        assert!(two.psql("SELECT * FROM only_here").is_err());
        let gone = one.name().to_owned();
        drop(one);
        let left = two.psql("SELECT datname FROM pg_database").expect("asked");
        assert!(left.contains(two.name()) && !left.contains(&gone), "{left}");
    }
}
