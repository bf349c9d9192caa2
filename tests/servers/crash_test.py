"""kill -9 at any moment loses nothing and doubles nothing; a signal ends the program in good order."""

import os
import random
import re
import signal
import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare, counts
from lab.dovecot import Dovecot
from lab.imap import encode_name, quote
from lab.relay import Relay

KILLS = 20
MAILBOXES = 10
MESSAGES = int(os.environ.get("IMAPULT_CRASH_MESSAGES", "12000"))
RUN_SECONDS = 120


class Crash(ImapultCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("IMAPULT_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {self.seed} (IMAPULT_SEED repeats it)")
        self.rng = random.Random(self.seed)
        self.source, self.destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        self.names = ["INBOX"] + [f"Folder {i:02d}" for i in range(1, MAILBOXES)]

    def arguments(self, destination=None):
        return ["copy", "--source", self.source.url(), "--destination", (destination or self.destination).url(),
                *self.passwords(), "--state", self.state(), "--json"]

    def arrived(self, watcher):
        """How many messages the destination has; mailboxes that are not there yet count as empty."""
        total = 0
        for tag in [watcher.send(b"STATUS " + quote(encode_name(name)) + b" (MESSAGES)") for name in self.names]:
            while True:
                line = watcher.response()
                if match := re.search(rb"^\* STATUS .*\(MESSAGES (\d+)\)", line):
                    total += int(match.group(1))
                if line.startswith(tag + b" "):
                    break
        return total

    def run_until(self, reached, deadline):
        """Starts the copy and kills it as soon as `reached()`; True if it was killed while it ran."""
        process = self.start(*self.arguments())
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if reached():
                    process.kill()
                    break
                time.sleep(0.005)
            else:
                process.kill()  # no effect on a process that has ended
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        self.assertIn(process.returncode, (0, -signal.SIGKILL),
                      f"exit code {process.returncode}\n{out.decode(errors='replace')[-2000:]}"
                      f"\n{err.decode(errors='replace')[-2000:]}")
        return process.returncode == -signal.SIGKILL

    def test_kill_9_at_many_moments(self):
        total = corpus.fill(self.source, corpus.small(MESSAGES, MAILBOXES, 2048))
        kills, midway, seed = 0, 0, 100
        watcher = self.connect(self.destination)
        while kills < KILLS:
            before = self.arrived(watcher)
            if before >= total:  # it was faster than we are: give it more to do
                seed += 1
                total += corpus.fill(self.source, corpus.small(MESSAGES // 3, MAILBOXES, 2048, seed=seed))
            if kills % 4 == 3:
                # Any moment at all: start, recovery, between two groups.
                moment = time.monotonic() + self.rng.uniform(0.02, 1.5)
                killed = self.run_until(lambda: time.monotonic() >= moment, moment + RUN_SECONDS)
            else:
                aim = before + self.rng.randint(1, max(2, MESSAGES // 25))
                killed = self.run_until(lambda: self.arrived(watcher) >= aim, time.monotonic() + RUN_SECONDS)
            kills += killed
            midway += killed and 0 < self.arrived(watcher) < total
        self.assertGreaterEqual(midway, KILLS // 2, "too few of the kills fell into the copy")
        result = self.imapult(*self.arguments())
        self.assert_books(result)
        self.assertEqual(result.summary["result"], "complete", str(result))
        self.assert_no_differences(compare(self.connect(self.source), self.connect(self.destination)))
        self.assert_no_open_intents()
        again = self.imapult(*self.arguments()).summary["messages"]
        self.assertEqual((again["copied"], again["already_there"]), (0, total))

    def test_a_destination_cut_in_the_middle_is_completed_later(self):
        total = corpus.fill(self.source, corpus.small(1500, MAILBOXES))
        for share in (0.2, 0.5, 0.9):
            # Replies of the destination are what is cut: a few bytes for each message.
            relay = Relay(self.destination.port, cut_after=int(20_000 * share))
            result = self.imapult(*self.arguments(relay), code=None)
            relay.close()
            self.assertIn(result.code, (0, 1, 4), str(result))
        # The ledger knows the account by its endpoint; under its own port all of it is adopted or copied.
        result = self.imapult(*self.arguments())
        self.assert_books(result)
        self.assert_no_differences(compare(self.connect(self.source), self.connect(self.destination)))
        self.assertEqual(sum(counts(self.connect(self.destination)).values()), total)

    def test_signals_end_it_in_good_order(self):
        corpus.fill(self.source, corpus.small(MESSAGES, MAILBOXES, 2048))
        watcher = self.connect(self.destination)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            before = self.arrived(watcher)
            process = self.start(*self.arguments())
            deadline = time.monotonic() + RUN_SECONDS
            while process.poll() is None and time.monotonic() < deadline and self.arrived(watcher) <= before:
                time.sleep(0.005)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            words = f"{out.decode(errors='replace')[-2000:]}\n{err.decode(errors='replace')[-2000:]}"
            self.assertEqual(process.returncode, code, words)
            self.assertIn(b'"interrupted"', out, words)
        result = self.imapult(*self.arguments())
        self.assertEqual(result.summary["result"], "complete", str(result))
        self.assert_no_differences(compare(self.connect(self.source), self.connect(self.destination)))
        self.assert_no_open_intents()


if __name__ == "__main__":
    main()
