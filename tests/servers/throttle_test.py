"""A source that throttles every 50 commands and drops every 500: all is copied, nothing is asked for twice without need."""

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.dovecot import Dovecot
from lab.throttler import Throttler

MAILBOXES, EACH = 400, 3
LANES = 2
WINDOWS = 2  # asked for ahead, on each connection


class Throttle(ImapultCase):
    def test_source_that_throttles_every_50_commands_and_drops_every_500(self):
        source, destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(MAILBOXES * EACH, MAILBOXES, 1500))
        provider = Throttler(source, every=50, drop_every=500, delay=0.4)
        self.addCleanup(provider.close)
        result = self.copy(provider, destination, "--connections", str(LANES))
        self.assertEqual(result.summary["messages"]["copied"], MAILBOXES * EACH, str(result))
        self.assert_no_differences(compare(self.connect(source), self.connect(destination), order=False))
        self.assertGreaterEqual(provider.throttled, 10)
        self.assertGreaterEqual(provider.dropped, 2)
        self.assertEqual(provider.impatient, 0, "it was told to wait, and did not")
        self.assertEqual(len(provider.bodies), MAILBOXES * EACH)
        # A drop costs what was under way on its connection.
        more = sum(provider.bodies.values()) - len(provider.bodies)
        self.assertLessEqual(more, provider.dropped * WINDOWS * EACH)
        self.assertLessEqual(provider.log_ins, LANES + provider.dropped)
        print(f"{provider.throttled} refusals, {provider.dropped} drops, {more} messages asked for again, "
              f"{provider.log_ins} log-ins, {result.seconds:.1f} s")


if __name__ == "__main__":
    main()
