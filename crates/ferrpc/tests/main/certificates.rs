//! Certificates for tests of TLS.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this")]

use ferrpc::credentials::{Identity, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Somebody who issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    key: String,
    pub pem: String,
}

/// A certificate and its key.
pub struct Issued {
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { key: key.serialize_pem(), issuer: Issuer::new(params, key), pem }
    }

    /// Somebody whom this one has certified as an issuer.
    pub fn certify(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Self { key: key.serialize_pem(), issuer: Issuer::new(params, key), pem }
    }

    /// The certificate of the same content in X.509's version 1, which has no extensions. It begins
    /// with `head` and ends with `tail`, which are empty in one that is right.
    pub fn version_1(&self, issued: &Issued, head: &[u8], tail: &[u8]) -> Issued {
        let key = KeyPair::from_pem(&self.key).expect("a key");
        let certificate = CertificateDer::from_pem_slice(issued.pem.as_bytes()).expect("PEM");
        let content = element(&certificate).content;
        let signed = element(content);
        let algorithm = element(signed.rest);
        // Without the version before them and the extensions behind.
        let fields = element(signed.content).rest;
        let fields = &fields[..fields.len() - extensions(fields).len()];
        let plain = tagged(0x30, &[fields]);
        let signature = key.sign(&plain).expect("signed");
        let shown = tagged(0x30, &[head, fields, tail]);
        let signature = tagged(0x03, &[&[0], &signature]);
        let der = tagged(0x30, &[&shown, algorithm.whole, &signature]);
        Issued { pem: pem(&der), key: issued.key.clone() }
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(&self.pem).expect("PEM")
    }

    /// A certificate for these hosts, the first of which is its common name.
    pub fn issue(&self, hosts: &[&str]) -> Issued {
        self.issue_with(hosts, |_| {})
    }

    pub fn issue_with(
        &self,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        self.issue_for(KeyPair::generate().expect("randomness"), hosts, change)
    }

    /// A certificate for a key of that kind.
    pub fn issue_keyed(&self, kind: &'static SignatureAlgorithm, hosts: &[&str]) -> Issued {
        self.issue_for(KeyPair::generate_for(kind).expect("a key"), hosts, |_| {})
    }

    fn issue_for(
        &self,
        key: KeyPair,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let name = hosts.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Issued { pem, key: key.serialize_pem() }
    }

    pub fn expired(&self) -> Issued {
        self.issue_with(&["localhost"], |params| params.not_after = date_time_ymd(2020, 2, 3))
    }

    pub fn not_yet_valid(&self) -> Issued {
        self.issue_with(&["localhost"], |params| params.not_before = date_time_ymd(2200, 2, 3))
    }

    pub fn for_servers_only(&self) -> Issued {
        self.issue_with(&["client"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    /// A client with names of all kinds.
    pub fn named_client(&self) -> Issued {
        self.issue_with(&["a.example", "10.1.2.3"], |params| {
            params.distinguished_name.push(DnType::OrganizationName, "Org, Inc");
            let uri = "spiffe://x/y".try_into().expect("ASCII");
            let mail = "a@b.example".try_into().expect("ASCII");
            params.subject_alt_names.extend([SanType::URI(uri), SanType::Rfc822Name(mail)]);
        })
    }
}

/// A certificate that is its own issuer, with and without being a CA.
pub fn self_signed(ca: bool) -> Issued {
    let key = KeyPair::generate().expect("randomness");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let pem = params.self_signed(&key).expect("signed").pem();
    Issued { pem, key: key.serialize_pem() }
}

/// The first element of some DER, what is in it and what follows.
struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

fn element(der: &[u8]) -> Element<'_> {
    let digits = usize::from(der[1]).saturating_sub(0x80);
    let length = match digits {
        0 => usize::from(der[1]),
        _ => der[2..2 + digits].iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)),
    };
    let (whole, rest) = der.split_at(2 + digits + length);
    Element { whole, content: &whole[2 + digits..], rest }
}

/// The extensions at the end of a certificate's fields.
fn extensions(mut fields: &[u8]) -> &[u8] {
    while fields.first().is_some_and(|tag| *tag != 0xa3) {
        fields = element(fields).rest;
    }
    fields
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).expect("short").to_be_bytes();
    let length = match content.len() {
        0..0x80 => vec![low],
        0x80..0x100 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [vec![tag], length, content].concat()
}

fn pem(der: &[u8]) -> String {
    let lines = base64(der);
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, at| (word << 8) | u32::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at > chunk.len() { '=' } else { digit.into() });
        }
    }
    out
}

impl Issued {
    /// The same with the certificate of its issuer behind its own.
    pub fn behind(&self, issuer: &str) -> Self {
        Self { pem: format!("{}{issuer}", self.pem), key: self.key.clone() }
    }

    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.pem, &self.key).expect("they belong together")
    }
}
