"""`imapult follow`: what happens at the source is at the destination within two seconds, whichever way the
server tells of it, and until somebody stops it. IMAPULT_FOLLOW_SECONDS=600 is the long version of the test
under load; it prints the median lag."""

import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare
from lab.dovecot import Dovecot
from lab.imap import quote

LOAD_SECONDS = int(os.environ.get("IMAPULT_FOLLOW_SECONDS", "8"))
CHANGES_PER_SECOND = 5
LAG_MAX = 2.0
PATIENCE = 30
BOXES = ("INBOX", "Folder 01", "Folder 02")
DELETES = ("--delete", "mirror", "--delete-limit", "100%")


def message(number):
    return b"Subject: message %d\r\nMessage-ID: <follow-%d@example.com>\r\n\r\nText %d\r\n" % ((number,) * 3)


class Arrivals:
    """How long messages take from one server to the other, per mailbox in the order they were stored."""

    def __init__(self, source, destination):
        self.source, self.lags, self.waiting, self._ending = source, [], 0, False
        self._sent = {box: [] for box in BOXES}
        self._destination = destination
        self._first = {box: destination.status(box, "UIDNEXT") for box in BOXES}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def store(self, box, number):
        self._sent[box].append(time.monotonic())
        self.source.append(box, [(message(number), ("\\Seen",) if number % 2 else (), None)], ("LITERAL+",))

    def _watch(self):
        seen = {box: 0 for box in BOXES}
        while not self._ending:
            for box in BOXES:
                arrived = self._destination.status(box, "UIDNEXT") - self._first[box]
                now = time.monotonic()
                self.lags += [now - sent for sent in self._sent[box][seen[box]:arrived]]
                seen[box] = max(seen[box], arrived)
            self.waiting = sum(map(len, self._sent.values())) - len(self.lags)
            time.sleep(0.02)

    def end(self):
        self._ending = True
        self._thread.join()


class Follow(ImapultCase):
    def follow(self, *arguments):
        """Starts it; ended at the latest with the test."""
        with open(self.folder / "stderr", "wb") as words, open(self.folder / "stdout", "wb") as out:
            running = subprocess.Popen(
                [self.program, "follow", *arguments, "--state", self.state(), "--json",
                 "--events", str(self.folder / "events")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=words, cwd=self.folder)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        return running

    def words(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def events(self, kind):
        path = self.folder / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def within(self, seconds, what, condition):
        """Waits for `condition`; the seconds it took."""
        begin = time.monotonic()
        while not condition():
            took = time.monotonic() - begin
            self.assertLess(took, seconds, f"{what}\n{self.words()[-3000:]}")
            time.sleep(0.02)
        return time.monotonic() - begin

    def stop(self, running, code=0, sign=signal.SIGTERM):
        """Ends it as a service manager does: the summary, whose books balance."""
        running.send_signal(sign)
        self.assertEqual(running.wait(PATIENCE), code, self.words()[-3000:])
        summary = json.loads((self.folder / "stdout").read_text())
        m = summary["messages"]
        self.assertEqual(m["source"], m["already_there"] + m["copied"] + m["adopted"] + m["refused"] + m["skipped"],
                         summary)
        self.assertEqual(summary["exit_code"], code, summary)
        return summary

    def pair(self, messages=60, **source):
        source, destination = self.server(Dovecot, **source), self.server(Dovecot, format="sdbox")
        corpus.fill(source, corpus.small(messages, len(BOXES), 2000))
        return source, destination

    def watched(self, by):
        self.within(PATIENCE, f"watched by {by}", lambda: by in [e["by"] for e in self.events("followed")])

    def everything_follows(self, by, hide):
        source, destination = self.pair(hide=hide)
        running = self.follow(*self.endpoints(source, destination), *DELETES)
        self.watched(by)
        there, here = self.connect(destination), self.connect(source)
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))
        arrivals = Arrivals(self.connect(source), self.connect(destination))
        self.addCleanup(arrivals.end)
        for number, box in enumerate(("INBOX", "Folder 01", "Folder 01", "INBOX", "Folder 02")):
            arrivals.store(box, number)
            self.within(PATIENCE, f"message {number} arrives", lambda: len(arrivals.lags) > number)
        print(f"by {by}: messages arrived after {', '.join(f'{lag:.2f}' for lag in arrivals.lags)} s")
        self.assertLess(max(arrivals.lags), LAG_MAX, self.words())
        there.command("EXAMINE INBOX")
        here.command("SELECT INBOX")
        here.command("UID STORE 1:3 +FLAGS.SILENT ($followed)")

        def flagged():
            return any(line.split()[2:] == [b"1", b"2", b"3"] for line in there.command("UID SEARCH KEYWORD $followed"))
        self.assertLess(self.within(PATIENCE, "flags follow", flagged), LAG_MAX)
        here.command("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
        here.command("UID EXPUNGE 2")

        def deleted():
            there.command("NOOP")  # the server tells a session of expunges only then
            return b"* SEARCH" in there.command("UID SEARCH UID 2")
        self.assertLess(self.within(PATIENCE, "deletions follow", deleted), LAG_MAX)
        here.command("CREATE New")
        here.append("New", [(message(100), (), None)])

        def created():
            return any(name == "New" and there.status("New") == 1 for name, _, _ in there.mailboxes())
        self.within(PATIENCE, "new mailboxes follow", created)
        running.send_signal(signal.SIGUSR1)
        self.within(PATIENCE, "SIGUSR1 shows the lag", lambda: f"alice: by {by}, lag " in self.words())
        status = self.imapult("status", "--state", self.state(), "--json").summary["accounts"][0]
        self.assertIn("lag_seconds", status["last_pass"])
        self.settle()
        summary = self.stop(running)
        self.assertEqual(summary["result"], "complete", summary)
        self.assertEqual(summary["per_account"][0]["follow"]["by"], by, summary)
        self.assertEqual((summary["messages"]["deleted"], summary["messages"]["flags_updated"]), (1, 3), summary)
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))
        self.assert_no_open_intents()

    def settle(self):
        """Until no pass has been made for a while, as it must be where nothing happens: a stop then
        interrupts nothing."""
        quiet, count = time.monotonic(), len(self.events("followed"))

        def settled():
            nonlocal quiet, count
            if len(self.events("followed")) != count:
                quiet, count = time.monotonic(), len(self.events("followed"))
            return time.monotonic() - quiet > 1.5
        self.within(PATIENCE, "passes end when nothing happens", settled)

    def test_by_notify(self):
        self.everything_follows("notify", ())

    def test_by_idle(self):
        self.everything_follows("idle", ("NOTIFY",))

    def test_by_polling(self):
        self.everything_follows("polling", ("NOTIFY", "IDLE"))

    def test_a_source_that_restarts_is_followed_again(self):
        source, destination = self.pair()
        running = self.follow(*self.endpoints(source, destination))
        self.watched("notify")
        source.stop_processes()
        self.within(PATIENCE, "it is noticed", lambda: self.events("retrying"))
        source.launch()
        source.wait_for_greeting(source.port)
        with self.connect(source) as connection:
            connection.append("INBOX", [(message(1), (), None)])
        there = self.connect(destination)
        self.within(PATIENCE, "the message arrives", lambda: there.status("INBOX") == 21)
        self.settle()
        arrivals = Arrivals(self.connect(source), there)
        self.addCleanup(arrivals.end)
        arrivals.store("INBOX", 2)
        self.within(PATIENCE, "it is watched again", lambda: arrivals.lags)
        self.assertLess(arrivals.lags[0], LAG_MAX)
        self.settle()
        self.stop(running)

    def test_a_refused_account_does_not_end_the_others(self):
        source, destination = self.pair()
        accounts = self.folder / "accounts.csv"
        accounts.write_text("source_user,source_password,destination_password\n"
                            "alice,pass,pass\nbob,wrong,pass\n")
        accounts.chmod(0o600)
        running = self.follow("--accounts", accounts, "--source", f"imap://127.0.0.1:{source.port}?tls=off",
                              "--destination", f"imap://127.0.0.1:{destination.port}?tls=off")
        self.within(PATIENCE, "bob is refused", lambda: self.events("account_finished"))
        self.watched("notify")
        arrivals = Arrivals(self.connect(source), self.connect(destination))
        self.addCleanup(arrivals.end)
        arrivals.store("INBOX", 1)
        self.within(PATIENCE, "alice's mail arrives", lambda: arrivals.lags)
        self.settle()
        summary = self.stop(running, code=1, sign=signal.SIGINT)
        self.assertEqual([a["result"] for a in summary["per_account"]], ["complete", "failed"])
        self.assertEqual([e["code"] for e in summary["errors"]], ["auth_refused"])

    def test_alone_refused_it_ends(self):
        source, destination = self.pair()
        running = self.follow("--source", source.url(), "--destination", destination.url(),
                              *self.passwords("wrong", "pass"))
        self.assertEqual(running.wait(PATIENCE), 3, self.words())

    def test_under_load(self):
        source, destination = self.pair()
        running = self.follow(*self.endpoints(source, destination), *DELETES)
        self.watched("notify")
        arrivals = Arrivals(self.connect(source), self.connect(destination))
        self.addCleanup(arrivals.end)
        rng, other = random.Random(7), self.connect(source)
        begin, number, selected = time.monotonic(), 0, None
        while time.monotonic() - begin < LOAD_SECONDS:
            time.sleep(max(0, begin + number / CHANGES_PER_SECOND - time.monotonic()))
            number += 1
            box, kind = rng.choice(BOXES), rng.random()
            if kind < 0.6:
                arrivals.store(box, number)
                continue
            if selected != box:
                other.command(b"SELECT " + quote(box))
                selected = box
            found = next(line for line in other.command("UID SEARCH ALL") if line.startswith(b"* SEARCH"))
            uids = found.split()[2:]
            uid = int(rng.choice(uids[:len(uids) // 2]))  # not one that has still to arrive
            if kind < 0.8:
                other.command(f"UID STORE {uid} {rng.choice('+-')}FLAGS.SILENT (\\Answered)")
            else:
                other.command(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
                other.command(f"UID EXPUNGE {uid}")
        self.within(PATIENCE, "everything arrives", lambda: not arrivals.waiting)
        self.settle()
        median = statistics.median(arrivals.lags)
        print(f"{number} changes in {LOAD_SECONDS} s: {len(arrivals.lags)} messages arrived after {median:.2f} s "
              f"in the middle, {max(arrivals.lags):.2f} s at most")
        self.assertLess(median, LAG_MAX, self.words())
        summary = self.stop(running)
        self.assertEqual(summary["messages"]["copied"], 60 + len(arrivals.lags), summary)
        self.assertGreater(summary["messages"]["deleted"], 0, summary)
        print(f"as imapult measured it: {summary['per_account'][0]['follow']}; {summary['cpu_seconds']:.1f} s of CPU")
        self.assert_no_differences(compare(self.connect(source), self.connect(destination)))
        self.assert_no_open_intents()


if __name__ == "__main__":
    main()
