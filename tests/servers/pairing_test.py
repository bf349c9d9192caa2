"""Every server as source with every server as destination: complete, and again without doubling anything."""

import itertools
import unittest

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.courier import Courier
from lab.cyrus import Cyrus
from lab.dovecot import Dovecot
from lab.mailutils import Mailutils
from lab.process import Unavailable

NAMES = ("dovecot", "cyrus", "courier", "mailutils")
MESSAGES, MAILBOXES = 60, 4


def started(name):
    """The server with `alice`, whose mail is copied, and a user for each kind of source it gets mail from."""
    users = ("alice", *(f"from{source}" for source in NAMES))
    server = {"dovecot": lambda: Dovecot(format="sdbox"), "cyrus": lambda: Cyrus(users),
              "courier": lambda: Courier(users), "mailutils": lambda: Mailutils(users)}[name]()
    server.start()
    messages = corpus.small(MESSAGES, MAILBOXES)
    if name == "mailutils":  # it takes neither flags nor dates from APPEND: what it shows must arrive
        messages = [(path, [(body, [], None) for body, _, _ in box]) for path, box in messages]
    corpus.fill(server, messages)
    return server


class Pairing(ImapultCase):
    servers = {}

    def one(self, name):
        if name not in self.servers:
            try:
                self.servers[name] = started(name)
                self.addClassCleanup(self.servers[name].stop)
            except Unavailable as reason:
                self.servers[name] = reason
        if isinstance(self.servers[name], Unavailable):
            raise unittest.SkipTest(str(self.servers[name]))
        return self.servers[name]

    def pair(self, source_name, destination_name):
        source, destination = self.one(source_name), self.one(destination_name)
        user = f"from{source_name}" + ("@localhost" if destination_name == "mailutils" else "")
        arguments = ["copy", "--source", source.url(), "--destination", destination.url(user),
                     *self.passwords(source.password, destination.password), "--state", self.state(), "--json"]
        keeps = destination_name != "mailutils"

        def copied():
            result = self.imapult(*arguments)
            self.assert_books(result)
            with source.connect() as here, destination.connect(user) as there:
                self.assert_no_differences(compare(here, there, source.prefix, destination.prefix,
                                                   flags=keeps, dates=keeps))
            return result.summary["messages"]["copied"]

        self.assertEqual(copied(), MESSAGES)
        # Again: UIDVALIDITY and UIDNEXT are not to be trusted everywhere (mailutils, a fresh Courier).
        self.assertEqual(copied(), 0)
        self.assert_no_open_intents()


def add(source, destination):
    def test(self):
        self.pair(source, destination)
    setattr(Pairing, f"test_{source}_to_{destination}", test)


for names in itertools.product(NAMES, NAMES):
    add(*names)


if __name__ == "__main__":
    main()
