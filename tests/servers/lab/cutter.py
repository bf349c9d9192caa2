"""A relay that resets every connection at a chosen octet, and goes on taking new ones."""

import socket
import struct
import threading


class Cutter:
    """`arm(octets)`: after so many more octets, in both directions together, all connections are reset, once."""

    def __init__(self, server):
        self.user, self.password = server.user, server.password
        self.target, self.cuts, self._left = server.port, 0, None
        self._lock, self._pairs = threading.Lock(), set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, user=None):
        return f"imap://{user or self.user}@127.0.0.1:{self.port}?tls=off"

    def arm(self, octets):
        with self._lock:
            self._left = octets

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            with self._lock:
                self._pairs.add((client, server))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _allowed(self, octets):
        """How many of these may pass; fewer than all of them: now is the moment."""
        with self._lock:
            if self._left is None:
                return octets
            allowed = min(octets, self._left)
            self._left -= allowed
            if self._left == 0:
                self._left = None
                self.cuts += 1
                return allowed - 1 if allowed == octets else allowed
            return allowed

    def _pass(self, one, other):
        try:
            while data := one.recv(1 << 14):
                allowed = self._allowed(len(data))
                other.sendall(data[:allowed])
                if allowed < len(data):
                    self._reset_all()
                    return
        except OSError:
            pass
        try:
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _reset_all(self):
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for end in (end for pair in pairs for end in pair):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._reset_all()
