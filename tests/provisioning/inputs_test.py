"""Inputs as administrators have them: the wrong file, a packed one, a damaged plan, every setting."""

import csv
import gzip
import os
import unittest

import organisation as o
from conflicts_test import account, domain
from organisation import domain_dn, entry
from provision_case import PROGRAM, ROOT_DN, ProvisionCase, Slapd


class Inputs(ProvisionCase):
    def refused(self, words, *arguments, expect=2):
        done = self.run_program(*arguments, expect=expect)
        self.assertIn(words, done.stderr)
        self.assertEqual(self.json(*arguments, expect=expect)["result"], "failed")

    def test_files_that_are_no_export_are_refused_with_the_reason(self):
        out = ["--out", os.path.join(self.folder, "plan")]
        good = self.write("good.ldif", domain("example.com"))
        self.refused("No such file", "plan", "--from", self.folder + "/absent", *out)
        self.refused("not a regular file", "plan", "--from", self.folder, *out)
        self.refused("no entry", "plan", "--from", self.write("empty", ""), *out)
        self.refused("no entry", "inspect", self.write("comment", "\n# nothing here\n\nversion: 1\n"))
        self.refused("gzip", "plan", "--from", self.write("packed", gzip.compress(domain("example.com").encode())), *out)
        self.refused("neither LDIF", "plan", "--from", self.write("random", bytes(range(256))), *out)
        self.assertFalse(os.path.exists(out[1]))
        for name, settings, words in (("folder", None, "folder"), ("a", "[unknown]\n", "unknown"),
                                      ("b", "[passwords]\nkeep_hashes = \"yes\"\n", "true or false"),
                                      ("c", "[domains\n", "c:1"), ("d", "[domains]\n\"a b\" = \"c\"\n", "not a domain name"),
                                      ("e", b"[hosts]\n\"\xff\" = \"x\"\n", "e")):
            path = self.folder if settings is None else self.write(name, settings)
            self.refused(words, "plan", "--from", good, "--settings", path, *out)
        self.refused("neither empty nor an earlier plan", "plan", "--from", good, "--out", self.folder)
        self.refused("Not a directory", "plan", "--from", good, "--out", good)
        self.refused("no cn=zimbra", "plan", "--from", good, "--against-ldif", good, *out)

    def test_line_ends_and_marks_at_the_beginning_change_nothing(self):
        text = domain("example.com") + account("ann@example.com", ("description", "x" * 200))
        plain = None
        for name, content in (("lf", text.encode()), ("crlf", text.replace("\n", "\r\n").encode()),
                              ("bom", b"\xef\xbb\xbf" + text.encode()), ("no end", text.rstrip("\n").encode()),
                              ("folded", text.replace("xxxxxxxx", "xxxxxxx\n x").encode()),
                              ("utf-16", text.encode("utf-16")), ("utf-16 without mark", text.encode("utf-16-be"))):
            with self.subTest(name):
                self.plan(self.write("export.ldif", content))
                ldif = open(os.path.join(self.out, "carbonio.ldif")).read()
                plain = plain or ldif
                self.assertEqual(ldif, plain)

    def test_a_conflict_in_the_last_line_is_found(self):
        text = domain("example.com") + account("ann@example.com") + account("bob@example.com")
        text = text.rstrip("\n") + "\nmail: ann@example.com"
        report = self.plan(self.write("a.ldif", text), expect=2)
        self.assertEqual([c["kind"] for c in report["conflicts"]], ["duplicate_mail"])
        self.assertEqual(report["conflicts"][0]["line"], text[:text.index("dn: uid=bob")].count("\n") + 1)

    def test_a_damaged_plan_is_refused_or_its_broken_entries_are_named(self):
        self.plan(self.write("a.ldif", domain("example.com") + account("ann@example.com") + account("bob@example.com")))
        ldif, plan = (os.path.join(self.out, name) for name in ("carbonio.ldif", "plan.json"))
        text, actions = open(ldif).read(), open(plan).read()
        live = ["--directory", "ldap://127.0.0.1:1", *self.bind()]
        open(ldif, "w").write(text[:len(text) // 2])
        self.refused("cut off", "apply", self.out, *live)
        self.refused("cut off", "verify", self.out, *live)
        open(ldif, "w").write(text)
        open(plan, "w").write(actions[:20])
        self.refused("cut off", "apply", self.out, *live)
        os.remove(plan)
        self.refused("not a finished plan", "apply", self.out, *live)
        self.refused("not a finished plan", "apply", self.folder + "/absent", *live)
        open(plan, "w").write(actions)
        # One broken entry is named with its line, and costs no other.
        broken = text.replace("uid: ann\n", "uid ann\n")
        self.assertNotEqual(broken, text)
        open(ldif, "w").write(broken)
        with Slapd() as server:
            report = self.json("apply", self.out, "--directory", server.url, *self.bind(), expect=1)
            line = broken[:broken.index("uid ann")].count("\n") + 1
            self.assertIn(f"carbonio.ldif:{line}:", report["failures"][0]["reason"])
            self.assertEqual((report["actions"]["failed"], report["actions"]["created"]), (1, report["actions"]["total"] - 1))
            found = self.dump(server)
            self.assertIn(f"uid=bob,ou=people,{domain_dn('example.com')}", found)
            self.assertNotIn(f"uid=ann,ou=people,{domain_dn('example.com')}", found)
            entries = self.verify(server, expect=7)["entries"]
            self.assertEqual(entries["total"], sum(v for k, v in entries.items() if k != "total"))

    def test_a_directory_that_is_not_carbonio_is_left_alone(self):
        self.plan(self.write("a.ldif", domain("example.com") + account("ann@example.com")))
        with Slapd(with_base=False) as server:
            self.refused("not a Carbonio directory", "apply", self.out, "--directory", server.url, *self.bind())
            self.assertEqual(server.writes(), 0)

    def test_settings_rename_hosts_and_attributes_and_set_units(self):
        settings = self.write("provision.toml", '[destination]\nmail_host = "mbox7.example.com"\n'
                              '[hosts]\n"mail.old.example" = "mail.example.com"\n'
                              '[attributes]\n"employeeNumber" = "zimbraNotes"\n"departmentNumber" = "company"\n'
                              '[quota]\nunit = "MiB"\n[exclude]\nattributes = ["mobile"]\n')
        person = entry("uid=ann,ou=staff,dc=x", ("objectClass", "inetOrgPerson"), ("uid", "ann"), ("cn", "Ann"), ("sn", "A"),
                       ("mail", "ann@example.com"), ("employeeNumber", "4711"), ("departmentNumber", "12"), ("mailQuota", "5"),
                       ("mobile", "+1 555"), ("userPassword", o.ssha("x")))
        dom = domain("example.net", zimbraPublicServiceHostname="mail.old.example", zimbraVirtualHostname="other.example")
        for profile, text in (("openldap", person), ("zimbra", dom + account("bob@example.net"))):
            with self.subTest(profile), Slapd() as server:
                report = self.plan(self.write("in.ldif", text), extra=["--settings", settings])
                self.assertEqual(report["profile"], profile)
                self.apply(server)
                found = self.dump(server)
                rows = list(csv.DictReader(open(os.path.join(self.out, "decisions.csv"))))
                if profile == "openldap":
                    ann = found["uid=ann,ou=people,dc=example,dc=com"]
                    self.assertEqual(ann["zimbranotes"], {b"4711"})
                    self.assertEqual(ann["company"], {b"12"})
                    self.assertNotIn("employeenumber", ann)
                    self.assertEqual(ann["zimbramailquota"], {str(5 << 20).encode()})
                    self.assertNotIn("mobile", ann)
                    self.assertEqual(ann["zimbramailhost"], {b"mbox7.example.com"})
                    self.assertIn(("employeeNumber", "rewritten"), {(r["attribute"], r["decision"]) for r in rows})
                else:
                    net = found["dc=example,dc=net"]
                    self.assertEqual(net["zimbrapublicservicehostname"], {b"mail.example.com"})
                    self.assertEqual(net["zimbravirtualhostname"], {b"other.example"})
                    self.assertIn(("zimbraVirtualHostname", "kept"), {(r["attribute"], r["decision"]) for r in rows})

    def test_random_passwords_outlive_a_plan_that_finds_conflicts(self):
        names = self.write("names.csv", "ann@example.com,Ann,Person,Ann P\n")
        self.plan(names)
        passwords = os.path.join(self.out, "passwords.csv")
        before = open(passwords).read()
        self.plan(self.write("twice.csv", "ann@example.com,A,B,C\nann@example.com,A,B,C\n"), expect=2)
        self.plan(names)
        self.assertEqual(open(passwords).read(), before)
        self.plan(self.write("own.csv", "ann@example.com,secret-of-ann,Ann,Person,Ann P\n"))
        self.assertFalse(os.path.exists(passwords))


if __name__ == "__main__":
    unittest.main(verbosity=2)
