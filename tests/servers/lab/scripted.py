"""A small scripted source: bare IMAP4rev1 that says whatever a hostile or broken server might say."""

import re
import threading
from dataclasses import dataclass, field

from .listener import Listener


@dataclass
class Item:
    """One message as the source tells it: every field goes to the wire as it stands."""
    body: bytes
    flags: bytes = b""
    date: bytes = b"01-Feb-2024 10:00:00 +0000"


@dataclass
class Box:
    """name: the wire form after the separator in LIST, for example b'"Sent"' or a literal."""
    name: bytes
    items: list = field(default_factory=list)


def _numbers(text, highest):
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        ends = [highest if x == b"*" else int(x) for x in (first, last or first)]
        yield from range(min(ends), min(max(ends), highest) + 1)


class ScriptedSource(Listener):
    """Serves `boxes` to any user. `behave` may be "normal", "deaf" (greets, then never answers) or
    "silent" (does not even greet)."""

    def __init__(self, boxes=(), behave="normal"):
        super().__init__()
        self.boxes, self.behave, self.said = list(boxes), behave, []
        self._open, self._lock = [], threading.Lock()
        self._listen()

    def stop(self):
        self._stop_listening()
        with self._lock:
            for one in self._open:
                one.close()

    def _welcome(self, client):
        with self._lock:
            self._open.append(client)
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        selected = None
        try:
            if self.behave == "silent":
                client.recv(1)
                return
            client.sendall(b"* OK ready\r\n")
            stream = client.makefile("rb")
            while line := stream.readline():
                while literal := re.search(rb"\{(\d+)\+?\}\r\n$", line):
                    if not literal.group(0).endswith(b"+}\r\n"):
                        client.sendall(b"+ go on\r\n")
                    line = line[:literal.start()] + stream.read(int(literal.group(1))) + stream.readline()
                line = line.rstrip(b"\r\n")
                self.said.append(line)
                if self.behave == "deaf":
                    continue
                tag, _, rest = line.partition(b" ")
                selected = self._answer(client, tag, rest, selected)
        except OSError:
            pass
        finally:
            client.close()

    def _find(self, words):
        """The box that a command names, in whichever form."""
        for box in self.boxes:
            plain = box.name.split(b"\r\n", 1)[1] if box.name.startswith(b"{") else box.name.strip(b'"')
            if words.strip(b'"').replace(b'\\"', b'"').replace(b"\\\\", b"\\") in (
                    plain, plain.replace(b'\\"', b'"').replace(b"\\\\", b"\\")):
                return box
        return None

    def _answer(self, client, tag, rest, selected):
        word = rest.split(b" ")[0].upper()
        out, reply = [], b"OK done"
        if word == b"CAPABILITY":
            out.append(b"* CAPABILITY IMAP4rev1")
        elif word in (b"LIST", b"LSUB"):
            if rest.endswith(b'"" ""'):
                out.append(b'* LIST (\\Noselect) "/" ""')
            else:
                out += [b"* " + word + b' () "/" ' + box.name for box in self.boxes]
        elif word == b"STATUS":
            match = re.match(rb"STATUS (.*) \(([^)]*)\)$", rest, re.S | re.I)
            box = self._find(match.group(1)) if match else None
            if box is None:
                reply = b"NO no such mailbox"
            else:
                count = len(box.items)
                known = {b"MESSAGES": count, b"UIDNEXT": count + 1, b"UIDVALIDITY": 7, b"UNSEEN": 0, b"RECENT": 0}
                items = b" ".join(b"%s %d" % (k, known[k]) for k in match.group(2).upper().split() if k in known)
                out.append(b"* STATUS " + box.name + b" (" + items + b")")
        elif word == b"EXAMINE":
            selected = self._find(rest.split(b" ", 1)[1])
            if selected is None:
                reply = b"NO no such mailbox"
            else:
                out += [b"* %d EXISTS" % len(selected.items), b"* 0 RECENT", b"* FLAGS (\\Seen)",
                        b"* OK [UIDVALIDITY 7] .", b"* OK [UIDNEXT %d] ." % (len(selected.items) + 1)]
                reply = b"OK [READ-ONLY] done"
        elif word == b"UID" and selected is not None:
            out += self._uid(rest, selected)
        elif word == b"LOGOUT":
            out.append(b"* BYE")
        elif word not in (b"LOGIN", b"NOOP", b"ID", b"CLOSE", b"CHECK"):
            reply = b"BAD unknown"
        client.sendall(b"".join(part + b"\r\n" for part in [*out, tag + b" " + reply]))
        return selected

    @staticmethod
    def _uid(rest, box):
        words = rest.split(b" ", 3)
        if words[1].upper() == b"SEARCH":
            return [b"* SEARCH" + b"".join(b" %d" % (i + 1) for i in range(len(box.items)))]
        wanted, out = rest.upper(), []
        for number in _numbers(words[2], len(box.items)):
            item = box.items[number - 1]
            parts = [b"UID %d" % number]
            if b"FLAGS" in wanted:
                parts.append(b"FLAGS (" + item.flags + b")")
            if b"INTERNALDATE" in wanted:
                parts.append(b'INTERNALDATE "' + item.date + b'"')
            if b"RFC822.SIZE" in wanted:
                parts.append(b"RFC822.SIZE %d" % len(item.body))
            header = re.search(rb"BODY\.PEEK(\[HEADER[^]]*\])", rest, re.I)
            if header:
                head = item.body.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"
                parts.append(b"BODY" + header.group(1) + b" {%d}\r\n" % len(head) + head)
            if b"BODY.PEEK[]" in wanted:
                parts.append(b"BODY[] {%d}\r\n" % len(item.body) + item.body)
            out.append(b"* %d FETCH (" % number + b" ".join(parts) + b")")
        return out
