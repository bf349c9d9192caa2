"""A message whose lines are IMAP commands is never run as commands, whatever its source says about it.

Dovecot answers BAD to a bad flag, date or name and then reads the rest of a non-synchronising literal as
commands. So nothing that a source says may reach the destination's command line unchecked.
"""

import unittest

from lab import corpus
from lab.case import Case, ImapultCase, main
from lab.compare import counts
from lab.dovecot import Dovecot
from lab.imap import Connection, ImapError
from lab.relay import Relay
from lab.scripted import Box, Item, ScriptedSource

EVIL = (b"Subject: harmless\r\nFrom: sender@example.com\r\n\r\n"
        b"x DELETE Archive\r\nx CREATE PWNED\r\nx SUBSCRIBE PWNED\r\nx SETMETADATA INBOX (/private/comment \"x\")\r\n"
        b"x SELECT Archive\r\nx STORE 1:* +FLAGS (\\Deleted)\r\nx EXPUNGE\r\nx LOGOUT\r\n")

FLAGS = (b"\\Bogus", b"\\Recent", b"a]b", b"a{5+}", b"caf\xe9", b"k" * 400, b"(nested)", b"\"quoted\"", b"a\\b", b"*",
         b"%", b"a\x01b", b"\\*", b"NIL", b"\\Seen) {5+}", b"x" * 51, b"")
DATES = (b"30-Foo-2024 00:00:00 +0000", b"31-Dec-1969 00:00:00 +0000", b"01-Jan-2150 00:00:00 +0000",
         b"99-Feb-2024 99:99:99 +9999", b"", b"x", b"01-Feb-2024 10:00:00 +0000\\\" {5+}", b" 1-Feb-2024 10:00:00 +0100",
         b"01-Feb-2024 10:00:00", b"0" * 300)
NAMES = (b'"plain"', b'"with \\"quotes\\""', b'"bad&amp"', b'"caf\xe9"', b'"a{5+}"', b'"&AGE-"', b'"&"', b'"x/../y"',
         b'"trailing "', b'" leading"', b'"a*b%"', b'"' + b"n" * 600 + b'"', b'"a//b"', b'"~user"', b'"..' b'"', b'"a\x7fb"',
         b"{9}\r\ncr\r\nEVIL2", b"{13}\r\nx\" {5+}\r\nab c", b'"INBOX/x DELETE Archive"', b'"Archive\\\\x"')


class Injection(ImapultCase):
    def destination_with_archive(self):
        destination = self.server(Dovecot, format="sdbox")
        corpus.fill(destination, [("Archive", list(corpus.small(5, 1))[0][1])])
        return destination

    def assert_untouched(self, destination, result, relay=None):
        found = counts(self.connect(destination))
        self.assertEqual(found.get("Archive"), 5, str(result))
        self.assertFalse([name for name in found if "PWNED" in name.upper()], str(result))
        with destination.connect() as connection:
            for line in connection.command('LSUB "" "*"'):
                self.assertNotIn(b"PWNED", line)
        if relay is not None:
            self.assertTrue(relay.said, "nothing was sent to the destination at all")

    def copy_from(self, boxes):
        source, destination = ScriptedSource(boxes), self.destination_with_archive()
        self.addCleanup(source.stop)
        relay = Relay(destination.port)
        self.addCleanup(relay.close)
        result = self.imapult("copy", "--source", source.url(), "--destination", relay.url(), *self.passwords(),
                              "--state", self.state(), "--json", code=None)
        self.assertIn(result.code, (0, 1), str(result))
        self.assert_books(result)
        self.assert_untouched(destination, result, relay)
        return result, destination

    def test_odd_flags(self):
        result, _ = self.copy_from([Box(b"INBOX", [Item(EVIL + b"%d\r\n" % i, flags) for i, flags in enumerate(FLAGS)])])
        # A flag that cannot be carried never costs a message. Some of these lines no parser can read.
        self.assertGreaterEqual(result.summary["messages"]["copied"], len(FLAGS) // 2, str(result))

    def test_each_odd_flag_by_itself(self):
        for flags in FLAGS[:8]:
            with self.subTest(flags=flags):
                box = [Box(b"INBOX", [Item(EVIL, flags), Item(EVIL + b"2\r\n")])]
                source, destination = ScriptedSource(box), self.destination_with_archive()
                self.addCleanup(source.stop)
                result = self.imapult("copy", "--source", source.url(), "--destination", destination.url(),
                                      *self.passwords(), "--state", self.state(f"state-{FLAGS.index(flags)}"), "--json",
                                      code=None)
                self.assertIn(result.code, (0, 1), str(result))
                self.assert_untouched(destination, result)

    def test_odd_dates(self):
        result, destination = self.copy_from(
            [Box(b"INBOX", [Item(EVIL + b"%d\r\n" % i, date=date) for i, date in enumerate(DATES)])])
        self.assertGreaterEqual(result.summary["messages"]["copied"], len(DATES) // 2, str(result))
        self.assertEqual(counts(self.connect(destination))["INBOX"], result.summary["messages"]["copied"])

    def test_odd_mailbox_names(self):
        self.copy_from([Box(b"INBOX", [Item(EVIL)])] + [Box(name, [Item(EVIL)]) for name in NAMES])

    def test_terminal_sequences_do_not_reach_the_terminal(self):
        escape = b"\x1b]0;title\x07\x1b[31m\x9b31m"
        result, _ = self.copy_from([Box(b"INBOX", [Item(EVIL)]), Box(b'"' + escape + b'"', [Item(EVIL)])])
        for text in (result.err, result.out):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)


class TheDangerIsReal(Case):
    """Without this the tests above could pass because the server is harmless."""

    def test_dovecot_runs_a_refused_body_as_commands(self):
        server = self.server(Dovecot)
        with server.connect() as connection:
            body = b"Subject: x\r\n\r\nx CREATE PWNED\r\n"
            tag = connection.send(b"APPEND INBOX (\\Bogus) {%d+}\r\n" % len(body) + body)
            with self.assertRaises(ImapError):
                connection.wait(tag)
            connection.socket.settimeout(5)
            while not connection.response().startswith(b"x "):
                pass
            names = [name for name, _, _ in self.connect(server).mailboxes()]
        self.assertIn("PWNED", names)


class Scripted(unittest.TestCase):
    """The scripted source says what it was told to say."""

    def test_it_can_be_read(self):
        source = ScriptedSource([Box(b"INBOX", [Item(EVIL, b"odd", b"01-Feb-2024 10:00:00 +0000")]),
                                 Box(b"{9}\r\ncr\r\nEVIL2", [])])
        self.addCleanup(source.stop)
        with Connection("127.0.0.1", source.port) as connection:
            connection.login("alice", "pass")
            self.assertEqual([name for name, _, _ in connection.mailboxes()], ["INBOX", "cr\r\nEVIL2"])
            messages = connection.read("INBOX")
        self.assertEqual([(m.uid, m.flags, m.size) for m in messages], [(1, frozenset({"odd"}), len(EVIL))])


if __name__ == "__main__":
    main()
