"""The options of servers, and their ports, as both kinds of servers take them."""

import os

from grpc import _common, _credentials, _ferrpc, _missing_options

#: Has handlers run in the context of their thread, not in one for each call.
KEEP_CONTEXT = "ferrpc.keep_context"

#: Keeps what handlers raise from their callers.
HIDE_EXCEPTIONS = "ferrpc.hide_exceptions"

#: Those that act here; the engine has the others.
OWN = frozenset((KEEP_CONTEXT, HIDE_EXCEPTIONS))

#: The same as `HIDE_EXCEPTIONS` for servers that do not say.
_HIDE_EXCEPTIONS_VARIABLE = "FERRPC_HIDE_EXCEPTIONS"


def numbers(options, compression):
    """The options with a number, as the engine takes them, and the server's compression. Raises
    TypeError."""
    taken = []
    for key, value in options or ():
        key = key.decode() if isinstance(key, bytes) else key
        if not isinstance(key, str):
            raise TypeError(f"Expected str, not {type(key)}")
        if isinstance(value, (str, bytes)):
            continue
        if not hasattr(value, "__int__"):
            raise TypeError(f"Expected int, bytes, or behavior, got {type(value)}")
        taken.append((key, int(value)))
    for key in _ferrpc.Server.unknown_options([key for key, _ in taken]):
        if key not in OWN:
            _missing_options.warn(_missing_options.OF_SERVERS, key, dict(taken)[key])
    if compression is not None:
        taken.append(("grpc.default_compression_algorithm", int(compression)))
    return taken


def hides_exceptions(taken):
    """Whether callers learn nothing of what handlers raise."""
    option = dict(taken).get(HIDE_EXCEPTIONS)
    if option is not None:
        return bool(option)
    return os.environ.get(_HIDE_EXCEPTIONS_VARIABLE, "0") not in ("", "0")


def was_stopped(address):
    """Why a server that was stopped has no more ports."""
    return f"Failed to bind to address {address}: the server was stopped; make a new one"


#: The ports of services that addresses may name.
_SERVICES = {"": 443, "https": 443, "http": 80}


def with_port(address):
    """An address with the number of its port: without one, or with the name of a service, it is that
    service's, as in grpcio."""
    if address.startswith(("unix:", "unix-abstract:")):
        return address
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        return f"{address}:443"
    if ":" in host and not host.endswith("]"):
        # IPv6 without brackets, but for a scheme.
        return f"[{address}]:443" if _is_ipv6(address) else address
    return f"{host}:{_SERVICES[port]}" if port in _SERVICES else address


def _is_ipv6(text):
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def bind(engine, address, credentials):
    """Has the engine listen; returns the port. `credentials` are those of `grpc.ServerCredentials`,
    or None. Raises RuntimeError."""
    try:
        secured_by = None if credentials is None else _credentials.for_port(credentials)
        return engine.bind(with_port(address), secured_by)
    except (OSError, ValueError) as error:
        failed = _common._ERROR_MESSAGE_PORT_BINDING_FAILED % address
        raise RuntimeError(f"{failed} ({error})") from error
