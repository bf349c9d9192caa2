"""The measuring instruments are measured: filling, reading back and comparing tell the truth."""

import dataclasses
import os
import shutil
import ssl
import subprocess
import sys
import time
import unittest

from lab import corpus
from lab.case import Case, main
from lab.compare import compare, differences, tree
from lab.dovecot import Dovecot
from lab.imap import ImapError, decode_name, encode_name, format_date, parse_date
from lab.process import alive


class Names(unittest.TestCase):
    def test_modified_utf7_goes_both_ways(self):
        for name, encoded in (("Entw\u00fcrfe", "Entw&APw-rfe"), ("a&b", "a&-b"), ("\u65e5\u672c", "&ZeVnLA-"),
                              ("\U0001f4e7", "&2D3c5w-"), ("plain", "plain")):
            self.assertEqual(encode_name(name), encoded)
            self.assertEqual(decode_name(encoded), name)

    def test_dates_with_zones_are_the_same_moment(self):
        self.assertEqual(parse_date("01-Feb-2024 11:00:00 +0100"), parse_date(" 1-Feb-2024 10:00:00 +0000"))
        self.assertEqual(format_date(parse_date("31-Dec-1999 23:59:59 -0530")), "01-Jan-2000 05:29:59 +0000")


class Corpora(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bytes(self):
        self.assertEqual(list(corpus.small(60)), list(corpus.small(60)))
        self.assertNotEqual(list(corpus.small(60)), list(corpus.small(60, seed=9)))

    def test_sizes_are_what_they_claim(self):
        for _, messages in corpus.small(40, 4, 4096):
            self.assertEqual({len(m[0]) for m in messages}, {4096})
        sizes = corpus.large_sizes(10_000, 1_100_000_000, corpus.random.Random(2))
        self.assertEqual(len(sizes), 10_000)
        self.assertAlmostEqual(sum(sizes) / 1.1e9, 1.0, delta=0.1)
        self.assertGreater(max(sizes), 5 << 20)
        self.assertLessEqual(max(sizes), 10 << 20)


class DovecotServer(Case):
    def test_every_format_stores_and_returns_the_odd_corpus(self):
        reference = self.server(Dovecot)
        corpus.fill(reference, corpus.odd())
        source = tree(self.connect(reference))
        self.assertGreater(sum(map(len, source.values())), 50)
        for name in ("sdbox", "mdbox"):
            other = self.server(Dovecot, format=name)
            corpus.fill(other, corpus.odd())
            self.assert_no_differences(differences(source, tree(self.connect(other))))

    def test_separator_and_prefix_are_seen_through(self):
        a, b = self.server(Dovecot), self.server(Dovecot, separator=".", prefix="INBOX.")
        for server in (a, b):
            corpus.fill(server, [("INBOX", []), ("Projects/2024", list(corpus.small(3, 1))[0][1])])
        names = [name for name, _, _ in self.connect(b).mailboxes()]
        self.assertIn("INBOX.Projects.2024", names)
        self.assert_no_differences(compare(self.connect(a), self.connect(b), destination_prefix="INBOX."))

    def test_hidden_capabilities_are_gone_before_and_after_login(self):
        server = self.server(Dovecot, hide=("LITERAL+", "MULTIAPPEND", "UIDPLUS"), add=("LITERAL-",))
        with self.connect(server) as connection:
            for text in (connection.greeting.decode(), " ".join(connection.capability())):
                for gone in ("LITERAL+", "MULTIAPPEND", "UIDPLUS"):
                    self.assertNotIn(gone, text)
                self.assertIn("LITERAL-", text)
            self.assertIn("UNSELECT", connection.capability())

    def test_quota_is_enforced(self):
        server = self.server(Dovecot, quota="40K")
        with self.assertRaisesRegex(ImapError, "OVERQUOTA"):
            corpus.fill(server, corpus.small(30, 1))

    def test_certificates_are_good_and_bad_as_asked(self):
        for kind, words in (("valid", None), ("expired", "expired"), ("wrong-host", "mismatch|not valid for"),
                            ("self-signed", "self.signed")):
            with self.subTest(kind=kind):
                server = self.server(Dovecot, tls=kind)
                context = ssl.create_default_context(cafile=str(server.authority.ca))

                def talk():
                    from lab.imap import Connection
                    Connection("127.0.0.1", server.tls_port, context, "localhost").close()
                if words is None:
                    talk()
                else:
                    with self.assertRaisesRegex(ssl.SSLCertVerificationError, words):
                        talk()
                server.stop()

    def test_the_administrator_opens_any_account(self):
        import base64
        server = self.server(Dovecot)
        corpus.fill(server, corpus.small(3, 1), "first")
        corpus.fill(server, corpus.small(5, 1), "second")
        token = base64.b64encode(f"second\0{server.master}\0{server.master_password}".encode()).decode()
        from lab.imap import Connection
        with Connection(server.host, server.port) as connection:
            connection.command("AUTHENTICATE PLAIN " + token)
            self.assertEqual(len(connection.read("INBOX")), 5)
            connection.append("INBOX", [(b"Subject: x\r\n\r\nx\r\n", ["\\Seen"], None)])
            connection.create("Made by the administrator")

    def test_nothing_runs_after_stop(self):
        server = self.server(Dovecot)
        master, folder = server.pids[0], server.folder
        server.stop()
        self.assertFalse(alive(master))
        self.assertFalse(folder.exists())
        with self.assertRaises(OSError):
            server.connect()

    def test_a_dying_test_program_leaves_no_server_behind(self):
        script = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                  "from lab.dovecot import Dovecot\n"
                  "server = Dovecot().start()\nprint(server.pids[0], flush=True)\nraise RuntimeError('dies')\n")
        done = subprocess.run([sys.executable, "-c", script, os.path.dirname(os.path.abspath(__file__))],
                              capture_output=True, check=False, timeout=60)
        self.assertIn(b"RuntimeError: dies", done.stderr)
        self.assertFalse(alive(int(done.stdout)))

    def test_a_killed_test_program_leaves_no_server_behind(self):
        script = ("import sys, time; sys.path.insert(0, sys.argv[1])\n"
                  "from lab.dovecot import Dovecot\n"
                  "server = Dovecot().start()\nprint(server.pids[0], server.folder, flush=True)\ntime.sleep(60)\n")
        process = subprocess.Popen([sys.executable, "-B", "-c", script, os.path.dirname(os.path.abspath(__file__))],
                                   stdout=subprocess.PIPE, text=True)
        pid, folder = process.stdout.readline().split()
        process.kill()
        process.communicate()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        deadline = time.monotonic() + 10
        while alive(int(pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(alive(int(pid)))

    @unittest.skipUnless(os.geteuid() == 0, "only root can try what an ordinary user sees")
    def test_an_ordinary_user_can_run_it(self):
        script = ("import os, sys; sys.path.insert(0, sys.argv[1])\n"
                  "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                  "from lab.dovecot import Dovecot; from lab import corpus\n"
                  "with Dovecot() as server: print(corpus.fill(server, corpus.small(100, 2)))\n")
        program = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        done = subprocess.run([program, "-B", "-c", script, os.path.dirname(os.path.abspath(__file__))],
                              capture_output=True, check=False, timeout=60, cwd="/")
        if b"ModuleNotFoundError" in done.stderr:
            self.skipTest("the ordinary user may not read this folder")
        self.assertEqual(done.stdout, b"100\n", done.stderr.decode(errors="replace"))


class Comparing(Case):
    """compare() must find each kind of damage, and nothing where there is none."""

    def setUp(self):
        super().setUp()
        self.source = {"INBOX": self.messages(5), "Folder": self.messages(3)}

    def messages(self, count):
        server = getattr(self, "_server", None) or self.server(Dovecot)
        self._server = server
        user = f"u{count}"
        corpus.fill(server, corpus.small(count, 1, 600, seed=count), user)
        with server.connect(user) as connection:
            return connection.read("INBOX")

    def damaged(self, **changes):
        box = list(self.source["INBOX"])
        box[2] = dataclasses.replace(box[2], **changes)
        return {**self.source, "INBOX": box}

    def test_equal_trees_have_no_differences(self):
        self.assertEqual(differences(self.source, {**self.source, "Trash": []}), [])

    def test_each_damage_is_found(self):
        box = self.source["INBOX"]
        for damaged, words in (
                (self.damaged(digest="0" * 64), "message 3 differs"),
                (self.damaged(flags=frozenset({"\\deleted"})), "has flags"),
                (self.damaged(date=1), "INTERNALDATE 1"),
                ({**self.source, "INBOX": box[:2] + box[3:]}, "missing at the destination"),
                ({**self.source, "INBOX": box + box[:1]}, "5 messages at the source, 6 at the destination"),
                ({**self.source, "INBOX": [box[1], box[0], *box[2:]]}, "message 1 differs"),
                ({"INBOX": box}, "Folder: the mailbox is missing"),
                ({**self.source, "Extra": box}, "5 messages that the source does not have")):
            found = differences(self.source, damaged)
            self.assertTrue(any(words in line for line in found), f"{words!r} not in {found}")

    def test_a_copy_made_message_by_message_is_equal(self):
        source, destination = self._server, self.server(Dovecot, format="mbox")
        for server in (source, destination):
            corpus.fill(server, corpus.small(200, 4), "copied")
        self.assert_no_differences(compare(self.connect(source, "copied"), self.connect(destination, "copied")))


if __name__ == "__main__":
    main()
