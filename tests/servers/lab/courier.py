"""Courier IMAP 5.0, unpacked beside whatever IMAP server the machine has.

Its paths are compiled in; the unpacked folders are bound over them in a mount namespace of its own, for
which it needs root. Nothing of that is seen outside of the namespace.
"""

import os
import subprocess

from .packages import library_path, unpacked
from .process import Server, Unavailable, unprivileged_user

CAPABILITY = ("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE "
              "AUTH=PLAIN")

# The machine may lack the folders to bind over: overlays give them to this namespace alone.
START = """\
set -e
mount -t tmpfs tmpfs {folder}/tmp
over() {{ # PARENT NAME…: folders NAME in PARENT, without writing to the machine's own
  local parent=$1 copy={folder}/tmp/$(basename "$1") name
  shift
  mkdir -p "$copy/work"
  for name in "$@"; do mkdir -p "$copy/upper/$name"; done
  mount -t overlay overlay -o "lowerdir=$parent,upperdir=$copy/upper,workdir=$copy/work" "$parent"
}}
over /etc courier
over /run courier
over /usr/lib courier courier-authlib
mount --bind {folder}/etc /etc/courier
mount --bind {folder}/run /run/courier
mount --bind {root}/usr/lib/courier /usr/lib/courier
mount --bind {root}/usr/lib/courier-authlib /usr/lib/courier-authlib
export LD_LIBRARY_PATH={libraries}:{root}/usr/lib/courier-authlib PATH={root}/usr/sbin:{root}/usr/bin:$PATH
perl {root}/usr/sbin/makeuserdb
/usr/lib/courier/courier-authlib/authdaemond >>{folder}/log 2>&1 &
echo $! >{folder}/authdaemond.pid
set -a; . /etc/courier/imapd; set +a
export IMAP_CAPABILITY="{capability}" IMAP_CAPABILITY_TLS="{capability}" IMAP_TLS_REQUIRED=0 IMAP_STARTTLS=NO
# Locks would be watched through a daemon that is not there, at a second each.
export IMAP_USELOCKS=0 IMAP_EMPTYTRASH= IMAP_CHECK_ALL_FOLDERS=0 IMAP_ULIMITD=524288 IMAP_ENHANCEDIDLE=0
exec couriertcpd -address=127.0.0.1 -maxprocs=500 -maxperip=500 -nodnslookup -noidentlookup \\
  {port} /usr/lib/courier/courier/imaplogin {root}/usr/bin/imapd Maildir
"""


class Courier(Server):
    """`users` may log in. Every mailbox lies below INBOX, the separator is a dot, LITERAL+ is missing."""

    name = "courier"
    separator = "."
    prefix = "INBOX."

    def __init__(self, users=("alice", "bob")):
        super().__init__()
        if os.geteuid() != 0:
            raise Unavailable("Courier's compiled-in paths need a mount namespace, hence root")
        self.users = users
        self.root = unpacked("courier", "courier-imap", "courier-base", "courier-authlib", "courier-authlib-userdb",
                             "libgamin0")  # the other choice, libfam0, waits a second for a daemon at every change

    def launch(self):
        folder, owner = self.folder, unprivileged_user()
        for sub in ("etc/shared", "run/authdaemon", "mail", "tmp"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        packaged = self.root / "etc" / "courier"
        if packaged.is_dir():
            subprocess.run(["cp", "-rn", f"{packaged}/.", folder / "etc"], check=False, capture_output=True)
        (folder / "etc" / "authdaemonrc").write_text(
            'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\ndaemons=5\n'
            'authdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\n')
        crypt = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password.encode() + b"\n",
                               capture_output=True, check=True).stdout.decode().strip()
        make = self.root / "usr" / "bin" / "maildirmake.courier"
        env = {**os.environ, "LD_LIBRARY_PATH": library_path(self.root)}
        lines = []
        for user in self.users:
            home = folder / "mail" / user
            lines.append(f"{user}\tuid={owner.pw_uid}|gid={owner.pw_gid}|home={home}|shell=/bin/false|imappw={crypt}\n")
            if not home.exists():
                home.mkdir()
                self.run([make, home / "Maildir"], env=env)
        userdb = folder / "etc" / "userdb"
        userdb.write_text("".join(lines))
        userdb.chmod(0o600)
        for path in [folder / "mail", *(folder / "mail").rglob("*")]:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        (folder / "start").write_text(START.format(folder=folder, root=self.root, libraries=library_path(self.root),
                                                   capability=CAPABILITY, port=self.port))
        self.pid_files = [folder / "authdaemond.pid"]
        self.spawn(["bash", folder / "start"], own_mounts=True)


