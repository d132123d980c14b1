"""Threads that ask for a server's certificates before each handshake.

Each port whose credentials have a fetcher has one; it ends with the port.
"""

import atexit
import logging
import threading
import weakref

import grpc

_LOGGER = logging.getLogger("grpc._server")

# Those whose threads run, with their threads.
_running = weakref.WeakKeyDictionary()


def serve(asked, fetcher):
    """Answers what the engine asks with what `fetcher` returns."""
    arguments = (asked, fetcher)
    thread = threading.Thread(target=_serve, args=arguments, name="grpc-certificates", daemon=True)
    thread.start()
    _running[asked] = thread


def _serve(asked, fetcher):
    while (fetch := asked.take()) is not None:
        try:
            _answer(fetch, fetcher())
        except BaseException:
            # Also what would end the thread: each handshake would wait for it in vain.
            _LOGGER.exception("No new certificate configuration: the last one stays in use")
            fetch.keep()
        del fetch


def _answer(fetch, found):
    if found is None:
        fetch.keep()
    elif isinstance(found, grpc.ServerCertificateConfiguration):
        config = found._certificate_configuration
        fetch.replace(list(config.pem_key_certificate_pairs), config.pem_root_certificates)
    else:
        raise TypeError(
            "a certificate configuration fetcher returns a grpc.ServerCertificateConfiguration or "
            f"None, not {type(found).__name__}"
        )


def _stop():
    for asked, thread in list(_running.items()):
        asked.stop()
        # A fetcher that does not return must not keep the interpreter.
        thread.join(timeout=1)


atexit.register(_stop)
