//! The measure: Debian's haproxy, one hop, HTTP/2 over TLS on both sides, its connections to the API server shared among
//! all clients, its defaults otherwise. It looks into nothing and writes nothing down.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use mk8s_tls::Issued;

use crate::{
    client::Target,
    contender::{Api, Contender, free_port},
    process::Process,
};

/// The program.
pub(crate) const PROGRAM: &str = "/usr/sbin/haproxy";

/// haproxy before an API server. To be started as often as wanted.
#[derive(Debug)]
pub(crate) struct Haproxy {
    dir: PathBuf,
    port: u16,
    authorities: Vec<u8>,
}

impl Haproxy {
    /// Writes the configuration. `certificate` is for 127.0.0.1, signed by `authorities`.
    pub(crate) fn prepare(
        dir: PathBuf,
        api: &Api,
        certificate: &Issued,
        authorities: &[u8],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir)?;
        let port = free_port()?;
        let pem = format!("{}{}", certificate.chain.pem(), certificate.key.pem().as_str());
        fs::write(dir.join("server.pem"), pem)?;
        fs::write(dir.join("api.pem"), &api.authorities)?;
        fs::write(dir.join("haproxy.cfg"), configuration(&dir, port, api))?;
        Ok(Self {
            dir,
            port,
            authorities: authorities.to_owned(),
        })
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(&self, token: &str) -> anyhow::Result<Contender> {
        let configuration = self.dir.join("haproxy.cfg");
        let arguments = [
            "-db",
            "-f",
            configuration.to_str().context("the path is not UTF-8")?,
        ];
        let process = Process::start(
            "haproxy",
            Path::new(PROGRAM),
            &arguments,
            self.dir.join("haproxy.log"),
        )?;
        let target = Target::new(([127, 0, 0, 1], self.port).into(), &self.authorities)?.with_token(token)?;
        for _ in 0..100 {
            if target.connect().await.is_ok() {
                return Ok(Contender {
                    name: "haproxy",
                    target,
                    processes: vec![process],
                    backlog: None,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("haproxy does not answer; it said: {}", process.said().trim())
    }
}

fn configuration(dir: &Path, port: u16, api: &Api) -> String {
    let (dir, server) = (dir.display(), api.address);
    format!(
        "global\n\
         \x20 nbthread 2\n\
         \x20 maxconn 5000\n\
         defaults\n\
         \x20 mode http\n\
         \x20 timeout connect 5s\n\
         \x20 timeout client 1h\n\
         \x20 timeout server 1h\n\
         \x20 http-reuse always\n\
         frontend clients\n\
         \x20 bind 127.0.0.1:{port} ssl crt {dir}/server.pem alpn h2 ssl-min-ver TLSv1.3\n\
         \x20 default_backend api\n\
         backend api\n\
         \x20 server api {server} ssl verify required ca-file {dir}/api.pem alpn h2 ssl-min-ver TLSv1.3\n"
    )
}
