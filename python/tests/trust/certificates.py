"""Certificates for tests, made when they are asked for."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Issues certificates; `pem` is its own. All PEM is bytes."""

    def __init__(self, name="ferrpc test root"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key(), -DAY, 365 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = _pem(self._certificate)

    def issue(self, *names, common_name=None, since=-DAY, until=30 * DAY, key=None):
        """A pair of private key and chain, the order in which servers take them. Names are of
        hosts, addresses, URIs (with "://") or mailboxes (with "@"). `key` is a private key, or None
        for a new one."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([]) if common_name is None else _name(common_name)
        builder = _builder(subject, self._name, key.public_key(), since, until)
        if names:
            alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(alternatives, critical=common_name is None)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private, _pem(certificate)


    def issue_version_1(self, common_name):
        """Such a pair whose certificate is of X.509's version 1 and for this name."""
        private, chain = self.issue(common_name=common_name)
        return private, self._as_version_1(chain)

    def certify_version_1(self, name):
        """Another authority, and its certificate of version 1 by this one."""
        other = Authority(name)
        builder = _builder(other._name, self._name, other._key.public_key(), -DAY, 30 * DAY)
        return other, self._as_version_1(_pem(builder.sign(self._key, hashes.SHA256())))

    def _as_version_1(self, pem):
        """The certificate of the same content without its version and its extensions."""
        fields = _elements(_content(x509.load_pem_x509_certificate(pem).tbs_certificate_bytes))
        plain = [field for field in fields if field[0] not in (0xA0, 0xA3)]
        signed = _element(0x30, *plain)
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        # The algorithm stands behind the serial number.
        der = _element(0x30, signed, plain[1], _element(0x03, b"\0" + signature))
        return _pem(x509.load_der_x509_certificate(der))


def _content(der):
    """What is in an element of DER."""
    digits = max(der[1] - 0x80, 0)
    return der[2 + digits :]


def _elements(der):
    """The elements that follow each other."""
    elements = []
    while der:
        digits = max(der[1] - 0x80, 0)
        length = int.from_bytes(der[2 : 2 + digits], "big") if digits else der[1]
        end = 2 + digits + length
        elements.append(der[:end])
        der = der[end:]
    return elements


def _element(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big") if length > 0x7F else b""
    return bytes([tag, 0x80 | len(digits) if digits else length]) + digits + content


def _builder(subject, issuer, public_key, since, until):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(public_key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now + since).not_valid_after(now + until)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general(name):
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)
