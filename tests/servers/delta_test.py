"""Delta passes with --delete mirror: new, changed, deleted and moved messages and a renamed mailbox
follow, and no body crosses the wire twice. IMAPULT_DELTA_MESSAGES=20000 is the large version."""

import os
import re

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare, counts, tree
from lab.cyrus import Cyrus
from lab.dovecot import Dovecot
from lab.imap import quote
from lab.relay import Relay

MESSAGES = int(os.environ.get("IMAPULT_DELTA_MESSAGES", "2000"))
MAILBOXES = 20
SIZE = 4096
OVERHEAD_MAX = 100_000  # octets from the source besides the new bodies


def bodies_asked(said):
    """How many messages were asked for whole on these recorded connections."""
    total = 0
    for words in said:
        for line in bytes(words).split(b"\r\n"):
            match = re.match(rb"\S+ UID FETCH ([0-9:,]+) \([^\r\n]*BODY\.PEEK\[\]", line)
            for part in match.group(1).split(b",") if match else ():
                first, _, last = part.partition(b":")
                total += int(last or first) - int(first) + 1
    return total


class Recorded(Relay):
    """A server as seen through a relay that records what is said to it."""

    def __init__(self, server):
        super().__init__(server.port)
        self.user, self.password = server.user, server.password

    def url(self, user=None):
        return super().url(user or self.user)


class Delta(ImapultCase):
    def change(self, source, messages, moves=True):
        """1 % new, 1 % with other flags, 1 % deleted, some moved, a mailbox renamed. Returns (how many
        are new, their octets, how many moved, how many are deleted)."""
        per_box = messages // MAILBOXES
        share = max(per_box // 100, 1)
        fresh = list(corpus.small(share * MAILBOXES, MAILBOXES, SIZE, seed=77))
        corpus.fill(source, fresh)
        moved = messages // 200 if moves else 0
        with self.connect(source) as connection:
            for number in range(MAILBOXES):
                connection.command(b"SELECT " + quote("INBOX" if number == 0 else f"Folder {number:02d}"))
                # The UIDs are 1 to per_box; the moved ones are the last before the new ones.
                first = 1 + number % 7
                connection.command(f"UID STORE {first}:{first + share - 1} +FLAGS.SILENT (\\Flagged seen-again)")
                first = per_box // 2
                connection.command(f"UID STORE {first}:{first + share - 1} +FLAGS.SILENT (\\Deleted)")
                connection.command(f"UID EXPUNGE {first}:{first + share - 1}")
            if moved:
                connection.command(b"SELECT " + quote("Folder 03"))
                connection.command(f"UID MOVE {per_box - moved + 1}:{per_box} ".encode() + quote("Folder 05"))
            connection.command(b"RENAME " + quote("Folder 07") + b" " + quote("Another name"))
        octets = sum(len(body) for _, batch in fresh for body, _, _ in batch)
        return share * MAILBOXES, octets, moved, share * MAILBOXES

    def follow(self, source, overhead_max=OVERHEAD_MAX):
        """The first copy, changes, one delta pass: what it did and what it cost."""
        destination = self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(MESSAGES, MAILBOXES, SIZE))
        relay = Recorded(source)
        self.addCleanup(relay.close)
        self.copy(relay, destination)
        new, octets, moved, deleted = self.change(source, MESSAGES)
        before = len(relay.said)
        result = self.copy(relay, destination, "--delete", "mirror")
        summary = result.summary
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))
        m = summary["messages"]
        self.assertEqual((m["copied"], m["moved"], m["deleted"]), (new, moved, deleted), str(result))
        self.assertEqual(m["flags_updated"], deleted, str(result))
        self.assertEqual(summary["mailboxes"]["renamed"], 1, str(result))
        self.assertEqual(summary["bytes"]["copied"], octets, str(result))
        self.assertEqual(bodies_asked(relay.said[before:]), new, str(result))
        overhead = summary["bytes"]["source_in"] - octets
        print(f"{source.name}: {summary['bytes']['source_in']} octets from the source, "
              f"{overhead} more than the {new} new bodies; {summary['seconds']:.2f} s")
        self.assertLessEqual(overhead, overhead_max, str(result))
        again = self.copy(relay, destination, "--delete", "mirror").summary["messages"]
        self.assertEqual((again["copied"], again["moved"], again["deleted"], again["flags_updated"]), (0, 0, 0, 0))
        self.assert_no_open_intents()
        return destination

    def test_everything_follows_with_qresync(self):
        self.follow(self.server(Dovecot))

    def test_everything_follows_with_condstore_only(self):
        # Without VANISHED a SEARCH of each mailbox says who is left.
        self.follow(self.server(Dovecot, hide=("QRESYNC",)), OVERHEAD_MAX + MESSAGES)

    def test_everything_follows_without_either(self):
        # Sets of flags: about 20 octets a message and pass.
        self.follow(self.server(Dovecot, hide=("QRESYNC", "CONDSTORE")), max(OVERHEAD_MAX, MESSAGES * 20))

    def test_everything_follows_without_any_extension(self):
        hidden = ("QRESYNC", "CONDSTORE", "LIST-STATUS", "LIST-EXTENDED", "ESEARCH", "ENABLE", "UNSELECT")
        # Dovecot says OK to a pipeline of SEARCHes behind all their answers, which nothing tells apart without ESEARCH's
        # tags: the flags of all messages are listed.
        self.follow(self.server(Dovecot, hide=hidden), OVERHEAD_MAX + MESSAGES * 45)

    def test_everything_follows_from_cyrus(self):
        self.follow(self.server(Cyrus))

    def test_a_destination_without_move_copies_and_deletes_single_messages(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox", hide=("MOVE",))
        corpus.fill(source, corpus.small(400, MAILBOXES, SIZE))
        self.copy(source, destination)
        with self.connect(source) as connection:
            connection.command(b"SELECT " + quote("Folder 03"))
            connection.command(b"UID MOVE 3:6 " + quote("Folder 05"))
        # Somebody's own mark must not be carried out by us.
        with self.connect(destination) as connection:
            connection.command(b"SELECT " + quote("Folder 03"))
            connection.command("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
        m = self.copy(source, destination, "--delete", "mirror").summary["messages"]
        self.assertEqual((m["copied"], m["moved"]), (0, 4))
        sizes = counts(self.connect(destination))
        self.assertEqual((sizes["Folder 03"], sizes["Folder 05"]), (16, 24))

    def test_without_mirror_nothing_is_deleted_and_it_is_counted(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(400, MAILBOXES, SIZE))
        self.copy(source, destination)
        new, _, moved, deleted = self.change(source, 400)
        result = self.copy(source, destination)
        m = result.summary["messages"]
        self.assertEqual((m["copied"], m["moved"], m["deleted"]), (new, moved, 0), str(result))
        self.assertEqual(m["gone_at_source"], deleted + moved, str(result))
        self.assertEqual(sum(counts(self.connect(destination)).values()), 400 + new + moved)
        # Asked for later, it is made up for.
        m = self.copy(source, destination, "--delete", "mirror").summary["messages"]
        self.assertEqual((m["deleted"], m["gone_at_source"]), (deleted + moved, 0))
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))

    def test_what_somebody_changed_at_the_destination_is_not_deleted(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(100, 1, SIZE))
        self.copy(source, destination)
        with self.connect(destination) as connection:
            connection.command(b"SELECT INBOX")
            connection.command("UID STORE 2 +FLAGS (their-own)")
            connection.command("UID STORE 3 +FLAGS (\\Deleted)")
        with self.connect(source) as connection:
            connection.command(b"SELECT INBOX")
            connection.command("UID STORE 1:4 +FLAGS.SILENT (\\Deleted)")
            connection.command("UID EXPUNGE 1:4")
        result = self.copy(source, destination, "--delete", "mirror")
        self.assertEqual(result.summary["messages"]["deleted"], 2, str(result))
        left = tree(self.connect(destination))["INBOX"]
        self.assertEqual([m.uid for m in left][:3], [2, 3, 5])

    def test_deleted_messages_go_to_the_mailbox_that_was_named(self):
        for hide in ((), ("MOVE",)):
            with self.subTest(hide=hide):
                source = self.server(Dovecot)
                destination = self.server(Dovecot, format="sdbox", hide=hide)
                corpus.fill(source, corpus.small(100, 1, SIZE))
                state = f"state{len(hide)}"
                self.copy(source, destination, state=state)
                before = tree(self.connect(source))["INBOX"]
                with self.connect(source) as connection:
                    connection.command(b"SELECT INBOX")
                    connection.command("UID STORE 7:9 +FLAGS.SILENT (\\Deleted)")
                    connection.command("UID EXPUNGE 7:9")
                result = self.copy(source, destination, "--delete", "mirror", "--delete-to", "Gone/By imapult",
                                   state=state)
                self.assertEqual(result.summary["messages"]["deleted"], 3, str(result))
                after = tree(self.connect(destination))
                self.assertEqual([m.digest for m in after["Gone/By imapult"]], [m.digest for m in before[6:9]])
                self.assertEqual(len(after["INBOX"]), 97)
                again = self.copy(source, destination, "--delete", "mirror", "--delete-to", "Gone/By imapult",
                                  state=state).summary["messages"]
                self.assertEqual((again["deleted"], again["copied"]), (0, 0))

    def test_a_large_unchanged_account_costs_one_listing(self):
        # IMAPULT_DELTA_MAILBOXES=1000 with 200,000 messages is the large version.
        boxes = int(os.environ.get("IMAPULT_DELTA_MAILBOXES", "300"))
        messages = boxes * 200 if boxes >= 1000 else boxes
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(messages, boxes, 500))
        self.copy(source, destination, timeout=600)
        self.copy(source, destination)  # Dovecot counts changes from the first question on
        result = self.copy(source, destination)
        summary = result.summary
        self.assertEqual(summary["messages"]["already_there"], messages, str(result))
        wire = sum(summary["bytes"][key] for key in ("source_in", "source_out", "destination_in", "destination_out"))
        print(f"{boxes} mailboxes, {messages} messages, nothing new: {wire} octets on the wire, "
              f"{summary['seconds']:.3f} s, round trips {summary['round_trips']}")
        self.assertLess(wire, 150 * boxes, str(result))
        self.assertEqual(summary["round_trips"]["source"], 1, str(result))
        self.assertEqual(summary["round_trips"]["destination"], 0, str(result))
        if boxes >= 1000:
            self.assertLess(summary["seconds"], 0.5, str(result))
        # A change is seen at once, and so is everything else.
        with self.connect(source) as connection:
            connection.command(b"SELECT " + quote("Folder 05"))
            connection.command("UID STORE 1 +FLAGS.SILENT ($changed)")
        self.assertEqual(self.copy(source, destination).summary["messages"]["flags_updated"], 1)

    def test_a_mailbox_emptied_by_accident_is_kept_and_the_cure_is_said(self):
        total = min(5000, max(MESSAGES, 1100))
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(total, 1, 600))
        self.copy(source, destination)
        with self.connect(source) as connection:
            connection.command(b"SELECT INBOX")
            connection.command("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
            connection.command("EXPUNGE")
        for _ in range(2):  # the second pass finds nothing new, and still says it
            result = self.copy(source, destination, "--delete", "mirror", code=1)
            self.assertEqual(result.summary["messages"]["deleted"], 0, str(result))
            self.assertEqual(result.summary["messages"]["kept_by_limit"], total, str(result))
            text = " ".join(n["text"] for n in result.summary["notices"] if n["kind"] == "delete_limit")
            self.assertIn(f"--delete-limit {total}", text)
            self.assertEqual(counts(self.connect(destination))["INBOX"], total)
        result = self.copy(source, destination, "--delete", "mirror", "--delete-limit", total)
        self.assertEqual(result.summary["messages"]["deleted"], total, str(result))
        self.assertEqual(counts(self.connect(destination))["INBOX"], 0)


if __name__ == "__main__":
    main()
