"""A whole move: the directory is planned and applied, then accounts.csv of the plan is all that `imapult migrate`
needs to copy everybody's mail with one administrator's credential."""

import csv
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support" / "slapd"))
sys.path.insert(0, str(HERE.parent / "servers"))

import organisation as o  # noqa: E402
from lab import corpus  # noqa: E402
from lab.case import ImapultCase, main  # noqa: E402
from lab.compare import compare  # noqa: E402
from lab.dovecot import Dovecot  # noqa: E402
from slapd import ROOT_DN, ROOT_PASSWORD, Slapd  # noqa: E402

MESSAGES = 12
RENAMED = {"example.net": "new.example"}


class Mail(ImapultCase):
    def setUp(self):
        super().setUp()
        self.source, self.destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")

    def test_the_accounts_of_a_plan_bring_all_mail_over_with_one_administrator(self):
        org = o.Organisation(accounts=20, lists=4, groups=1, resources=2)
        people = [a.address for a in org.accounts] + org.resources
        active = [a.address for a in org.accounts if not a.closed] + org.resources
        for index, address in enumerate(people):
            corpus.fill(self.source, corpus.small(MESSAGES, 3, 900, seed=4000 + index), address)
        export = self.folder / "zimbra.ldif"
        export.write_text(o.zimbra(org))
        settings = self.folder / "provision.toml"
        settings.write_text("[domains]\n" + "".join(f'"{a}" = "{b}"\n' for a, b in RENAMED.items()))
        plan = str(self.folder / "plan")
        with Slapd() as directory:
            bind = ["--bind-dn", ROOT_DN, "--bind-password-file", self.secret("bind", ROOT_PASSWORD)]
            self.imapult("provision", "plan", "--from", export, "--settings", settings, "--against", directory.url, *bind,
                         "--out", plan)
            self.imapult("provision", "apply", plan, "--directory", directory.url, *bind)
            self.imapult("provision", "verify", plan, "--directory", directory.url, *bind)
        accounts = os.path.join(plan, "accounts.csv")
        rows = list(csv.DictReader(open(accounts)))
        self.assertEqual({r["source_user"] for r in rows}, set(active))
        self.assertEqual(len(rows), len(active))

        secret = self.secret("admin", self.source.master_password)
        events, report = self.folder / "events", self.folder / "report.html"
        arguments = ["migrate", "--accounts", accounts, "--source", f"imap://127.0.0.1:{self.source.port}?tls=off",
                     "--destination", f"imap://127.0.0.1:{self.destination.port}?tls=off", "--source-admin", self.source.master,
                     "--destination-admin", self.destination.master, "--source-password-file", secret,
                     "--destination-password-file", secret, "--state", self.state(), "--events", events, "--report", report,
                     "--json"]
        result = self.imapult(*arguments)
        self.assert_books(result)
        total = len(active)
        self.assertEqual(result.summary["accounts"], {"total": total, "complete": total, "partial": 0, "failed": 0})
        self.assertEqual(result.summary["messages"]["copied"], total * MESSAGES)
        for row in rows:
            local, _, domain = row["source_user"].partition("@")
            self.assertEqual(row["destination_user"], f"{local}@{RENAMED.get(domain, domain)}")
            with self.source.connect(row["source_user"]) as here, self.destination.connect(row["destination_user"]) as there:
                self.assert_no_differences(compare(here, there))
        # What was said and kept on the way holds no secret.
        said = result.out + result.err + events.read_text() + report.read_text()
        self.assertNotIn(self.source.master_password, said)
        for account in org.accounts:
            self.assertNotIn(account.hash.split("}")[1], said)
        again = self.imapult(*arguments).summary["messages"]
        self.assertEqual((again["copied"], again["already_there"]), (0, total * MESSAGES))


if __name__ == "__main__":
    main()
