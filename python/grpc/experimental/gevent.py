"""gRPC in programs of gevent."""


def init_gevent() -> None:
    """Would have calls wait without blocking gevent's loop. Raises NotImplementedError: this version
    cannot, and calls that silently blocked the loop would be worse."""
    raise NotImplementedError(
        "grpc.experimental.gevent.init_gevent: this version of ferrpc does not work with gevent; "
        "make calls in gevent's threadpool: gevent.get_hub().threadpool.apply(stub.Method, ...)"
    )
