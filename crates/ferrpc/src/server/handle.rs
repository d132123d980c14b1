//! A running server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrpc_net::listen::{
    BindError, Door, Entrance, ListenAddress, Listener, Listeners, SocketOptions, listen,
};
use tokio::task::JoinHandle;

use super::accept::accept_all;
use super::dispatch::DispatchCounters;
use super::memory::MemoryCounters;
use super::serve::serve;
use super::shared::Shared;
use crate::credentials::ServerCredentials;
use crate::transport::Io;

/// A server: a handle to it, cloned cheaply. It goes on while the runtime does, until
/// [`shutdown`](Self::shutdown), also when all handles are dropped.
///
/// ```no_run
/// # use ferrpc::server::{Routes, Server};
/// # async fn run(routes: Routes) -> Result<(), ferrpc::server::BindError> {
/// let server = Server::builder().add_service(routes).bind("127.0.0.1:50051").await?;
/// println!("listening on {}", server.addresses()[0]);
/// server.wait().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    listening: Arc<Mutex<Listening>>,
    options: SocketOptions,
}

#[derive(Default)]
struct Listening {
    addresses: Vec<ListenAddress>,
    tasks: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>, options: SocketOptions) -> Self {
        Self { shared, listening: Arc::default(), options }
    }

    /// Listens on one more address: "127.0.0.1:50051", `"[::]:50051"` (IPv4 too), "localhost:0" (all
    /// addresses of the name, on a port of the system's choice), "unix:PATH",
    /// "unix-abstract:NAME". Returns what it is listening on now; several if a name has several
    /// addresses.
    ///
    /// A unix socket's file is replaced if nobody listens on it any more, and removed when the
    /// server ends.
    ///
    /// # Errors
    /// If the address cannot be understood, resolved or listened on; the message says what to do.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn bind(&self, address: &str) -> Result<Vec<ListenAddress>, BindError> {
        self.bind_at(address, self.shared.door.clone()).await
    }

    /// The same, with credentials of this address's own.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn bind_with(
        &self,
        address: &str,
        credentials: ServerCredentials,
    ) -> Result<Vec<ListenAddress>, BindError> {
        self.bind_at(address, Door::Credentials(credentials)).await
    }

    async fn bind_at(&self, address: &str, door: Door) -> Result<Vec<ListenAddress>, BindError> {
        let listeners = listen(address, self.options).await?;
        Ok(self.serve_all(listeners, &door))
    }

    /// Serves what [`ServerBuilder::listen`](super::ServerBuilder::listen) opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve_listeners(&self, listeners: Listeners) -> Vec<ListenAddress> {
        self.serve_all(listeners.listeners, &self.shared.door)
    }

    /// The same, with credentials of their own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve_listeners_with(
        &self,
        listeners: Listeners,
        credentials: ServerCredentials,
    ) -> Vec<ListenAddress> {
        self.serve_all(listeners.listeners, &Door::Credentials(credentials))
    }

    fn serve_all(&self, listeners: Vec<Listener>, door: &Door) -> Vec<ListenAddress> {
        let serve = |listener| self.serve(listener, door.clone()).ok();
        listeners.into_iter().filter_map(serve).collect()
    }

    /// Serves the connections that a listener of yours accepts.
    ///
    /// # Errors
    /// If the listener's address cannot be had.
    pub fn serve_listener(&self, listener: tokio::net::TcpListener) -> io::Result<ListenAddress> {
        let listener = Listener::tcp(listener, self.options.nodelay);
        self.serve(listener, self.shared.door.clone())
    }

    /// Serves the connections that a unix listener of yours accepts. Its file stays when the
    /// server ends.
    ///
    /// # Errors
    /// If the listener's address cannot be had.
    #[cfg(unix)]
    pub fn serve_unix_listener(
        &self,
        listener: tokio::net::UnixListener,
    ) -> io::Result<ListenAddress> {
        self.serve(Listener::unix(listener), self.shared.door.clone())
    }

    /// Serves one connection over a byte stream of yours: one end of
    /// [`in_process`](crate::transport::in_process), or a
    /// [`StreamIo`](crate::transport::StreamIo).
    pub fn serve_io(&self, io: Box<dyn Io>) {
        let shared = Arc::clone(&self.shared);
        if matches!(shared.door, Door::Open) {
            return serve(&shared, io, None, Entrance::Free);
        }
        tokio::spawn(async move {
            let entrance = shared.door.entrance(&shared.handshakes).await;
            serve(&shared, io, None, entrance);
        });
    }

    fn serve(&self, listener: Listener, door: Door) -> io::Result<ListenAddress> {
        let address = listener.address()?;
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if !listening.closed {
            let task = tokio::spawn(accept_all(listener, Arc::clone(&self.shared), door));
            listening.tasks.push(task);
            listening.addresses.push(address.clone());
        }
        Ok(address)
    }

    /// What the server listens on, in the order in which it was bound.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).addresses.clone()
    }

    /// The first TCP address the server listens on.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses().iter().find_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            _ => None,
        })
    }

    /// Connections open now.
    pub fn connection_count(&self) -> usize {
        self.shared.connections.open()
    }

    /// What connections hold because of their peers, and what came of it.
    pub fn memory(&self) -> MemoryCounters {
        self.shared.memory.counters()
    }

    /// How the calls of the method with this path were run so far; `None` if there is no such
    /// method.
    pub fn dispatch_counters(&self, path: &str) -> Option<DispatchCounters> {
        self.shared.router.dispatch_counters(path)
    }

    /// Ends the server gracefully: it stops listening, tells its callers, and waits for the calls
    /// under way; those not done within `grace` are cancelled. `None` waits as long as they take.
    /// Ready when the last connection has ended.
    ///
    /// May be called again, from another handle too, with less grace. Cancel-safe: a shutdown that
    /// was begun goes on, but if this future is dropped nobody enforces the limit on connections
    /// whose peer does not react.
    pub async fn shutdown(&self, grace: Option<Duration>) {
        let tasks = {
            let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
            listening.closed = true;
            std::mem::take(&mut listening.tasks)
        };
        for task in &tasks {
            task.abort();
        }
        // Before anything is waited for: from here on it goes on without this future.
        self.shared.connections.shutdown(grace);
        for task in tasks {
            // Then its socket is closed, and its file removed.
            let _ = task.await;
        }
        let Some(grace) = grace else { return self.ended().await };
        // The connections keep to the limit themselves; this is for those that cannot.
        let limit = grace.saturating_add(PARTING_TIME);
        if tokio::time::timeout(limit, self.ended()).await.is_err() {
            self.shared.connections.abort();
            self.ended().await;
        }
    }

    /// Waits until the server has ended, by [`shutdown`](Self::shutdown). Cancel-safe.
    pub async fn wait(&self) {
        self.shared.connections.ended().await;
    }

    async fn ended(&self) {
        self.shared.connections.ended().await;
        for queue in self.shared.router.external_queues() {
            queue.close();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses())
            .field("connections", &self.connection_count())
            .finish_non_exhaustive()
    }
}

/// Time for connections to part once their calls are over: to write what is left and to see the
/// other side close.
const PARTING_TIME: Duration = Duration::from_secs(7);
