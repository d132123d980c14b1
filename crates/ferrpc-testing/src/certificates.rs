//! Certificates for tests with real peers: made anew each time, worth nothing elsewhere.

use std::fs;
use std::io;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Writes into a folder: `ca.pem`, the root of all; `server.pem` and `server.key`, for localhost and
/// its addresses; `client.pem` and `client.key`.
///
/// # Errors
/// If a certificate cannot be made or a file not be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut root = params(&[], "ferrpc test root")?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = root.self_signed(&key).map_err(io::Error::other)?;
    fs::write(folder.join("ca.pem"), certificate.pem())?;
    let issuer = Issuer::new(root, key);
    for (name, hosts) in
        [("server", &["localhost", "127.0.0.1", "::1"][..]), ("client", &["client"])]
    {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate =
            params(hosts, name)?.signed_by(&key, &issuer).map_err(io::Error::other)?;
        fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

fn params(hosts: &[&str], name: &str) -> io::Result<CertificateParams> {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
