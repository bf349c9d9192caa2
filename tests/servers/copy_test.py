"""imapult copy between real servers: equal message by message, and nothing to do the second time."""

import json
import os
import re
import subprocess

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare, tree
from lab.dovecot import Dovecot
from lab.imap import quote
from lab.relay import Relay

# What imapult may say to a source (protocol rule: read-only by construction).
SOURCE_WORDS = {"CAPABILITY", "ID", "NOOP", "AUTHENTICATE", "LOGIN", "STARTTLS", "COMPRESS", "ENABLE", "NAMESPACE",
                "LIST", "LSUB", "XLIST", "STATUS", "EXAMINE", "UNSELECT", "CLOSE", "UID FETCH", "UID SEARCH",
                "GETQUOTAROOT", "GETQUOTA", "GETMETADATA", "GETACL", "MYRIGHTS", "LOGOUT", "UNAUTHENTICATE", "NOTIFY",
                "IDLE", "DONE"}


def commands(said):
    """The command words of one recorded connection (its literals are not large here)."""
    out = set()
    for line in bytes(said).split(b"\r\n"):
        match = re.match(rb"\S+ ((?:UID )?[A-Za-z]+)", line)
        if match:
            out.add(match.group(1).decode().upper())
    return out


class Copy(ImapultCase):
    def source_with_everything(self, **options):
        source = self.server(Dovecot, **options)
        corpus.fill(source, corpus.small(1500, 6))
        corpus.fill(source, corpus.odd())
        return source

    def assert_equal(self, source, destination, **options):
        found = compare(self.connect(source), self.connect(destination), getattr(source, "prefix", ""),
                        getattr(destination, "prefix", ""), **options)
        self.assert_no_differences(found)

    def copied_once(self, source, destination, *more):
        """Copies, checks that the first run did all and the second nothing."""
        first = self.copy(source, destination, *more).summary
        self.assertEqual(first["result"], "complete")
        self.assertEqual(first["messages"]["copied"], first["messages"]["source"])
        again = self.copy(source, destination, *more).summary
        self.assertEqual(again["messages"]["copied"], 0)
        self.assertEqual(again["messages"]["adopted"], 0)
        self.assertEqual(again["messages"]["already_there"], first["messages"]["source"])
        return first

    def test_every_destination_format(self):
        source = self.source_with_everything()
        for name in ("maildir", "sdbox", "mdbox"):
            with self.subTest(format=name):
                destination = self.server(Dovecot, format=name)
                arguments = ["copy", *self.endpoints(source, destination), "--state", self.state(name), "--json"]
                result = self.imapult(*arguments)
                self.assert_books(result)
                self.assertEqual(result.summary["messages"]["copied"], result.summary["messages"]["source"])
                self.assert_equal(source, destination)
                self.assertEqual(self.imapult(*arguments).summary["messages"]["copied"], 0)
                destination.stop()

    def test_mbox_destination(self):
        # A mailbox of this format cannot have children, hence the flat corpus.
        source, destination = self.server(Dovecot), self.server(Dovecot, format="mbox")
        corpus.fill(source, corpus.small(600, 4))
        self.copied_once(source, destination)
        self.assert_equal(source, destination)

    def test_prefix_and_separator_are_translated(self):
        source = self.source_with_everything()
        destination = self.server(Dovecot, format="sdbox", separator=".", prefix="INBOX.")
        self.copied_once(source, destination)
        self.assert_equal(source, destination)

    def test_only_the_changes_are_carried_the_next_time(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(400, 4))
        self.copy(source, destination)
        with self.connect(source) as connection:
            connection.command(b"SELECT " + quote("Folder 01"))
            connection.command("UID STORE 1:5 +FLAGS (\\Flagged changed)")
            connection.command("UID STORE 6 -FLAGS (\\Seen)")
        corpus.fill(source, corpus.small(60, 4, seed=77))
        result = self.copy(source, destination).summary
        self.assertEqual(result["messages"]["copied"], 60)
        self.assertGreaterEqual(result["messages"]["flags_updated"], 5)
        self.assert_equal(source, destination)

    def counting(self, port, listen=None):
        """A proxy that counts, in front of `port`; (process, its own port)."""
        process = subprocess.Popen([os.environ["DELAY_PROXY"], "--connect", str(port),
                                    *(["--listen", str(listen)] if listen else [])],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, int(process.stdout.readline().split()[1])

    def test_an_unchanged_account_costs_one_round_trip_and_a_few_kilobytes(self):
        if not os.environ.get("DELAY_PROXY"):
            self.skipTest("the environment variable DELAY_PROXY does not name the counting proxy")
        servers = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(servers[0], corpus.small(2000, 20))
        proxies = [self.counting(server.port) for server in servers]
        urls = [f"imap://alice@127.0.0.1:{port}?tls=off" for _, port in proxies]
        arguments = ["copy", "--source", urls[0], "--destination", urls[1], *self.passwords(),
                     "--source-auth", "plain", "--destination-auth", "plain", "--state", self.state(), "--json"]
        self.assertEqual(self.imapult(*arguments).summary["messages"]["copied"], 2000)
        for process, _ in proxies:
            process.terminate()
            process.wait()
        fresh = [self.counting(server.port, port)[0] for server, (_, port) in zip(servers, proxies)]
        result = self.imapult(*arguments)
        self.assertEqual(result.summary["messages"]["already_there"], 2000, str(result))
        total = 0
        for process in fresh:
            process.terminate()
            seen = json.loads(process.stdout.read())
            total += seen["client_bytes"] + seen["server_bytes"]
            # The login, one batch, the logout: one round trip of work. A side that is not needed has none.
            self.assertLessEqual(seen["turns"], 3, f"{seen}\n{result}")
        self.assertLess(total, 10_000, str(result))

    def test_the_source_is_only_read(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(100, 4))
        before = tree(self.connect(source))
        relay = Relay(source.port)
        self.addCleanup(relay.close)
        for _ in range(2):
            self.imapult("copy", "--source", relay.url(), "--destination", destination.url(), *self.passwords(),
                         "--state", self.state(), "--json")
        words = set().union(*(commands(said) for said in relay.said))
        self.assertTrue(words, "the relay has seen nothing")
        self.assertLessEqual(words, SOURCE_WORDS)
        self.assertNotRegex(relay.text(), rb"(?i)\bBODY\[")
        self.assertEqual(tree(self.connect(source)), before)

    def test_a_dry_run_between_two_copies_tells_of_a_new_mailbox(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(20, 4, 500))
        self.copy(source, destination)
        corpus.fill(source, [("Brand new", [(b"Subject: new\r\n\r\nnew\r\n", (), None)])])
        for dry in (("--dry-run",), ()):
            result = self.copy(source, destination, *dry)
            self.assertEqual(result.summary["messages"]["copied"], 1, str(result))

    def test_a_dry_run_writes_nothing(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(100, 4))
        self.copy(source, destination, "--dry-run")
        with self.connect(destination) as there:
            self.assertEqual(sum(map(len, tree(there).values())), 0)


class HiddenCapabilities(ImapultCase):
    """What the destination does not offer must not be used, and the copy is complete all the same."""

    def copy_without(self, hide, add, forbidden):
        source = self.server(Dovecot)
        corpus.fill(source, corpus.small(250, 3))
        corpus.fill(source, corpus.odd())
        destination = self.server(Dovecot, format="sdbox", hide=hide, add=add)
        relay = Relay(destination.port)
        self.addCleanup(relay.close)
        arguments = ["copy", "--source", source.url(), "--destination", relay.url(), *self.passwords(),
                     "--state", self.state(), "--json"]
        result = self.imapult(*arguments)
        self.assert_books(result)
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))
        if forbidden:
            self.assertNotRegex(relay.text(), forbidden)
        again = self.imapult(*arguments)
        self.assertEqual(again.summary["messages"]["copied"], 0, str(again))

    # A literal of a command line; bodies of the corpus have their own braces, but never at such a place.
    def test_without_literal_plus(self):
        self.copy_without(("LITERAL+",), (), rb"(?m)^\S+ (?i:APPEND) [^\r\n]*\{\d+\+\}\r$")

    def test_without_multiappend(self):
        # A second message in one APPEND: its arguments begin with a space, behind the first one's body.
        self.copy_without(("MULTIAPPEND",), (), rb'(?m)^ (?:\([^\r\n]*\) )?(?:"[^"\r\n]*" )?\{\d+\+?\}\r$')

    def test_without_uidplus(self):
        self.copy_without(("UIDPLUS",), (), None)

    def test_with_literal_minus_only(self):
        self.copy_without(("LITERAL+",), ("LITERAL-",), rb"(?m)^\S+ (?i:APPEND) [^\r\n]*\{\d{5,}\+\}\r$")

    def test_without_any_of_them(self):
        self.copy_without(("LITERAL+", "MULTIAPPEND", "UIDPLUS"), (), rb"(?m)^\S+ (?i:APPEND) [^\r\n]*\{\d+\+\}\r$")

    def test_a_source_without_condstore_still_shows_changed_flags(self):
        hide = ("CONDSTORE", "QRESYNC", "LIST-STATUS", "LIST-EXTENDED", "ESEARCH")
        source, destination = self.server(Dovecot, hide=hide), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(200, 2))
        self.copy(source, destination)
        with self.connect(source) as connection:
            connection.command(b"SELECT INBOX")
            connection.command("UID STORE 3:7 FLAGS (\\Answered \\Draft)")
        result = self.copy(source, destination).summary
        self.assertEqual(result["messages"]["copied"], 0)
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))


if __name__ == "__main__":
    main()
