"""Seeded mail: the same seed gives the same bytes everywhere. Every name is from RFC 2606."""

import base64
import math
import random

from .imap import encode_name, format_date

FIRST_DATE = 1_500_000_000
SYSTEM_FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted")
KEYWORDS = ("$Forwarded", "$MDNSent", "NonJunk", "project-7", "todo")


class Pool:
    """Lines of incompressible text, cut out at random places instead of being made anew."""

    def __init__(self, rng, size=1 << 20):
        lines = base64.encodebytes(rng.randbytes(size)).split(b"\n")
        self.text = b"\r\n".join(lines)
        self.line = 78
        self.lines = len(lines) - 2

    def take(self, rng, size):
        out = []
        while size > 0:
            start = rng.randrange(self.lines) * self.line
            piece = self.text[start:start + size]
            out.append(piece)
            size -= len(piece)
        return b"".join(out)


def message(rng, pool, number, size):
    """A message of exactly `size` bytes (at least 400) with a CRLF at its end."""
    head = (f"Received: from relay.example.net by mx.example.com; {format_date(FIRST_DATE + number)}\r\n"
            f"Message-ID: <{number}.{rng.getrandbits(64):016x}@example.com>\r\n"
            f"Date: {format_date(FIRST_DATE + 60 * number)}\r\n"
            f"From: \"Sender {number % 97}\" <sender{number % 97}@example.com>\r\n"
            f"To: alice@example.org\r\n"
            f"Subject: Number {number} of the corpus\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n").encode()
    return head + pool.take(rng, max(size - len(head) - 2, 1)) + b"\r\n"


def _flags(rng):
    out = [flag for flag in SYSTEM_FLAGS[:3] if rng.random() < 0.3]
    if rng.random() < 0.1:
        out.append(rng.choice(KEYWORDS))
    return out


def small(messages=20_000, mailboxes=20, size=4096, seed=1):
    """Corpus A: yields (mailbox path, [(bytes, flags, date)])."""
    rng = random.Random(seed)
    pool, number = Pool(rng), 0
    for box in range(mailboxes):
        share = messages // mailboxes + (box < messages % mailboxes)
        batch = []
        for _ in range(share):
            batch.append((message(rng, pool, number, size), _flags(rng), FIRST_DATE + 37 * number))
            number += 1
        yield ("INBOX" if box == 0 else f"Folder {box:02d}"), batch


def large_sizes(messages, total, rng):
    """Log-normal sizes that sum up to about `total`, with a tail of 1 to 10 MB."""
    tail = max(messages // 100, 1)
    sizes = [int(math.exp(rng.uniform(math.log(1 << 20), math.log(10 << 20)))) for _ in range(tail)]
    body = [rng.lognormvariate(math.log(20_000), 1.3) for _ in range(messages - tail)]
    factor = max(total - sum(sizes), 0) / sum(body)
    sizes += [int(min(max(size * factor, 600), 1 << 20)) for size in body]
    rng.shuffle(sizes)
    return sizes


def large(messages=10_000, mailboxes=20, total=1_100_000_000, seed=2):
    """Corpus B: yields (mailbox path, iterator of (bytes, flags, date)); made while it is read."""
    rng = random.Random(seed)
    pool, sizes = Pool(rng, 4 << 20), large_sizes(messages, total, rng)
    per_box = -(-messages // mailboxes)
    for box in range(mailboxes):
        own = random.Random(seed * 1000 + box)
        numbers = range(box * per_box, min((box + 1) * per_box, messages))
        yield ("INBOX" if box == 0 else f"Folder {box:02d}"), (
            (message(own, pool, number, sizes[number]), _flags(own), FIRST_DATE + 37 * number)
            for number in numbers)


ODD_MESSAGES = (
    b"Subject: a body without a last line end\r\n\r\nno CRLF here",
    b"Subject: only a header\r\n\r\n",
    b"\r\nonly a body, no header at all\r\n",
    b"no header line here\r\nand none here\r\n\r\nbody\r\n",
    b"Subject: 8-bit \xe4\xf6\xfc in the header\r\nFrom: m\xfcller@example.com\r\n\r\nbody \xff\xfe\r\n",
    "Subject: UTF-8 \u4f60\u597d \U0001f4e7\r\n\r\nb\u00f6dy\r\n".encode(),
    b"Subject: =?iso-8859-1?Q?gr=FC=DFe?= =?utf-8?b?broken\r\n\r\nbody\r\n",
    b"Subject: a long line\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    b"Subject: a long header\r\nReferences: " + b" ".join(b"<%d@example.com>" % i for i in range(900)) + b"\r\n\r\nb\r\n",
    b"Subject: many header fields\r\n" + b"".join(b"X-Field-%d: v\r\n" % i for i in range(500)) + b"\r\nb\r\n",
    b"From sender@example.com Thu Jan  1 00:00:00 2015\r\nSubject: an mbox line on top\r\n\r\nb\r\n",
    b"Subject: lines that look like mbox\r\n\r\nFrom the start\r\n>From quoted\r\n.\r\n..\r\n",
    b"Subject: twice the same Message-ID\r\nMessage-ID: <same@example.com>\r\n\r\nfirst\r\n",
    b"Subject: twice the same Message-ID\r\nMessage-ID: <same@example.com>\r\n\r\nsecond, another body\r\n",
    b"Subject: an exact duplicate\r\nMessage-ID: <dup@example.com>\r\n\r\nthe same\r\n",
    b"Subject: an exact duplicate\r\nMessage-ID: <dup@example.com>\r\n\r\nthe same\r\n",
    b"Subject: no Message-ID\r\n\r\nbody\r\n",
    b"Subject: literal-like {12+}\r\nX-Literal: {99999}\r\n\r\n{5}\r\nx OK done\r\n* 1 FETCH (UID 1)\r\n)\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\nSubject: never closed\r\n\r\n--b\r\n\r\none\r\n--b\r\n",
    b"Subject: folded\r\n\tand\r\n folded again\r\nX-Empty:\r\nX-Spaces:   \r\n\r\nbody\r\n",
)

ODD_MAILBOXES = (
    "Projects", "Projects/2024", "Projects/2024/Q1 & Q2", "Entw\u00fcrfe", "\u65e5\u672c\u8a9e/\u30e1\u30fc\u30eb",
    "\u041f\u0440\u043e\u0435\u043a\u0442\u044b", "a b  c", "100% \"quoted\" \\ back", "&-", "\U0001f4e7 mail", "cafe\u0301",
    "(paren) {brace} [bracket]", "*star*",
)


def odd(seed=3, quoting=True):
    """Corpus C: an organisation's odd corner. quoting=False leaves out mailbox names that need
    escapes in a quoted string, which some servers refuse."""
    rng = random.Random(seed)
    yield "INBOX", [(body, [], FIRST_DATE + i) for i, body in enumerate(ODD_MESSAGES)]
    for index, name in enumerate(ODD_MAILBOXES):
        if not quoting and any(c in name for c in '"\\%*'):
            continue
        # The source is a Dovecot whose own names go through its maildir: `*` and `%` are LIST wildcards only.
        chosen = [ODD_MESSAGES[(index + k) % len(ODD_MESSAGES)] for k in range(3)]
        yield name, [(body, list(rng.sample(SYSTEM_FLAGS, rng.randrange(5))) + rng.sample(KEYWORDS, rng.randrange(3)),
                      FIRST_DATE + 86_400 * index + k) for k, body in enumerate(chosen)]


def fill(server, corpus, user=None):
    """Stores a corpus; returns the number of messages."""
    prefix, separator, total = getattr(server, "prefix", ""), getattr(server, "separator", "/"), 0
    with server.connect(user, timeout=300) as connection:
        capabilities = connection.capability()
        for path, messages in corpus:
            name = encode_name(path).replace("/", separator)
            if path != "INBOX":
                name = prefix + name
                connection.create(name)
            messages = list(messages)
            connection.append(name, messages, capabilities)
            total += len(messages)
    return total
