"""What stops a plan, what does not, and what hostile values can do (nothing)."""

import base64
import csv
import io
import json
import os
import unittest

import organisation as o
from organisation import domain_dn, entry, uid_of
from provision_case import ProvisionCase, Slapd, parse_ldif, slapd_module

KINDS = """duplicate_dn duplicate_mail duplicate_zimbra_id alias_without_target missing_parent unknown_cos
    unknown_member reserved_name local_domain list_loop too_many_signatures signature_too_long
    too_many_identities too_many_data_sources invalid_address""".split()


def domain(name, id_=None, **more):
    return entry(domain_dn(name), ("objectClass", "dcObject"), ("objectClass", "organization"),
                 ("objectClass", "zimbraDomain"), ("dc", name.split(".")[0]), ("o", name),
                 ("zimbraDomainName", name), ("zimbraDomainType", "local"), ("zimbraId", id_ or uid_of("domain", name)),
                 *more.items())


def account(address, *pairs, id_=None, name=None):
    local, _, host = address.partition("@")
    return entry(f"uid={name or local},ou=people,{domain_dn(host)}", ("objectClass", "inetOrgPerson"),
                 ("objectClass", "zimbraAccount"), ("uid", local), ("cn", local), ("sn", local), ("mail", address),
                 ("zimbraMailDeliveryAddress", address), ("zimbraAccountStatus", "active"),
                 ("zimbraId", id_ or uid_of("account", address)), ("userPassword", o.ssha("secret")), *pairs)


def maillist(address, members, id_=None, name=None):
    local, _, host = address.partition("@")
    return entry(f"uid={local},ou=people,{domain_dn(host)}", ("objectClass", "zimbraDistributionList"),
                 ("objectClass", "zimbraMailRecipient"), ("uid", local), ("mail", address),
                 ("displayName", name), ("zimbraId", id_ or uid_of("list", address)),
                 *[("zimbraMailForwardingAddress", m) for m in members])


class Conflicts(ProvisionCase):
    def test_every_conflict_is_found_before_anything_is_written(self):
        ann = f"uid=ann,ou=people,{domain_dn('example.com')}"
        text = domain("example.com") + domain("carbonio.example") + account("ann@example.com") + account("ann@example.com")
        text += account("bob@example.com", ("mail", "ann@example.com"))
        text += account("eve@example.com", id_=uid_of("account", "ann@example.com"))
        text += entry(f"uid=lost,ou=people,{domain_dn('example.com')}", ("objectClass", "zimbraAlias"), ("uid", "lost"),
                      ("zimbraId", uid_of("lost")), ("zimbraAliasTargetId", uid_of("nobody")))
        text += account("far@absent.example")
        text += account("poor@example.com", ("zimbraCOSId", uid_of("absent cos")))
        text += maillist("team@example.com", ["ghost@example.com", "fine@elsewhere.example"])
        text += maillist("spam.team@example.com", [])
        text += maillist("one@example.com", ["two@example.com"]) + maillist("two@example.com", ["one@example.com"])
        text += maillist("self@example.com", ["self@example.com"])
        for i in range(21):
            text += entry(f"zimbraSignatureName=S{i},{ann}", ("objectClass", "zimbraSignature"),
                          ("zimbraSignatureName", f"S{i}"), ("zimbraSignatureId", uid_of("s", str(i))),
                          ("zimbraPrefMailSignature", "x" * (10241 if i == 3 else 5)))
            text += entry(f"zimbraPrefIdentityName=I{i},{ann}", ("objectClass", "zimbraIdentity"),
                          ("zimbraPrefIdentityName", f"I{i}"))
            text += entry(f"zimbraDataSourceName=D{i},{ann}", ("objectClass", "zimbraDataSource"),
                          ("zimbraDataSourceName", f"D{i}"), ("zimbraDataSourceId", uid_of("d", str(i))))
        text += entry(f"zimbraSignatureName=X,uid=nobody,ou=people,{domain_dn('example.com')}",
                      ("objectClass", "zimbraSignature"), ("zimbraSignatureName", "X"))
        text += account("bad@example.com", ("mail", "not an address"))
        source = self.write("all.ldif", text)
        local = slapd_module.base_ldif() + domain("carbonio.example", id_=uid_of("the installer's own"))
        report = self.plan(source, extra=["--against-ldif", self.write("destination.ldif", local)], expect=2)
        self.assertEqual({c["kind"] for c in report["conflicts"]}, set(KINDS))
        lines = text.split("\n")
        for conflict in report["conflicts"]:
            self.assertEqual(conflict["file"], source)
            start = conflict["line"]
            self.assertTrue(lines[start - 1].startswith("dn:"), conflict)
            if conflict["kind"] in ("duplicate_dn", "duplicate_mail", "duplicate_zimbra_id", "list_loop"):
                self.assertEqual(conflict["other"]["file"], source, conflict)
                self.assertTrue(lines[conflict["other"]["line"] - 1].startswith("dn:"), conflict)
            if conflict["kind"] == "local_domain":
                self.assertIsNone(conflict["other"]["file"])
                self.assertEqual(conflict["other"]["dn"], "dc=carbonio,dc=example")
        loops = {c["value"] for c in report["conflicts"] if c["kind"] == "list_loop"}
        self.assertIn("self@example.com", loops)
        self.assertTrue(loops & {"one@example.com", "two@example.com"})
        for name in ("carbonio.ldif", "carbonio-prov.txt", "accounts.csv", "plan.json"):
            self.assertFalse(os.path.exists(os.path.join(self.out, name)), name)
        done = self.run_program("plan", "--from", source, "--out", self.out, expect=2)
        self.assertIn(f"{source}:", done.stderr)
        self.run_program("apply", self.out, "--directory", "ldap://127.0.0.1:1", *self.bind(), expect=2)

    def test_what_exists_is_kept_updated_or_a_conflict_and_never_overwritten(self):
        text = domain("example.com") + account("ann@example.com", ("displayName", "Ann"))
        with Slapd() as server:
            live = ["--against", server.url, *self.bind()]
            self.plan(self.write("a.ldif", text), extra=live)
            self.apply(server)
            report = self.plan(self.write("a.ldif", text), extra=live)
            self.assertEqual(report["counts"]["account"], {"keep": 1})
            self.assertEqual(report["counts"]["domain"], {"keep": 1})
            self.assertEqual(self.verify(server)["entries"]["different"], 0)
            changed = text.replace("displayName: Ann", "displayName: Anna")
            report = self.plan(self.write("b.ldif", changed), extra=live)
            self.assertEqual(report["counts"]["account"], {"update": 1})
            self.assertEqual(self.apply(server)["updated"], 1)
            self.assertEqual(self.apply(server)["unchanged"], 1)
            self.verify(server)
            # A plan made before somebody else changed the value does not win.
            report = self.plan(self.write("c.ldif", changed.replace("Anna", "Annabel")), extra=live)
            other = self.out
            self.plan(self.write("d.ldif", changed.replace("Anna", "Hanna")), extra=live, out="other")
            self.apply(server)
            self.out = other
            self.assertEqual(self.apply(server, expect=1)["skipped"], 1)
            names = self.dump(server, search="(mail=ann@example.com)")
            self.assertEqual([e["displayname"] for e in names.values()], [{b"Hanna"}])
            # The same address under another id is somebody else.
            stranger = domain("example.com") + account("ann@example.com", id_=uid_of("another ann"))
            report = self.plan(self.write("e.ldif", stranger), extra=live, expect=2)
            self.assertEqual([c["kind"] for c in report["conflicts"]], ["duplicate_mail"])
            # Missing, different and extra entries in a domain that the plan makes.
            more = changed.replace("Anna", "Peter") + account("new@example.com")
            self.plan(self.write("f.ldif", more), out="fresh")
            entries = self.verify(server, expect=7)["entries"]
            self.assertEqual((entries["missing"], entries["extra"]), (1, 0))
            self.assertEqual(entries["different"], 1)
            self.assertEqual(entries["total"], sum(v for k, v in entries.items() if k != "total"))
            self.plan(self.write("g.ldif", domain("example.com")), out="bare")
            entries = self.verify(server, expect=7)["entries"]
            self.assertEqual((entries["missing"], entries["different"], entries["extra"]), (0, 0, 1))

    def test_nothing_is_hung_on_an_account_that_is_not_there_or_somebody_elses(self):
        dn = f"uid=ann,ou=people,{domain_dn('example.com')}"
        text = domain("example.com") + account("ann@example.com", ("mail", "a@example.com"), ("zimbraMailAlias", "a@example.com"))
        text += entry(f"zimbraSignatureName=S,{dn}", ("objectClass", "zimbraSignature"), ("zimbraSignatureName", "S"),
                      ("zimbraSignatureId", uid_of("s")), ("zimbraPrefMailSignature", "x"))
        text += account("bob@example.com", ("mail", "b@example.com"), ("zimbraMailAlias", "b@example.com"))
        text += maillist("team@example.com", ["bob@example.com", "ann@example.com"])
        text = text.replace("mail: team@example.com\n", "mail: team@example.com\nmail: t@example.com\nzimbraMailAlias: t@example.com\n")
        self.plan(self.write("a.ldif", text))
        with Slapd() as server:
            # Another ann, and somebody who has the list's alias: the plan was made without looking.
            server.stop()
            server.slapadd(entry("dc=com", ("objectClass", "dcObject"), ("objectClass", "organization"), ("dc", "com"),
                                 ("o", "x")) + domain("example.com") +
                           entry("ou=people,dc=example,dc=com", ("objectClass", "organizationalRole"), ("cn", "people")) +
                           account("ann@example.com", id_=uid_of("another ann")) +
                           account("other@example.com", ("mail", "t@example.com")))
            server.start()
            actions = self.apply(server, expect=1)
            self.assertEqual(actions["total"], sum(v for k, v in actions.items() if k != "total"))
            found = self.dump(server, base="dc=example,dc=com")
            self.assertEqual({d.split(",")[0] for d in found if "ou=people" in d} - {"ou=people"},
                             {"uid=ann", "uid=bob", "uid=b", "uid=other"})
            self.assertEqual(found[dn]["zimbraid"], {uid_of("another ann").encode()})

    def test_the_parent_of_another_domain_becomes_a_domain(self):
        with Slapd() as server:
            live = ["--against", server.url, *self.bind()]
            self.plan(self.write("a.ldif", domain("sub.example.org") + account("ann@sub.example.org")), extra=live)
            self.apply(server)
            report = self.plan(self.write("b.ldif", domain("example.org") + account("bob@example.org")), extra=live)
            self.assertEqual(report["counts"]["domain"], {"update": 1})
            self.assertEqual(self.apply(server)["updated"], 1)
            self.verify(server)
            found = self.dump(server)
            self.assertEqual(found["dc=example,dc=org"]["zimbradomainname"], {b"example.org"})
            self.assertIn("uid=bob,ou=people,dc=example,dc=org", found)
            self.assertIn("uid=ann,ou=people,dc=sub,dc=example,dc=org", found)

    def test_an_adopted_domain_takes_the_accounts(self):
        settings = self.write("provision.toml", '[destination]\nadopt_domains = ["new.example"]\n'
                              '[domains]\n"old.example" = "new.example"\n[cos]\n"gold" = "premium"\n'
                              '[exclude]\naccounts = ["test-*@old.example"]\nattributes = ["zimbraNotes"]\n')
        text = domain("old.example") + entry("cn=gold,cn=cos,cn=zimbra", ("objectClass", "zimbraCOS"), ("cn", "gold"),
                                             ("zimbraId", uid_of("gold")))
        text += account("ann@old.example", ("zimbraCOSId", uid_of("gold")), ("zimbraNotes", "x"),
                        ("zimbraPrefMailForwardingAddress", "bob@old.example,out@elsewhere.example"))
        text += account("test-1@old.example") + maillist("all@old.example", ["ann@old.example", "test-1@old.example"])
        with Slapd() as server:
            server.stop()
            server.slapadd(entry("dc=example", ("objectClass", "dcObject"), ("objectClass", "organization"), ("dc", "example"),
                                 ("o", "x")) + domain("new.example", id_=uid_of("its own")) +
                           entry("ou=people,dc=new,dc=example", ("objectClass", "organizationalRole"), ("cn", "people")))
            server.start()
            self.plan(self.write("a.ldif", text), extra=["--against", server.url, *self.bind(), "--settings", settings])
            self.apply(server)
            self.verify(server)
            found = self.dump(server)
            ann = found["uid=ann,ou=people,dc=new,dc=example"]
            self.assertEqual(ann["mail"], {b"ann@new.example"})
            self.assertEqual(ann["zimbraprefmailforwardingaddress"], {b"bob@new.example,out@elsewhere.example"})
            self.assertNotIn("zimbranotes", ann)
            self.assertEqual(ann["zimbracosid"], found["cn=premium,cn=cos,cn=zimbra"]["zimbraid"])
            self.assertNotIn("uid=test-1,ou=people,dc=new,dc=example", found)
            self.assertEqual(found["uid=all,ou=people,dc=new,dc=example"]["zimbramailforwardingaddress"], {b"ann@new.example"})
            accounts = open(os.path.join(self.out, "accounts.csv")).read()
            self.assertEqual(accounts, "source_user,destination_user\nann@old.example,ann@new.example\n")

    def test_hostile_values_stay_values_and_cost_no_other_account(self):
        values = ["two\nlines: x\ndn: cn=evil", ")(uid=*", '"quoted" \\ \'', "<a>&amp;]]>", " leading", "trailing ",
                  ":colon", "#hash", "tab\there", "=cmd|' /C'!A0"]
        text = domain("example.com")
        for i, value in enumerate(values):
            text += account(f"user{i}@example.com", ("displayName", value), ("description", value))
        text += account("nul@example.com", ("displayName", b"a\0b"))
        text += account("latin@example.com", ("displayName", b"M\xfcller"))
        text += account("huge@example.com", ("description", "x" * 10_000_000))
        source = self.write("hostile.ldif", text)
        with Slapd() as server:
            self.plan(source)
            actions = self.apply(server, expect=None)
            self.assertEqual(actions["failed"], 0)
            found = self.dump(server)
            for i, value in enumerate(values):
                got = found[f"uid=user{i},ou=people,{domain_dn('example.com')}"]
                self.assertEqual(got["displayname"], {value.encode()}, value)
            for name in ("nul", "latin", "huge"):
                self.assertIn(f"uid={name},ou=people,{domain_dn('example.com')}", found)
            decisions = list(csv.reader(io.StringIO(open(os.path.join(self.out, "decisions.csv")).read())))
            for name in ("nul", "latin", "huge"):
                self.assertTrue(any(name in row[2] and row[4] == "dropped" for row in decisions), name)
            lines = open(os.path.join(self.out, "carbonio-prov.txt")).read().split("\n")
            self.assertTrue(all(l.split(" ")[0] in ("", "cc", "cd", "ca", "cdl", "aaa", "sac") for l in lines), lines)
            json.load(open(os.path.join(self.out, "plan.json")))

    def test_the_csv_layouts_of_the_documentation(self):
        shared = self.write("shared", "one-for-all\n")
        layouts = {1: 'ann@example.com,Ann,"de la Person, Jr",Ann P\n',
                   2: "ann@example.com,Ann,de la Person,Ann P,home@elsewhere.example\n",
                   3: 'ann@example.com,"se,cret ""x""",Ann,de la Person,Ann P\n'}
        for layout, text in layouts.items():
            with self.subTest(layout), Slapd() as server:
                self.plan(self.write(f"{layout}.csv", text), extra=["--shared-password-file", shared], out=f"csv{layout}")
                self.apply(server)
                dn = "uid=ann,ou=people,dc=example,dc=com"
                found = self.dump(server)[dn]
                self.assertEqual(found["givenname"], {b"Ann"})
                self.assertEqual(found["displayname"], {b"Ann P"})
                self.assertEqual(found.get("zimbrapasswordmustchange"), None if layout == 2 else {b"TRUE"})
                self.assertFalse(os.path.exists(os.path.join(self.out, "passwords.csv")))
                if layout == 1:
                    self.assertTrue(self.binds(server, dn, "one-for-all"))
                elif layout == 2:
                    self.assertNotIn("userpassword", found)
                    self.assertEqual(found["zimbraprefpasswordrecoveryaddress"], {b"home@elsewhere.example"})
                else:
                    self.assertTrue(self.binds(server, dn, 'se,cret "x"'))
                    for name in os.listdir(self.out):
                        self.assertNotIn("cret", open(os.path.join(self.out, name)).read().replace("secret", ""), name)

    def test_hashes_that_carbonio_cannot_verify_become_random_passwords(self):
        text = entry("uid=ann,dc=x", ("objectClass", "inetOrgPerson"), ("nsUniqueId", "1"), ("uid", "ann"), ("cn", "Ann"),
                     ("sn", "A"), ("mail", "ann@example.com"), ("userPassword", "{PBKDF2_SHA256}AAAIAA=="),
                     ("nsAccountLock", "true"), ("mailQuota", "500M"))
        text += entry("uid=bob,dc=x", ("objectClass", "inetOrgPerson"), ("uid", "bob"), ("cn", "Bob"), ("sn", "B"),
                      ("mail", "bob@example.com"), ("userPassword", o.ssha("bobs")), ("cn;lang-de", "Bobby"))
        with Slapd() as server:
            report = self.plan(self.write("389.ldif", text))
            self.assertEqual(report["profile"], "389ds")
            self.apply(server)
            rows = list(csv.reader(open(os.path.join(self.out, "passwords.csv"))))
            self.assertEqual([r[0] for r in rows], ["account", "ann@example.com"])
            found = self.dump(server)["uid=ann,ou=people,dc=example,dc=com"]
            self.assertEqual(found["zimbraaccountstatus"], {b"locked"})
            self.assertEqual(found["zimbramailquota"], {str(500 << 20).encode()})
            self.assertTrue(self.binds(server, "uid=bob,ou=people,dc=example,dc=com", "bobs"))
            self.assertTrue(self.binds(server, "uid=ann,ou=people,dc=example,dc=com", rows[1][1]))
            self.plan(os.path.join(self.folder, "389.ldif"))
            again = list(csv.reader(open(os.path.join(self.out, "passwords.csv"))))
            self.assertEqual(rows, again)

    def test_groups_without_address_contacts_and_forwards_of_active_directory(self):
        def ad(dn, *pairs):
            return entry(dn, ("objectClass", "top"), *pairs)

        def user(name, *pairs):
            return ad(f"CN={name},DC=x", ("objectClass", "user"), ("objectCategory", "CN=Person,CN=Schema,DC=x"),
                      ("sAMAccountName", name), ("mail", f"{name}@example.com"), ("sn", name), ("cn", name), *pairs)

        text = user("ann", ("proxyAddresses", "SMTP:a.nn@example.com"), ("proxyAddresses", "smtp:ann@example.com"),
                    ("altRecipient", "CN=Partner,DC=x"), ("mDBOverQuotaLimit", "2048"), ("department", "Sales"))
        text += user("bob", ("altRecipient", "CN=ann,DC=x"), ("deliverAndRedirect", "TRUE"))
        text += user("machine", ("objectClass", "computer")) + ad("CN=nomail,DC=x", ("objectClass", "user"), ("cn", "nomail"))
        text += ad("CN=Partner,DC=x", ("objectClass", "contact"), ("mail", "partner@elsewhere.example"))
        text += ad("CN=inner,DC=x", ("objectClass", "group"), ("member", "CN=bob,DC=x"), ("member", "CN=outer,DC=x"))
        text += ad("CN=outer,DC=x", ("objectClass", "group"), ("mail", "outer@example.com"), ("cn", "outer"),
                   ("managedBy", "cn=ANN, dc=x"), ("member", "CN=inner,DC=x"), ("member", "CN=Partner,DC=x"),
                   ("member", "CN=nomail,DC=x"))
        text += ad("CN=ranged,DC=x", ("objectClass", "group"), ("mail", "ranged@example.com"), ("cn", "ranged"),
                   ("member;range=0-0", "CN=ann,DC=x"))
        text += "dn: CN=ranged,DC=x\nchangetype: modify\nadd: member;range=1-*\nmember;range=1-*: CN=bob,DC=x\n-\n\n"
        source = self.write("ad.ldif", text)
        report = self.plan(source, expect=2)
        self.assertEqual([c["kind"] for c in report["conflicts"]], ["list_loop"])
        source = self.write("ad.ldif", text.replace("member: CN=outer,DC=x\n", ""))
        self.plan(source)
        with Slapd() as server:
            self.apply(server)
            self.verify(server)
            found = self.dump(server, base="dc=example,dc=com")
            ann = found["uid=a.nn,ou=people,dc=example,dc=com"]
            bob = found["uid=bob,ou=people,dc=example,dc=com"]
            self.assertEqual(ann["mail"], {b"a.nn@example.com", b"ann@example.com"})
            self.assertEqual(ann["zimbraprefmailforwardingaddress"], {b"partner@elsewhere.example"})
            self.assertEqual(ann["zimbraprefmaillocaldeliverydisabled"], {b"TRUE"})
            self.assertEqual(ann["zimbramailquota"], {b"2097152"})
            self.assertEqual(ann["ou"], {b"Sales"})
            self.assertEqual(bob["zimbraprefmailforwardingaddress"], {b"a.nn@example.com"})
            self.assertNotIn("zimbraprefmaillocaldeliverydisabled", bob)
            outer = found["uid=outer,ou=people,dc=example,dc=com"]
            self.assertEqual(outer["zimbramailforwardingaddress"], {b"bob@example.com", b"partner@elsewhere.example"})
            self.assertEqual(outer["zimbraace"], {next(iter(ann["zimbraid"])) + b" usr ownDistList"})
            ranged = found["uid=ranged,ou=people,dc=example,dc=com"]
            self.assertEqual(ranged["zimbramailforwardingaddress"], {b"a.nn@example.com", b"bob@example.com"})
            self.assertEqual(sum(b"zimbraAccount" in e["objectclass"] for e in found.values()), 2)

    def test_shares_are_granted_before_they_are_mounted(self):
        text = domain("example.com") + account("ann@example.com", (
            "zimbraSharedItem", f"granteeId:{uid_of('account', 'bob@example.com')};granteeName:bob@example.com;"
            "granteeType:usr;folderId:257;folderPath:/Team \"A\"/Plans;folderDefaultView:appointment;rights:rwidx;type:folder"))
        text += account("bob@example.com")
        acl = "owner,folder,grantee,rights\nbob@example.com,/Projects,ann@example.com,lrswitedk\n"
        report = self.plan(self.write("a.ldif", text), self.write("acl.csv", acl))
        self.assertEqual(report["counts"]["grant"], {"create": 2})
        self.assertEqual(report["counts"]["mountpoint"], {"create": 2})
        lines = open(os.path.join(self.out, "carbonio-prov.txt")).read().split("\n")
        grant = lines.index('sm ann@example.com mfg "/Team \\"A\\"/Plans" account bob@example.com rwidx')
        mount = [i for i, l in enumerate(lines) if l.startswith("sm bob@example.com cm --view appointment ")]
        self.assertLess(grant, mount[0])
        self.assertIn("sm bob@example.com mfg /Projects account ann@example.com rwid", lines)
        self.assertTrue(all(l.startswith("ca ") for l in lines if "ann@example.com \"\"" in l))

    def test_inspect_tells_and_broken_lines_cost_only_their_entry(self):
        text = domain("example.com") + account("ann@example.com") + "dn: uid=broken\nno colon\n\n" + account("bob@example.com")
        source = self.write("a.ldif", text)
        report = self.json("inspect", source, expect=1)
        self.assertEqual(report["profile"], "zimbra")
        self.assertEqual(report["counts"]["account"], {"create": 2})
        self.assertEqual(report["problems"][0]["line"], text[:text.index("no colon")].count("\n") + 1)
        self.assertEqual(os.listdir(self.folder).count("plan"), 0)

    def test_the_example_of_settings_is_valid_and_misspelt_settings_are_not(self):
        example = self.run_program("settings").stdout
        source = self.write("a.ldif", domain("example.com"))
        self.plan(source, extra=["--settings", self.write("ok.toml", example)])
        wrong = self.write("wrong.toml", "[passwords]\nkeep_hash = true\n")
        self.json("plan", "--from", source, "--out", self.out, "--settings", wrong, expect=2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
