"""The flags for TLS and what they make."""

from stubs import grpc


def add_flags(parser):
    parser.add_argument("--tls-ca", metavar="FILE", help="roots for the other side's certificate")
    parser.add_argument("--tls-cert", metavar="FILE", help="this side's certificate chain")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key")


def contents(path):
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def server_port(server, address, flags):
    """The port that `server` takes on `address`, with TLS if there is a certificate."""
    if flags.tls_cert is None:
        return server.add_insecure_port(address)
    pair = (contents(flags.tls_key), contents(flags.tls_cert))
    roots = contents(flags.tls_ca)
    credentials = grpc.ssl_server_credentials([pair], roots, roots is not None)
    return server.add_secure_port(address, credentials)


def channel(module, address, flags, options):
    """A channel of `module` (grpc or grpc.aio), with TLS if there are roots."""
    if flags.tls_ca is None:
        return module.insecure_channel(address, options=options)
    files = (flags.tls_ca, flags.tls_key, flags.tls_cert)
    credentials = grpc.ssl_channel_credentials(*map(contents, files))
    return module.secure_channel(address, credentials, options=options)
