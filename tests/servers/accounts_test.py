"""imapult migrate: many accounts in one process, with one administrator's credential or their own."""

import os

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.dovecot import Dovecot

ACCOUNTS = int(os.environ.get("IMAPULT_ACCOUNTS", "40"))
MESSAGES = 100


class Accounts(ImapultCase):
    def setUp(self):
        super().setUp()
        self.source, self.destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")

    def fill(self, users):
        for index, user in enumerate(users):
            corpus.fill(self.source, corpus.small(MESSAGES, 3, 700, seed=1000 + index), user)

    def file(self, text):
        path = self.folder / "accounts"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def servers(self):
        return ["--source", f"imap://127.0.0.1:{self.source.port}?tls=off",
                "--destination", f"imap://127.0.0.1:{self.destination.port}?tls=off"]

    def assert_account_equal(self, user):
        with self.source.connect(user) as here, self.destination.connect(user) as there:
            self.assert_no_differences(compare(here, there))

    def test_a_list_of_addresses_and_one_administrator(self):
        users = [f"user{i:03d}@example.com" for i in range(ACCOUNTS)]
        self.fill(users)
        secret = self.secret("admin.password", self.source.master_password)
        arguments = ["migrate", "--accounts", self.file("".join(f"{user}\n" for user in users)), *self.servers(),
                     "--source-admin", self.source.master, "--destination-admin", self.destination.master,
                     "--source-password-file", secret, "--destination-password-file", secret,
                     "--state", self.state(), "--json"]
        result = self.imapult(*arguments)
        self.assert_books(result)
        self.assertEqual(result.summary["accounts"], {"total": ACCOUNTS, "complete": ACCOUNTS, "partial": 0, "failed": 0})
        self.assertEqual(result.summary["messages"]["copied"], ACCOUNTS * MESSAGES)
        self.assertEqual(len(result.summary["per_account"]), ACCOUNTS)
        for user in users:
            self.assert_account_equal(user)
        again = self.imapult(*arguments).summary
        self.assertEqual((again["messages"]["copied"], again["messages"]["already_there"]), (0, ACCOUNTS * MESSAGES))

    def test_one_failing_account_does_not_stop_the_others(self):
        users = [f"user{i}@example.com" for i in range(6)]
        self.fill(users)
        rows = [f"{user};{user};{'wrong' if i == 2 else 'pass'};pass\n" for i, user in enumerate(users)]
        path = self.file("source_user;destination_user;source_password;destination_password\n" + "".join(rows))
        result = self.imapult("migrate", "--accounts", path, *self.servers(), "--state", self.state(), "--json", code=1)
        self.assertEqual(result.summary["accounts"], {"total": 6, "complete": 5, "partial": 0, "failed": 1})
        self.assertIn("user2@example.com", result.err + result.out)
        for index, user in enumerate(users):
            if index != 2:
                self.assert_account_equal(user)

    def test_when_every_account_is_refused_the_exit_code_says_so(self):
        path = self.file("source_user,source_password,destination_password\na@example.com,wrong,pass\n"
                         "b@example.com,wrong,pass\n")
        result = self.imapult("migrate", "--accounts", path, *self.servers(), "--state", self.state(), "--json", code=3)
        self.assertEqual(result.summary["accounts"]["failed"], 2)
        self.assertNotIn("wrong,", result.err)


if __name__ == "__main__":
    main()
