"""Processes, ports and folders of a private server."""

import atexit
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

GREETING_SECONDS = 20
STOP_SECONDS = 5
# Folders stay short: a UNIX socket's path may have 107 bytes.
WORK = pathlib.Path(os.environ.get("IMAPULT_TEST_TMP", tempfile.gettempdir()))
KEEP = os.environ.get("IMAPULT_TEST_KEEP", "") not in ("", "0")


class Unavailable(Exception):
    """The server cannot be had on this machine; a test that needs it is skipped with this text."""


class ServerFailed(Exception):
    """The server is installed but did not start or did not greet."""


def free_port():
    """A loopback port nobody listens on now. Another process may take it before its user does: start
    the server at once and try again if it reports that the port is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unprivileged_user():
    """Whom a server started by root runs as (Dovecot and Courier refuse root's mail): `mail` is part
    of every Debian. An ordinary user stays what he is."""
    return pwd.getpwnam("mail") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def alive(pid):
    """True while `pid` runs; a zombie of ours is collected and counts as gone."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # A dead process that nobody has collected yet (a container's first process may be slow at it).
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def stop_pid(pid):
    """TERM, then KILL after STOP_SECONDS; returns when the process is gone."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not alive(pid):
                return
            time.sleep(0.02)


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _end_with_parent():
    """In the child: TERM when its parent dies, so that even a killed test leaves no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def _checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")


def _own_mounts():
    """In the child, as root: a mount namespace whose mounts nobody else sees. unshare(1) cannot do it
    where `/` is not a mount point (a chroot): here the namespace's true root is made private."""
    _checked(_LIBC.unshare(_CLONE_NEWNS))
    root, namespace = os.open("/", os.O_RDONLY), os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _checked(_LIBC.setns(namespace, _CLONE_NEWNS))  # takes the process to the namespace's true root
    _checked(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.close(namespace)


def end_on_term():
    """Lets SIGTERM unwind the program like sys.exit, so that servers are stopped and folders removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Server:
    """One server in a folder of its own. A subclass writes its configuration and starts it in
    `launch()`, which may be tried again with fresh ports. Use as a context manager; whatever happens,
    `stop()` runs at the latest when the interpreter ends."""

    name = "server"
    user = "alice"
    password = "pass"

    def __init__(self):
        self.folder = None
        self.port = 0
        self.pids = []
        self.pid_files = []
        self.host = "127.0.0.1"

    def launch(self):
        raise NotImplementedError

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name[:4]}-", dir=WORK))
        self.folder.chmod(0o755)
        atexit.register(self.stop)
        for attempt in range(3):
            self.port = free_port()
            try:
                self.launch()
                self.wait_for_greeting(self.port)
                return self
            except ServerFailed as failure:
                self.stop_processes()
                if attempt == 2 or "in use" not in f"{failure}{self.log()}":
                    words = f"{failure}\n{self.log()}"
                    self.stop()
                    raise ServerFailed(words) from None
            except BaseException:
                self.stop()
                raise
        raise AssertionError("unreachable")

    def run(self, command, **options):
        """Runs a helper of the server to its end; failure carries the helper's words."""
        # Into a file: a daemon that detaches keeps its output open, a pipe would never end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  check=False, timeout=60, **options)
            output.seek(0)
            words = output.read().decode(errors="replace")
        if done.returncode != 0:
            raise ServerFailed(f"{command[0]} failed: {words}")
        return words

    def spawn(self, command, own_mounts=False, **options):
        """Starts a process that stays in the foreground; it is stopped by its pid."""
        def prepare():
            _end_with_parent()
            if own_mounts:
                _own_mounts()

        with open(self.folder / "log", "ab") as log:
            # A group of its own: Cyrus's master ends everybody in its group that it may signal.
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, preexec_fn=prepare, **options)
        self.pids.append(child.pid)
        return child.pid

    def log(self):
        path = self.folder / "log" if self.folder else None
        return path.read_text(errors="replace")[-4000:] if path and path.exists() else ""

    def wait_for_greeting(self, port):
        deadline = time.monotonic() + GREETING_SECONDS
        while time.monotonic() < deadline:
            if any(not alive(pid) for pid in self.pids):
                raise ServerFailed(f"{self.name} ended at its start")
            try:
                with socket.create_connection((self.host, port), timeout=5) as probe:
                    if probe.recv(64).startswith(b"* "):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise ServerFailed(f"{self.name} did not greet on port {port} within {GREETING_SECONDS} s")

    def stop_processes(self):
        for path in self.pid_files:
            try:
                self.pids.append(int(pathlib.Path(path).read_text().split()[0]))
            except (OSError, ValueError, IndexError):
                pass
        for pid in reversed(self.pids):
            stop_pid(pid)
        self.pids.clear()

    def stop(self):
        if self.folder is None:
            return
        self.stop_processes()
        if not KEEP:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None
        atexit.unregister(self.stop)

    def url(self, user=None):
        """The endpoint as imapult's command line takes it, in clear text."""
        return f"imap://{(user or self.user).replace('@', '%40')}@{self.host}:{self.port}?tls=off"

    def connect(self, user=None, **options):
        """A logged-in raw connection for `user`."""
        from .imap import Connection  # pylint: disable=import-outside-toplevel,cyclic-import
        connection = Connection(self.host, self.port, **options)
        connection.login(user or self.user, self.password)
        return connection

    def __enter__(self):
        return self.start() if self.folder is None else self

    def __exit__(self, *_):
        self.stop()
