"""A relay in front of a server: records what a client says, or breaks the connection at a chosen byte."""

import socket
import threading

from .listener import Listener, cut, end_writing


class Relay(Listener):
    """Listens on a loopback port of its own. `said` holds each connection's bytes from the client.

    cut_after: after so many bytes from the server (over all connections) every connection is reset and
    no new one is taken. stall_after: instead, nothing is passed on any more.
    """

    def __init__(self, port, cut_after=None, stall_after=None):
        super().__init__()
        self.target, self.cut_after, self.stall_after = port, cut_after, stall_after
        self.said, self.served, self.broken = [], 0, False
        self._lock, self._sockets = threading.Lock(), []
        self._listen()

    def _welcome(self, client):
        server = socket.create_connection((self.host, self.target))
        words = bytearray()
        with self._lock:
            self.said.append(words)
            self._sockets += [client, server]
        threading.Thread(target=self._upward, args=(client, server, words), daemon=True).start()
        threading.Thread(target=self._downward, args=(server, client), daemon=True).start()

    def _upward(self, client, server, words):
        try:
            while data := client.recv(1 << 16):
                words += data
                if self.stall_after is None or self.served < self.stall_after:
                    server.sendall(data)
        except OSError:
            pass
        end_writing(server)

    def _downward(self, server, client):
        try:
            while data := server.recv(1 << 14):
                with self._lock:
                    self.served += len(data)
                if self.cut_after is not None and self.served >= self.cut_after:
                    self.close(reset=True)
                    return
                if self.stall_after is not None and self.served >= self.stall_after:
                    self.broken = True
                    continue
                client.sendall(data)
        except OSError:
            pass
        end_writing(client)

    def close(self, reset=False):
        self.broken |= reset
        self._stop_listening()
        with self._lock:
            for one in self._sockets:
                cut(one, reset)

    def text(self):
        """Everything that clients said, all connections."""
        with self._lock:
            return b"\n".join(bytes(words) for words in self.said)
