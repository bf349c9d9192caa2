"""What the test programs of this folder share: the imapult program, its summary, skipping aloud."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from .compare import explain
from .process import KEEP, WORK, Unavailable, end_on_term

SKIPPED = 77  # what ctest is told to read as "skipped"
RUN_SECONDS = 240


class Result:
    """One finished run of imapult."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    @property
    def summary(self):
        """The summary object; standard output must hold nothing else."""
        return json.loads(self.out)

    def __str__(self):
        return (f"{' '.join(self.command)}\nexit code {self.code} after {self.seconds:.1f} s\n"
                f"--- standard output\n{self.out[-3000:]}\n--- standard error\n{self.err[-3000:]}")


class Case(unittest.TestCase):
    """Every test has a folder of its own (`self.folder`), gone at its end, and starts servers with
    `self.server(…)`, stopped at its end."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="case-", dir=WORK))
        self.folder.chmod(0o700)
        if not KEEP:
            self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def server(self, make, *arguments, **options):
        """Starts a server, or skips the test with the reason why it cannot be had."""
        try:
            server = make(*arguments, **options)
            server.start()
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.addCleanup(server.stop)
        self.addCleanup(self.tell_log, server)
        return server

    def tell_log(self, server):
        """What the server itself has to say about a test that failed."""
        result = self._outcome.result
        if any(test is self for test, _ in (*result.errors, *result.failures)):
            print(f"--- log of {server.name} on port {server.port}\n{server.log()}", flush=True)

    def connect(self, server, user=None, **options):
        connection = server.connect(user, **options)
        self.addCleanup(connection.close)
        return connection

    def assert_no_differences(self, found):
        if found:
            self.fail(f"{len(found)} differences\n{explain(found)}")

    def secret(self, name, text):
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)


class ImapultCase(Case):
    """Tests of the real program, whose path ctest gives in IMAPULT."""

    def setUp(self):
        self.program = os.environ.get("IMAPULT", "")
        if not self.program:
            self.skipTest("the environment variable IMAPULT does not name the program")
        super().setUp()

    def state(self, name="state"):
        return str(self.folder / name)

    def passwords(self, source="pass", destination="pass"):
        return ["--source-password-file", self.secret("source.password", source),
                "--destination-password-file", self.secret("destination.password", destination)]

    def endpoints(self, source, destination, user=None):
        return ["--source", source.url(user), "--destination", destination.url(user),
                *self.passwords(source.password, destination.password)]

    def start(self, *arguments):
        """Starts imapult without waiting; the caller ends it."""
        return subprocess.Popen([self.program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder)

    def imapult(self, *arguments, code=0, timeout=RUN_SECONDS):
        """Runs imapult to its end and checks its exit code (None: any)."""
        command = [self.program, *map(str, arguments)]
        begin = time.monotonic()
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=self.folder,
                                  timeout=timeout, check=False)
        except subprocess.TimeoutExpired as late:
            words = (late.stderr or b"").decode(errors="replace")[-3000:]
            self.fail(f"{' '.join(command)} did not end within {timeout} s\n{words}")
        result = Result(command, done.returncode, done.stdout.decode(errors="replace"),
                        done.stderr.decode(errors="replace"), time.monotonic() - begin)
        if code is not None:
            self.assertEqual(result.code, code, str(result))
        return result

    def copy(self, source, destination, *more, user=None, state="state", code=0, timeout=RUN_SECONDS):
        """`imapult copy --json` in clear text; the books must balance whatever came out."""
        result = self.imapult("copy", *self.endpoints(source, destination, user), "--state", self.state(state),
                              "--json", *more, code=code, timeout=timeout)
        self.assert_books(result)
        return result

    def assert_books(self, result):
        m = result.summary["messages"]
        self.assertEqual(m["source"], m["already_there"] + m["copied"] + m["adopted"] + m["refused"] + m["skipped"],
                         str(result))

    def assert_no_open_intents(self, state="state"):
        result = self.imapult("status", "--state", self.state(state), "--json")
        for account in result.summary["accounts"]:
            self.assertEqual(account["intents_open"], 0, str(result))


def main():
    """Runs the tests of the calling program. Skipping is said aloud; if everything was skipped, the
    exit code tells ctest so."""
    end_on_term()
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    program = unittest.main(module="__main__", testRunner=runner, exit=False, verbosity=2)
    result = program.result
    for test, reason in result.skipped:
        print(f"SKIPPED {test.id()}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0:
        sys.exit("no test was run")
    sys.exit(SKIPPED if len(result.skipped) == result.testsRun else 0)
