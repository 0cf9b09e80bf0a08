//! A listener, then a model, then the end.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::timeout,
};

use super::{Limits, Trust, connection, routes};
use crate::api::{ApiError, Served};

/// Threads that read requests and write answers, and threads that encode prompts.
const THREADS: usize = 2;
const ENCODING_THREADS: usize = 4;

/// How long the last answers may take to go out once the engine has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why nobody listens. Each message is one line.
#[derive(Debug, Error)]
pub enum ListenError {
    #[error("cannot listen at {address}: {source}{advice}")]
    Address { address: String, source: io::Error, advice: &'static str },
    #[error("the threads of the server cannot be started: {0}")]
    Threads(io::Error),
}

/// What all requests see.
pub struct App {
    /// `None` while the model is being loaded.
    served: OnceLock<Arc<Served>>,
    pub trust: Trust,
    pub limits: Limits,
}

impl App {
    /// # Errors
    /// The model is being loaded.
    pub fn served(&self) -> Result<&Arc<Served>, ApiError> {
        self.served.get().ok_or_else(|| ApiError::unavailable("the model is being loaded: try again soon", 2))
    }
}

/// An HTTP server. It listens from the start, and answers that the model is being loaded until it has one.
pub struct Server {
    app: Arc<App>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    address: SocketAddr,
    /// The system asked the process to end.
    terminated: Arc<AtomicBool>,
}

impl Server {
    /// Listens at an address; port 0 takes any that is free.
    ///
    /// # Errors
    /// There is no such address here, or somebody has the port.
    pub fn listen(host: &str, port: u16, trust: Trust, limits: Limits) -> Result<Self, ListenError> {
        let failed = |source: io::Error| ListenError::Address {
            address: shown(host, port),
            advice: match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another program has this port: --port takes another, and 0 any that is free"
                }
                io::ErrorKind::PermissionDenied => "; ports below 1024 are the administrator's: --port takes another",
                _ => "",
            },
            source,
        };
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(failed)?.collect();
        let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).max_blocking_threads(ENCODING_THREADS).thread_name("glass-http").enable_all();
        let runtime = builder.build().map_err(ListenError::Threads)?;
        let app = Arc::new(App { served: OnceLock::new(), trust, limits });
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(app.clone());
        let entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        drop(entered);
        runtime.spawn(connection::accept(listener, router, limits, stopped));
        let terminated = Arc::new(AtomicBool::new(false));
        runtime.spawn(note_termination(terminated.clone()));
        Ok(Self { app, runtime, stop, address, terminated })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with this model from now on; a second one is not taken.
    pub fn serve(&self, served: Served) {
        let _ = self.app.served.set(Arc::new(served));
    }

    /// Whether the system asked the process to end (SIGTERM).
    pub fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }

    /// Takes no more requests; those that run and wait may end within `grace`, and get an error then. Returns when all is
    /// over.
    pub fn stop(self, grace: Duration) {
        if let Some(served) = self.app.served.get() {
            served.leave();
            served.service.shutdown(grace);
        }
        // Streams that ended are on their way out.
        let _ = self.stop.send(true);
        self.runtime.block_on(async {
            let _ = timeout(LAST_WORDS, self.stop.closed()).await;
        });
        self.runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

/// Notes the system's wish that the process ends.
#[cfg(unix)]
async fn note_termination(terminated: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut signals) = signal(SignalKind::terminate()) {
        signals.recv().await;
        terminated.store(true, Ordering::Relaxed);
    }
}

/// There is no such wish.
#[cfg(not(unix))]
async fn note_termination(_: Arc<AtomicBool>) {}

/// An address as in a URL.
fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
