"""The SOAP road against a stand-in that stores into a real slapd: the same directory as by LDAP."""

import subprocess
import sys
import time
import unittest

import organisation as o
from conflicts_test import account, domain, maillist
from provision_case import HERE, PROGRAM, ROOT_DN, ROOT_PASSWORD, ProvisionCase, Slapd

sys.path.insert(0, str(HERE.parent / "support" / "carbonio_soap"))
from standin import Standin  # noqa: E402


class SoapRoad(ProvisionCase):
    def standin(self, server, **options):
        standin = Standin(server.port, ROOT_DN, ROOT_PASSWORD, **options).serve(self.folder)
        self.addCleanup(standin.close)
        self.admin_secret = self.write("admin-secret", "admin-secret\n")
        return standin

    def soap(self, standin, expect=0, admin="admin@example.com"):
        return self.json("apply", self.out, "--soap", standin.url, "--admin", admin, "--password-file",
                         self.admin_secret, "--destination-ca-file", standin.certificate, expect=expect)

    def test_the_soap_road_ends_in_the_same_directory_as_the_ldap_road(self):
        org = o.Organisation(accounts=500)
        source = self.write("zimbra.ldif", o.zimbra(org))
        with Slapd() as by_ldap, Slapd() as by_soap:
            self.plan(source, extra=["--against", by_ldap.url, *self.bind()])
            self.apply(by_ldap)
            standin = self.standin(by_soap, requests_per_token=400)
            actions = self.soap(standin)["actions"]
            self.assertEqual(actions["failed"] + actions["skipped"], 0)
            self.assertEqual(actions["total"], actions["created"] + actions["updated"] + actions["unchanged"])
            first, second = self.without_ids(self.dump(by_ldap)), self.without_ids(self.dump(by_soap))
            self.assertEqual(first.keys(), second.keys())
            for dn in first:
                self.assertEqual(first[dn], second[dn], dn)
            self.assertEqual(self.verify(by_soap)["entries"]["different"], 0)
            a = org.accounts[1]
            self.assertTrue(self.binds(by_soap, f"uid={a.local},ou=people,{o.domain_dn(a.domain)}", a.password))
            standin.writes = 0
            again = self.soap(standin)["actions"]
            self.assertEqual((again["created"], again["updated"], again["failed"]), (0, 0, 0), again)
            self.assertEqual(standin.writes, 0)

    def test_a_soap_run_killed_in_the_middle_is_finished_by_the_next(self):
        org = o.Organisation(accounts=60, lists=8, groups=3)
        source = self.write("zimbra.ldif", o.zimbra(org))
        with Slapd() as by_ldap, Slapd() as by_soap:
            self.plan(source, extra=["--against", by_ldap.url, *self.bind()])
            self.apply(by_ldap)
            standin = self.standin(by_soap)
            for stop in (40, 90, 150):
                process = subprocess.Popen([PROGRAM, "provision", "apply", self.out, "--soap", standin.url, "--admin",
                                            "admin@example.com", "--password-file", self.admin_secret,
                                            "--destination-ca-file", standin.certificate],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                deadline = time.monotonic() + 60
                while standin.writes < stop and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.002)
                process.kill()
                process.wait()
            actions = self.soap(standin)["actions"]
            self.assertEqual(actions["failed"] + actions["skipped"], 0)
            self.assertGreater(actions["created"], 0)
            first, second = self.without_ids(self.dump(by_ldap)), self.without_ids(self.dump(by_soap))
            self.assertEqual(first, second)

    def test_alias_domains_data_sources_owners_and_default_signatures_take_both_roads(self):
        dn = o.domain_dn("example.com")
        ann = f"uid=ann,ou=people,{dn}"
        second = o.uid_of("second signature")
        text = o.entry(dn, ("objectClass", "dcObject"), ("objectClass", "organization"), ("objectClass", "zimbraDomain"),
                       ("dc", "example"), ("o", "x"), ("zimbraDomainName", "example.com"), ("zimbraDomainType", "local"),
                       ("zimbraId", o.uid_of("domain")))
        text += o.entry(o.domain_dn("alias.example"), ("objectClass", "dcObject"), ("objectClass", "organization"),
                        ("objectClass", "zimbraDomain"), ("dc", "alias"), ("o", "x"), ("zimbraDomainName", "alias.example"),
                        ("zimbraDomainType", "alias"), ("zimbraDomainAliasTargetId", o.uid_of("domain")),
                        ("zimbraMailCatchAllAddress", "@alias.example"), ("zimbraId", o.uid_of("alias domain")))
        for name, more in (("ann", [("zimbraSignatureName", "One"), ("zimbraSignatureId", o.uid_of("first signature")),
                                    ("zimbraPrefMailSignature", "1\n<&>"), ("zimbraPrefDefaultSignatureId", second),
                                    ("zimbraMailAlias", "a.n@example.com"), ("mail", "a.n@example.com")]), ("bob", [])):
            text += o.entry(f"uid={name},ou=people,{dn}", ("objectClass", "inetOrgPerson"), ("objectClass", "zimbraAccount"),
                            ("uid", name), ("cn", name), ("sn", name), ("mail", f"{name}@example.com"),
                            ("zimbraMailDeliveryAddress", f"{name}@example.com"), ("zimbraAccountStatus", "active"),
                            ("zimbraId", o.uid_of(name)), ("userPassword", o.ssha("x")), *more)
        text += o.entry(f"zimbraSignatureName=Two,{ann}", ("objectClass", "zimbraSignature"), ("zimbraSignatureName", "Two"),
                        ("zimbraSignatureId", second), ("zimbraPrefMailSignatureHTML", "<b>2</b>"))
        text += o.entry(f"zimbraDataSourceName=old,{ann}", ("objectClass", "zimbraDataSource"),
                        ("objectClass", "zimbraImapDataSource"), ("zimbraDataSourceName", "old"),
                        ("zimbraDataSourceId", o.uid_of("source")), ("zimbraDataSourceEnabled", "FALSE"),
                        ("zimbraDataSourceFolderId", "2"), ("zimbraDataSourceHost", "imap.example.net"),
                        ("zimbraDataSourcePort", "993"), ("zimbraDataSourceConnectionType", "ssl"))
        text += o.entry(f"uid=staff,ou=people,{dn}", ("objectClass", "zimbraDistributionList"),
                        ("objectClass", "zimbraMailRecipient"), ("uid", "staff"), ("mail", "staff@example.com"),
                        ("mail", "everybody@example.com"), ("zimbraMailAlias", "everybody@example.com"),
                        ("zimbraMailForwardingAddress", "bob@alias.example"), ("zimbraId", o.uid_of("staff")),
                        ("zimbraMailForwardingAddress", "a.n@example.com"),
                        ("zimbraACE", f"{o.uid_of('ann')} usr ownDistList"))
        source = self.write("zimbra.ldif", text)
        with Slapd() as by_ldap, Slapd() as by_soap:
            self.plan(source, extra=["--against", by_ldap.url, *self.bind()])
            self.apply(by_ldap)
            self.verify(by_ldap)
            standin = self.standin(by_soap)
            actions = self.soap(standin)["actions"]
            self.assertEqual(actions["failed"] + actions["skipped"], 0)
            first, second = self.without_ids(self.dump(by_ldap)), self.without_ids(self.dump(by_soap))
            self.assertEqual(first.keys(), second.keys())
            for name in first:
                self.assertEqual(first[name], second[name], name)
            self.verify(by_soap)
            standin.writes = 0
            again = self.soap(standin)["actions"]
            self.assertEqual((again["unchanged"], standin.writes), (again["total"], 0))

    def test_hostile_values_arrive_whole_or_are_named(self):
        values = ["two\nlines: x\ndn: cn=evil", ")(uid=*", '"quoted" \\ \'', "<a>&amp;]]>", "<![CDATA[x]]>", " leading",
                  "tab\there", "cr\rlf\r\n", "=cmd|' /C'!A0", "</a></CreateAccountRequest><x>", "&#10;&lt;", "\u2028\u202e😀",
                  "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b 'c'>]>&b;"]
        unfit = ["bell\x07", "escape\x1b[31m", "not a character \ufffe"]
        text = domain("example.com")
        for i, value in enumerate(values + unfit):
            text += account(f"user{i}@example.com", ("description", value), ("title", "plain"),
                            ("zimbraSignatureName", f"Sig {i} & <more>"), ("zimbraSignatureId", o.uid_of("sig", str(i))),
                            ("zimbraPrefMailSignature", value))
        text += maillist("team@example.com", ["user0@example.com"], name='The "team" <&>')
        with Slapd() as by_ldap, Slapd() as by_soap:
            self.plan(self.write("hostile.ldif", text), extra=["--against", by_ldap.url, *self.bind()])
            self.apply(by_ldap)
            standin = self.standin(by_soap)
            report = self.soap(standin, expect=1)
            self.assertEqual(report["actions"]["failed"], 0, report)
            first, second = self.without_ids(self.dump(by_ldap)), self.without_ids(self.dump(by_soap))
            self.assertEqual(first.keys(), second.keys())
            named = str(report["not_carried"])
            for i, value in enumerate(values + unfit):
                dn = f"uid=user{i},ou=people,{o.domain_dn('example.com')}"
                if value in unfit:
                    self.assertIn(f"user{i},", named)
                    self.assertEqual(second[dn]["title"], {b"plain"})
                    self.assertNotIn("description", second[dn])
                else:
                    self.assertEqual(second[dn]["description"], {value.encode()})
                    for key in ("zimbraprefdefaultsignatureid",):
                        second[dn].pop(key, None)
                    self.assertEqual(first[dn], second[dn])
            self.assertEqual(second[f"uid=team,ou=people,{o.domain_dn('example.com')}"]["displayname"], {b'The "team" <&>'})
            standin.writes = 0
            again = self.soap(standin, expect=1)["actions"]
            self.assertEqual((again["failed"], again["skipped"], standin.writes), (0, 0, 0), again)

    def test_one_account_in_maintenance_does_not_stop_the_others(self):
        org = o.Organisation(accounts=12, lists=2, groups=1, resources=0)
        org.accounts[1].signatures = 1
        text = o.zimbra(org)
        marker = f"zimbraMailDeliveryAddress: {org.accounts[1].address}\n"
        head, tail = text.split(marker)
        text = head + marker + tail.replace("zimbraAccountStatus: active", "zimbraAccountStatus: maintenance", 1)
        with Slapd() as server:
            self.plan(self.write("zimbra.ldif", text))
            report = self.soap(self.standin(server), expect=1)
            self.assertIn(org.accounts[1].address, str(report["failures"]))
            people = self.dump(server, search="(objectClass=zimbraAccount)")
            self.assertEqual(len(people), 12 + 1)

    def test_refusals_have_their_exit_codes(self):
        org = o.Organisation(accounts=3, lists=0, groups=0, resources=0)
        with Slapd() as server:
            self.plan(self.write("zimbra.ldif", o.zimbra(org)))
            standin = self.standin(server)
            wrong = self.write("wrong", "not-the-secret\n")
            base = ["apply", self.out, "--soap", standin.url, "--admin", "admin@example.com", "--password-file"]
            self.run_program(*base, wrong, "--destination-ca-file", standin.certificate, expect=3)
            self.run_program(*base, self.admin_secret, expect=4)
            inside = ["apply", self.out, "--soap", standin.url.replace("//", "//admin:hunter2secret@"), "--admin", "a",
                      "--password-file", self.admin_secret]
            done = self.run_program(*inside, expect=2)
            self.assertNotIn("hunter2secret", done.stdout + done.stderr)
            done = self.run_program("apply", self.out, "--directory", "ldap://cn=x:hunter2secret@127.0.0.1",
                                    *self.bind(), expect=2)
            self.assertNotIn("hunter2secret", done.stdout + done.stderr)
            self.run_program("apply", self.out, "--directory", server.url, "--bind-dn", ROOT_DN,
                             "--bind-password-file", wrong, expect=3)
            self.run_program("apply", self.out, "--directory", "ldap://127.0.0.1:1", *self.bind(), expect=4)
            # One certificate and no other, or none at all: both are said on the command line only.
            pin = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", standin.certificate],
                                 capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
            self.run_program(*base, self.admin_secret, "--destination-tls-fingerprint", "00" * 32, expect=4)
            self.assertEqual(standin.writes, 0)
            self.run_program(*base, self.admin_secret, "--destination-tls-fingerprint", pin)
            done = self.run_program(*base, self.admin_secret, "--destination-tls-insecure")
            self.assertIn("not checked", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
