//! HTTP/2 frame by frame (RFC 9113), on either side of a connection: what is sent is sent as it is, wrong or not.
//!
//! Header blocks of the other side are not decoded: those who need that take a real client or server.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types, as RFC 9113, 6 numbers them.
#[expect(missing_docs, reason = "the RFC's own words")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Error codes, as RFC 9113, 7 numbers them.
#[expect(missing_docs, reason = "the RFC's own words")]
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
}

/// The flag that ends a stream, on DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// The flag of an answer, on SETTINGS and PING.
pub const ACK: u8 = 1;
/// The flag that ends a header block, on HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type: see [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether the other side ends the stream by it.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of an RST_STREAM or GOAWAY.
    ///
    /// # Panics
    /// If it is neither.
    pub fn error_code(&self) -> u32 {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            other => panic!("a frame of type {other} has no error code"),
        };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// One side of a connection.
#[derive(Debug)]
pub struct Peer<I> {
    io: I,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Peer<I> {
    /// The server's side: reads the client's preface, and announces these settings (identifier, value).
    ///
    /// # Errors
    /// If the client doesn't speak HTTP/2.
    pub async fn server(io: I, settings: &[(u16, u32)]) -> io::Result<Self> {
        let mut peer = Self { io };
        let mut preface = [0; PREFACE.len()];
        peer.io.read_exact(&mut preface).await?;
        if preface != PREFACE {
            return Err(io::Error::other("this isn't HTTP/2"));
        }
        peer.settings(settings).await?;
        Ok(peer)
    }

    /// The client's side: sends the preface and empty settings.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn client(io: I) -> io::Result<Self> {
        let mut peer = Self { io };
        peer.io.write_all(PREFACE).await?;
        peer.settings(&[]).await?;
        Ok(peer)
    }

    /// The next frame. Settings and pings are answered on the way, and not returned.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn read(&mut self) -> io::Result<Frame> {
        loop {
            let frame = self.read_any().await?;
            match frame.kind {
                kind::SETTINGS | kind::PING if frame.flags & ACK == 0 => {
                    let payload = if frame.kind == kind::PING {
                        frame.payload
                    } else {
                        Vec::new()
                    };
                    self.write(frame.kind, ACK, 0, &payload).await?;
                }
                kind::SETTINGS | kind::PING => {}
                _ => return Ok(frame),
            }
        }
    }

    /// The next frame of a type; others are passed over.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn read_kind(&mut self, wanted: u8) -> io::Result<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == wanted {
                return Ok(frame);
            }
        }
    }

    /// Whatever comes next.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn read_any(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the connection is gone.
    ///
    /// # Panics
    /// If the payload is longer than a frame can be.
    pub async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
        assert_eq!(length[0], 0, "a frame holds less than 16 MiB");
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.io.write_all(&frame).await?;
        self.io.flush().await
    }

    /// Sends a header block without compression, in as many frames as it needs.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn headers(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        ends_stream: bool,
    ) -> io::Result<()> {
        let mut block = Vec::new();
        for (name, value) in fields {
            // Literal, never indexed, no Huffman code (RFC 7541, 6.2.2).
            block.push(0);
            for text in [name, value] {
                length(&mut block, text.len());
                block.extend(text.as_bytes());
            }
        }
        let mut chunks = block.chunks(16 * 1024).peekable();
        let mut kind = kind::HEADERS;
        let mut flags = if ends_stream { END_STREAM } else { 0 };
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() {
                flags |= END_HEADERS;
            }
            self.write(kind, flags, stream, chunk).await?;
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        Ok(())
    }

    /// Answers 200 without more ado, and ends the stream if so wished.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn ok(&mut self, stream: u32, ends_stream: bool) -> io::Result<()> {
        self.headers(stream, &[(":status", "200")], ends_stream).await
    }

    /// Sends a piece of a body.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn data(&mut self, stream: u32, bytes: &[u8], ends_stream: bool) -> io::Result<()> {
        self.write(kind::DATA, u8::from(ends_stream), stream, bytes).await
    }

    /// Breaks a stream off.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.write(kind::RST_STREAM, 0, stream, &code.to_be_bytes()).await
    }

    /// Says that the connection is going away, and which stream was the last that will be looked at.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn go_away(&mut self, last_stream: u32, code: u32) -> io::Result<()> {
        let mut payload = last_stream.to_be_bytes().to_vec();
        payload.extend(code.to_be_bytes());
        self.write(kind::GOAWAY, 0, 0, &payload).await
    }

    /// Announces settings (identifier, value).
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn settings(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let mut payload = Vec::new();
        for (identifier, value) in settings {
            payload.extend(identifier.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.write(kind::SETTINGS, 0, 0, &payload).await
    }

    /// The connection itself.
    pub fn into_inner(self) -> I {
        self.io
    }
}

/// An integer with a prefix of 7 bits (RFC 7541, 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).expect("below 127"));
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("below 128") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("below 128"));
}
