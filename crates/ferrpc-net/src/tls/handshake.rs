//! Handshakes of both sides.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::server::{Accepted, Acceptor};
use rustls::{ClientConnection, Connection};
use tokio::io::ReadBuf;

use super::explain::{Hello, Side};
use super::io::{Scratch, TlsIo};
use super::turns::{Steps, compute, wait_apart};
use super::{ALPN_HTTP2, facts};
use super::{ClientTls, ServerTls};
use crate::streams::{Io, Refusal, Stage};

/// A client's handshake; `name` is who the server must prove to be.
pub(crate) async fn connect(
    io: Box<dyn Io>,
    config: &ClientTls,
    name: ServerName<'static>,
) -> Result<TlsIo, Refusal> {
    let hello = Hello::new(Side::Client, Some(&name));
    let tls = ClientConnection::new(config.rustls(), name);
    let tls = tls.map_err(|error| hello.explain(&error))?;
    let tls = TlsIo::new(io, Connection::Client(tls), hello, Vec::new());
    let mut tls = complete(tls, config.signs_elsewhere().then(|| Steps::new(false))).await?;
    if tls.tls().alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(tls.hello.no_alpn());
    }
    tls.auth_context = Some(facts::of_server(tls.tls()));
    Ok(tls)
}

/// A server's handshake. `note` is told when the caller's first message is complete, before anything
/// is spent on it, and when it was answered; `config` is asked between the two.
pub(crate) async fn accept<F>(
    mut io: Box<dyn Io>,
    note: impl Fn(Stage) + Send,
    config: impl FnOnce() -> F + Send,
) -> Result<TlsIo, Refusal>
where
    F: Future<Output = ServerTls> + Send,
{
    let mut hello = Hello::new(Side::Server, None);
    let mut acceptor = Acceptor::default();
    let (accepted, rest) = read_hello(&mut *io, &mut acceptor, &mut hello).await?;
    note(Stage::Hello);
    let asked = accepted.client_hello();
    if asked.alpn().is_none() {
        // A server must not go on, and rustls would.
        send(&mut *io, NO_APPLICATION_PROTOCOL).await;
        return Err(hello.no_alpn());
    }
    if let Some(name) = asked.server_name() {
        hello.asked_for(name);
    }
    let config = config().await;
    let (steps, elsewhere) = (Arc::clone(config.steps()), config.signs_elsewhere());
    let (config, explain) = (config.rustls(), hello.clone());
    let step = move || {
        let connection = accepted.into_connection(config);
        // On this thread: it knows more than the error says.
        connection.map_err(|(error, alert)| Box::new((explain.explain(&error), alert)))
    };
    let computed = match elsewhere {
        true => wait_apart(&steps, step).await,
        false => compute(&steps, step).await,
    };
    let tls = match computed {
        None => return Err(hello.broken(&io::ErrorKind::Interrupted.into())),
        Some(Ok(tls)) => tls,
        Some(Err(failed)) => {
            let (refusal, mut alert) = *failed;
            let mut bytes = Vec::new();
            if alert.write_all(&mut bytes).is_ok() {
                send(&mut *io, &bytes).await;
            }
            return Err(refusal);
        }
    };
    note(Stage::Answered);
    let tls = TlsIo::new(io, Connection::Server(tls), hello, rest);
    let mut tls = complete(tls, elsewhere.then_some(steps)).await?;
    if tls.tls().alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(tls.hello.no_alpn());
    }
    if let Connection::Server(server) = tls.tls() {
        tls.auth_context = Some(facts::of_client(server));
    }
    Ok(tls)
}

/// Reads until the caller's hello is complete; also what came behind it.
async fn read_hello(
    io: &mut dyn Io,
    acceptor: &mut Acceptor,
    hello: &mut Hello,
) -> Result<(Accepted, Vec<u8>), Refusal> {
    loop {
        let bytes = match poll_fn(|cx| poll_some(io, cx)).await {
            Ok(bytes) if bytes.is_empty() => {
                return Err(hello.broken(&io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(bytes) => bytes,
            Err(error) => return Err(hello.broken(&error)),
        };
        hello.saw(&bytes);
        let mut left = &bytes[..];
        while !left.is_empty() {
            acceptor.read_tls(&mut left).map_err(|error| hello.broken(&error))?;
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok((accepted, left.to_vec())),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    if alert.write_all(&mut bytes).is_ok() {
                        send(io, &bytes).await;
                    }
                    return Err(hello.explain(&error));
                }
            }
        }
    }
}

fn poll_some(io: &mut dyn Io, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
    let mut scratch = Scratch::take();
    let mut bytes = ReadBuf::new(&mut scratch.bytes);
    let read = io.poll_read(cx, &mut bytes);
    let bytes = bytes.filled().to_vec();
    scratch.put_back();
    ready!(read)?;
    Poll::Ready(Ok(bytes))
}

/// Writes last words, as far as the socket takes them at once: nobody waits for a stranger.
async fn send(io: &mut dyn Io, bytes: &[u8]) {
    poll_fn(|cx| {
        let _ = io.poll_write_vectored(cx, &[IoSlice::new(bytes)]);
        let _ = io.poll_flush(cx);
        let _ = io.poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
}

/// Goes on to the end; where signatures are made `elsewhere`, on threads that may wait for them.
async fn complete(mut tls: TlsIo, elsewhere: Option<Arc<Steps>>) -> Result<TlsIo, Refusal> {
    let Some(steps) = elsewhere else {
        poll_fn(|cx| tls.poll_handshake(cx)).await?;
        return Ok(tls);
    };
    while tls.tls().is_handshaking() {
        poll_fn(|cx| tls.poll_exchange(cx)).await?;
        let step = move || {
            let advanced = tls.advance();
            (tls, advanced)
        };
        let Some((advanced, result)) = wait_apart(&steps, step).await else {
            return Err(Refusal::quiet("the runtime shuts down", "wait for handshakes first"));
        };
        tls = advanced;
        if let Err(refusal) = result {
            poll_fn(|cx| tls.poll_alert(cx)).await;
            return Err(refusal);
        }
    }
    Ok(tls)
}

/// The alert `no_application_protocol` as a record of its own.
const NO_APPLICATION_PROTOCOL: &[u8] = &[21, 3, 3, 0, 2, 2, 120];
