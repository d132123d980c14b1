//! Certificates of X.509 version 1, which have no extensions: `openssl x509 -req` makes them.
//!
//! rustls reads version 3 alone. An end entity of version 1 is shown to it as the certificate of
//! version 3 with the same fields and one extension, a mark that means nothing. Chains are built and
//! checked as ever; only the signature on a marked certificate is one of the version 1, and so that
//! is what it is compared with.
//!
//! Nobody is trusted by this who was not before:
//! - What is verified is a signature by the issuer's key on these very fields.
//! - Intermediates are not rewritten, and rustls refuses those of version 1. One that a peer has marked
//!   itself has no basic constraints, without which nobody issues certificates.
//! - A certificate that was signed with the mark in it does not verify without it.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use x509_parser::asn1_rs::{Any, FromDer, Tag};

/// The certificate as rustls can read it: marked if it is of version 1, else as it is.
pub(crate) fn readable<'a>(certificate: &'a CertificateDer<'_>) -> CertificateDer<'a> {
    match marked(certificate) {
        Some(marked) => marked.into(),
        None => CertificateDer::from(&**certificate),
    }
}

/// These algorithms, which compare signatures on marked certificates with what was signed.
pub(super) fn comparing(algorithms: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let all = algorithms.all.iter().map(|algorithm| {
        let comparing: &'static Comparing = Box::leak(Box::new(Comparing(*algorithm)));
        comparing as &'static dyn SignatureVerificationAlgorithm
    });
    WebPkiSupportedAlgorithms { all: Vec::leak(all.collect()), ..algorithms }
}

/// The bytes of a certificate of version 1, with a version and a mark.
fn marked(certificate: &[u8]) -> Option<Vec<u8>> {
    let (signature, fields) = parts(only(certificate)?)?;
    if !is_version_1(fields) {
        return None;
    }
    Some(sequence(&[&sequence(&[VERSION_3, fields, MARK]), signature]))
}

/// What was signed of a certificate that is marked.
fn unmarked(signed: &[u8]) -> Option<Vec<u8>> {
    let fields = only(signed)?.strip_prefix(VERSION_3)?.strip_suffix(MARK)?;
    is_version_1(fields).then(|| sequence(&[fields]))
}

/// They begin with the serial number, an INTEGER; in later versions with their own number.
fn is_version_1(fields: &[u8]) -> bool {
    fields.first() == Some(&INTEGER)
}

/// The content of a SEQUENCE that is all there is.
fn only(der: &[u8]) -> Option<&[u8]> {
    let (rest, content) = parts(der)?;
    rest.is_empty().then_some(content)
}

/// What follows a SEQUENCE, and its content.
fn parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    (any.tag() == Tag::Sequence).then_some((rest, any.data))
}

/// A SEQUENCE of these parts.
fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let digits = length.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
    let mut out = vec![SEQUENCE];
    if length >= LONG_LENGTH {
        out.push(LONG_LENGTH as u8 | digits.len() as u8);
        out.extend_from_slice(digits);
    } else {
        out.push(length as u8);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An algorithm that compares signatures on marked certificates with what was signed.
#[derive(Debug)]
struct Comparing(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Comparing {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        match unmarked(message) {
            Some(signed) => self.0.verify_signature(public_key, &signed, signature),
            None => self.0.verify_signature(public_key, message, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// From here on a length says how many bytes it takes (X.690, section 8.1.3.5).
const LONG_LENGTH: usize = 0x80;

/// `[0] { INTEGER 2 }`, as a certificate of version 3 begins (RFC 5280, section 4.1).
const VERSION_3: &[u8] = &[0xa0, 3, INTEGER, 1, 2];

/// `[3] { SEQUENCE { SEQUENCE { OBJECT IDENTIFIER 2.25.86123, OCTET STRING "" } } }`: an extension,
/// not critical, of a name that anybody may take (X.667).
const MARK: &[u8] =
    &[0xa3, 12, SEQUENCE, 10, SEQUENCE, 8, 0x06, 4, 0x69, 0x85, 0xa0, 0x6b, 0x04, 0];

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with these fields, and one of that length.
    fn certificate(fields: &[u8], length: usize) -> Vec<u8> {
        let fields = [fields, &sequence(&[&vec![7; length]])].concat();
        sequence(&[&sequence(&[&fields]), &sequence(&[b"algorithm"]), b"\x03\x02\x00\x01"])
    }

    #[test]
    fn what_is_marked_can_be_unmarked() {
        for length in [0, 1, 100, 127, 128, 200, 255, 256, 1000, 70_000] {
            let plain = certificate(&[INTEGER, 1, 5], length);
            let marked = marked(&plain).expect("version 1");
            let (_, content) = parts(&marked).expect("a SEQUENCE");
            let (signature, _) = parts(content).expect("fields");
            let signed = &content[..content.len() - signature.len()];
            let (plain_signature, _) = parts(only(&plain).expect("whole")).expect("fields");
            assert_eq!(signature, plain_signature);
            let original = only(&plain).expect("whole");
            let original = &original[..original.len() - plain_signature.len()];
            assert_eq!(unmarked(signed).expect("a mark"), original, "{length}");
            assert_eq!(unmarked(original), None);
        }
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(marked(&certificate(VERSION_3, 10)), None);
        assert_eq!(marked(&certificate(&[0xa0, 3, INTEGER, 1, 1], 10)), None);
        for der in [&b""[..], b"\x30", b"\x30\x80\x00\x00", b"\x31\x00", b"\x30\x01\x00\x00"] {
            assert_eq!(marked(der), None, "{der:?}");
            assert_eq!(unmarked(der), None, "{der:?}");
        }
        // The mark of a certificate that is none of version 1 below it.
        assert_eq!(unmarked(&sequence(&[VERSION_3, VERSION_3, b"x", MARK])), None);
    }
}
