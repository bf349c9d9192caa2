"""Servers whose Debian packages exclude each other are downloaded and unpacked, not installed.

Debian lets only one package that provides `imap-server` be installed. The others are fetched with
`apt-get download`, together with what they depend on and this machine lacks, and unpacked into a folder
of the build tree. That needs neither root nor a change to the machine; without apt or a network the
server is Unavailable, and its tests say so.
"""

import fcntl
import os
import pathlib
import re
import shutil
import subprocess

from .process import WORK, Unavailable

CACHE = pathlib.Path(os.environ.get("IMAPULT_TEST_CACHE") or WORK / f"imapult-servers-{os.geteuid()}")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
APT_SECONDS = 180


def _apt(*arguments, folder=None):
    try:
        done = subprocess.run(["apt-get", *arguments], cwd=folder, capture_output=True, text=True, check=False,
                              timeout=APT_SECONDS, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise Unavailable(f"apt-get {arguments[0]}: {failure}") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Unavailable(f"apt-get {' '.join(arguments)[:80]}: {words[-1] if words else 'failed'}")
    return done.stdout


def _needed(packages):
    """`packages` and what they would pull in here, without what is installed already."""
    plan = _apt("install", "--simulate", "--no-install-recommends", *packages)
    names = re.findall(r"^Inst (\S+) ", plan, re.M)
    return sorted(set(names) | set(packages))


def unpacked(name, *packages):
    """The folder that holds the unpacked packages, made at the first call."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable(f"{name} is unpacked from Debian's packages, and this machine has no apt")
    CACHE.mkdir(parents=True, exist_ok=True)
    root, done = CACHE / name, CACHE / f"{name}.done"
    with open(CACHE / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return root
        archives = CACHE / f"{name}.debs"
        for folder in (root, archives):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        _apt("download", "-q", *_needed(packages), folder=archives)
        for archive in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True, stdin=subprocess.DEVNULL)
        shutil.rmtree(archives)
        done.touch()
    return root


def library_path(root):
    """Where the unpacked packages have put their libraries; a few still use /lib."""
    return f"{root}/usr/lib:{root}/{LIBRARIES}:{root}/lib/x86_64-linux-gnu"


def environment(root):
    """The environment in which the unpacked programs find their libraries and SASL plugins."""
    sasl = f"{root}/{LIBRARIES}/sasl2:/{LIBRARIES}/sasl2"
    return {**os.environ, "LD_LIBRARY_PATH": library_path(root), "SASL_PATH": sasl, "LC_ALL": "C"}
