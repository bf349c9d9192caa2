"""A relay that resets every connection at a chosen octet, and goes on taking new ones."""

import socket
import threading

from .listener import Listener, cut, end_writing


class Cutter(Listener):
    """`arm(octets)`: after so many more octets, in both directions together, all connections are reset, once."""

    def __init__(self, server):
        super().__init__(server.user)
        self.password = server.password
        self.target, self.cuts, self._left = server.port, 0, None
        self._lock, self._pairs = threading.Lock(), set()
        self._listen()

    def arm(self, octets):
        with self._lock:
            self._left = octets

    def _welcome(self, client):
        server = socket.create_connection((self.host, self.target))
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
        end_writing(other)

    def _reset_all(self):
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for end in (end for pair in pairs for end in pair):
            cut(end, reset=True)

    def close(self):
        self._stop_listening()
        self._reset_all()
