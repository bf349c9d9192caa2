"""A raw IMAP client for filling servers and reading them back. No IMAP library, and nothing of
imapult's own code, so that a mistake there cannot hide here."""

import base64
import calendar
import hashlib
import re
import socket
import time
from dataclasses import dataclass

CHUNK = 1 << 18
LITERAL = re.compile(rb"\{(\d+)\+?\}$")
UID = re.compile(rb"\bUID (\d+)")
FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
DATE = re.compile(rb'\bINTERNALDATE "([^"]*)"')
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class ImapError(Exception):
    """A tagged NO or BAD, or a connection that ended; the text has the command's first word."""


@dataclass(frozen=True)
class Message:
    """What one message looks like to a client."""
    uid: int
    flags: frozenset
    date: int  # INTERNALDATE, seconds since 1970
    size: int
    digest: str  # SHA-256 of BODY[]


def parse_date(text):
    """Seconds since 1970 of an INTERNALDATE such as ` 1-Feb-2024 10:00:00 +0100`."""
    day, rest = text.strip().split("-", 1)
    month, rest = rest.split("-", 1)
    year, clock, zone = rest.split()
    hours, minutes, seconds = map(int, clock.split(":"))
    stamp = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), hours, minutes, seconds))
    offset = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
    return stamp + offset if zone[0] == "-" else stamp - offset


def format_date(stamp):
    t = time.gmtime(stamp)
    return (f"{t.tm_mday:02d}-{MONTHS[t.tm_mon - 1]}-{t.tm_year:04d} "
            f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000")


def encode_name(name):
    """Modified UTF-7 (RFC 3501 section 5.1.3)."""
    out, run = [], ""
    for char in name + "\0":
        if run and 0x20 <= ord(char) <= 0x7e or char == "\0":
            if run:
                out.append("&" + base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-")
                run = ""
        if char == "\0":
            break
        if 0x20 <= ord(char) <= 0x7e:
            out.append("&-" if char == "&" else char)
        else:
            run += char
    return "".join(out)


def decode_name(name):
    def shifted(match):
        if not match.group(1):
            return "&"
        text = match.group(1).replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")
    return re.sub(r"&([^-]*)-", shifted, name)


def quote(name):
    """A mailbox name, already in the server's own form, as a quoted string."""
    return b'"' + name.encode("latin-1").replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Connection:
    """One connection. Commands are bytes or str; replies are lines with their literals inside."""

    def __init__(self, host, port, tls=None, server_name=None, timeout=60):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name or host)
        self._buffer = b""
        self._tags = 0
        self.greeting = self.response()

    # Reading

    def _fill(self):
        data = self.socket.recv(CHUNK)
        if not data:
            raise ImapError("the server closed the connection")
        self._buffer += data

    def _line(self):
        while True:
            end = self._buffer.find(b"\r\n")
            if end >= 0:
                line, self._buffer = self._buffer[:end], self._buffer[end + 2:]
                return line
            self._fill()

    def _literal(self, size):
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            data = self.socket.recv(max(CHUNK, min(size - have, 1 << 22)))
            if not data:
                raise ImapError("the server closed the connection inside a literal")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def pieces(self):
        """One response as [line, literal, line, literal, …, line]."""
        out = []
        while True:
            line = self._line()
            out.append(line)
            literal = LITERAL.search(line)
            if not literal or re.match(rb"(\*|\S+) (OK|NO|BAD|BYE|PREAUTH) ", out[0]):
                return out
            out.append(self._literal(int(literal.group(1))))

    def response(self):
        return b"\r\n".join(self.pieces())

    # Commands

    def send(self, command):
        """Sends a command without waiting; returns its tag."""
        if isinstance(command, str):
            command = command.encode("latin-1")
        self._tags += 1
        tag = b"t%d" % self._tags
        self.socket.sendall(tag + b" " + command + b"\r\n")
        return tag

    def wait(self, tag, on_untagged=None):
        """The untagged responses up to `tag`'s OK; raises ImapError for NO and BAD."""
        untagged = []
        while True:
            pieces = self.pieces()
            if pieces[0].startswith(tag + b" "):
                if not pieces[0].startswith(tag + b" OK"):
                    raise ImapError(pieces[0].decode(errors="replace"))
                return pieces[0], untagged
            if on_untagged:
                on_untagged(pieces)
            else:
                untagged.append(b"\r\n".join(pieces))

    def command(self, command, on_untagged=None):
        return self.wait(self.send(command), on_untagged)[1]

    def login(self, user, password):
        self.command(b"LOGIN " + quote(user) + b" " + quote(password))

    def capability(self):
        for line in self.command("CAPABILITY"):
            if line.upper().startswith(b"* CAPABILITY "):
                return line.decode().split()[2:]
        return []

    def mailboxes(self):
        """[(name in the server's form, separator, attributes)] of everything that LIST shows."""
        found = []

        def listed(pieces):
            match = re.match(rb'\* LIST \(([^)]*)\) (?:"((?:\\.|[^"\\])*)"|NIL) (.*)$', pieces[0], re.S | re.I)
            if not match:
                return
            name = pieces[1] if len(pieces) > 1 else match.group(3)
            if name.startswith(b'"'):
                name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            separator = re.sub(rb"\\(.)", rb"\1", match.group(2) or b"").decode()
            found.append((name.decode("latin-1"), separator, match.group(1).decode().lower().split()))

        self.command('LIST "" "*"', listed)
        return found

    def create(self, name):
        try:
            self.command(b"CREATE " + quote(name))
        except ImapError as failure:
            if "exist" not in str(failure).lower():
                raise

    def append(self, mailbox, messages, capabilities=None):
        """Stores [(bytes, flags, date)] fast: MULTIAPPEND or pipelined APPENDs where the server has
        LITERAL+, one by one elsewhere. flags: iterable of str; date: seconds since 1970 or None."""
        offered = {c.upper() for c in (capabilities or self.capability())}
        if "LITERAL+" not in offered:
            for message in messages:
                self._append_slowly(mailbox, message)
            return
        multi = "MULTIAPPEND" in offered
        batch, size = [], 0
        for message in messages:
            batch.append(message)
            size += len(message[0])
            if len(batch) == 50 or size > 8 << 20:
                self._append_batch(mailbox, batch, multi)
                batch, size = [], 0
        if batch:
            self._append_batch(mailbox, batch, multi)

    @staticmethod
    def _arguments(message):
        body, flags, date = message
        out = b" (" + " ".join(flags).encode("latin-1") + b")" if flags else b""
        if date is not None:
            out += b' "' + format_date(date).encode() + b'"'
        return out, body

    def _append_batch(self, mailbox, batch, multi):
        parts, tags = [], []
        for index, message in enumerate(batch):
            arguments, body = self._arguments(message)
            if index == 0 or not multi:
                self._tags += 1
                tags.append(b"t%d" % self._tags)
                parts.append((b"\r\n" if index else b"") + tags[-1] + b" APPEND " + quote(mailbox))
            parts.append(arguments + b" {%d+}\r\n" % len(body))
            parts.append(body)
        parts.append(b"\r\n")
        self.socket.sendall(b"".join(parts))
        for tag in tags:
            self.wait(tag)

    def _append_slowly(self, mailbox, message):
        arguments, body = self._arguments(message)
        tag = self.send(b"APPEND " + quote(mailbox) + arguments + b" {%d}" % len(body))
        while True:
            line = self.response()
            if line.startswith(b"+"):
                break
            if line.startswith(tag):
                raise ImapError(line.decode(errors="replace"))
        self.socket.sendall(body + b"\r\n")
        self.wait(tag)

    def read(self, mailbox, content=True):
        """The messages of one mailbox in UID order."""
        found = {}

        def fetched(pieces):
            if b" FETCH " not in pieces[0][:40].upper():
                return
            text = b" ".join(pieces[0::2])
            uid, flags, date = UID.search(text), FLAGS.search(text), DATE.search(text)
            if not uid or not flags or not date:
                return  # an unsolicited flag update
            body = pieces[1] if len(pieces) > 1 else b""
            kept = frozenset(f.lower() for f in flags.group(1).decode("latin-1").split()) - {"\\recent"}
            number = int(uid.group(1))
            found[number] = Message(number, kept, parse_date(date.group(1).decode()), len(body),
                                    hashlib.sha256(body).hexdigest() if content else "")

        self.command(b"EXAMINE " + quote(mailbox))
        items = "UID FLAGS INTERNALDATE" + (" BODY.PEEK[]" if content else "")
        self.command(f"UID FETCH 1:* ({items})", fetched)
        return [found[uid] for uid in sorted(found)]

    def status(self, mailbox, item="MESSAGES"):
        for line in self.command(b"STATUS " + quote(mailbox) + f" ({item})".encode()):
            match = re.search(rb"\(" + item.encode() + rb" (\d+)\)$", line)
            if match:
                return int(match.group(1))
        raise ImapError(f"no {item} in the reply to STATUS")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
