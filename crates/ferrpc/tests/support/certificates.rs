//! Certificates for tests of TLS.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this")]

use ferrpc::credentials::{Identity, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, SignatureAlgorithm, date_time_ymd,
};

/// Somebody who issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key.
pub struct Issued {
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
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

impl Issued {
    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.pem, &self.key).expect("they belong together")
    }
}
