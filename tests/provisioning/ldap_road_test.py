"""The LDAP road against a real slapd: the same organisation from every kind of source."""

import os
import signal
import subprocess
import time
import unittest

import organisation as o
from provision_case import HOST, PROGRAM, ProvisionCase, Slapd, parse_ldif, slapd_module


class LdapRoad(ProvisionCase):
    def check_organisation(self, server, org, passwords=True):
        entries = self.dump(server)
        people = {dn: e for dn, e in entries.items() if b"zimbraAccount" in e["objectclass"]}
        for a in org.accounts:
            e = people[f"uid={a.local},ou=people,{o.domain_dn(a.domain)}"]
            self.assertEqual(e["mail"], {x.encode() for x in [a.address, *a.aliases]})
            self.assertEqual(e["zimbramaildeliveryaddress"], {a.address.encode()})
            self.assertEqual(e.get("zimbramailalias", set()), {x.encode() for x in a.aliases})
            self.assertEqual(e["displayname"], {a.display.encode()})
            self.assertEqual(e["sn"], {a.sn.encode()})
            self.assertEqual(e["zimbramailhost"], {HOST.encode()})
            self.assertEqual(e["zimbramailtransport"], {f"lmtp:{HOST}:7025".encode()})
            for alias in a.aliases:
                target = entries[f"uid={alias.split('@')[0]},ou=people,{o.domain_dn(a.domain)}"]
                self.assertEqual(target["zimbraaliastargetid"], e["zimbraid"])
        for address, members in org.lists.items():
            local, domain = address.split("@")
            e = entries[f"uid={local},ou=people,{o.domain_dn(domain)}"]
            self.assertEqual(e["zimbramailforwardingaddress"], {m.encode() for m in members})
            self.assertIn(address.encode(), e["zimbramailalias"])
        if passwords:
            for a in org.accounts[:6]:
                dn = f"uid={a.local},ou=people,{o.domain_dn(a.domain)}"
                self.assertTrue(self.binds(server, dn, a.password), a.hash[:10])
                self.assertFalse(self.binds(server, dn, "wrong"))
        return entries

    def test_a_zimbra_export_is_planned_applied_and_verified(self):
        org = o.Organisation()
        with Slapd() as server:
            report = self.plan(self.write("zimbra.ldif", o.zimbra(org)),
                               extra=["--against", server.url, *self.bind()])
            self.assertEqual(report["profile"], "zimbra")
            self.assertEqual(report["counts"]["account"], {"create": 500, "skip": 1})
            self.assertEqual(report["counts"]["list"], {"create": 40})
            self.assertEqual(report["counts"]["dynamic_group"], {"create": 5})
            self.assertEqual(report["counts"]["resource"], {"create": 5})
            self.assertEqual(report["counts"]["cos"], {"create": 1, "keep": 1})
            actions = self.apply(server)
            self.assertEqual(actions["created"], actions["total"])
            entries = self.check_organisation(server, org)
            verified = self.verify(server)["entries"]
            self.assertEqual(verified["equal"], verified["total"])
            for address, members in org.groups.items():
                found = self.dump(server, search=f"(mail={address})", attributes=("member",))
                expanded = set().union(*(e.get("member", set()) for e in found.values()))
                expected = {f"uid={m.local},ou=people,{o.domain_dn(m.domain)}".encode() for m in members}
                self.assertLessEqual(expected, expanded)
            gold = entries["cn=gold,cn=cos,cn=zimbra"]
            self.assertNotIn("zimbramailhostpool", gold)
            writes = server.writes()
            again = self.apply(server)
            self.assertEqual((again["created"], again["updated"], again["failed"]), (0, 0, 0))
            self.assertEqual(again["unchanged"], again["total"])
            self.assertEqual(server.writes(), writes, "the second run wrote")
            self.dump_after_apply = self.dump(server)

        # The same carbonio.ldif by slapadd into an empty database.
        offline = Slapd()
        offline.slapadd_file(os.path.join(self.out, "carbonio.ldif"))
        with offline as server:
            self.assertEqual(self.dump(server), self.dump_after_apply)
            self.assertEqual(self.verify(server)["entries"]["equal"], verified["total"])

        # Planning again gives the same files; hashes stand in two of them only, both private.
        before = open(os.path.join(self.out, "carbonio.ldif")).read()
        with Slapd() as server:
            self.plan(os.path.join(self.folder, "zimbra.ldif"), extra=["--against", server.url, *self.bind()])
        self.assertEqual(open(os.path.join(self.out, "carbonio.ldif")).read(), before)
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o700)
        for name in os.listdir(self.out):
            path = os.path.join(self.out, name)
            self.assertEqual(os.stat(path).st_mode & 0o077, 0, name)
            if name not in ("carbonio.ldif", "carbonio-prov.txt"):
                text = open(path).read()
                for a in org.accounts:
                    self.assertNotIn(a.hash.split("}")[1], text, name)

    def test_openldap_activedirectory_and_csv_end_in_the_same_accounts(self):
        org = o.Organisation(accounts=60, lists=12)
        sources = {"openldap": [self.write("o.ldif", o.openldap(org))],
                   "activedirectory": [self.write("ad.ldif", o.activedirectory(org))],
                   "activedirectory (csvde)": [self.write("ad.csv", o.csvde(org))],
                   "csv": [self.write("user_provisioning.csv", o.csv_accounts(org)),
                           self.write("dl_provisioning.csv", o.csv_lists(org))]}
        for name, files in sources.items():
            with self.subTest(name), Slapd() as server:
                profile = name.split(" ")[0]
                plain = profile == "csv"
                wanted = o.Organisation(accounts=60, lists=12)
                if plain:
                    for a in wanted.accounts:
                        a.aliases = []
                report = self.plan(*files, extra=["--against", server.url, *self.bind()], out=profile)
                self.assertEqual(report["profile"], profile)
                self.assertEqual(report["counts"]["account"], {"create": 60})
                actions = self.apply(server)
                self.assertEqual(actions["created"], actions["total"])
                entries = self.check_organisation(server, wanted, passwords=profile != "activedirectory")
                self.assertEqual(self.verify(server)["entries"]["different"], 0)
                if profile == "activedirectory":
                    for row in open(os.path.join(self.out, "passwords.csv")).read().split("\n")[1:4]:
                        address, password = row.split(",")
                        local, domain = address.split("@")
                        self.assertTrue(self.binds(server, f"uid={local},ou=people,{o.domain_dn(domain)}", password))
                    closed = [e for e in entries.values() if e.get("zimbraaccountstatus") == {b"closed"}]
                    self.assertEqual(len(closed), sum(a.closed for a in org.accounts))

    def test_an_apply_killed_in_the_middle_is_finished_by_the_next(self):
        org = o.Organisation(accounts=int(os.environ.get("IMAPULT_KILL_ACCOUNTS", "1500")), lists=5, groups=1)
        with Slapd() as server:
            self.plan(self.write("zimbra.ldif", o.zimbra(org)), extra=["--against", server.url, *self.bind()])
            killed = 0
            for _ in range(3):
                before = server.writes()
                process = subprocess.Popen([PROGRAM, "provision", "apply", self.out, "--directory", server.url,
                                            *self.bind()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                deadline = time.monotonic() + 60
                while server.writes() < before + 200 and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.005)
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                process.wait()
            self.assertGreater(killed, 0)
            actions = self.apply(server)
            self.assertEqual(actions["failed"] + actions["skipped"], 0)
            self.assertGreater(actions["unchanged"], 0)
            verified = self.verify(server)["entries"]
            self.assertEqual(verified["equal"], verified["total"])
            self.check_organisation(server, org)

    @unittest.skipUnless(slapd_module.full_schema_folder(), "IMAPULT_CARBONIO_SCHEMA is not set")
    def test_the_full_schema_takes_the_same_plan(self):
        org = o.Organisation(accounts=60, lists=12)
        with Slapd(full_schema=True) as server:
            self.plan(self.write("zimbra.ldif", o.zimbra(org)))
            actions = self.apply(server)
            self.assertEqual(actions["created"], actions["total"])
            self.check_organisation(server, org)
            self.assertEqual(self.verify(server)["entries"]["different"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
