"""What is at the destination already is adopted, whoever copied it: nothing is copied twice."""

import pathlib
import shutil
import subprocess
import sys

from lab import corpus
from lab.case import ImapultCase, main
from lab.compare import compare, counts
from lab.dovecot import Dovecot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from bench.measure import Side  # noqa: E402  pylint: disable=wrong-import-position
from bench.peers import Interimap, Mbsync  # noqa: E402  pylint: disable=wrong-import-position


class Adoption(ImapultCase):
    def setUp(self):
        super().setUp()
        self.source = self.server(Dovecot, special=False)
        self.destination = self.server(Dovecot, format="sdbox", special=False)

    def test_a_lost_state_directory(self):
        corpus.fill(self.source, corpus.small(1200, 6))
        corpus.fill(self.source, corpus.odd())
        total = self.copy(self.source, self.destination).summary["messages"]["copied"]
        shutil.rmtree(self.state())
        result = self.copy(self.source, self.destination).summary
        self.assertEqual((result["messages"]["copied"], result["messages"]["adopted"]), (0, total))
        self.assert_no_differences(compare(self.connect(self.source), self.connect(self.destination)))
        again = self.copy(self.source, self.destination).summary
        self.assertEqual((again["messages"]["adopted"], again["messages"]["already_there"]), (0, total))

    def peer_copies(self, peer):
        if not peer.found():
            self.skipTest(f"{peer.name} is not installed (tools/setup installs it)")
        folder = self.folder / peer.name
        folder.mkdir()
        sides = [Side(server.port, server.user, server.password, False, "") for server in (self.source, self.destination)]
        command = peer.command(*sides, folder)
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, check=False, timeout=120,
                              stdin=subprocess.DEVNULL, env={"HOME": str(folder), "PATH": "/usr/bin:/bin",
                                                             "XDG_DATA_HOME": str(folder)})
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))

    def half_filled(self, peer):
        """Another tool copies the first half; returns the sizes of both halves."""
        first = corpus.fill(self.source, corpus.small(600, 6, seed=11))
        self.peer_copies(peer)
        self.assertEqual(sum(counts(self.connect(self.destination)).values()), first)
        return first, corpus.fill(self.source, corpus.small(600, 6, seed=12))

    def assert_only_the_rest_was_copied(self, first, second):
        result = self.copy(self.source, self.destination).summary
        self.assertEqual((result["messages"]["copied"], result["messages"]["adopted"]), (second, first))
        self.assertEqual(counts(self.connect(self.source)), counts(self.connect(self.destination)))

    def test_half_filled_by_interimap(self):
        self.assert_only_the_rest_was_copied(*self.half_filled(Interimap()))
        self.assert_no_differences(compare(self.connect(self.source), self.connect(self.destination)))

    def test_half_filled_by_mbsync_which_adds_a_header_line(self):
        self.assert_only_the_rest_was_copied(*self.half_filled(Mbsync()))


if __name__ == "__main__":
    main()
