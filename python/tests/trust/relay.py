"""TCP between a channel and a server: a relay that may freeze, and an HTTP proxy."""

import socket
import threading


class Relay:
    """Passes bytes on to a port of localhost until it is frozen; then it takes none any more."""

    def __init__(self, port):
        self._port = port
        self._open = threading.Event()
        self._open.set()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self):
        self._open.clear()

    def close(self):
        self._open.set()
        _close(self._listener)
        for each in self._sockets:
            _close(each)

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
                self._sockets.append(near)
                far = self._far(near)
            except OSError:
                return
            self._sockets.append(far)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _far(self, near):
        return socket.create_connection(("127.0.0.1", self._port))

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                self._open.wait()
                sink.sendall(data)
        except OSError:
            pass
        _close(source)
        _close(sink)


class Proxy(Relay):
    """Does what CONNECT asks for; keeps the heads of requests."""

    def __init__(self):
        super().__init__(None)
        self.url = f"http://{self.target}"
        self.heads = []

    def _far(self, near):
        head = near.recv(65536).decode()
        self.heads.append(head)
        host, _, port = head.split(" ")[1].rpartition(":")
        far = socket.create_connection((host, int(port)))
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return far


def _close(each):
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    each.close()
