#!/usr/bin/env python3
"""Scale run of the importers against the stand-in: scale.py BUILD-FOLDER [USERS] [ITEMS] [HUGE].

Writes USERS × ITEMS events and contacts and one file of HUGE events (three of them broken), imports all twice, then
once more after one event was changed and one contact added, and prints counts, seconds and peak memory. What the
server exports is compared item by item with what was written. Exit code 1 if anything is wrong.
"""
import base64
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from datetime import datetime, timedelta

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "W. Europe Standard Time"]


def event(number, who):
    start = datetime(2026, 1, 1) + timedelta(hours=number * 7)
    zone = ZONES[number % 4]

    def piece(at, summary, extra):
        lines = ["BEGIN:VEVENT", f"UID:{who}-{number}", "DTSTAMP:20260101T000000Z", *extra,
                 f"DTSTART;TZID={zone}:{at:%Y%m%dT%H%M%S}",
                 f"DTEND;TZID={zone}:{at + timedelta(hours=1):%Y%m%dT%H%M%S}", f"SUMMARY:{summary}", "END:VEVENT"]
        return lines

    if number % 3:
        return piece(start, f"Event {number} für {who}", [])
    moved = start + timedelta(days=7)
    return (piece(start, f"Weekly {number}", ["RRULE:FREQ=WEEKLY;COUNT=10"]) +
            piece(moved + timedelta(hours=2), f"Moved {number}", [f"RECURRENCE-ID;TZID={zone}:{moved:%Y%m%dT%H%M%S}"]))


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def calendar(lines):
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//EN", *lines, "END:VCALENDAR", ""])


def huge(count):
    lines = []
    for i in range(count):
        at = datetime(2020, 1, 1) + timedelta(hours=i)
        start = {500: "DTSTART:rubbish", 50000: "X-NOTHING:1"}.get(i, f"DTSTART:{at:%Y%m%dT%H%M%SZ}")
        lines += ["BEGIN:VEVENT", f"UID:h{i}@example.com", start, f"DTEND:{at + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
                  f"SUMMARY:Event {i}", "DESCRIPTION:" + f"word{i} " * 24]
        if i != 99000:
            lines.append("END:VEVENT")
    return calendar(lines)


def pieces(text):
    """What counts of every VEVENT: its times, recurrence, UID and summary."""
    names = ("UID", "DTSTART", "DTEND", "RRULE", "RECURRENCE-ID", "SUMMARY")
    found, lines = [], []
    for line in text.replace("\r\n ", "").split("\r\n"):
        if line == "BEGIN:VEVENT":
            lines = []
        elif line == "END:VEVENT":
            found.append(tuple(sorted(lines)))
        elif line.replace(";", ":").split(":")[0] in names:
            lines.append(line.replace("W. Europe Standard Time", "Europe/Berlin"))
    return sorted(found)


def people(text, first, last, mail, mobile, notes):
    return sorted((r[first], r[last], r[mail], r[mobile], r[notes]) for r in csv.DictReader(io.StringIO(text)))


def export(admin_url, who, folder, form):
    """As the administrator sees it, on the administrator's port."""
    request = urllib.request.Request(f"{admin_url}/service/home/{who}@example.com/{folder}?fmt={form}")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"admin@example.com:secret").decode())
    with urllib.request.urlopen(request) as reply:
        return reply.read().decode()


def differing(admin_url, root, users):
    """Accounts whose calendar or contacts are not, item by item, those of their files."""
    bad = []
    for who in (f"user{u}" for u in range(users)):
        with open(f"{root}/in/{who}@example.com.ics", encoding="utf-8", newline="") as file:
            events = pieces(file.read())
        with open(f"{root}/in/{who}@example.com.csv", encoding="utf-8", newline="") as file:
            contacts = people(file.read(), "First Name", "Last Name", "Primary Email", "Mobile Number", "Notes")
        if events != pieces(export(admin_url, who, "Calendar", "ics")) or contacts != people(
                export(admin_url, who, "Contacts", "csv"), "firstName", "lastName", "email", "mobilePhone", "notes"):
            bad.append(who)
    return bad


def main():
    build = sys.argv[1]
    users, items, huge_count = (int(a) for a in (sys.argv[2:] + ["200", "300", "100000"][len(sys.argv) - 2:])[:3])
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(f"{root}/in")
        os.makedirs(f"{root}/huge")
        for u in range(users):
            who = f"user{u}"
            write(f"{root}/in/{who}@example.com.ics", calendar([x for i in range(items) for x in event(i, who)]))
            write(f"{root}/in/{who}@example.com.csv", "First Name,Last Name,Primary Email,Mobile Number,Notes\r\n" + "".join(
                f'Näme{i},Größe,c{i}.{who}@example.net,+49 170 {i:07d},"one\nline ""two"""\r\n' for i in range(items)))
        write(f"{root}/huge/huge@example.com.ics", huge(huge_count))
        write(f"{root}/config.json", json.dumps({"any_account_password": "x", "admin_password": "secret"}))
        write(f"{root}/pw", "secret\n")
        server = subprocess.Popen([f"{build}/carbonio_standin", f"{root}/config.json"],
                                  stdout=subprocess.PIPE, text=True)
        good = True
        try:
            urls = json.loads(server.stdout.readline())

            def run(kind, folder, **wanted):
                nonlocal good
                out = subprocess.run(
                    [f"{build}/tests/importers/import_alone", "import", kind, "--from", f"{root}/{folder}", "--destination", urls["user_url"],
                     "--destination-admin-url", urls["admin_url"], "--destination-admin", "admin@example.com",
                     "--destination-password-file", f"{root}/pw", "--state", f"{root}/state", "--out", f"{root}/out",
                     "--json", "--quiet"], stdout=subprocess.PIPE, check=False)
                summary = json.loads(out.stdout)
                ok = all(summary["items"][key] == value for key, value in wanted.items())
                good = good and ok
                print("ok " if ok else "BAD", kind, folder, summary["items"], f'{summary["seconds"]:.1f} s,',
                      f'{summary["cpu_seconds"]:.1f} s CPU,', summary["peak_rss_bytes"] >> 20, "MiB")

            everything = users * items
            for kind in ("calendars", "contacts"):
                run(kind, "in", sent=everything, refused=0, missing=0)
            for kind in ("calendars", "contacts"):
                run(kind, "in", sent=0, already_there=everything, missing=0)
            bad = differing(urls["admin_url"], root, users)
            with open(f"{root}/in/user0@example.com.ics", "r+", encoding="utf-8", newline="") as file:
                text = file.read().replace("SUMMARY:Weekly 0", "SUMMARY:Changed 0")
                file.seek(0)
                file.write(text)
                file.truncate()
            with open(f"{root}/in/user0@example.com.csv", "a", encoding="utf-8", newline="") as file:
                file.write("New,One,new@example.net,1,x\r\n")
            run("calendars", "in", sent=1, already_there=everything - 1)
            run("contacts", "in", sent=1, already_there=everything)
            bad += differing(urls["admin_url"], root, min(users, 1))
            print("BAD" if bad else "ok ", "item by item", bad)
            good = good and not bad
            broken = sum(n < huge_count for n in (500, 50000, 99000))
            run("calendars", "huge", sent=huge_count - broken, refused=broken, missing=0)
            run("calendars", "huge", sent=0, already_there=huge_count - broken, refused=broken)
        finally:
            server.terminate()
            server.wait()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
