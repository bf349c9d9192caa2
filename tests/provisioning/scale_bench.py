"""Plan, apply and ldapadd of many accounts: `scale_bench.py [ACCOUNTS]`. Prints figures, asserts nothing.

Both loads go into the same slapd (mdb, default sync): first one half of the accounts by `imapult provision
apply`, then the other half, in another domain, by ldapadd from the same plan's carbonio.ldif.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

from organisation import domain_dn, entry, ssha, uid_of
from provision_case import PROGRAM, ROOT_DN, ROOT_PASSWORD, Slapd


def export(path, accounts, domain):
    password = ssha("secret", "sha512", "{SSHA512}")
    dn = domain_dn(domain)
    with open(path, "w") as out:
        out.write(entry(dn, ("objectClass", "dcObject"), ("objectClass", "organization"), ("objectClass", "zimbraDomain"),
                        ("dc", domain.split(".")[0]), ("o", domain), ("zimbraDomainName", domain),
                        ("zimbraDomainType", "local"), ("zimbraId", uid_of(domain))))
        for i in range(accounts):
            local = f"user{i}"
            out.write(entry(f"uid={local},ou=people,{dn}", ("objectClass", "inetOrgPerson"),
                            ("objectClass", "zimbraAccount"), ("uid", local), ("cn", f"Person {i}"), ("sn", f"P{i}"),
                            ("givenName", "Ann"), ("displayName", f"Ann Person {i}"), ("mail", f"{local}@{domain}"),
                            ("zimbraMailDeliveryAddress", f"{local}@{domain}"), ("zimbraMailStatus", "enabled"),
                            ("zimbraMailHost", "old.example.com"), ("zimbraMailTransport", "lmtp:old.example.com:7025"),
                            ("zimbraAccountStatus", "active"), ("zimbraId", uid_of(local, domain)),
                            ("zimbraCreateTimestamp", "20200102030405Z"), ("userPassword", password),
                            ("zimbraPrefLocale", "en"), ("zimbraPrefTimeZoneId", "Europe/Rome"),
                            ("zimbraSignatureId", uid_of("s", local, domain)), ("zimbraSignatureName", "Work"),
                            ("zimbraPrefMailSignature", f"Ann Person {i}\nexample.com"), ("entryUUID", uid_of("u", local)),
                            ("createTimestamp", "20200102030405Z"), ("zimbraLastLogonTimestamp", "20240102030405Z")))


def measured(*command):
    start = time.monotonic()
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return seconds, int(done.stderr.strip().split("\n")[-1]) / 1024, done.stdout


def main():
    accounts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    only_plan = "--plan-only" in sys.argv
    with tempfile.TemporaryDirectory(prefix="imapult-scale-") as folder, Slapd() as server:
        secret = os.path.join(folder, "secret")
        with open(secret, "w") as out:
            out.write(ROOT_PASSWORD)
        domains = ["example.com"] if only_plan else ["example.com", "example.net"]
        for domain in domains:
            export(os.path.join(folder, domain + ".ldif"), accounts, domain)
        for domain in domains:
            plan = os.path.join(folder, domain)
            seconds, mib, _ = measured(PROGRAM, "provision", "plan", "--from", plan + ".ldif", "--out", plan,
                                       "--settings", write_settings(folder))
            print(f"plan     {accounts} accounts: {seconds:.2f} s, {mib:.0f} MiB", flush=True)
        if only_plan:
            return
        seconds, mib, out = measured(PROGRAM, "provision", "apply", os.path.join(folder, "example.com"), "--directory",
                                     server.url, "--bind-dn", ROOT_DN, "--bind-password-file", secret, "--json")
        print(f"apply    {json.loads(out)['actions']}")
        print(f"apply    {accounts} accounts: {seconds:.2f} s, {mib:.0f} MiB", flush=True)
        ldif = open(os.path.join(folder, "example.net", "carbonio.ldif")).read()
        path = os.path.join(folder, "add.ldif")
        with open(path, "w") as text:
            text.write(ldif)
        plain, _, _ = measured("ldapadd", "-x", "-H", server.url, "-D", ROOT_DN, "-y", secret, "-f", path)
        print(f"ldapadd  {accounts} accounts: {plain:.2f} s")
        print(f"ldapadd / apply: {plain / seconds:.2f}")


def write_settings(folder):
    path = os.path.join(folder, "provision.toml")
    with open(path, "w") as out:
        out.write('[destination]\nmail_host = "mbox1.carbonio.example"\n')
    return path


if __name__ == "__main__":
    main()
