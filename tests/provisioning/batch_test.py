"""carbonio-prov.txt alone builds the organisation: its lines, split by the grammar of `carbonio prov`, are
carried out by the SOAP stand-in."""

import os
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import organisation as o
from provision_case import HERE, ROOT_DN, ROOT_PASSWORD, ProvisionCase, Slapd

sys.path.insert(0, str(HERE.parent / "support" / "carbonio_soap"))
from standin import ACCOUNT, ADMIN, Standin  # noqa: E402


def split(line):
    words, word, quote, inside = [], "", "", False
    at = 0
    while at < len(line):
        c = line[at]
        if c == "\\" and at + 1 < len(line):
            at += 1
            word += {"n": "\n", "t": "\t", "r": "\r"}.get(line[at], line[at])
            inside = True
        elif quote:
            if c == quote:
                quote = ""
            else:
                word += c
        elif c in "\"'":
            quote, inside = c, True
        elif c in " \t":
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word += c
            inside = True
        at += 1
    return words + [word] if inside else words


class Prov:
    """The commands of `carbonio prov` that the batch file uses, over the stand-in's own methods."""

    def __init__(self, standin):
        self.standin = standin

    def request(self, namespace, tag, attributes=(), key="n", **named):
        element = ElementTree.Element(namespace + tag, named)
        for n, v in zip(attributes[::2], attributes[1::2]):
            ElementTree.SubElement(element, namespace + "a", {key: n}).text = v
        return element

    def id(self, address):
        return self.standin.directory.search(name="mail", value=address)[0][1]["zimbraId"][0]

    def run(self, line):
        verb, *words = split(line)
        getattr(self, verb)(*words)

    def cc(self, name, *attributes):
        element = self.request(ADMIN, "CreateCosRequest", attributes)
        ElementTree.SubElement(element, ADMIN + "name").text = name
        self.standin.admin_CreateCosRequest(element)

    def cd(self, name, *attributes):
        self.standin.admin_CreateDomainRequest(self.request(ADMIN, "CreateDomainRequest", attributes, name=name))

    def ca(self, name, password, *attributes):
        self.standin.admin_CreateAccountRequest(self.request(ADMIN, "x", attributes, name=name, password=password))

    def ccr(self, name, password, *attributes):
        self.standin.admin_CreateCalendarResourceRequest(
            self.request(ADMIN, "x", attributes, name=name, password=password))

    def sac(self, name, cos):
        dn, entry = self.standin.one("mail", name, {"zimbraAccount"})
        id_ = self.standin.one("cn", cos, {"zimbraCOS"})[1]["zimbraId"]
        self.standin.directory.modify(dn, [(2, "zimbraCOSId", id_)])

    def aaa(self, name, alias):
        self.standin.admin_AddAccountAliasRequest(self.request(ADMIN, "x", id=self.id(name), alias=alias))

    def adla(self, name, alias):
        self.standin.admin_AddDistributionListAliasRequest(self.request(ADMIN, "x", id=self.id(name), alias=alias))

    def csig(self, name, signature, *attributes):
        self.standin.account = name
        element = ElementTree.Element("x")
        inner = ElementTree.SubElement(element, ACCOUNT + "signature", name=signature)
        for n, v in zip(attributes[::2], attributes[1::2]):
            kind = "text/html" if n.endswith("HTML") else "text/plain"
            ElementTree.SubElement(inner, ACCOUNT + "content", type=kind).text = v
        self.standin.user_CreateSignatureRequest(element)

    def cid(self, name, identity, *attributes):
        self.standin.account = name
        element = ElementTree.Element("x")
        inner = ElementTree.SubElement(element, ACCOUNT + "identity", name=identity)
        for n, v in zip(attributes[::2], attributes[1::2]):
            ElementTree.SubElement(inner, ACCOUNT + "a", name=n).text = v
        self.standin.user_CreateIdentityRequest(element)

    def cdl(self, name, *attributes, dynamic="0"):
        self.standin.admin_CreateDistributionListRequest(
            self.request(ADMIN, "x", attributes, name=name, dynamic=dynamic))

    def cddl(self, name, *attributes):
        self.cdl(name, *attributes, dynamic="1")

    def adlm(self, name, *members):
        element = self.request(ADMIN, "x", id=self.id(name))
        for member in members:
            ElementTree.SubElement(element, ADMIN + "dlm").text = member
        self.standin.admin_AddDistributionListMemberRequest(element)

    def grr(self, target_type, target, grantee_type, grantee, right):
        element = ElementTree.Element("x")
        ElementTree.SubElement(element, ADMIN + "target", type=target_type).text = target
        ElementTree.SubElement(element, ADMIN + "grantee", type=grantee_type).text = grantee
        ElementTree.SubElement(element, ADMIN + "right").text = right
        self.standin.admin_GrantRightRequest(element)


class Batch(ProvisionCase):
    def test_the_batch_file_alone_builds_the_organisation(self):
        org = o.Organisation(accounts=80, lists=12, groups=3)
        with Slapd() as by_ldap, Slapd() as by_batch:
            self.plan(self.write("zimbra.ldif", o.zimbra(org)), extra=["--against", by_ldap.url, *self.bind()])
            self.apply(by_ldap)
            prov = Prov(Standin(by_batch.port, ROOT_DN, ROOT_PASSWORD))
            for line in open(os.path.join(self.out, "carbonio-prov.txt")):
                prov.run(line.rstrip("\n"))
            first, second = self.without_ids(self.dump(by_ldap)), self.without_ids(self.dump(by_batch))
            self.assertEqual(first.keys(), second.keys())
            for dn in first:
                # The id of a COS to come cannot be named in a batch file: decisions.csv says so.
                first[dn].pop("zimbradomaindefaultcosid", None)
                self.assertEqual(first[dn], second[dn], dn)
            self.assertIn("zimbraDomainDefaultCOSId", open(os.path.join(self.out, "decisions.csv")).read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
