"""A real slapd in a folder of its own, shaped like Carbonio's directory.

The schema is a small subset written by hand (names and OIDs of the Zimbra/Carbonio attributes that the
tests use). If the environment variable IMAPULT_CARBONIO_SCHEMA names a folder that holds carbonio.schema,
`Slapd(full_schema=True)` loads that instead.
"""

import base64
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT_DN = "uid=zimbra,cn=admins,cn=zimbra"
ROOT_PASSWORD = "directory-secret"
SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
SLAPADD = shutil.which("slapadd") or "/usr/sbin/slapadd"

# Attribute types: number below 1.3.6.1.4.1.19348.2.1 where it is a fixed one, else ours from 9000 on.
STRING, IA5, BOOLEAN, INTEGER, TIME = (
    ("15", "caseIgnoreMatch", "caseIgnoreSubstringsMatch"),
    ("26", "caseIgnoreIA5Match", "caseIgnoreIA5SubstringsMatch"),
    ("7", "booleanMatch", None),
    ("27", "integerMatch", None),
    ("24", "generalizedTimeMatch", None),
)
FIXED = {
    "zimbraId": 1, "zimbraAccountStatus": 2, "zimbraMailHost": 4, "zimbraMemberOf": 11,
    "zimbraMailForwardingAddress": 12, "zimbraMailDeliveryAddress": 13, "zimbraCOSId": 14,
    "zimbraMailStatus": 15, "zimbraMailQuota": 16, "zimbraPrefMailSignature": 17, "zimbraDomainName": 19,
    "zimbraMailAlias": 20, "zimbraIsAdminAccount": 31, "zimbraMailSieveScript": 32,
    "zimbraAliasTargetId": 40, "zimbraPasswordMustChange": 41, "zimbraDomainType": 212,
    "zimbraMailTransport": 247,
}
SINGLE = {
    STRING: """zimbraId zimbraAccountStatus zimbraMailHost zimbraCOSId zimbraMailStatus
        zimbraPrefMailSignature zimbraPrefMailSignatureHTML zimbraDomainType zimbraDomainStatus
        zimbraMailSieveScript zimbraMailTransport zimbraServiceHostname zimbraSignatureId
        zimbraSignatureName zimbraPrefDefaultSignatureId zimbraPrefForwardReplySignatureId
        zimbraPrefIdentityId zimbraPrefIdentityName zimbraPrefFromDisplay zimbraPrefOutOfOfficeReply
        zimbraPrefLocale zimbraPrefTimeZoneId zimbraAccountCalendarUserType zimbraCalResType
        zimbraDataSourceId zimbraDataSourceName zimbraDataSourceFolderId zimbraDataSourceConnectionType
        zimbraDataSourceHost zimbraDataSourcePassword zimbraDataSourceUsername zimbraNotes
        zimbraDomainDefaultCOSId zimbraDomainAliasTargetId zimbraGroupId zimbraMailMode
        zimbraFeatureResetPasswordStatus zimbraPrefPasswordRecoveryAddressStatus zimbraAliasTargetId
        zimbraPublicServiceHostname""",
    IA5: """zimbraMailDeliveryAddress zimbraPrefFromAddress zimbraPrefMailForwardingAddress
        zimbraPrefPasswordRecoveryAddress zimbraMailCatchAllAddress""",
    BOOLEAN: """zimbraIsAdminAccount zimbraIsSystemResource zimbraPasswordMustChange zimbraIsACLGroup
        zimbraPrefOutOfOfficeReplyEnabled zimbraPrefMailLocalDeliveryDisabled zimbraDataSourceEnabled
        zimbraHideInGal""",
    INTEGER: "zimbraMailQuota zimbraDataSourcePort",
    TIME: "zimbraCreateTimestamp zimbraPrefOutOfOfficeFromDate zimbraPrefOutOfOfficeUntilDate",
}
MULTI = {
    STRING: "zimbraMemberOf zimbraDomainName zimbraServiceEnabled zimbraACE zimbraMailHostPool "
            "zimbraVirtualHostname zimbraChildAccount company",
    IA5: "zimbraMailForwardingAddress zimbraMailAlias",
}
RECIPIENT = "zimbraMailHost zimbraMailTransport zimbraMailStatus zimbraMailForwardingAddress zimbraMailAlias " \
            "mail zimbraHideInGal"
ACCOUNT = """zimbraCOSId zimbraMailDeliveryAddress zimbraMailQuota zimbraMemberOf zimbraIsAdminAccount
    zimbraIsSystemResource zimbraMailSieveScript zimbraPasswordMustChange zimbraSignatureId zimbraSignatureName
    zimbraPrefMailSignature zimbraPrefMailSignatureHTML zimbraPrefDefaultSignatureId
    zimbraPrefForwardReplySignatureId zimbraPrefOutOfOfficeReply zimbraPrefOutOfOfficeReplyEnabled
    zimbraPrefOutOfOfficeFromDate zimbraPrefOutOfOfficeUntilDate zimbraPrefLocale zimbraPrefTimeZoneId
    zimbraPrefMailForwardingAddress zimbraPrefMailLocalDeliveryDisabled zimbraCreateTimestamp zimbraNotes
    zimbraACE zimbraFeatureResetPasswordStatus zimbraPrefPasswordRecoveryAddress
    zimbraPrefPasswordRecoveryAddressStatus zimbraPrefFromAddress zimbraPrefFromDisplay zimbraChildAccount
    displayName description givenName initials street l st postalCode co company o ou title telephoneNumber
    mobile pager homePhone facsimileTelephoneNumber physicalDeliveryOfficeName userPassword"""
# name: (number below .2.2, superior and sort, MUST, MAY)
CLASSES = [
    ("zimbraMailRecipient", 7, "top AUXILIARY", "", RECIPIENT + " zimbraId uid"),
    ("zimbraAccount", 1, "zimbraMailRecipient AUXILIARY", "zimbraAccountStatus zimbraId uid", ACCOUNT),
    ("zimbraCOS", 3, "top STRUCTURAL", "cn zimbraId",
     "zimbraMailQuota zimbraMailHostPool description zimbraNotes zimbraACE zimbraCreateTimestamp"),
    ("zimbraDomain", 4, "top AUXILIARY", "zimbraDomainName zimbraDomainType zimbraId",
     "zimbraDomainStatus zimbraMailStatus zimbraDomainDefaultCOSId zimbraDomainAliasTargetId zimbraACE "
     "zimbraMailCatchAllAddress zimbraVirtualHostname zimbraPublicServiceHostname zimbraCreateTimestamp description"),
    ("zimbraDistributionList", 6, "top STRUCTURAL", "uid zimbraId",
     "cn description displayName mail zimbraACE zimbraCreateTimestamp zimbraNotes"),
    ("zimbraServer", 8, "top STRUCTURAL", "cn zimbraId",
     "zimbraServiceHostname zimbraServiceEnabled zimbraMailMode"),
    ("zimbraAlias", 11, "top STRUCTURAL", "zimbraAliasTargetId zimbraId", "cn uid zimbraCreateTimestamp"),
    ("zimbraCalendarResource", 16, "top AUXILIARY",
     "displayName zimbraAccountCalendarUserType zimbraCalResType zimbraId", "description"),
    ("zimbraIdentity", 17, "top STRUCTURAL", "zimbraPrefIdentityName",
     "zimbraPrefIdentityId zimbraPrefFromAddress zimbraPrefFromDisplay zimbraPrefDefaultSignatureId"),
    ("zimbraDataSource", 18, "top STRUCTURAL",
     "zimbraDataSourceEnabled zimbraDataSourceFolderId zimbraDataSourceId zimbraDataSourceName",
     "zimbraDataSourceConnectionType zimbraDataSourceHost zimbraDataSourcePort zimbraDataSourcePassword "
     "zimbraDataSourceUsername"),
    ("zimbraImapDataSource", 20, "top AUXILIARY", "", "zimbraDataSourceHost zimbraDataSourcePort"),
    ("zimbraSignature", 21, "top STRUCTURAL", "zimbraSignatureId zimbraSignatureName",
     "zimbraPrefMailSignature zimbraPrefMailSignatureHTML"),
    ("zimbraGroup", 27, "top AUXILIARY", "memberURL zimbraId zimbraIsACLGroup",
     "description displayName mail zimbraACE zimbraCreateTimestamp zimbraHideInGal zimbraMailAlias zimbraMailHost "
     "zimbraMailStatus zimbraNotes"),
    ("zimbraGroupDynamicUnit", 28, "top AUXILIARY", "memberURL zimbraGroupId zimbraId",
     "mail zimbraMailAlias zimbraMailStatus zimbraCreateTimestamp"),
    ("zimbraGroupStaticUnit", 29, "top STRUCTURAL", "cn zimbraGroupId zimbraId",
     "description zimbraMailForwardingAddress zimbraCreateTimestamp"),
]


def schema_subset():
    lines = ["objectidentifier ImapultAttr 1.3.6.1.4.1.19348.2.1", "objectidentifier ImapultClass 1.3.6.1.4.1.19348.2.2"]
    number = 9000
    for table, single in ((SINGLE, True), (MULTI, False)):
        for (syntax, equality, substring), names in table.items():
            for name in names.split():
                number += 1
                lines.append(f"attributetype ( ImapultAttr:{FIXED.get(name, number)} NAME '{name}'")
                lines.append(f"  EQUALITY {equality}")
                if substring:
                    lines.append(f"  SUBSTR {substring}")
                lines.append(f"  SYNTAX 1.3.6.1.4.1.1466.115.121.1.{syntax}")
                lines.append("  SINGLE-VALUE )" if single else "  )")
    for name, number, superior, must, may in CLASSES:
        lines.append(f"objectclass ( ImapultClass:{number} NAME '{name}' SUP {superior}")
        for word, names in (("MUST", must), ("MAY", may)):
            if names:
                lines.append(f"  {word} (")
                lines.append("    " + " $\n    ".join(names.split()))
                lines.append("  )")
        lines.append("  )")
    return "\n".join(lines) + "\n"


def base_ldif(server="mbox1.carbonio.example"):
    """cn=zimbra as an installer leaves it: one server, the COS default, a bind entry."""
    return f"""dn: cn=zimbra
objectClass: organizationalRole
cn: zimbra

dn: cn=admins,cn=zimbra
objectClass: organizationalRole
cn: admins

dn: uid=zimbra,cn=admins,cn=zimbra
objectClass: inetOrgPerson
objectClass: zimbraAccount
uid: zimbra
cn: zimbra
sn: zimbra
zimbraAccountStatus: active
zimbraIsAdminAccount: TRUE
zimbraIsSystemResource: TRUE
zimbraId: 6f5b2d0e-5b3c-4f43-9d0e-000000000001

dn: cn=cos,cn=zimbra
objectClass: organizationalRole
cn: cos

dn: cn=default,cn=cos,cn=zimbra
objectClass: zimbraCOS
cn: default
zimbraId: e00428a1-0c00-11d9-836a-000d93afea2a
zimbraMailQuota: 0

dn: cn=servers,cn=zimbra
objectClass: organizationalRole
cn: servers

dn: cn={server},cn=servers,cn=zimbra
objectClass: zimbraServer
cn: {server}
zimbraId: 6f5b2d0e-5b3c-4f43-9d0e-000000000002
zimbraServiceHostname: {server}
zimbraServiceEnabled: mailbox

dn: cn=groups,cn=zimbra
objectClass: organizationalRole
cn: groups

"""


def full_schema_folder():
    folder = os.environ.get("IMAPULT_CARBONIO_SCHEMA", "")
    return folder if folder and os.path.isfile(os.path.join(folder, "carbonio.schema")) else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Slapd:
    """Starts on entering, stops (by pid) and removes its folder on leaving."""

    def __init__(self, full_schema=False, with_base=True, tls=False):
        self.folder = tempfile.mkdtemp(prefix="imapult-slapd-")
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.ldaps = f"ldaps://127.0.0.1:{free_port()}"
        self.ldapi = "ldapi://" + os.path.join(self.folder, "socket").replace("/", "%2F")
        self.tls = tls
        self.process = None
        self.conf = os.path.join(self.folder, "slapd.conf")
        os.mkdir(os.path.join(self.folder, "db"))
        schema = os.path.join(self.folder, "carbonio.schema")
        if full_schema:
            schema = os.path.join(full_schema_folder(), "carbonio.schema")
        else:
            pathlib.Path(schema).write_text(schema_subset())
        self.certificate = os.path.join(self.folder, "certificate.pem")
        tls_lines = ""
        if tls:
            key = os.path.join(self.folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key,
                            "-out", self.certificate], check=True, capture_output=True)
            tls_lines = f"TLSCertificateFile {self.certificate}\nTLSCertificateKeyFile {key}\n"
        salt = os.urandom(8)
        digest = hashlib.sha1(ROOT_PASSWORD.encode() + salt).digest() + salt
        pathlib.Path(self.conf).write_text(f"""include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/dyngroup.schema
include {schema}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload dynlist
moduleload unique
moduleload pw-sha2
pidfile {self.folder}/slapd.pid
loglevel stats
authz-regexp "gidNumber=.*,cn=peercred,cn=external,cn=auth" "{ROOT_DN}"
{tls_lines}database mdb
suffix ""
maxsize 4294967296
directory {self.folder}/db
rootdn "{ROOT_DN}"
rootpw {{SSHA}}{base64.b64encode(digest).decode()}
index objectClass eq
index entryUUID,entryCSN eq
index zimbraId,zimbraMailHost,zimbraMailForwardingAddress,zimbraMemberOf,zimbraMailTransport eq
index uid pres,eq
index cn,mail,givenName,sn,displayName pres,eq,sub
index zimbraMailDeliveryAddress,zimbraMailAlias,zimbraDomainName eq,sub
overlay dynlist
dynlist-attrset groupOfURLs memberURL member
overlay unique
unique_uri ldap:///?mail?sub
unique_uri ldap:///?zimbraId?sub
""")
        if with_base:
            self.slapadd(base_ldif())

    def slapadd(self, text):
        path = os.path.join(self.folder, "load.ldif")
        pathlib.Path(path).write_text(text)
        return self.slapadd_file(path)

    def slapadd_file(self, path):
        done = subprocess.run([SLAPADD, "-f", self.conf, "-b", "", "-l", path], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "w")
        # The certificate does not name 127.0.0.2.
        encrypted = [self.ldaps, f"ldap://127.0.0.2:{self.port}"] if self.tls else []
        urls = " ".join([self.url, self.ldapi, *encrypted])
        self.process = subprocess.Popen([SLAPD, "-f", self.conf, "-h", urls, "-d", "256"],
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("slapd does not listen")

    def writes(self):
        """Write operations that reached the server, from its own log."""
        self.log.flush()
        text = pathlib.Path(os.path.join(self.folder, "log")).read_text(errors="replace")
        return sum(f" {op} dn=" in text and text.count(f" {op} dn=") for op in ("ADD", "MOD", "DEL", "MODRDN"))

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
