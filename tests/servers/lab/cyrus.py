"""Cyrus IMAP 3.6, unpacked beside whatever IMAP server the machine has."""

import os
import pathlib
import subprocess

from .packages import environment, unpacked
from .process import Server, ServerFailed, unprivileged_user

CONFIG = """\
configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
proc_path: {folder}/conf/proc
mboxname_lockpath: {folder}/conf/lock
cyrus_user: {user}
cyrus_group: {group}
servername: localhost
admins: admin
proxyservers: admin
virtdomains: off
altnamespace: yes
unixhierarchysep: yes
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_mech_list: PLAIN LOGIN
autocreate_quota: 0
conversations: no
hashimapspool: yes
munge8bit: {munge8bit}
reject8bit: no
maxmessagesize: 0
"""

SERVICES = """\
START {{
}}
SERVICES {{
  imap cmd="{imapd} -C {folder}/imapd.conf -U 30" listen="127.0.0.1:{port}" prefork=1 maxchild=500
}}
EVENTS {{
}}
"""


class Cyrus(Server):
    """`users` may log in; `admin` is the administrator and may act as any of them (authzid)."""

    name = "cyrus"
    separator = "/"
    prefix = ""

    def __init__(self, users=("alice", "bob", "admin"), munge8bit=False):
        super().__init__()
        self.users, self.munge8bit = users, munge8bit
        self.root = unpacked("cyrus", "cyrus-imapd", "cyrus-common", "sasl2-bin", "libsasl2-modules",
                             "libsasl2-modules-db")

    def launch(self):
        import grp  # pylint: disable=import-outside-toplevel
        folder, owner = self.folder, unprivileged_user()
        programs = self.root / "usr" / "lib" / "cyrus" / "bin"
        for sub in ("db", "proc", "socket", "lock", "user", "quota", "log", "msg"):
            (folder / "conf" / sub).mkdir(parents=True, exist_ok=True)
        (folder / "spool").mkdir(exist_ok=True)
        env = environment(self.root)
        for user in self.users:
            done = subprocess.run([self.root / "usr/sbin/saslpasswd2", "-c", "-p", "-f", folder / "sasldb2",
                                   "-u", "localhost", user], input=self.password.encode(), env=env,
                                  capture_output=True, check=False)
            if done.returncode != 0:
                raise ServerFailed(f"saslpasswd2: {done.stderr.decode(errors='replace')}")
        (folder / "imapd.conf").write_text(CONFIG.format(
            folder=folder, user=owner.pw_name, group=grp.getgrgid(owner.pw_gid).gr_name,
            munge8bit="yes" if self.munge8bit else "no"))
        (folder / "cyrus.conf").write_text(SERVICES.format(folder=folder, imapd=programs / "imapd", port=self.port))
        if os.geteuid() == 0:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self.readable()
        self.run([programs / "ctl_cyrusdb", "-C", folder / "imapd.conf", "-r"], env=env)
        self.spawn([programs / "master", "-D", "-C", folder / "imapd.conf", "-M", folder / "cyrus.conf",
                    "-p", folder / "master.pid"], env=env)

    def readable(self):
        """The processes run as another user: the way to the unpacked programs must be open to it."""
        if os.geteuid() != 0:
            return
        for path in [pathlib.Path(self.root), *pathlib.Path(self.root).parents]:
            if not path.stat().st_mode & 0o001:
                raise ServerFailed(f"{path} is closed to the server's user; set IMAPULT_TEST_CACHE to another folder")
