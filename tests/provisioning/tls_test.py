"""Every way to the directory: ldaps://, ldapi://, ldap:// with STARTTLS; whom it trusts and what a refusal says."""

import subprocess
import unittest

import organisation as o
from provision_case import ROOT_DN, ProvisionCase, Slapd


class Tls(ProvisionCase):
    def setUp(self):
        super().setUp()
        org = o.Organisation(accounts=3, lists=0, groups=0, resources=0)
        self.plan(self.write("zimbra.ldif", o.zimbra(org)))

    def fingerprint(self, certificate):
        text = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certificate],
                              capture_output=True, text=True, check=True).stdout
        return text.strip().split("=")[1]

    def test_certificates_are_checked_and_fingerprints_pin(self):
        wrong = self.write("wrong", "not-the-secret\n")
        with Slapd(tls=True) as server:
            pin = self.fingerprint(server.certificate)
            starttls = f"ldap://127.0.0.1:{server.port}?tls=starttls"
            for url in (starttls, server.ldaps):
                with self.subTest(url):
                    base = ["apply", self.out, "--directory", url, *self.bind()]
                    before = server.writes()
                    done = self.run_program(*base, expect=4)
                    self.assertIn("certificate", done.stderr.lower())
                    self.run_program(*base, "--destination-tls-fingerprint", "00" * 32, expect=4)
                    self.run_program(*base, "--destination-ca-file", self.write("other.pem", self.other()), expect=4)
                    self.run_program(*base, "--destination-ca-file", "/nonexistent.pem", expect=2)
                    self.run_program(*base, "--destination-tls-fingerprint", "12:34", expect=2)
                    trusted = ["--destination-ca-file", server.certificate]
                    self.run_program("apply", self.out, "--directory", url, "--bind-dn", ROOT_DN, "--bind-password-file",
                                     wrong, *trusted, expect=3)
                    self.assertEqual(server.writes(), before)
                    self.run_program(*base, *trusted)
                    self.run_program(*base, "--destination-tls-fingerprint", pin)
                    self.run_program(*base, "--destination-tls-fingerprint", pin.replace(":", "").lower())
                    done = self.run_program(*base, "--destination-tls-insecure")
                    self.assertIn("not checked", done.stderr)
                    self.verify_at(url, *trusted)
            # The name on the certificate counts too: it is not for this one.
            other = starttls.replace("127.0.0.1", "127.0.0.2")
            self.run_program("verify", self.out, "--directory", other, *self.bind(), "--destination-ca-file",
                             server.certificate, expect=4)
            self.verify_at(other, "--destination-tls-fingerprint", pin)

    def other(self):
        """A certificate of nobody who matters here."""
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other",
                               "-keyout", "/dev/null", "-out", "/dev/stdout"], capture_output=True, text=True, check=True)
        return done.stdout

    def verify_at(self, url, *more):
        entries = self.json("verify", self.out, "--directory", url, *self.bind(), *more)["entries"]
        self.assertEqual(entries["equal"], entries["total"])

    def test_a_server_without_tls_and_clear_text(self):
        with Slapd() as server:
            starttls = f"ldap://127.0.0.1:{server.port}?tls=starttls"
            self.run_program("apply", self.out, "--directory", starttls, *self.bind(), expect=4)
            self.assertEqual(server.writes(), 0)
            # Clear text elsewhere than on loopback is refused before anything is sent.
            self.run_program("apply", self.out, "--directory", "ldap://192.0.2.1?tls=off", *self.bind(), expect=2)
            self.run_program("apply", self.out, "--directory", "ldap://127.0.0.1?tls=maybe", *self.bind(), expect=2)
            self.run_program("apply", self.out, "--directory", f"ldap://localhost:{server.port}", *self.bind())

    def test_the_local_socket_with_and_without_a_password(self):
        wrong = self.write("wrong", "not-the-secret\n")
        with Slapd() as server:
            self.run_program("apply", self.out, "--directory", server.ldapi, "--bind-dn", ROOT_DN, "--bind-password-file",
                             wrong, expect=3)
            self.run_program("apply", self.out, "--directory", server.ldapi, *self.bind())
            # Without a bind DN the server knows the user of the process (SASL EXTERNAL).
            entries = self.json("verify", self.out, "--directory", server.ldapi)["entries"]
            self.assertEqual(entries["equal"], entries["total"])
            report = self.json("plan", "--from", self.folder + "/zimbra.ldif", "--out", self.folder + "/again", "--against",
                               server.ldapi)
            self.assertEqual(report["counts"]["account"]["keep"], 3)
        self.run_program("apply", self.out, "--directory", "ldapi://%2Fnonexistent%2Fsocket", *self.bind(), expect=4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
