"""Faults over copies and delta passes: the program killed, connections cut at any octet, while the source goes on
changing. Nothing is lost, nothing is doubled. IMAPULT_FAULTS=200 is the large version."""

import math
import os
import random
import signal
import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.cutter import Cutter
from lab.dovecot import Dovecot
from lab.imap import quote

FAULTS = int(os.environ.get("IMAPULT_FAULTS", "8"))
CHECKED_EVERY = 8
MAILBOXES = 8
MESSAGES = 1200
RUN_SECONDS = 120


class Soak(ImapultCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("IMAPULT_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {self.seed} (IMAPULT_SEED repeats it)")
        self.rng = random.Random(self.seed)
        self.source, self.destination = self.server(Dovecot), self.server(Dovecot, format="sdbox")
        corpus.fill(self.source, corpus.small(MESSAGES, MAILBOXES, 2048, seed=self.seed))
        self.names = ["INBOX"] + [f"Folder {i:02d}" for i in range(1, MAILBOXES)]
        self.batch = 0

    def change(self):
        """What users do meanwhile: new mail, other flags, deleted and moved messages, a renamed mailbox."""
        rng = self.rng
        self.batch += 1
        fresh = corpus.small(rng.choice((10, 60, 300)), 1, rng.choice((600, 3000)), seed=self.seed + self.batch)
        corpus.fill(self.source, [(rng.choice(self.names), batch) for _, batch in fresh])
        with self.connect(self.source) as connection:
            for name in rng.sample(self.names, 3):
                connection.command(b"SELECT " + quote(name))
                uids = [message.uid for message in connection.read(name, content=False)]
                connection.command(b"SELECT " + quote(name))
                if len(uids) < 40:
                    continue
                some = ",".join(map(str, rng.sample(uids, 12))).encode()
                connection.command(b"UID STORE " + some + rng.choice((b" +FLAGS (\\Flagged)", b" -FLAGS (\\Seen)")))
                some = ",".join(map(str, rng.sample(uids, 5))).encode()
                connection.command(b"UID STORE " + some + b" +FLAGS (\\Deleted)")
                connection.command(b"UID EXPUNGE " + some)
                gone = set(map(int, some.split(b",")))
                some = ",".join(str(u) for u in rng.sample(uids, 5) if u not in gone).encode()
                connection.command(b"UID MOVE " + some + b" " + quote(rng.choice([n for n in self.names if n != name])))
            if rng.random() < 0.2:
                old = rng.choice(self.names[1:])
                new = f"Renamed {self.batch}"
                connection.command(b"SELECT INBOX")
                connection.command(b"RENAME " + quote(old) + b" " + quote(new))
                self.names[self.names.index(old)] = new

    def arguments(self, source=None, destination=None):
        return ["copy", *self.endpoints(source or self.source, destination or self.destination), "--state",
                self.state(), "--delete", "mirror", "--delete-limit", "100000", "--json"]

    def check(self, *ends):
        result = self.imapult(*self.arguments(*ends))
        self.assert_books(result)
        self.assertEqual(result.summary["result"], "complete", str(result))
        # What a fault stops may come after its neighbours.
        found = compare(self.connect(self.source), self.connect(self.destination), order=False)
        self.assert_no_differences([str(result), *found] if found else found)
        self.assert_no_open_intents()
        again = self.imapult(*self.arguments(*ends)).summary["messages"]
        self.assertEqual([again[key] for key in ("copied", "moved", "deleted", "flags_updated")], [0, 0, 0, 0])
        return result.seconds

    def test_kill_9_over_copies_and_deltas(self):
        kills, usual, stretch = 0, 1.0, 1.0
        while kills < FAULTS:
            if kills > 0:
                self.change()
            process = self.start(*self.arguments())
            time.sleep(self.rng.uniform(0, usual * stretch))
            process.kill()
            out, err = process.communicate(timeout=30)
            self.assertIn(process.returncode, (0, -signal.SIGKILL), (out + err).decode(errors="replace")[-3000:])
            killed = process.returncode == -signal.SIGKILL
            kills += killed
            stretch = min(stretch * 1.1, 1.0) if killed else stretch * 0.8
            if killed and (kills % CHECKED_EVERY == 0 or kills == FAULTS):
                usual = self.check()

    def test_cuts_at_any_octet(self):
        ends = [Cutter(self.source), Cutter(self.destination)]
        for end in ends:
            self.addCleanup(end.close)
        runs = 0
        while sum(end.cuts for end in ends) < FAULTS:
            self.assertLess(runs, 4 * FAULTS, "the connections are not cut")
            if runs > 0:
                self.change()
            for end in self.rng.choice((ends[:1], ends[1:], ends)):
                end.arm(int(math.exp(self.rng.uniform(math.log(40), math.log(400_000)))))
            result = self.imapult(*self.arguments(*ends), code=None)
            self.assertIn(result.code, (0, 1, 4), str(result))
            runs += 1
            if runs % CHECKED_EVERY == 0 or sum(end.cuts for end in ends) >= FAULTS:
                for end in ends:
                    end.arm(1 << 60)
                self.check(*ends)
        print(f"{sum(end.cuts for end in ends)} cuts in {runs} runs")


if __name__ == "__main__":
    main()
