"""A relay that plays a provider in front of a real server: it refuses commands when there were too many, and ends
connections."""

import re
import socket
import threading
import time

from .listener import Listener, cut

LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")
BODY = re.compile(rb"^\* \d+ FETCH .*\bUID (\d+)\b.*BODY\[\] \{\d+\}\r\n$")
HASTE = 0.1  # what was on its way when a command was refused is not impatience


class Throttler(Listener):
    """Of the commands of all connections together every `every`-th is refused (and all others for `delay` seconds),
    every `drop_every`-th ends its connection. `bodies` counts how often each (mailbox, UID) was handed out."""

    def __init__(self, server, every, drop_every, delay):
        super().__init__(server.user)
        self.password = server.password
        self.target, self.every, self.drop_every, self.delay = server.port, every, drop_every, delay
        self.log_ins = self.throttled = self.impatient = self.dropped = 0
        self.bodies, self._commands, self._refused_at = {}, 0, -1e9
        self._lock, self._ends = threading.Lock(), set()
        self._listen()

    def close(self):
        self._stop_listening()
        for end in list(self._ends):
            cut(end)

    def _welcome(self, client):
        server = socket.create_connection((self.host, self.target))
        self._ends |= {client, server}
        link = _Link(client, server)
        for work in (self._commands_of, self._answers_of):
            threading.Thread(target=self._until_closed, args=(work, link), daemon=True).start()

    def _until_closed(self, work, link):
        try:
            work(link)
        except (OSError, ValueError):
            pass
        for end in (link.client, link.server):
            cut(end)

    def _verdict(self, name):
        """"pass", "refuse" or "drop": of one command."""
        with self._lock:
            now = time.monotonic()
            self._commands += 1
            self.log_ins += name in (b"LOGIN", b"AUTHENTICATE")
            if name in (b"LOGIN", b"AUTHENTICATE", b"CAPABILITY", b"LOGOUT"):
                return "pass"
            if self._commands % self.drop_every == 0:
                self.dropped += 1
                return "drop"
            since = now - self._refused_at
            if since < self.delay:
                self.impatient += HASTE < since < self.delay - 0.01
                return "refuse"
            if self._commands % self.every == 0:
                self.throttled += 1
                self._refused_at = now
                return "refuse"
            return "pass"

    def _commands_of(self, link):
        with link.client.makefile("rb") as lines:
            while command := _whole(lines, link):
                words = command.split(None, 2)
                if len(words) < 2:  # of a conversation: SASL
                    link.server.sendall(command)
                    continue
                name = words[1].upper()
                verdict = self._verdict(name)
                if verdict == "drop":
                    return
                if verdict == "refuse":
                    text = f"BAD Request is throttled. Suggested Backoff Time: {self.delay * 1000:.0f} milliseconds"
                    with link.between_answers:
                        link.client.sendall(words[0] + b" " + text.encode() + b"\r\n")
                    continue
                if name in (b"EXAMINE", b"SELECT"):
                    link.opening[words[0]] = words[2].split(b" (")[0].strip()
                link.server.sendall(command)

    def _answers_of(self, link):
        with link.server.makefile("rb") as lines:
            while line := lines.readline():
                with link.between_answers:
                    link.mailbox = link.opening.pop(line.split(b" ", 1)[0], link.mailbox)
                    while True:
                        if found := BODY.match(line):
                            with self._lock:
                                key = (link.mailbox, int(found[1]))
                                self.bodies[key] = self.bodies.get(key, 0) + 1
                        link.client.sendall(line)
                        literal = LITERAL.search(line)
                        if not literal:
                            break
                        link.client.sendall(lines.read(int(literal[1])))
                        line = lines.readline()


class _Link:
    def __init__(self, client, server):
        self.client, self.server, self.mailbox = client, server, b""
        self.opening = {}  # by the tag of the command that opens it
        self.between_answers = threading.Lock()


def _whole(lines, link):
    """A command with its literals; consent to those that wait for it is given here."""
    command = lines.readline()
    while literal := LITERAL.search(command):
        if not literal[2]:
            with link.between_answers:
                link.client.sendall(b"+ \r\n")
            command = command[:-3] + b"+}\r\n"
        command += lines.read(int(literal[1])) + lines.readline()
    return command
