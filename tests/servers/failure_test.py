"""Each failure has the exit code of the contract and a sentence that tells the cure; no secret is echoed."""

import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.dovecot import Dovecot
from lab.process import free_port
from lab.relay import Relay
from lab.scripted import ScriptedSource

WRONG_PASSWORD = "Tr0ub4dor-wrong"
STALL_SECONDS = 400


class Failures(ImapultCase):
    def run_copy(self, source, destination, *more, code, words, passwords=None, timeout=120):
        """Runs copy between two URLs; checks the code, the summary and that the sentence names the cause."""
        result = self.imapult("copy", "--source", source, "--destination", destination,
                              *(passwords or self.passwords()), "--state", self.state(), "--json", *more,
                              code=code, timeout=timeout)
        self.assertRegex(result.err, words, str(result))
        self.assertEqual(result.summary["exit_code"], code, str(result))
        self.assertNotEqual(result.summary["result"], "complete", str(result))
        return result

    def pair(self, **options):
        return self.server(Dovecot), self.server(Dovecot, format="sdbox", **options)

    def test_wrong_password(self):
        source, destination = self.pair()
        for side, passwords in (("source", (WRONG_PASSWORD, "pass")), ("destination", ("pass", WRONG_PASSWORD))):
            with self.subTest(side=side):
                result = self.run_copy(source.url(), destination.url(), passwords=self.passwords(*passwords), code=3,
                                       words=rf"(?is){side}.*(password|credential|authenticat|log ?in)")
                self.assertNotIn(WRONG_PASSWORD, result.err + result.out)

    def test_a_refused_password_is_not_tried_again(self):
        source, destination = self.pair()
        relay = Relay(source.port)
        self.addCleanup(relay.close)
        self.run_copy(relay.url(), destination.url(), passwords=self.passwords(WRONG_PASSWORD), code=3, words=".")
        tries = sum(bytes(said).upper().count(b" LOGIN ") + bytes(said).upper().count(b" AUTHENTICATE ")
                    for said in relay.said)
        self.assertEqual(tries, 1)

    def test_unknown_host(self):
        destination = self.server(Dovecot)
        self.run_copy("imaps://alice@no-such-host.invalid", destination.url(), code=4, words="no-such-host.invalid")

    def test_refused_port(self):
        destination = self.server(Dovecot)
        port = free_port()
        self.run_copy(f"imap://alice@127.0.0.1:{port}?tls=off", destination.url(), code=4,
                      words=rf"(?is){port}.*refused|refused.*{port}")

    def tls_failure(self, kind, words, trust=True):
        source, destination = self.server(Dovecot, tls=kind), self.server(Dovecot)
        more = ["--source-ca-file", source.authority.ca] if trust else []
        self.run_copy(source.tls_url(), destination.url(), *more, code=4, words=words)

    def test_expired_certificate(self):
        self.tls_failure("expired", "(?i)expired")

    def test_wrong_host_name(self):
        self.tls_failure("wrong-host", "(?i)host ?name|not valid for|does not match|mismatch")

    def test_unknown_authority(self):
        self.tls_failure("valid", "(?i)certificate|authority|issuer|trust", trust=False)

    def test_self_signed_certificate(self):
        self.tls_failure("self-signed", "(?i)certificate|self.signed")

    def test_a_good_certificate_is_accepted(self):
        source, destination = self.server(Dovecot, tls="valid"), self.server(Dovecot, format="sdbox", tls="valid")
        corpus.fill(source, corpus.small(50, 2))
        result = self.imapult("copy", "--source", source.tls_url(), "--destination", destination.tls_url(),
                              *self.passwords(), "--source-ca-file", source.authority.ca,
                              "--destination-ca-file", destination.authority.ca, "--state", self.state(), "--json")
        self.assertEqual(result.summary["messages"]["copied"], 50)
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))

    def test_starttls(self):
        source, destination = self.server(Dovecot, tls="valid"), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(50, 2))
        relay = Relay(source.port)
        self.addCleanup(relay.close)
        self.imapult("copy", "--source", f"imap://alice@localhost:{relay.port}", "--destination", destination.url(),
                     *self.passwords(), "--source-ca-file", source.authority.ca, "--state", self.state(), "--json")
        self.assertRegex(relay.text(), rb"(?i)STARTTLS")
        self.assertNotRegex(relay.text(), rb"(?i) LOGIN | AUTHENTICATE |pass")
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))

    def test_starttls_is_required_where_the_server_does_not_offer_it(self):
        source, destination = self.pair()
        relay = Relay(source.port)
        self.addCleanup(relay.close)
        self.run_copy(f"imap://alice@127.0.0.1:{relay.port}", destination.url(), code=4, words="(?i)STARTTLS")
        self.assertNotRegex(relay.text(), rb"(?i) LOGIN | AUTHENTICATE ")

    def test_clear_text_server_on_the_tls_port(self):
        source, destination = self.pair()
        self.run_copy(f"imaps://alice@127.0.0.1:{source.port}", destination.url(), code=4, words="(?i)TLS")

    def test_over_quota(self):
        source, destination = self.pair(quota="60K")
        corpus.fill(source, corpus.small(60, 2))
        result = self.run_copy(source.url(), destination.url(), code=5, words="(?i)quota")
        self.assert_books(result)

    def test_state_directory_that_cannot_be_written(self):
        source, destination = self.pair()
        # The contract has no code of its own for it: a wrong configuration (2) or a damaged state (6).
        result = self.imapult("copy", *self.endpoints(source, destination), "--state", "/proc/imapult", "--json",
                              code=None)
        self.assertIn(result.code, (2, 6), str(result))
        self.assertIn("/proc/imapult", result.err, str(result))

    def test_state_directory_in_use(self):
        source, destination = self.pair()
        deaf = ScriptedSource(behave="deaf")
        self.addCleanup(deaf.stop)
        holder = self.start("copy", "--source", deaf.url(), "--destination", destination.url(), *self.passwords(),
                            "--state", self.state(), "--json")
        self.addCleanup(holder.communicate)
        self.addCleanup(holder.kill)
        deadline = time.monotonic() + 60
        while not deaf.said and time.monotonic() < deadline:
            self.assertIsNone(holder.poll(), "the first process has ended")
            time.sleep(0.02)
        self.run_copy(source.url(), destination.url(), code=6, words="(?i)lock|in use|another")

    def test_password_in_the_url(self):
        destination = self.server(Dovecot)
        result = self.imapult("copy", "--source", f"imap://alice:{WRONG_PASSWORD}@127.0.0.1:{destination.port}?tls=off",
                              "--destination", destination.url(), *self.passwords(), "--state", self.state(), code=2)
        self.assertNotIn(WRONG_PASSWORD, result.err + result.out)
        self.assertRegex(result.err, "(?i)--source-password-file")

    def test_clear_text_to_another_host_is_refused(self):
        destination = self.server(Dovecot)
        result = self.imapult("copy", "--source", "imap://alice@mail.example.com?tls=off", "--destination",
                              destination.url(), *self.passwords(), "--state", self.state(), code=2)
        self.assertIn("--allow-cleartext", result.err)

    def test_bad_accounts_file(self):
        server = self.server(Dovecot)
        path = self.folder / "accounts.csv"
        path.write_text("source_user,source_password,source_url\n"
                        f"a@example.com,{WRONG_PASSWORD},imaps://mail.example.com\n"
                        f"b@example.com,{WRONG_PASSWORD}\n"
                        f",{WRONG_PASSWORD},imaps://mail.example.com\n"
                        f"d@example.com,{WRONG_PASSWORD},gopher://mail.example.com\n")
        path.chmod(0o600)
        relay = Relay(server.port)
        self.addCleanup(relay.close)
        result = self.imapult("migrate", "--accounts", path, "--source", relay.url().replace("alice@", ""),
                              "--destination", relay.url().replace("alice@", ""), "--state", self.state(), code=2)
        for line in (3, 4, 5):
            self.assertRegex(result.err, rf"(?m)(:|line ){line}\b", str(result))
        self.assertNotIn(WRONG_PASSWORD, result.err + result.out)
        self.assertEqual(relay.said, [], "something was connected")

    def test_server_that_dies_in_the_middle(self):
        source, destination = self.pair()
        corpus.fill(source, corpus.small(800, 4))
        relay = Relay(source.port, cut_after=1_500_000)
        self.addCleanup(relay.close)
        result = self.imapult("copy", "--source", relay.url(), "--destination", destination.url(), *self.passwords(),
                              "--state", self.state(), "--json", code=None, timeout=STALL_SECONDS)
        self.assertTrue(relay.broken, "the relay was not reached")
        self.assertIn(result.code, (1, 4), str(result))
        self.assertRegex(result.err, "(?i)connect|closed|reset|refused")
        self.assertEqual(self.copy(source, destination).summary["result"], "complete")
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))


if __name__ == "__main__":
    main()
