"""verify says what is equal and what is not, by kind; a proof holds without the source. The proof's hashes are
computed here once more, from the documentation and from what the server sends."""

import hashlib
import json
import os
import pathlib
import struct
import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.cyrus import Cyrus
from lab.dovecot import Dovecot
from lab.imap import FLAGS, DATE, Connection, parse_date, quote
from lab.process import free_port

HEAD = b"From: a@example.com\r\nMessage-ID: <%d@example.com>\r\nDate: Thu, 1 Jan 2015 00:00:00 +0000\r\nSubject: %s\r\n\r\n"
DATE_0 = corpus.FIRST_DATE


def odd(number, subject, body):
    return HEAD % (number, subject) + body, [], DATE_0 + number


def u32(number):
    return struct.pack(">I", number)


def sha256(octets):
    return hashlib.sha256(octets).digest()


def merkle(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + merkle(leaves[:half]) + merkle(leaves[half:]))


def message_id(body):
    for line in body.split(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"message-id:"):
            return line[11:].strip()
    return b""


def mailbox_root(connection, mailbox):
    leaves = []

    def fetched(pieces):
        text, body = b" ".join(pieces[0::2]), pieces[1]
        flags = sorted({f.lower() for f in FLAGS.search(text).group(1).split()} - {b"\\recent"})
        content = sha256(b"\4" + u32(len(message_id(body))) + message_id(body) + sha256(body))
        words = b" ".join(flags)
        date = struct.pack(">q", parse_date(DATE.search(text).group(1).decode()))
        leaves.append(sha256(b"\0" + content + date + u32(len(words)) + words))

    connection.command(b"EXAMINE " + quote(mailbox))
    connection.command("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])", fetched)
    return merkle(sorted(leaves)), len(leaves)


class Verify(ImapultCase):
    def verify(self, source, destination, *more, code=0):
        result = self.imapult("verify", *self.endpoints(source, destination), "--state", self.state(), "--json", *more,
                              code=code)
        self.assertEqual(result.summary["exit_code"], code)
        return result.summary

    def copied_pair(self, messages=300, mailboxes=3, **options):
        source, destination = self.server(Dovecot), self.server(Dovecot, **options)
        corpus.fill(source, corpus.small(messages, mailboxes, size=1000))
        self.copy(source, destination)
        return source, destination

    def imapd(self):
        """Our in-memory server: it holds octets that real servers change."""
        port = free_port()
        server = self.start("imapd", "--listen", f"127.0.0.1:{port}")
        self.addCleanup(server.communicate)
        self.addCleanup(server.terminate)
        deadline = time.monotonic() + 20
        while True:
            try:
                connection = Connection("127.0.0.1", port)
                break
            except OSError:
                self.assertLess(time.monotonic(), deadline, "imapd does not listen")
                time.sleep(0.05)
        connection.login("alice", "imapult")
        self.addCleanup(connection.close)
        return connection, f"imap://alice@127.0.0.1:{port}?tls=off"

    def change(self, server, mailbox, *commands):
        connection = self.connect(server)
        connection.command(b"SELECT " + quote(mailbox))
        for command in commands:
            connection.command(command)

    def test_equal_at_every_depth(self):
        source, destination = self.copied_pair()
        for depth in ("counts", "metadata", "content"):
            found = self.verify(source, destination, "--depth", depth)
            self.assertEqual({k: found["verify"][k] for k in ("equal", "altered", "different", "missing", "extra")},
                             {"equal": 300, "altered": 0, "different": 0, "missing": 0, "extra": 0}, depth)
            self.assertEqual({box["result"] for box in found["verified"]}, {"equal"})
        self.assertEqual(found["verify"]["bodies"]["compared"], 300)

    def test_what_differs_is_named(self):
        source, destination = self.copied_pair(format="maildir")
        self.change(destination, "INBOX", "UID STORE 3 +FLAGS (\\Deleted)", "UID EXPUNGE 3",
                    "UID STORE 5 -FLAGS (\\Seen)", "UID STORE 6 +FLAGS (\\Draft)")
        corpus.fill(destination, [("Folder 01", [odd(9, b"new", b"new\r\n")])])
        found = self.verify(source, destination, "--depth", "counts", code=7)
        self.assertEqual((found["verify"]["missing"], found["verify"]["extra"]), (1, 1))
        found = self.verify(source, destination, code=7)
        kinds = {d["source_uid"]: d for d in found["differences"]}
        self.assertEqual(kinds[3]["kind"], "missing")
        self.assertRegex(kinds[3]["message_id"], "@example.com>")
        self.assertIn("\\Draft", kinds[6]["text"])
        self.assertIn("changed at the destination since", kinds[6]["text"])
        self.assertEqual(found["verify"]["extra"], 1)
        boxes = {box["mailbox"]: box["result"] for box in found["verified"]}
        self.assertEqual((boxes["INBOX"], boxes["Folder 01"]), ("different", "equal"))

    def test_an_altered_body_of_the_same_size_is_found_by_content_only(self):
        source, destination = self.copied_pair(format="maildir")
        files = sorted(path for path in pathlib.Path(destination.folder / "mail").rglob("cur/*") if path.is_file())
        body, times = files[0].read_bytes(), files[0].stat()
        files[0].write_bytes(body[:-20] + b"?" + body[-19:])
        os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))  # it is the INTERNALDATE
        self.verify(source, destination)
        found = self.verify(source, destination, "--depth", "content", code=7)
        self.assertEqual(found["verify"]["altered_by"], {"other": 1})
        self.assertEqual(found["differences"][0]["altered_by"], "other")
        self.assertIn("the first difference is at", found["differences"][0]["text"])

    def test_alterations_are_named_by_kind(self):
        held, url = self.imapd()
        held.append("INBOX", [odd(1, b"plain", b"one\r\n"), odd(2, b"bare line feed", b"one\ntwo\n"),
                              odd(3, b"a NUL", b"a\0b\r\n"), odd(4, b"two", b"three\r\n")])
        destination = self.server(Dovecot, format="sdbox")
        ends = ["--source", url, "--destination", destination.url(), *self.passwords("imapult"), "--json", "--state",
                self.state()]
        self.imapult("copy", *ends)
        for depth in ("metadata", "content"):
            found = self.imapult("verify", *ends, "--depth", depth, code=7).summary
            by = found["verify"]["altered_by"]
            self.assertEqual(by.get("line_ends"), 1, depth)
        self.assertEqual(by, {"line_ends": 1, "nul": 1})
        self.assertEqual((found["verify"]["equal"], found["verify"]["altered"]), (2, 2))
        text = self.imapult("verify", *[e for e in ends if e != "--json"], "--depth", "content", code=7).out
        self.assertIn("1 line ends, 1 NUL", text)

    def test_cyrus_proves_contents_without_sending_them(self):
        source, destination = self.server(Dovecot), self.server(Cyrus, munge8bit=True)
        self.assertIn("DIGEST=SHA1", self.connect(destination).capability())
        corpus.fill(source, corpus.small(60, 2, size=20_000))
        corpus.fill(source, [("INBOX", [odd(1, b"8-bit \xc3\xbc", b"body\r\n")])])
        self.copy(source, destination)
        found = self.verify(source, destination, "--depth", "content", code=7)
        self.assertEqual(found["verify"]["altered_by"], {"header_8bit": 1})
        self.assertEqual(found["verify"]["equal"], 60)
        self.assertGreater(found["bytes"]["source_in"], 1_000_000)
        self.assertLess(found["bytes"]["destination_in"], 40_000)

    def test_a_sample_says_how_certain_it_is(self):
        source, destination = self.copied_pair(1000, 2)
        found = self.verify(source, destination, "--sample", "20%")["verify"]["bodies"]
        self.assertEqual((found["total"], found["altered"], found["confidence"]), (1000, 0, 0.99))
        self.assertTrue(100 < found["compared"] < 320, found)
        self.assertAlmostEqual(found["altered_part_at_most"], 4.605 / found["compared"], places=4)
        text = self.imapult("verify", *self.endpoints(source, destination), "--state", self.state(), "--sample",
                            "0.2").out
        self.assertRegex(text, r"With 99 % confidence at most \d+\.\d\d % of all bodies \(\d+\)")

    def test_a_proof_holds_without_the_source(self):
        source, destination = self.copied_pair()
        proof = self.folder / "proof.json"
        self.verify(source, destination, "--proof", proof)
        source.stop()
        document = json.loads(proof.read_text())
        account = document["accounts"][0]
        self.assertEqual(account["root"], account["source_root"])
        leaves = []
        for box in account["mailboxes"]:
            root, messages = mailbox_root(self.connect(destination), box["destination"])
            self.assertEqual((root.hex(), messages), (box["root"], box["messages"]), box["mailbox"])
            name = box["mailbox"].encode()
            leaves.append(sha256(b"\2" + u32(len(name)) + name + struct.pack(">Q", messages) + root))
        self.assertEqual(merkle(sorted(leaves)).hex(), account["root"])

        against = ["verify", "--against", proof, "--destination", destination.url(), "--destination-password-file",
                   self.secret("pw", "pass"), "--state", self.state("other"), "--json"]
        self.assertEqual(self.imapult(*against).summary["verify"]["equal"], 300)
        corpus.fill(destination, [("INBOX", [odd(9, b"new", b"new\r\n")])])
        self.assertEqual(self.imapult(*against).summary["verify"]["extra"], 1)
        self.change(destination, "Folder 02", "UID STORE 4 +FLAGS (\\Deleted)", "UID EXPUNGE 4")
        self.change(destination, "INBOX", "UID STORE 5 +FLAGS (\\Draft)")
        found = self.imapult(*against, code=7).summary
        self.assertEqual({(d["mailbox"], d["destination_uid"], d["kind"]) for d in found["differences"]},
                         {("Folder 02", 4, "missing"), ("INBOX", 5, "different")})
        self.assertEqual({box["mailbox"] for box in found["verified"] if box["result"] == "different"},
                         {"INBOX", "Folder 02"})

        for text, words in ((proof.read_text().replace('"imapult_proof": 1', '"imapult_proof": 9'), "version 9"),
                            (proof.read_text().replace('"messages":100', '"messages":99'), "damaged"),
                            (proof.read_text()[:-500], "damaged")):
            bad = self.folder / "bad.json"
            bad.write_text(text)
            result = self.imapult(*against[:2], bad, *against[3:], code=2)
            self.assertIn(words, result.err)

    def against(self, proof, destination, code=0):
        return self.imapult("verify", "--against", proof, "--destination", destination.url(),
                            "--destination-password-file", self.secret("pw", "pass"), "--state", self.state("other"),
                            "--json", code=code).summary

    def test_a_mailbox_that_is_missing_altogether_has_other_roots(self):
        source, destination = self.copied_pair(30, 3)
        self.connect(destination).command(b"DELETE " + quote("Folder 02"))
        proof = self.folder / "proof.json"
        self.assertGreater(self.verify(source, destination, "--proof", proof, code=7)["verify"]["missing"], 0)
        account = json.loads(proof.read_text())["accounts"][0]
        self.assertNotEqual(account["root"], account["source_root"])
        box = [b for b in account["mailboxes"] if b["mailbox"] == "Folder 02"][0]
        root, messages = mailbox_root(self.connect(source), "Folder 02")
        self.assertEqual((box["source_root"], box["source_messages"]), (root.hex(), messages))
        self.assertEqual((box["root"], box["messages"]), (sha256(b"").hex(), 0))

    def test_a_mailbox_that_holds_no_messages_any_more_does_not_end_the_rest(self):
        source, destination = self.copied_pair(30, 3)
        proof = self.folder / "proof.json"
        self.verify(source, destination, "--proof", proof)
        connection = self.connect(destination)
        connection.command(b"CREATE " + quote("Folder 01/below"))
        connection.command(b"DELETE " + quote("Folder 01"))  # \Noselect from now on
        for found in (self.verify(source, destination, code=7), self.against(proof, destination, code=7)):
            boxes = {box["mailbox"]: box["result"] for box in found["verified"]}
            self.assertEqual(boxes.pop("Folder 01"), "different")
            self.assertEqual(set(boxes.values()), {"equal"})
            self.assertEqual((found["verify"]["missing"], found["verify"]["equal"]), (10, 20))

    def test_mailboxes_that_only_one_side_has_are_seen(self):
        source, destination = self.copied_pair(30, 3)
        corpus.fill(destination, [("Only here", [odd(n, b"new", b"new\r\n") for n in range(3)])])
        found = self.verify(source, destination)
        self.assertEqual((found["verify"]["equal"], found["verify"]["extra"]), (30, 3))
        self.connect(source).command(b"CREATE Empty")
        self.verify(source, destination, code=7)
        text = self.imapult("verify", *self.endpoints(source, destination), "--state", self.state(), code=7).out
        self.assertIn("missing alice Empty: the mailbox is not at the destination", text)

    def test_mailboxes_of_many_chunks_are_compared_whole(self):
        """Dovecot may send data of a FETCH before the OK of the one in front of it."""
        source, destination = self.server(Dovecot), self.server(Dovecot)
        corpus.fill(source, corpus.small(1200, 1, size=600))
        large = [message for _, batch in corpus.small(300, 1, size=32_000, seed=3) for message in batch]
        corpus.fill(source, [("Large", large)])  # over 8 MiB
        self.copy(source, destination)
        proof = self.folder / "proof.json"
        for _ in range(3):
            found = self.verify(source, destination, "--depth", "content")["verify"]
            self.assertEqual((found["equal"], found["different"]), (1500, 0))
        self.assertEqual(self.verify(source, destination, "--sample", "90%")["verify"]["equal"], 1500)
        self.verify(source, destination, "--proof", proof)
        account = json.loads(proof.read_text())["accounts"][0]
        self.assertEqual(account["root"], account["source_root"])
        for _ in range(3):
            self.assertEqual(self.against(proof, destination)["verify"]["equal"], 1500)

    def test_of_duplicates_each_is_found_as_it_was(self):
        source, destination = self.server(Dovecot), self.server(Dovecot)
        corpus.fill(source, [("INBOX", [odd(1, b"twice", b"same\r\n"), odd(1, b"twice", b"same\r\n")])])
        self.change(source, "INBOX", "UID STORE 1 +FLAGS (\\Flagged)")
        self.copy(source, destination)
        proof = self.folder / "proof.json"
        self.verify(source, destination, "--proof", proof)
        self.change(destination, "INBOX", "UID COPY 2 INBOX", "UID COPY 1 INBOX", "UID STORE 1:2 +FLAGS (\\Deleted)",
                    "UID EXPUNGE 1:2")
        self.assertEqual(self.against(proof, destination)["verify"]["equal"], 2)


if __name__ == "__main__":
    main()
