"""What the whole-run tests of provisioning share."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "support" / "slapd"))

import slapd as slapd_module  # noqa: E402
from slapd import ROOT_DN, ROOT_PASSWORD, Slapd  # noqa: E402,F401

PROGRAM = os.environ["IMAPULT_PROVISION"]
HOST = "mbox1.carbonio.example"


def parse_ldif(text):
    """Entries by DN: a reader of its own, independent of the program's."""
    entries = {}
    for block in text.replace("\n ", "").split("\n\n"):
        dn, attributes = None, {}
        for raw in block.split("\n"):
            if not raw or raw.startswith("#") or raw.startswith("version:"):
                continue
            name, _, value = raw.partition(":")
            value = base64.b64decode(value[1:].strip()) if value.startswith(":") else value[1:].encode()
            if name == "dn":
                dn = value.decode()
            else:
                attributes.setdefault(name.lower(), set()).add(value)
        if dn is not None:
            entries[dn] = attributes
    return entries


class ProvisionCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="imapult-provision-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.secret = self.write("secret", ROOT_PASSWORD + "\n")

    def write(self, name, content):
        path = pathlib.Path(self.folder, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def run_program(self, *arguments, expect=0):
        done = subprocess.run([PROGRAM, "provision", *arguments], capture_output=True, text=True, errors="replace")
        if expect is not None:
            self.assertEqual(done.returncode, expect, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def json(self, *arguments, expect=0):
        done = self.run_program(*arguments, "--json", expect=expect)
        result = json.loads(done.stdout)
        self.assertEqual(result["exit_code"], done.returncode)
        return result

    def plan(self, *files, extra=(), expect=0, out="plan"):
        self.out = os.path.join(self.folder, out)
        return self.json("plan", "--from", *files, "--out", self.out, *extra, expect=expect)

    def bind(self):
        return ["--bind-dn", ROOT_DN, "--bind-password-file", self.secret]

    def apply(self, server, expect=0):
        return self.json("apply", self.out, "--directory", server.url, *self.bind(), expect=expect)["actions"]

    def verify(self, server, expect=0):
        return self.json("verify", self.out, "--directory", server.url, *self.bind(), expect=expect)

    def dump(self, server, base="", search="(objectClass=*)", attributes=("*",)):
        done = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", server.url, "-D", ROOT_DN, "-w",
                               ROOT_PASSWORD, "-b", base, "-E", "pr=1000/noprompt", search, *attributes],
                              capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 32), done.stderr)
        return parse_ldif("\n".join(l for l in done.stdout.split("\n") if not l.startswith("#")))

    def binds(self, server, dn, password):
        return subprocess.run(["ldapwhoami", "-x", "-H", server.url, "-D", dn, "-w", password],
                              capture_output=True).returncode == 0

    def without_ids(self, entries):
        """Entries with every id replaced by the DN of what it names."""
        names = {}
        for dn, attributes in entries.items():
            for key in ("zimbraid", "zimbrasignatureid", "zimbraprefidentityid", "zimbradatasourceid"):
                for value in attributes.get(key, ()):
                    names[value] = f"<{key} of {dn}>".encode()
        result = {}
        for dn, attributes in entries.items():
            changed = {}
            for key, values in attributes.items():
                if key == "zimbracreatetimestamp":
                    continue
                new = set()
                for value in values:
                    for old, name in names.items() if b"-" in value and len(value) < 400 else ():
                        if old in value:
                            value = value.replace(old, name)
                    new.add(value)
                changed[key] = new
            result[dn] = changed
        return result
