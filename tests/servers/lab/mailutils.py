"""GNU mailutils imap4d 3.15: bare IMAP4rev1, the server without extensions."""

import os
import subprocess

from .packages import environment, unpacked
from .process import Server, unprivileged_user

CONFIG = """\
auth {{
  authentication "generic:virtdomain";
  authorization "virtdomain";
}};
virtdomain {{ passwd-dir {folder}/domain; }};
mailbox {{
  mailbox-pattern "maildir:{folder}/spool/${{user}}";
  mailbox-type maildir;
}};
namespace personal {{
  prefix "" {{ directory "$home/Mail"; delimiter "/"; mailbox-type maildir; }};
}};
logging {{ syslog no; }};
tcp-wrappers {{ enable no; }};
gsasl {{ enable no; }};
mode daemon;
foreground yes;
max-children 200;
pidfile {folder}/imap4d.pid;
timeout "30 minutes";
server 127.0.0.1:{port} {{ }};
"""


class Mailutils(Server):
    """`users` log in as USER@localhost."""

    name = "mailutils"
    user = "alice@localhost"
    separator = "/"
    prefix = ""

    def __init__(self, users=("alice", "bob")):
        super().__init__()
        self.users = users
        self.root = unpacked("mailutils", "mailutils-imap4d", "mailutils-common", "libmailutils9")

    def start(self):
        super().start()
        for user in self.users:  # an inbox comes into being at its first SELECT; an APPEND fails before that
            with self.connect(f"{user}@localhost") as connection:
                connection.command("SELECT INBOX")
        return self

    def launch(self):
        folder, owner = self.folder, unprivileged_user()
        for sub in ("domain", "spool", "home"):
            (folder / sub).mkdir(exist_ok=True)
        crypt = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password.encode() + b"\n",
                               capture_output=True, check=True).stdout.decode().strip()
        with open(folder / "domain" / "localhost", "w", encoding="ascii") as table:
            for user in self.users:
                (folder / "home" / user / "Mail").mkdir(parents=True, exist_ok=True)
                table.write(f"{user}:{crypt}:{owner.pw_uid}:{owner.pw_gid}::{folder}/home/{user}:/bin/false\n")
        if os.geteuid() == 0:
            for top in (folder / "spool", folder / "home"):
                for path in [top, *top.rglob("*")]:
                    os.chown(path, owner.pw_uid, owner.pw_gid)
        (folder / "spool").chmod(0o1777)
        (folder / "imap4d.conf").write_text(CONFIG.format(folder=folder, port=self.port))
        self.spawn([self.root / "usr" / "sbin" / "imap4d", "--no-site-config",
                    f"--config-file={folder / 'imap4d.conf'}"], env=environment(self.root))
