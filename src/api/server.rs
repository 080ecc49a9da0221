//! The server: one port, its connections, its end. I/O.
//!
//! It owns its runtime: nothing else of Sekisho is asynchronous. HTTP/1.1 alone is spoken, since TLS and with it HTTP/2 is a
//! reverse proxy's, and what is not spoken cannot be abused. Deliberately without opinion on what is served.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

use super::access::Gatekeeper;
use super::connection::Watched;
use super::limits::{
    CONNECTION_BYTES_MAX, CONNECTIONS_MAX, HEADER_BYTES_READ_MAX, HEADERS_READ_MAX, Patience, REQUESTS_MAX, STREAMS_MAX,
};
use super::routes::{Peer, router};
use super::services::Services;
use super::state::Api;

/// Threads that serve requests: they wait more than they work, and detection needs the cores.
const THREADS: usize = 2;
/// Threads for what blocks: each request and each stream may need one.
const BLOCKING_THREADS: usize = REQUESTS_MAX + STREAMS_MAX;
/// After the system refused a connection: descriptors have run out, and come back as others end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection too many is told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A running server.
pub struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    runtime: Option<Runtime>,
    serving: JoinHandle<()>,
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum ServerError {
    #[error("{0} is in use by another program: stop it, or set http.listen to another port")]
    InUse(SocketAddr),
    #[error(
        "{listen} cannot be listened on: {why}; set http.listen to an address of this machine and a port it may use"
    )]
    Listen { listen: SocketAddr, why: io::Error },
    #[error("{0}")]
    Access(String),
    #[error("failed to start the threads of the API: {0}")]
    Threads(io::Error),
}

impl Server {
    /// Listens and serves until it is stopped.
    ///
    /// # Errors
    /// Where the address is taken or no address of this machine, where others can reach it and there are no keys, or where
    /// the keys cannot be read.
    pub fn start(listen: SocketAddr, services: Services, patience: Patience) -> Result<Server, ServerError> {
        let gatekeeper = Gatekeeper::new(listen, &services.data).map_err(ServerError::Access)?;
        let listener = bind(listen)?;
        let address = listener.local_addr().map_err(|why| ServerError::Listen { listen, why })?;
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(THREADS).max_blocking_threads(BLOCKING_THREADS).thread_name("api");
        let runtime = builder.enable_all().build().map_err(ServerError::Threads)?;
        let (stopping, stop) = watch::channel(false);
        let data = services.data.clone();
        let api = Arc::new(Api::new(services, gatekeeper, (patience, stop)));
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(ServerError::Threads)?
        };
        runtime.spawn(watch_keys(Arc::clone(&api), data));
        let serving = runtime.spawn(accept(listener, api));
        Ok(Server { address, stopping, runtime: Some(runtime), serving })
    }

    /// Where it listens: with the port that the system chose, where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests end within `patience` and tells streams goodbye. Whether all ended in time.
    pub fn stop(mut self, patience: Duration) -> bool {
        self.stopping.send_replace(true);
        let Some(runtime) = self.runtime.take() else { return true };
        let ended = runtime.block_on(async { tokio::time::timeout(patience, &mut self.serving).await.is_ok() });
        runtime.shutdown_background();
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(listen: SocketAddr) -> Result<TcpListener, ServerError> {
    let bound = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|why| {
        let taken = why.kind() == io::ErrorKind::AddrInUse;
        if taken { ServerError::InUse(listen) } else { ServerError::Listen { listen, why } }
    })
}

/// Looks after the file of keys until the server stops.
async fn watch_keys(api: Arc<Api>, data: PathBuf) {
    let mut stopping = api.stopping.clone();
    while !*stopping.borrow() {
        let (watched, folder) = (Arc::clone(&api), data.clone());
        let read = tokio::task::spawn_blocking(move || watched.gatekeeper.reload(&folder).is_ok()).await;
        api.counters.keys_unread.add(u64::from(!matches!(read, Ok(true))));
        // Ends early where the server stops.
        let _ = tokio::time::timeout(api.patience.keys, stopping.changed()).await;
    }
}

async fn accept(listener: tokio::net::TcpListener, api: Arc<Api>) {
    let router = router(&api);
    let mut stopping = api.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopping.changed() => break,
        };
        match accepted {
            Ok((socket, _)) if connections.len() >= CONNECTIONS_MAX => {
                api.counters.refused.add(1);
                // Only what fits at once: nobody waits for it.
                let _ = socket.try_write(TOO_MANY);
            }
            Ok((socket, peer)) => {
                api.counters.connections.add(1);
                connections.spawn(converse(socket, peer, (router.clone(), Arc::clone(&api))));
            }
            Err(_) => {
                api.counters.unaccepted.add(1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection until its end.
async fn converse(socket: TcpStream, peer: SocketAddr, (router, api): (Router, Arc<Api>)) {
    // Small answers leave at once.
    let _ = socket.set_nodelay(true);
    let watched = Watched::new(socket, api.patience.write, api.counters.stalled.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(api.patience.headers);
    // Copied into one bounded buffer, so that what waits for a slow client is that buffer and not whole answers.
    http.writev(false);
    http.max_headers(HEADERS_READ_MAX).max_header_size(HEADER_BYTES_READ_MAX).max_buf_size(CONNECTION_BYTES_MAX);
    let mut connection = std::pin::pin!(http.serve_connection(watched, service));
    let mut stopping = api.stopping.clone();
    let stopped = tokio::select! {
        // Whatever ended it is the client's to know.
        _ = connection.as_mut() => false,
        _ = stopping.wait_for(|stopping| *stopping) => true,
    };
    if stopped {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
