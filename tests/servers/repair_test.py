"""OK is no proof: what a destination altered or cut is told by kind. What it refuses is changed as little as it
takes, the original kept, and a rerun sends nothing again."""

import pathlib
import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.cyrus import Cyrus
from lab.dovecot import Dovecot
from lab.imap import Connection
from lab.mailutils import Mailutils
from lab.process import free_port

HEAD = b"From: a@example.com\r\nMessage-ID: <%d@example.com>\r\nDate: Thu, 1 Jan 2015 00:00:00 +0000\r\nSubject: %s\r\n\r\n"


def odd(number, subject, body):
    return HEAD % (number, subject) + body, ["\\Seen"], corpus.FIRST_DATE + number


class OddSource(ImapultCase):
    """The source is our own in-memory server: it holds octets that real servers change."""

    def setUp(self):
        super().setUp()
        port = free_port()
        server = self.start("imapd", "--listen", f"127.0.0.1:{port}")
        self.addCleanup(server.communicate)
        self.addCleanup(server.terminate)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.held = Connection("127.0.0.1", port)
                break
            except OSError:
                self.assertLess(time.monotonic(), deadline, "imapd does not listen")
                time.sleep(0.05)
        self.held.login("alice", "imapult")
        self.addCleanup(self.held.close)
        self.url = f"imap://alice@127.0.0.1:{port}?tls=off"

    def run_to(self, destination, command, *more, code=0):
        result = self.imapult(command, "--source", self.url, "--destination", destination.url(), "--json", "--state",
                              self.state(), *self.passwords("imapult", destination.password), *more, code=code)
        if command == "copy":
            self.assert_books(result)
        return result.summary

    def drop(self, uid):
        for command in ("SELECT INBOX", f"UID STORE {uid} +FLAGS (\\Deleted)", f"UID EXPUNGE {uid}", "UNSELECT"):
            self.held.command(command)

    def kinds(self, summary, kind):
        return [notice["text"] for notice in summary["notices"] if notice["kind"] == kind]


class ReadBack(OddSource):
    def fill(self):
        self.held.append("INBOX", [odd(1, b"plain", b"one\r\n"), odd(2, b"bare line feeds", b"one\ntwo\n"),
                                   odd(3, b"a NUL", b"a\0b\r\n"), odd(4, b"8-bit \xc3\xbc", b"three\r\n")])

    def test_what_dovecot_alters_is_told(self):
        self.fill()
        destination = self.server(Dovecot, format="sdbox")
        told = self.kinds(self.run_to(destination, "copy"), "message_altered")
        self.assertEqual(len(told), 1, told)
        self.assertIn("2 messages were altered by the destination: 1 line ends, 1 NUL", told[0])
        self.assertEqual(self.run_to(destination, "copy")["messages"]["already_there"], 4)

    def test_trust_asks_nothing_back(self):
        self.fill()
        destination = self.server(Dovecot, format="sdbox")
        self.assertEqual(self.kinds(self.run_to(destination, "copy", "--trust"), "message_altered"), [])

    def test_without_uidplus_it_is_told_as_well(self):
        self.fill()
        destination = self.server(Dovecot, format="sdbox", hide=("UIDPLUS",))
        told = self.kinds(self.run_to(destination, "copy"), "message_altered")
        self.assertIn("1 line ends, 1 NUL", " ".join(told))

    def test_eight_bit_headers_that_cyrus_overwrites(self):
        self.held.append("INBOX", [odd(1, b"plain", b"one\r\n"), odd(4, b"8-bit \xc3\xbc", b"three\r\n")])
        told = self.kinds(self.run_to(self.server(Cyrus, munge8bit=True), "copy"), "message_altered")
        self.assertIn("1 messages were altered by the destination: 1 8-bit header", " ".join(told))

    def test_what_mailutils_cuts_counts_as_refused(self):
        self.held.append("INBOX", [odd(1, b"plain", b"one\r\n"), odd(3, b"a NUL", b"before\0behind\r\n" * 20)])
        destination = self.server(Mailutils)
        found = self.run_to(destination, "copy", code=1)
        self.assertEqual((found["messages"]["copied"], found["messages"]["refused"]), (1, 1))
        self.assertRegex(found["refusals"][0]["reason"], r"said OK to this message and kept \d+ of its \d+ octets")
        self.assertEqual(found["refusals"][0]["message_id"], "<3@example.com>")
        for more in ((), ("--retry-refused",)):
            again = self.run_to(destination, "copy", *more, code=1)
            self.assertEqual((again["messages"]["copied"], again["messages"]["refused"]), (0, 1))
        self.drop(2)
        self.held.append("INBOX", [odd(6, b"new", b"new\r\n")])
        found = self.run_to(destination, "copy")["messages"]
        self.assertEqual((found["source"], found["copied"], found["already_there"], found["refused"]), (2, 1, 1, 0))


class Repairs(OddSource):
    BODIES = {2: (b"bare line feeds", b"one\ntwo\n"), 3: (b"a NUL", b"a\0b\r\n"),
              5: (b"both", b"a\0b\nc\n")}

    def fill(self):
        self.held.append("INBOX", [odd(1, b"plain", b"one\r\n")] +
                         [odd(n, *self.BODIES[n]) for n in self.BODIES])

    def test_what_cyrus_refuses_is_repaired_and_kept(self):
        self.fill()
        destination = self.server(Cyrus)
        found = self.run_to(destination, "copy")
        self.assertEqual((found["messages"]["copied"], found["messages"]["refused"]), (4, 0))
        applied = {r["message_id"]: r["applied"] for r in found["repairs"]}
        self.assertEqual(applied["<2@example.com>"], "CRLF for bare LF")
        self.assertIn("NUL", applied["<3@example.com>"])
        self.assertIn("NUL", applied["<5@example.com>"])
        for repair in found["repairs"]:
            number = int(repair["message_id"][1])
            self.assertEqual(pathlib.Path(repair["original"]).read_bytes(), odd(number, *self.BODIES[number])[0])
            self.assertRegex(repair["reason"], "(?i)newline|NUL")
        again = self.run_to(destination, "copy")
        self.assertEqual((again["messages"]["copied"], again["messages"]["already_there"]), (0, 4))
        # What is sent as BINARY keeps its octets.
        changed = sum("BINARY" not in text for text in applied.values())
        found = self.run_to(destination, "verify", "--depth", "content", code=7)["verify"]
        self.assertEqual((found["equal"], found["altered_by"]), (4 - changed, {"repaired": changed}))

    def test_a_repaired_copy_follows_its_original(self):
        self.fill()
        destination = self.server(Cyrus)
        self.run_to(destination, "copy")
        self.drop(2)
        found = self.run_to(destination, "copy", "--delete", "mirror", "--delete-limit", "1")
        self.assertEqual(found["messages"]["deleted"], 1)
        self.assertEqual(self.run_to(destination, "verify")["verify"]["extra"], 0)

    def test_repair_off_lists_them_and_keeps_the_originals(self):
        self.fill()
        destination = self.server(Cyrus)
        found = self.run_to(destination, "copy", "--repair", "off", code=1)
        self.assertEqual((found["messages"]["copied"], found["messages"]["refused"]), (1, 3))
        self.assertEqual(found["repairs"], [])
        self.assertEqual(len(list(pathlib.Path(self.state()).rglob("refused/*/*/*.eml"))), 3)


if __name__ == "__main__":
    main()
