"""One organisation, written as a Zimbra export, as OpenLDAP, as Active Directory and as CSV files."""

import base64
import crypt
import hashlib
import uuid


def ssha(password, algorithm="sha1", scheme="{SSHA}"):
    salt = hashlib.md5(password.encode()).digest()[:8]
    digest = hashlib.new(algorithm, password.encode() + salt).digest()
    return scheme + base64.b64encode(digest + salt).decode()


def uid_of(*parts):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(parts)))


class Account:
    def __init__(self, i, domain):
        self.local = f"user{i:04d}"
        self.domain = domain
        self.address = f"{self.local}@{domain}"
        self.given = ["Ann", "Bjørn", "Chloé", "D'Arcy"][i % 4]
        self.sn = f"Person {i}"
        self.display = f'{self.given} "{i}" Person, Büro'
        self.password = f"secret-{i}"
        self.aliases = [f"alias{i:04d}@{domain}"] if i % 3 == 0 else []
        self.signatures = i % 4
        self.identities = i % 2
        self.gold = i % 5 == 0
        self.closed = i % 50 == 7
        kind = i % 3
        if kind == 0:
            self.hash = ssha(self.password)
        elif kind == 1:
            self.hash = ssha(self.password, "sha512", "{SSHA512}")
        else:
            self.hash = "{CRYPT}" + crypt.crypt(self.password, "$6$rounds=1000$imapultsalt")
        self.id = uid_of("account", self.address)
        self.quota = 1 << 20 if i % 7 == 0 else None
        self.forward = "outside@elsewhere.example" if i % 20 == 3 else None


class Organisation:
    def __init__(self, accounts=500, lists=40, groups=5, resources=5,
                 domains=("example.com", "example.net", "sub.example.org")):
        self.domains = list(domains)
        self.accounts = [Account(i, self.domains[i % len(self.domains)]) for i in range(accounts)]
        self.lists = {}
        for i in range(lists):
            members = [a.address for a in self.accounts[i * 3:i * 3 + 8]]
            if i > 0 and i % 4 == 0:
                members.append(f"list{i - 1}@{self.domains[(i - 1) % len(self.domains)]}")
            if i % 6 == 1:
                members.append("partner@elsewhere.example")
            self.lists[f"list{i}@{self.domains[i % len(self.domains)]}"] = members
        self.groups = {f"group{i}@{self.domains[0]}": [a for a in self.accounts if int(a.local[4:]) % 10 == i]
                       for i in range(groups)}
        self.resources = [f"room{i}@{self.domains[0]}" for i in range(resources)]

    @property
    def aliases(self):
        return [alias for account in self.accounts for alias in account.aliases]


def line(name, value):
    raw = value.encode() if isinstance(value, str) else value
    safe = raw and all(32 <= c < 127 for c in raw) and raw[:1] not in b" :<" and not raw.endswith(b" ")
    return f"{name}: {raw.decode()}" if safe else f"{name}:: {base64.b64encode(raw).decode()}"


def entry(dn, *pairs):
    lines = [line("dn", dn)]
    lines += [line(name, value) for name, value in pairs if value is not None]
    return "\n".join(lines) + "\n\n"


def domain_dn(domain):
    return ",".join(f"dc={part}" for part in domain.split("."))


OPERATIONAL = [("structuralObjectClass", "inetOrgPerson"), ("entryUUID", "7f0b1f2e-0000-103e-8000-000000000000"),
               ("creatorsName", "uid=zimbra,cn=admins,cn=zimbra"), ("createTimestamp", "20200102030405Z"),
               ("entryCSN", "20200102030405.000000Z#000000#000#000000"), ("modifyTimestamp", "20200102030405Z")]


def zimbra_account(org, a):
    dn = f"uid={a.local},ou=people,{domain_dn(a.domain)}"
    pairs = [("objectClass", "inetOrgPerson"), ("objectClass", "zimbraAccount"), ("objectClass", "amavisAccount"),
             ("uid", a.local), ("cn", a.display), ("sn", a.sn), ("givenName", a.given), ("displayName", a.display),
             ("mail", a.address), *[("mail", x) for x in a.aliases], *[("zimbraMailAlias", x) for x in a.aliases],
             ("zimbraMailDeliveryAddress", a.address), ("zimbraMailStatus", "enabled"),
             ("zimbraMailHost", "old1.example.com"), ("zimbraMailTransport", "lmtp:old1.example.com:7025"),
             ("zimbraAccountStatus", "closed" if a.closed else "active"), ("zimbraId", a.id),
             ("zimbraCOSId", uid_of("cos", "gold") if a.gold else None),
             ("zimbraMailQuota", str(a.quota) if a.quota else None),
             ("zimbraPrefMailForwardingAddress", a.forward),
             ("zimbraMailSieveScript", 'require ["fileinto"];\nif header "subject" "x" { fileinto "Work"; }'
              if a.gold else None),
             ("zimbraPrefOutOfOfficeReplyEnabled", "TRUE" if a.gold else None),
             ("zimbraPrefOutOfOfficeReply", "I am away\nuntil Monday" if a.gold else None),
             ("zimbraAuthTokens", "1|2|3"), ("zimbraLastLogonTimestamp", "20240101000000Z"),
             ("zimbraZimletAvailableZimlets", "+com_zimbra_date"), ("userPassword", a.hash)]
    pairs += [("zimbraMemberOf", uid_of("group", name)) for name, members in org.groups.items() if a in members]
    if a.gold:
        delegate = org.accounts[(int(a.local[4:]) + 1) % len(org.accounts)]
        pairs.append(("zimbraACE", f"{delegate.id} usr sendAs"))
    if a.signatures:
        sid = uid_of("signature", a.address, "0")
        pairs += [("zimbraSignatureId", sid), ("zimbraSignatureName", "Sig 0"),
                  ("zimbraPrefMailSignature", f"--\n{a.display}"), ("zimbraPrefDefaultSignatureId", sid)]
    text = entry(dn, *pairs, *OPERATIONAL)
    for k in range(1, a.signatures):
        text += entry(f"zimbraSignatureName=Sig {k},{dn}", ("objectClass", "zimbraSignature"),
                      ("zimbraSignatureName", f"Sig {k}"), ("zimbraSignatureId", uid_of("signature", a.address, str(k))),
                      ("zimbraPrefMailSignatureHTML", f"<p>{a.display} &amp; {k}</p>"))
    for k in range(a.identities):
        text += entry(f"zimbraPrefIdentityName=Id {k},{dn}", ("objectClass", "zimbraIdentity"),
                      ("zimbraPrefIdentityName", f"Id {k}"), ("zimbraPrefIdentityId", uid_of("identity", a.address)),
                      ("zimbraPrefFromAddress", a.address), ("zimbraPrefFromDisplay", a.display))
    for alias in a.aliases:
        text += entry(f"uid={alias.split('@')[0]},ou=people,{domain_dn(a.domain)}", ("objectClass", "zimbraAlias"),
                      ("uid", alias.split("@")[0]), ("zimbraId", uid_of("alias", alias)),
                      ("zimbraAliasTargetId", a.id))
    return text


def zimbra(org):
    text = "version: 1\n\n"
    for name, quota in (("default", 0), ("gold", 5 << 30)):
        text += entry(f"cn={name},cn=cos,cn=zimbra", ("objectClass", "zimbraCOS"), ("cn", name),
                      ("zimbraId", "e00428a1-0c00-11d9-836a-000d93afea2a" if name == "default" else uid_of("cos", name)),
                      ("zimbraMailQuota", str(quota)), ("zimbraMailHostPool", uid_of("server")))
    for domain in org.domains:
        dn = domain_dn(domain)
        text += entry(dn, ("objectClass", "dcObject"), ("objectClass", "organization"), ("objectClass", "zimbraDomain"),
                      ("dc", domain.split(".")[0]), ("o", f"{domain} domain"), ("zimbraDomainName", domain),
                      ("zimbraDomainType", "local"), ("zimbraDomainStatus", "active"), ("zimbraMailStatus", "enabled"),
                      ("zimbraDomainDefaultCOSId", uid_of("cos", "gold")), ("zimbraId", uid_of("domain", domain)))
        text += entry(f"ou=people,{dn}", ("objectClass", "organizationalRole"), ("ou", "people"), ("cn", "people"))
        text += entry(f"cn=groups,{dn}", ("objectClass", "organizationalRole"), ("cn", "groups"))
    text += "".join(zimbra_account(org, a) for a in org.accounts)
    for address in org.resources:
        local, domain = address.split("@")
        text += entry(f"uid={local},ou=people,{domain_dn(domain)}", ("objectClass", "inetOrgPerson"),
                      ("objectClass", "zimbraAccount"), ("objectClass", "zimbraCalendarResource"), ("uid", local),
                      ("cn", local), ("sn", local), ("displayName", f"Room {local}"), ("mail", address),
                      ("zimbraMailDeliveryAddress", address), ("zimbraMailHost", "old1.example.com"),
                      ("zimbraAccountStatus", "active"), ("zimbraAccountCalendarUserType", "RESOURCE"),
                      ("zimbraCalResType", "Location"), ("zimbraId", uid_of("resource", address)))
    for address, members in org.lists.items():
        local, domain = address.split("@")
        text += entry(f"uid={local},ou=people,{domain_dn(domain)}", ("objectClass", "zimbraDistributionList"),
                      ("objectClass", "zimbraMailRecipient"), ("uid", local), ("cn", f"List {local}"),
                      ("displayName", f"List {local}"), ("mail", address), ("zimbraMailAlias", address),
                      ("zimbraMailStatus", "enabled"), ("zimbraMailHost", "old1.example.com"),
                      *[("zimbraMailForwardingAddress", m) for m in members], ("zimbraId", uid_of("list", address)))
    for address in org.groups:
        local, domain = address.split("@")
        gid, eid = uid_of("group", address), uid_of("external", address)
        dn = f"cn={local},cn=groups,{domain_dn(domain)}"
        text += entry(dn, ("objectClass", "groupOfURLs"), ("objectClass", "dgIdentityAux"),
                      ("objectClass", "zimbraGroup"), ("cn", local), ("mail", address), ("zimbraMailAlias", address),
                      ("zimbraMailStatus", "enabled"), ("zimbraMailHost", "old1.example.com"), ("displayName", local),
                      ("zimbraIsACLGroup", "TRUE"), ("dgIdentity", "uid=zimbra,cn=admins,cn=zimbra"),
                      ("memberURL", f"ldap:///??sub?(|(zimbraMemberOf={gid})(zimbraId={eid}))"), ("zimbraId", gid))
        text += entry(f"cn=internal,{dn}", ("objectClass", "groupOfURLs"), ("objectClass", "dgIdentityAux"),
                      ("objectClass", "zimbraGroupDynamicUnit"), ("cn", "internal"),
                      ("mail", f"{local}.__internal__@{domain}"), ("zimbraMailAlias", f"{local}.__internal__@{domain}"),
                      ("zimbraMailStatus", "enabled"), ("dgIdentity", "uid=zimbra,cn=admins,cn=zimbra"),
                      ("memberURL", f"ldap:///??sub?(zimbraMemberOf={gid})"), ("zimbraGroupId", gid),
                      ("zimbraId", uid_of("internal", address)))
        text += entry(f"cn=external,{dn}", ("objectClass", "zimbraGroupStaticUnit"), ("cn", "external"),
                      ("zimbraGroupId", gid), ("zimbraId", eid),
                      ("zimbraMailForwardingAddress", "partner@elsewhere.example"))
    text += entry(f"uid=galsync.abc,ou=people,{domain_dn(org.domains[0])}", ("objectClass", "inetOrgPerson"),
                  ("objectClass", "zimbraAccount"), ("uid", "galsync.abc"), ("cn", "galsync"), ("sn", "galsync"),
                  ("zimbraIsSystemResource", "TRUE"), ("zimbraId", uid_of("galsync")),
                  ("zimbraAccountStatus", "active"), ("mail", f"galsync.abc@{org.domains[0]}"))
    return text


def openldap(org):
    base = "dc=corp,dc=example"
    text = entry(base, ("objectClass", "dcObject"), ("objectClass", "organization"), ("dc", "corp"), ("o", "corp"))
    for a in org.accounts:
        text += entry(f"uid={a.local},ou=staff,{base}", ("objectClass", "inetOrgPerson"), ("objectClass", "posixAccount"),
                      ("uid", a.local), ("cn", a.display), ("sn", a.sn), ("givenName", a.given),
                      ("displayName", a.display), ("mail", a.address),
                      *[("mailAlternateAddress", x) for x in a.aliases], ("userPassword", a.hash),
                      ("uidNumber", "1000"), ("homeDirectory", "/home/x"))
    for address, members in org.lists.items():
        local = address.split("@")[0]
        dns = []
        for m in members:
            if m.startswith("list"):
                dns.append(f"CN={m.split('@')[0]}, ou=lists,{base}")
            elif m.startswith("user"):
                dns.append(f"UID={m.split('@')[0].upper()},ou=staff,{base}")
        text += entry(f"cn={local},ou=lists,{base}", ("objectClass", "groupOfNames"), ("objectClass", "mailGroup"),
                      ("cn", local), ("mail", address), *[("member", d) for d in dns],
                      *[("mgrpRFC822MailAddress", m) for m in members if m.startswith("partner")])
    return text


def activedirectory(org):
    base = "DC=corp,DC=example"
    text = ""
    names = {}
    for a in org.accounts:
        dn = f"CN=Person\\, {a.local},OU=Staff,{base}"
        names[a.address] = dn
        text += entry(dn, ("changetype", "add"), ("objectClass", "top"), ("objectClass", "person"),
                      ("objectClass", "organizationalPerson"), ("objectClass", "user"),
                      ("objectCategory", f"CN=Person,CN=Schema,CN=Configuration,{base}"), ("cn", a.display),
                      ("sn", a.sn), ("givenName", a.given), ("displayName", a.display),
                      ("sAMAccountName", a.local), ("userPrincipalName", f"{a.local}@corp.example"),
                      ("userAccountControl", "514" if a.closed else "512"), ("mail", a.address),
                      ("proxyAddresses", "x500:/o=corp/cn=x"),
                      *[("proxyAddresses", f"smtp:{x.upper()}") for x in a.aliases],
                      ("proxyAddresses", f"SMTP:{a.address}"),
                      ("proxyAddresses", f"smtp:{a.local}@corp.onmicrosoft.com"))
    partner = f"CN=Partner,OU=Contacts,{base}"
    text += entry(partner, ("changetype", "add"), ("objectClass", "contact"), ("cn", "Partner"),
                  ("mail", "partner@elsewhere.example"))
    for address, members in org.lists.items():
        local = address.split("@")[0]
        dn = f"CN={local},OU=Lists,{base}"
        dns = [partner if m.startswith("partner") else
               names.get(m, f"CN={m.split('@')[0]},OU=Lists,{base}") for m in members]
        head = [("changetype", "add"), ("objectClass", "group"), ("cn", local), ("mail", address),
                ("groupType", "-2147483646")]
        text += entry(dn, *head, *[("member;range=0-4", d) for d in dns[:5]])
        text += entry(dn, *head, *[("member;range=5-*", d) for d in dns[5:]])
    return b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le")


def csvde(org):
    """What `csvde -u` writes: a header of attributes, several values in one field with semicolons between them."""
    entries, names = [], []
    for block in activedirectory(org).decode("utf-16").replace("\r\n", "\n").split("\n\n"):
        entry = {}
        for raw in block.split("\n"):
            name, _, value = raw.partition(":")
            value = base64.b64decode(value[1:]).decode() if value.startswith(":") else value[1:]
            if name and name != "changetype":
                entry.setdefault("DN" if name == "dn" else name, []).append(value)
                names += [] if name in names + ["dn"] else [name]
        entries += [entry] if entry else []
    rows = [["DN", *names]] + [[";".join(v.replace(";", "\\;") for v in e.get(n, [])) for n in ["DN", *names]]
                               for e in entries]
    return b"\xff\xfe" + "".join(",".join(map(quoted, row)) + "\r\n" for row in rows).encode("utf-16-le")


def quoted(field):
    return '"' + field.replace('"', '""') + '"' if any(c in field for c in '",\n') else field


def csv_accounts(org):
    return "".join(",".join(quoted(f) for f in (a.address, a.password, a.given, a.sn, a.display)) + "\n"
                   for a in org.accounts)


def csv_lists(org):
    return "".join(",".join(quoted(f) for f in (address, "A list", f"List {address.split('@')[0]}", *members, "")) + "\n"
                   for address, members in org.lists.items())
