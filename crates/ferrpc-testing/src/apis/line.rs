//! Byte streams that a scripted peer speaks on, with the ways to end one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// A byte stream to a client.
pub(super) trait Line: Read + Write + Send {
    /// Ends its output, behind what was written.
    fn close(&mut self) -> io::Result<()>;
    /// The next drop of it resets the connection.
    fn abort(&mut self) -> io::Result<()>;
    /// How long one read may wait.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Line for TcpStream {
    fn close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn abort(&mut self) -> io::Result<()> {
        SockRef::from(&*self).set_linger(Some(Duration::ZERO))
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Line for UnixStream {
    fn close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Such a socket resets only what was not read.
    fn abort(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Line for StreamOwned<ServerConnection, TcpStream> {
    fn close(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.close()
    }

    fn abort(&mut self) -> io::Result<()> {
        self.sock.abort()
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.sock.set_patience(patience)
    }
}

/// TLS on an accepted socket; the handshake comes with the first read.
pub(super) fn secured(stream: TcpStream) -> io::Result<Box<dyn Line>> {
    let config = Arc::clone(&certificates().config);
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

/// The certificate of all scripted peers of this process, for 127.0.0.1 and localhost.
#[derive(Debug)]
pub struct Certificates {
    /// In PEM: clients trust it as a root.
    pub root: String,
    /// Its key in PEM.
    pub key: String,
    config: Arc<ServerConfig>,
}

/// Made by the first that asks.
///
/// # Panics
/// If a certificate cannot be made.
pub fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(|| {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("legal names");
        let certificate = params.self_signed(&key).expect("a certificate");
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // With all features of the workspace there are two to choose from.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("it has versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], der)
            .expect("they belong together");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Certificates { root: certificate.pem(), key: key.serialize_pem(), config: Arc::new(config) }
    })
}
