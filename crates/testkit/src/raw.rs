//! HTTP/1.1 byte by byte over TLS: what is sent is sent as it is, wrong or not.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use mk8s_tls::{ClientConfig, ClientTlsStream, Roots, ServerName, TlsConnector};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::timeout,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Where, and whom to believe to be there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address to dial.
    pub address: SocketAddr,
    /// The name that the certificate must be for.
    pub name: String,
    /// The authorities to believe, PEM.
    pub ca_pem: Vec<u8>,
}

/// What is at a path of this machine, in the clear.
///
/// # Errors
/// If nobody answers, or with something else than 200.
pub fn plain_get(port: u16, path: &str) -> io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer)),
    }
}

/// A connection, TLS done.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    stream: ClientTlsStream<TcpStream>,
    /// Read, but not part of an answer yet.
    pending: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers: names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Endpoint {
    /// Connects.
    ///
    /// # Errors
    /// If nobody is there, or isn't believed.
    ///
    /// # Panics
    /// If the authorities can't be read.
    pub fn connect(&self) -> io::Result<Connection> {
        self.connect_with_alpn(&[b"http/1.1"])
    }

    /// Connects, offering these protocols.
    ///
    /// # Errors
    /// If nobody is there, or isn't believed.
    ///
    /// # Panics
    /// If the authorities can't be read.
    pub fn connect_with_alpn(&self, alpn: &[&[u8]]) -> io::Result<Connection> {
        let roots = Roots::Pem(self.ca_pem.clone());
        let config = mk8s_tls::client::config(&roots, None, alpn).expect("certificate authorities in PEM");
        self.connect_with(config)
    }

    /// Connects with a configuration of the caller's own, such as one that shows a certificate.
    ///
    /// # Errors
    /// If nobody is there, or isn't believed.
    pub fn connect_with(&self, config: Arc<ClientConfig>) -> io::Result<Connection> {
        let name = ServerName::try_from(self.name.clone()).map_err(io::Error::other)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stream = runtime.block_on(async {
            timeout(LIMIT, async {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                TlsConnector::from(config).connect(name, stream).await
            })
            .await?
        })?;
        Ok(Connection {
            runtime,
            stream,
            pending: Vec::new(),
        })
    }

    /// One request on a connection of its own. `headers` are in addition to `Host` and `Content-Length`.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut connection = self.connect()?;
        connection.send(head.as_bytes())?;
        // Whoever refuses by the head alone may answer before the body is through.
        let sent = connection.send(body);
        let response = if method == "HEAD" {
            connection.head()
        } else {
            connection.response()
        };
        response.or_else(|error| sent.and(Err(error)))
    }
}

impl Connection {
    /// Sends these bytes.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.runtime.block_on(async {
            timeout(LIMIT, async {
                self.stream.write_all(bytes).await?;
                self.stream.flush().await
            })
            .await?
        })
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.stream.shutdown())
    }

    /// Reads one answer to its end.
    ///
    /// # Errors
    /// If the connection ends before it, or it isn't HTTP.
    pub fn response(&mut self) -> io::Result<Response> {
        let mut response = self.head()?;
        let header = |name: &str| response.header(name).map(str::to_owned);
        let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
        response.body = match (response.status, chunked, length) {
            (100..200 | 204 | 304, ..) => Vec::new(),
            (_, true, _) => self.chunks()?,
            (_, false, Some(length)) => self.take(length)?,
            (_, false, None) => self.rest()?,
        };
        Ok(response)
    }

    /// Reads an answer's head and leaves the body.
    ///
    /// # Errors
    /// If the connection ends before it, or it isn't HTTP.
    pub fn head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more()?;
        };
        let head: Vec<u8> = self.pending.drain(..end).collect();
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("this isn't HTTP/1.1: {head:?}")))?;
        let header = |line: &str| {
            line.split_once(':')
                .map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()))
        };
        Ok(Response {
            status,
            headers: lines.filter_map(header).collect(),
            body: Vec::new(),
        })
    }

    /// Reads what there is until the other side ends the connection.
    ///
    /// # Errors
    /// If it doesn't end in time. A connection that is cut counts as ended.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => return Ok(std::mem::take(&mut self.pending)),
            }
        }
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    /// If the connection ends before.
    pub fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < length {
            self.read_more()?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    /// Reads a chunk of a chunked body; an empty one is the last.
    ///
    /// # Errors
    /// If the connection ends before, or it isn't a chunk.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let line: Vec<u8> = self.pending.drain(..end + 2).collect();
        let line = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| io::Error::other(format!("this isn't a chunk: {line:?}")))?;
        let mut data = self.take(size + 2)?;
        data.truncate(size);
        Ok(data)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = self
            .runtime
            .block_on(async { timeout(LIMIT, self.stream.read(&mut buffer)).await })??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pending.extend(&buffer[..read]);
        Ok(())
    }
}

impl Response {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it isn't.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!(
                "this should have been JSON ({error}): {} {:?}",
                self.status,
                self.text()
            ),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
