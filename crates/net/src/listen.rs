//! Accepting TCP connections and dealing them out among the workers.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::{drain::Watch, workers::Workers};

/// A port that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {source}{}", hint(.source))]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

impl ListenError {
    /// Whether the machine has no addresses of that kind at all: IPv6 may be off.
    pub fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrNotAvailable
            || self.source.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this port: stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// Binds a listener. The port is taken exclusively: a second program on it is an error, not a share.
///
/// # Errors
/// [`ListenError`], with what to do about it.
pub fn bind(address: SocketAddr) -> Result<StdListener, ListenError> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // So that a restart does not wait for the old connections' TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(StdListener::from(socket))
    };
    bound().map_err(|source| ListenError { address, source })
}

/// Accepts until drained; each connection is given to `serve` on the next worker in turn.
///
/// # Errors
/// If the listener can't be registered with the runtime.
pub async fn accept<F, Fut>(
    listener: StdListener,
    workers: Arc<Workers>,
    mut drain: Watch,
    serve: F,
) -> io::Result<()>
where
    F: Fn(TcpStream, SocketAddr) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.draining() => return Ok(()),
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly. Accepting at once again would spin.
                warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // The socket is registered with this runtime's event queue; the worker has its own.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "can't hand a connection over");
                continue;
            }
        };
        let serve = serve.clone();
        workers.next().spawn(async move {
            match TcpStream::from_std(stream).and_then(|stream| tune(&stream).map(|()| stream)) {
                Ok(stream) => serve(stream, peer).await,
                Err(error) => warn!(%error, "can't take a connection over"),
            }
        });
    }
}

/// What we want of every TCP connection, ours and theirs: no Nagle delay, and probes that notice a peer that is gone
/// and keep a load balancer from forgetting an idle watch.
///
/// # Errors
/// If the system refuses an option.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
