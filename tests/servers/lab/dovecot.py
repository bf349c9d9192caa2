"""Dovecot 2.3, as root or as an ordinary user."""

import os
import shutil

from .certificates import Authority
from .process import Server, Unavailable, free_port, unprivileged_user

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = {ssl}
{certificates}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_master_user_separator = *
auth_cache_size = 16M
first_valid_uid = 1
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {internal_group}
mail_uid = {uid}
mail_gid = {gid}
mail_home = {folder}/mail/%2.256Nu/%u
mail_location = {location}
mail_plugins = acl{quota_plugin}{zlib}
mailbox_list_index = yes
mail_max_userip_connections = {connections}
mail_fsync = never
default_process_limit = {connections}
default_client_limit = 20000
service imap-login {{
  service_count = 0
  process_min_avail = 1
  {chroot}
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service imap {{
  service_count = 100
  process_limit = {connections}
}}
service anvil {{
  {chroot}
}}
service stats {{
  {chroot}
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
passdb {{
  driver = passwd-file
  args = username_format=%n {folder}/masters
  master = yes
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%2.256Nu/%u
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
{special}
}}
{namespaces}
protocol imap {{
  mail_plugins = $mail_plugins imap_acl{imap_zlib}{imap_quota}
  imap_literal_minus = {literal_minus}
  {capability}
}}
plugin {{
  acl = vfile{global_acl}
  acl_user = %u
  {acl_dict}
  {quota}
}}
"""

SPECIAL = "".join(f"""  mailbox {name} {{
    special_use = \\{name}
    auto = subscribe
  }}
""" for name in ("Drafts", "Sent", "Trash", "Junk"))


# What users show each other stands below shared/, what is everybody's below Public/.
NAMESPACES = """\
namespace {{
  type = shared
  separator = {separator}
  prefix = shared{separator}%%u{separator}
  location = {format}:%%h/{format}
  subscriptions = no
  list = children
}}
namespace {{
  type = public
  separator = {separator}
  prefix = Public{separator}
  location = {format}:{folder}/mail/public
  subscriptions = no
  list = children
}}
"""


class Dovecot(Server):
    """Any user name logs in with `password`; `master` opens any account (PLAIN authzid).

    format: maildir, sdbox, mdbox or mbox. hide: capability names that are not to be advertised, before
    and after login. add: names advertised besides. tls: None, or a kind of certificate
    (certificates.py). quota: for example "1M". special: create the special-use mailboxes. shared: with
    namespaces for other users' and for public mailboxes.
    """

    name = "dovecot"
    master = "admin"
    master_password = "adminpass"

    def __init__(self, format="maildir", separator="/", prefix="", quota=None, hide=(), add=(), tls=None,
                 special=True, connections=5000, compress=True, shared=False):
        super().__init__()
        if not shutil.which("dovecot") and not os.path.exists("/usr/sbin/dovecot"):
            raise Unavailable("Dovecot is not installed (tools/setup installs it)")
        self.program = shutil.which("dovecot") or "/usr/sbin/dovecot"
        self.format, self.separator, self.prefix, self.quota = format, separator, prefix, quota
        self.hide, self.add, self.tls, self.special = set(hide), tuple(add), tls, special
        self.connections, self.compress, self.shared = connections, compress, shared
        self.tls_port = 0
        self.authority = None
        self._capability = None

    def launch(self):
        self._write()
        self._dovecot()
        if (self.hide or self.add) and self._capability is None:
            # What it would say by itself is asked of it, so that hiding keeps everything else.
            self.wait_for_greeting(self.port)
            with self.connect() as connection:
                offered = connection.capability()
            self._capability = " ".join([c for c in offered if c not in self.hide] + list(self.add))
            self.stop_processes()
            self._write()
            self._dovecot()

    def _dovecot(self):
        self.spawn([self.program, "-F", "-c", str(self.folder / "dovecot.conf")])

    def _write(self):
        folder, root = self.folder, os.geteuid() == 0
        owner = unprivileged_user()
        (folder / "mail").mkdir(exist_ok=True)
        (folder / "run").mkdir(exist_ok=True)
        if root:
            os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
        (folder / "masters").write_text(f"{self.master}:{{PLAIN}}{self.master_password}\n")
        certificates = ""
        if self.tls:
            (folder / "tls").mkdir(exist_ok=True)
            self.authority = Authority(folder / "tls")
            certificate, key = self.authority.issue(self.tls)
            certificates = f"ssl_cert = <{certificate}\nssl_key = <{key}"
            self.tls_port = free_port()
        location = f"{self.format}:~/{self.format}"
        if self.format == "mbox":
            location = "mbox:~/mbox:INBOX=~/inbox"
        quota = ""
        if self.quota:
            quota = f"quota = count:User quota\n  quota_rule = *:storage={self.quota}\n  quota_vsizes = yes"
        namespaces = ""
        if self.shared:
            namespaces = NAMESPACES.format(separator=self.separator, format=self.format, folder=folder)
            (folder / "acls").write_text(f"Public{self.separator}* anyone lrwstipekxa\nPublic anyone lrk\n")
            (folder / "acls").chmod(0o644)
        import grp  # pylint: disable=import-outside-toplevel
        (folder / "dovecot.conf").write_text(CONFIG.format(
            folder=folder, ssl="yes" if self.tls else "no", certificates=certificates,
            internal="dovecot" if root else owner.pw_name, login="dovenull" if root else owner.pw_name,
            internal_group="dovecot" if root else grp.getgrgid(owner.pw_gid).gr_name,
            uid=owner.pw_uid, gid=owner.pw_gid, location=location, port=self.port, tls_port=self.tls_port,
            chroot="" if root else "chroot =", connections=self.connections, password=self.password,
            separator=self.separator, prefix=self.prefix, special=SPECIAL if self.special else "",
            literal_minus="yes" if "LITERAL-" in self.add else "no",
            quota_plugin=" quota" if self.quota else "", imap_quota=" imap_quota" if self.quota else "",
            zlib=" zlib" if self.compress else "", imap_zlib=" imap_zlib" if self.compress else "",
            namespaces=namespaces, global_acl=f":{folder}/acls" if self.shared else "",
            acl_dict=f"acl_shared_dict = file:{folder}/mail/shares.db" if self.shared else "",
            capability=f"imap_capability = {self._capability}" if self._capability else "", quota=quota))

    def tls_url(self, user=None, host="localhost"):
        return f"imaps://{(user or self.user).replace('@', '%40')}@{host}:{self.tls_port}"


