"""Mailboxes that users show each other, public ones, and the rights on them: Dovecot and Cyrus."""

import re

from lab.case import ImapultCase, main
from lab.cyrus import Cyrus
from lab.dovecot import Dovecot
from lab.imap import quote

MESSAGES = 5


def message(name):
    return (f"From: a@example.com\r\nSubject: {name}\r\nMessage-ID: <{name.replace(' ', '.')}@example.com>\r\n"
            f"Date: Thu, 1 Feb 2024 10:00:00 +0000\r\n\r\n{name}\r\n").encode()


class Shares(ImapultCase):
    def fill(self, server, user, mailbox, create=True):
        with self.connect(server, user) as connection:
            if create:
                connection.command(b"CREATE " + quote(mailbox))
            connection.append(mailbox, [(message(f"{mailbox} {n}"), ("\\Seen",), None) for n in range(MESSAGES)])

    def grant(self, server, user, mailbox, who, rights):
        with self.connect(server, user) as connection:
            connection.command(b"SETACL " + quote(mailbox) + b" " + quote(who) + b" " + rights.encode())

    def rights(self, server, user, mailbox):
        """{who: set of letters}, without those that RFC 4314 keeps for older clients."""
        with self.connect(server, user) as connection:
            reply = connection.command(b"GETACL " + quote(mailbox))
        line = next(line for line in reply if line.startswith(b"* ACL "))
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line.decode())][3:]
        return {who: set(letters) - set("cd") for who, letters in zip(words[::2], words[1::2])}

    def count(self, server, user, mailbox):
        with self.connect(server, user) as connection:
            return connection.status(mailbox)

    def accounts(self, *users):
        path = self.folder / "accounts.csv"
        path.write_text("source_user\n" + "".join(f"{user}\n" for user in users))
        path.chmod(0o600)
        return str(path)

    def migrate(self, source, destination, *more, code=0):
        admin = []
        for side, server in (("source", source), ("destination", destination)):
            secret = getattr(server, "master_password", server.password)
            admin += [f"--{side}", f"imap://{server.host}:{server.port}?tls=off", f"--{side}-admin", "admin",
                      f"--{side}-password-file", self.secret(f"{side}.admin", secret)]
        result = self.imapult("migrate", "--accounts", self.accounts("alice", "bob"), *admin, "--state", self.state(),
                              "--json", *more, code=code)
        self.assert_books(result)
        return result

    def copied(self, result):
        return result.summary["messages"]["copied"]

    def test_dovecot_to_dovecot_shared_and_public_mailboxes_arrive_where_they_belong(self):
        source, destination = (self.server(Dovecot, shared=True, special=False) for _ in range(2))
        self.fill(source, "bob", "Work")
        self.grant(source, "bob", "Work", "alice", "lrs")
        self.fill(source, "alice", "Mine")
        self.grant(source, "alice", "Mine", "bob", "lrwst")
        self.fill(source, "alice", "Public/News")
        self.assertEqual(self.count(source, "alice", "shared/bob/Work"), MESSAGES)
        everything = ("--namespaces", "personal,shared,other")
        result = self.migrate(source, destination, *everything)
        # Work goes with bob, News with whoever was first: each of them once.
        self.assertEqual(self.copied(result), 3 * MESSAGES, str(result))
        self.assertEqual(self.count(destination, "bob", "Work"), MESSAGES)
        self.assertEqual(self.count(destination, "bob", "Public/News"), MESSAGES)
        self.assertEqual(self.count(destination, "alice", "shared/bob/Work"), MESSAGES)
        self.assertEqual(self.rights(destination, "bob", "Work")["alice"], set("lrs"))
        self.assertEqual(self.rights(destination, "alice", "Mine")["bob"], set("lrwst"))
        self.assertNotIn("shared/bob/Work", [box for box, _, _ in self.connect(destination, "bob").mailboxes()])
        again = self.migrate(source, destination, *everything)
        self.assertEqual(self.copied(again), 0, str(again))
        self.assertNotIn("rights", again.summary, str(again))
        # One right more, one less; what the destination has of its own stays.
        self.grant(destination, "alice", "Mine", "carol", "lr")
        self.grant(source, "alice", "Mine", "bob", "lrwsti")
        self.grant(source, "bob", "Work", "alice", "lr")
        self.migrate(source, destination, *everything, "--acl", "copy")
        self.assertEqual(self.rights(destination, "bob", "Work")["alice"], set("lr"))
        self.assertEqual(self.rights(destination, "alice", "Mine")["bob"], set("lrwsti"))
        self.assertEqual(self.rights(destination, "alice", "Mine")["carol"], set("lr"))

    def test_cyrus_to_dovecot_and_back(self):
        cyrus = self.server(Cyrus)
        dovecot = self.server(Dovecot, shared=True, special=False, format="sdbox")
        back = self.server(Dovecot, special=False, hide=("ACL", "RIGHTS=texk"))
        for user in ("alice", "bob"):
            with self.connect(cyrus, "admin") as connection:
                connection.command(b"CREATE user/" + user.encode())
        with self.connect(cyrus, "admin") as connection:
            connection.command(b"CREATE news")
            connection.command(b"DELETEACL news anyone")
            for user in (b"alice", b"bob"):
                connection.command(b"SETACL news " + user + b" lrsip")
        self.fill(cyrus, "bob", "Work")
        self.grant(cyrus, "bob", "Work", "alice", "lrste")
        self.fill(cyrus, "alice", "Shared Folders/news", create=False)
        everything = ("--namespaces", "personal,shared,other")
        result = self.migrate(cyrus, dovecot, *everything)
        self.assertEqual(self.copied(result), 2 * MESSAGES, str(result))
        self.assertEqual(self.count(dovecot, "alice", "Public/news"), MESSAGES)
        self.assertEqual(self.count(dovecot, "alice", "shared/bob/Work"), MESSAGES)
        self.assertEqual(self.rights(dovecot, "bob", "Work")["alice"], set("lrste"))
        left = [n["mailbox"] for n in result.summary["notices"] if n["kind"] == "left_out"]
        self.assertIn("Other Users/bob/Work", left)
        again = self.migrate(cyrus, dovecot, *everything)
        self.assertEqual(self.copied(again), 0, str(again))
        # Whoever copied it does not see it any more, and the other one leaves it to that account: nobody's is told.
        left = {n["account"] for n in result.summary["notices"] if n["mailbox"] == "Shared Folders/news"}
        other, = left
        claimant, = {"alice", "bob"} - left
        with self.connect(cyrus, "admin") as connection:
            connection.command(b"DELETEACL news " + claimant.encode())
        forsaken = self.migrate(cyrus, dovecot, *everything, code=1)
        self.assertEqual([(r["account"], r["mailbox"]) for r in forsaken.summary["refusals"]],
                         [(other, "Shared Folders/news")], str(forsaken))
        with self.connect(cyrus, "admin") as connection:
            connection.command(b"SETACL news " + claimant.encode() + b" lrsip")
        self.assertEqual(self.copied(self.migrate(cyrus, dovecot, *everything)), 0)
        # A destination that knows no rights gets none, and the report has the lines.
        told = self.migrate(cyrus, back).summary
        self.assertIn('sm "bob" mfg "/Work" account "alice" rd', told["rights_script"])
        self.assertIn('sm "alice" cm --view message "/Work of bob" "bob" "/Work"', told["rights_script"])

    def test_dovecot_to_cyrus_rights_are_written_for_the_people_of_the_destination(self):
        source, destination = self.server(Dovecot, special=False), self.server(Cyrus)
        with self.connect(destination, "admin") as connection:
            connection.command(b"CREATE user/alice")
        self.fill(source, "alice@example.com", "Mine")
        self.grant(source, "alice@example.com", "Mine", "bob@example.com", "lrsi")
        ends = ["--source", source.url("alice@example.com"), "--destination", destination.url("alice"),
                *self.passwords(source.password, destination.password), "--state", self.state(), "--json"]
        result = self.imapult("copy", *ends)
        self.assertEqual(self.rights(destination, "alice", "Mine")["bob"], set("lrsi"), str(result))
        self.assertEqual(result.summary["rights"], {"given": 1, "taken": 0, "unset": 0})


if __name__ == "__main__":
    main()
