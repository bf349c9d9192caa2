"""A port of its own on loopback: what all servers and relays of the tests begin with."""

import socket
import threading


class Listener:
    """Hands each connection to `_welcome(client)`, on one thread. `user`: the one that url() names by default."""

    host = "127.0.0.1"

    def __init__(self, user="alice"):
        self.user = user
        self._listener = socket.create_server((self.host, 0), backlog=256)
        self.port = self._listener.getsockname()[1]

    def _listen(self):
        """To be called when everything that `_welcome` needs is there."""
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, user=None):
        return f"imap://{user or self.user}@{self.host}:{self.port}?tls=off"

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._welcome(client)
            except OSError:  # there is nobody to pass it on to
                cut(client)

    def _stop_listening(self):
        # A thread that waits in accept() keeps a closed listener alive: wake it.
        cut(self._listener)


def cut(end, reset=False):
    """Ends a socket at once, whoever waits for it; `reset`: the peer sees RST."""
    try:
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()


def end_writing(end):
    """The peer has heard everything."""
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass
