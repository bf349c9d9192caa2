"""Running one tool between two servers, and what it cost."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
from dataclasses import dataclass, field


@dataclass
class Side:
    """Where a tool finds one of the two servers."""
    port: int
    user: str
    password: str
    tls: bool
    ca: str  # the authority's file, empty without TLS
    host: str = "127.0.0.1"


@dataclass
class Run:
    """One run's cost; `note` says what was not as it should be."""
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    exit_code: int
    messages: int = 0
    note: str = ""
    wire: dict = field(default_factory=dict)


class Proxy:
    """A delay-proxy in front of one port; `finish()` returns its counters."""

    def __init__(self, program, port, rtt_ms):
        self._process = subprocess.Popen([program, "--connect", str(port), "--rtt", str(rtt_ms)],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline().split()[1])

    def finish(self):
        self._process.send_signal(signal.SIGTERM)
        counters = json.loads(self._process.communicate(timeout=10)[0])
        return counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def run(helper, command, folder, timeout_seconds, environment=None):
    """Runs `command` through bench-run with a home of its own; its words go to folder/output."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "result.json"
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"), "LC_ALL": "C.UTF-8"}
    for path in home.values():
        if path.startswith(str(folder)):
            pathlib.Path(path).mkdir(exist_ok=True, mode=0o700)
    with open(folder / "output", "wb") as output:
        done = subprocess.run([helper, result, str(timeout_seconds), *map(str, command)], cwd=folder, check=False,
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                              env={**os.environ, **home, **(environment or {})})
    if done.returncode != 0:
        raise RuntimeError(f"bench-run failed: {(folder / 'output').read_text(errors='replace')[-500:]}")
    used = json.loads(result.read_text())
    note = f"over {timeout_seconds} s" if used.pop("timed_out") else ""
    if not note and used["exit_code"] != 0:
        note = f"exit code {used['exit_code']}"
    return Run(**used, note=note)


def median(runs, attribute):
    return statistics.median(getattr(run, attribute) for run in runs)
