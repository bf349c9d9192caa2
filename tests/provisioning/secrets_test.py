"""Passwords and hashes are in the files that must hold them and nowhere else: not in what is said, not in a file that
others can read, not in the process list."""

import base64
import csv
import os
import pathlib
import subprocess
import sys
import unittest

import organisation as o
from provision_case import HERE, PROGRAM, ROOT_DN, ROOT_PASSWORD, ProvisionCase, Slapd

sys.path.insert(0, str(HERE.parent / "support" / "carbonio_soap"))
from standin import Standin  # noqa: E402

HOLD_HASHES = {"carbonio.ldif", "carbonio-prov.txt"}
ADMIN_SECRET = "admin-secret-of-soap"


def body_of(value):
    """The part of a hash that must not be seen, raw and as LDIF writes it."""
    return value.split("}", 1)[1]


class Secrets(ProvisionCase):
    def setUp(self):
        super().setUp()
        self.said = []
        self.arguments_seen = set()

    def watched(self, *arguments, expect=0, json=True):
        """Runs the program, keeps what it says, and looks at the process list meanwhile."""
        command = [PROGRAM, "provision", *arguments, *(["--json"] if json else [])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            for name in ("cmdline", "environ"):
                self.arguments_seen.add(pathlib.Path(f"/proc/{process.pid}/{name}").read_bytes())
        except OSError:
            pass
        out, err = process.communicate(timeout=120)
        if expect is not None:
            self.assertEqual(process.returncode, expect, err.decode(errors="replace")[-2000:])
        self.said += [out, err]
        return process.returncode

    def assert_unseen(self, secrets, but_in=()):
        self.assertTrue(self.arguments_seen)
        texts = [("said", b"\n".join(self.said)), ("process list", b"\n".join(self.arguments_seen))]
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o700)
        for name in os.listdir(self.out):
            path = pathlib.Path(self.out, name)
            self.assertEqual(path.stat().st_mode & 0o077, 0, f"{name} can be read by others")
            if name not in but_in:
                texts.append((name, path.read_bytes()))
        for secret in secrets:
            raw = secret.encode()
            # Base64 of the secret at each of the three positions it may stand at in a longer value.
            forms = [raw] + [base64.b64encode(b"x" * k + raw)[4 if k else 0:-4] for k in range(3)]
            for where, text in texts:
                for form in forms:
                    if len(form) > 7:
                        self.assertNotIn(form, text, where)

    def test_hashes_and_passwords_of_a_zimbra_export_over_both_roads(self):
        org = o.Organisation(accounts=24, lists=3, groups=1)
        text = o.zimbra(org)
        # Two entries broken in the middle of their hash, as careless editing leaves it.
        broken = o.zimbra_account(org, org.accounts[1]).replace("userPassword: {SSHA512}", "userPassword: {SSHA512}\n")
        text += broken.replace("user0001", "broken1").split("\n\n")[0] + "\n\n"
        tail = base64.b64encode(org.accounts[2].hash.encode()).decode()
        text += f"dn: uid=broken2,dc=x\nuserPassword:: {tail[:12]}\n/{tail[12:]}: x\n\n"
        source = self.write("zimbra.ldif", text)
        secrets = [body_of(a.hash) for a in org.accounts] + [a.password for a in org.accounts if len(a.password) > 8]
        secrets += [ROOT_PASSWORD, ADMIN_SECRET]
        self.out = os.path.join(self.folder, "plan")
        admin = self.write("admin-secret", ADMIN_SECRET + "\n")
        with Slapd() as server, Slapd() as by_soap:
            live = ["--directory", server.url, *self.bind()]
            self.watched("inspect", source, json=False, expect=1)
            self.watched("inspect", source, expect=1)
            self.watched("plan", "--from", source, "--out", self.out, "--against", server.url, *self.bind(), expect=1)
            self.watched("apply", self.out, *live)
            self.watched("verify", self.out, *live, json=False)
            # Differences in passwords are named, not shown.
            a = org.accounts[0]
            subprocess.run(["ldapmodify", "-x", "-H", server.url, "-D", ROOT_DN, "-w", ROOT_PASSWORD], check=True,
                           capture_output=True, text=True,
                           input=f"dn: uid={a.local},ou=people,{o.domain_dn(a.domain)}\nchangetype: modify\n"
                                 f"replace: userPassword\nuserPassword: {o.ssha('elsewhere')}\n")
            self.watched("verify", self.out, *live, json=False, expect=7)
            self.watched("apply", self.out, *live, json=False, expect=None)
            # A server that quotes what it refuses.
            standin = Standin(by_soap.port, ROOT_DN, ROOT_PASSWORD, secret=ADMIN_SECRET, quotes=True).serve(self.folder)
            self.addCleanup(standin.close)
            refuse = standin.admin_CreateAccountRequest
            standin.admin_CreateAccountRequest = lambda request, *more: (
                refuse(request, *more) if "user0003" not in request.get("name") else standin.user_CreateSignatureRequest(None))
            self.watched("apply", self.out, "--soap", standin.url, "--admin", "admin@example.com", "--password-file", admin,
                         "--destination-ca-file", standin.certificate, expect=1)
            self.assertIn(b"user0003", self.said[-1] + self.said[-2])
            secrets += list(standin.tokens)
            wrong = self.write("wrong", "wrong-" + ADMIN_SECRET)
            self.watched("apply", self.out, "--soap", standin.url, "--admin", "admin@example.com", "--password-file", wrong,
                         "--destination-ca-file", standin.certificate, expect=3)
            self.watched("apply", self.out, "--directory", server.url, "--bind-dn", ROOT_DN, "--bind-password-file", wrong,
                         expect=3)
            self.assert_unseen(secrets, but_in=HOLD_HASHES)

    def test_clear_text_passwords_of_csv_files_and_random_ones(self):
        org = o.Organisation(accounts=12)
        for account in org.accounts:
            account.password = "a-long-secret," + account.password
        self.out = os.path.join(self.folder, "plan")
        own = self.write("own.csv", o.csv_accounts(org))
        shared = self.write("shared", "one-secret-for-all\n")
        names = "ann@other.example,Ann,Person,Ann P\nbob@other.example,Bob,Person,Bob P\n"
        with Slapd() as server:
            self.watched("plan", "--from", own, "--out", self.out)
            self.watched("apply", self.out, "--directory", server.url, *self.bind())
            self.assert_unseen([a.password for a in org.accounts] + [ROOT_PASSWORD])
            self.out = os.path.join(self.folder, "shared-plan")
            self.watched("plan", "--from", self.write("names.csv", names), "--shared-password-file", shared, "--out", self.out)
            self.assert_unseen(["one-secret-for-all"])
            self.out = os.path.join(self.folder, "random-plan")
            self.watched("plan", "--from", self.write("names.csv", names), "--out", self.out)
            self.watched("apply", self.out, "--directory", server.url, *self.bind())
            passwords = os.path.join(self.out, "passwords.csv")
            self.assertEqual(os.stat(passwords).st_mode & 0o777, 0o600)
            rows = list(csv.reader(open(passwords)))[1:]
            self.assertEqual([r[0] for r in rows], ["ann@other.example", "bob@other.example"])
            self.assert_unseen([r[1] for r in rows], but_in={"passwords.csv"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
