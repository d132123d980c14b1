"""etcd on free ports, in a folder of its own."""

import contextlib
import socket
import subprocess
import tempfile

from workload import until


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def etcd():
    """The port of its clients."""
    port, peers = _free_port(), _free_port()
    clients, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    with tempfile.TemporaryDirectory() as folder:
        arguments = {
            "--data-dir": folder,
            "--listen-client-urls": clients,
            "--advertise-client-urls": clients,
            "--listen-peer-urls": peers,
            "--initial-advertise-peer-urls": peers,
            "--initial-cluster": f"default={peers}",
        }
        line = ["etcd", *(part for pair in arguments.items() for part in pair)]
        server = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not until(lambda: _answers(port)):
                raise RuntimeError("etcd does not listen")
            yield port
        finally:
            server.terminate()
            server.wait()
