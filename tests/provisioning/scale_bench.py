"""Plan, apply and ldapadd of many accounts: `scale_bench.py [ACCOUNTS [ROUNDS]] [--plan-only]`. Prints figures,
asserts nothing.

Each load of the same carbonio.ldif goes into a fresh slapd (mdb, default sync) of its own, in turn.
"""

import json
import os
import statistics
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


def into_fresh_slapd(carry_out):
    with Slapd() as server:
        return carry_out(server)


def main():
    numbers = [int(x) for x in sys.argv[1:] if x.isdigit()]
    accounts = numbers[0] if numbers else 100_000
    rounds = numbers[1] if len(numbers) > 1 else 1
    with tempfile.TemporaryDirectory(prefix="imapult-scale-") as folder:
        secret, plan = os.path.join(folder, "secret"), os.path.join(folder, "plan")
        with open(secret, "w") as out:
            out.write(ROOT_PASSWORD)
        export(plan + ".ldif", accounts, "example.com")
        seconds, mib, _ = measured(PROGRAM, "provision", "plan", "--from", plan + ".ldif", "--out", plan,
                                   "--settings", write_settings(folder))
        print(f"plan     {accounts} accounts: {seconds:.2f} s, {mib:.0f} MiB", flush=True)
        if "--plan-only" in sys.argv:
            return

        def apply(server):
            seconds, mib, out = measured(PROGRAM, "provision", "apply", plan, "--directory", server.url, "--bind-dn",
                                         ROOT_DN, "--bind-password-file", secret, "--json")
            print(f"apply    {accounts} accounts: {seconds:.2f} s, {mib:.0f} MiB, {json.loads(out)['actions']}", flush=True)
            return seconds

        def ldapadd(server):
            seconds, _, _ = measured("ldapadd", "-x", "-H", server.url, "-D", ROOT_DN, "-y", secret, "-f",
                                     os.path.join(plan, "carbonio.ldif"))
            print(f"ldapadd  {accounts} accounts: {seconds:.2f} s", flush=True)
            return seconds

        times = {apply: [], ldapadd: []}
        for k in range(rounds):
            for tool in ((apply, ldapadd), (ldapadd, apply))[k % 2]:
                times[tool].append(into_fresh_slapd(tool))
        ours, theirs = (statistics.median(times[tool]) for tool in (apply, ldapadd))
        print(f"ldapadd / apply: {theirs / ours:.2f} (medians of {rounds})")


def write_settings(folder):
    path = os.path.join(folder, "provision.toml")
    with open(path, "w") as out:
        out.write('[destination]\nmail_host = "mbox1.carbonio.example"\n')
    return path


if __name__ == "__main__":
    main()
