//! What a handshake found out, by the names that gRPC's auth contexts have.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, Connection, HandshakeKind, ProtocolVersion, ServerConnection};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::base64;
use crate::streams::AuthContext;

/// What a server knows about its caller.
pub(super) fn of_client(tls: &ServerConnection) -> AuthContext {
    let mut properties = of_connection(tls);
    if let Some(name) = tls.server_name() {
        properties.push(text("ssl_requested_server_name", name));
    }
    context(properties)
}

/// What a client knows about its server.
pub(super) fn of_server(tls: &Connection) -> AuthContext {
    context(of_connection(tls))
}

fn context(properties: Vec<(String, Vec<u8>)>) -> AuthContext {
    AuthContext { transport_security_type: "ssl", properties: properties.into(), extra: None }
}

fn of_connection(tls: &CommonState) -> Vec<(String, Vec<u8>)> {
    let mut properties = vec![
        text("transport_security_type", "ssl"),
        text("security_level", "TSI_PRIVACY_AND_INTEGRITY"),
    ];
    let reused = tls.handshake_kind() == Some(HandshakeKind::Resumed);
    properties.push(text("ssl_session_reused", if reused { "true" } else { "false" }));
    match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => properties.push(text("ssl_tls_version", "TLSv1.3")),
        Some(ProtocolVersion::TLSv1_2) => properties.push(text("ssl_tls_version", "TLSv1.2")),
        _ => {}
    }
    if let Some(group) = tls.negotiated_key_exchange_group() {
        properties.push(text("ssl_negotiated_key_exchange_group", &group_name(group.name())));
    }
    if let Some(certificate) = tls.peer_certificates().and_then(<[_]>::first) {
        of_certificate(certificate, &mut properties);
    }
    properties
}

/// As the other gRPC implementations call it.
fn group_name(group: rustls::NamedGroup) -> String {
    use rustls::NamedGroup;
    match group {
        NamedGroup::secp256r1 => "P-256".to_owned(),
        NamedGroup::secp384r1 => "P-384".to_owned(),
        NamedGroup::secp521r1 => "P-521".to_owned(),
        other => format!("{other:?}"),
    }
}

fn of_certificate(certificate: &CertificateDer<'_>, properties: &mut Vec<(String, Vec<u8>)>) {
    properties.push(("x509_pem_cert".to_owned(), pem(certificate).into_bytes()));
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return };
    properties.push(text("x509_subject", &distinguished_name(parsed.subject())));
    for name in parsed.subject().iter_common_name() {
        properties.push(("x509_common_name".to_owned(), name.attr_value().data.to_vec()));
    }
    let names = alternative_names(&parsed);
    for (_, name) in &names {
        properties.push(text("x509_subject_alternative_name", name));
    }
    for (kind, name) in &names {
        properties.push(text(kind, name));
    }
    let mut identities = names.iter().filter(|(kind, _)| *kind == "peer_uri");
    // A SPIFFE identity counts only where it is the one URI there is.
    if let (Some((_, only)), None) = (identities.next(), identities.next())
        && only.starts_with("spiffe://")
    {
        properties.push(text("peer_spiffe_id", only));
    }
}

fn text(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

/// The kinds of names that identify a peer, by their property's name.
fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<(&'static str, String)> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(("peer_dns", (*name).to_owned())),
            GeneralName::URI(name) => Some(("peer_uri", (*name).to_owned())),
            GeneralName::RFC822Name(name) => Some(("peer_email", (*name).to_owned())),
            GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ("peer_ip", ip)),
            _ => None,
        })
        .collect()
}

fn ip(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).to_string()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        _ => None,
    }
}

/// RFC 2253: the last part first, special characters escaped, other than ASCII in hexadecimal.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let oid = attribute.attr_type();
                let kind = KINDS.iter().find(|(id, _)| oid.to_id_string() == *id);
                let kind =
                    kind.map_or_else(|| oid.to_id_string(), |(_, short)| (*short).to_owned());
                format!("{kind}={}", escaped(attribute.attr_value().data))
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in value.iter().copied().enumerate() {
        let edge = at == 0 || at + 1 == value.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if edge => out.push_str("\\ "),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = base64::encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(PEM_LINE));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

/// The common name of a certificate that has no alternative names, if there is just one.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return None;
    }
    let mut names = parsed.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(only), None) => only.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// Whether one of those who may have issued a certificate may not issue for any name: an intermediate,
/// or a root with the name of somebody's issuer.
pub(super) fn is_constrained(
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
) -> bool {
    let read = |der: &CertificateDer<'_>| {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let constrained = !matches!(parsed.name_constraints(), Ok(None));
        let [issuer, subject] =
            [parsed.issuer(), parsed.subject()].map(|name| name.as_raw().to_vec());
        Some((constrained, issuer, subject))
    };
    let chain = std::iter::once(certificate).chain(intermediates).filter_map(read);
    let (constrained, issuers): (Vec<_>, Vec<_>) =
        chain.map(|(constrained, issuer, _)| (constrained, issuer)).unzip();
    let mut roots = roots.iter().filter_map(read);
    constrained.contains(&true)
        || roots.any(|(constrained, _, subject)| constrained && issuers.contains(&subject))
}

/// From when to when a certificate is valid, in seconds since 1970.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// A certificate in an error's text.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: String,
    pub(super) not_after: String,
}

impl Summary {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = alternative_names(&parsed).into_iter();
        let shown = |name: String| if name.is_empty() { "(no name)".to_owned() } else { name };
        Some(Self {
            subject: shown(distinguished_name(parsed.subject())),
            issuer: shown(distinguished_name(parsed.issuer())),
            names: names
                .filter(|(kind, _)| matches!(*kind, "peer_dns" | "peer_ip"))
                .map(|(_, name)| name)
                .take(NAMES_SHOWN)
                .collect(),
            not_before: parsed.validity().not_before.to_string(),
            not_after: parsed.validity().not_after.to_string(),
        })
    }
}

/// The short names of RFC 2253 and those that are usual beside them.
const KINDS: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Characters of base64 on a line of PEM.
const PEM_LINE: usize = 64;

/// Names of a certificate in an error's text: some have hundreds.
const NAMES_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let check = |value: &str, expect: &str| assert_eq!(escaped(value.as_bytes()), expect);
        check("Org, \"x\"", "Org\\, \\\"x\\\"");
        check("a+b", "a\\+b");
        check("clïent", "cl\\C3\\AFent");
        check("#a ", "\\#a\\ ");
    }
}
