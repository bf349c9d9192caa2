"""What "the destination is equal to the source" means: message by message, in UID order per mailbox,
bytes, flags, keywords and INTERNALDATE."""

from .imap import decode_name

SHOWN_MAX = 20


def path_of(name, separator, prefix):
    """A mailbox as its parts, decoded, without the server's own prefix; INBOX in capitals."""
    if prefix and name.startswith(prefix):
        name = name[len(prefix):]
    parts = [decode_name(part) for part in (name.split(separator) if separator else [name])]
    if parts[0].upper() == "INBOX":
        parts[0] = "INBOX"
    return "/".join(parts)


def tree(connection, prefix="", content=True):
    """{path: [Message]} of every mailbox that can be selected."""
    out = {}
    for name, separator, attributes in connection.mailboxes():
        if "\\noselect" in attributes or "\\nonexistent" in attributes:
            continue
        out[path_of(name, separator, prefix)] = connection.read(name, content)
    return out


def counts(connection, prefix=""):
    """{path: number of messages}."""
    out = {}
    for name, separator, attributes in connection.mailboxes():
        if "\\noselect" not in attributes and "\\nonexistent" not in attributes:
            out[path_of(name, separator, prefix)] = connection.status(name)
    return out


def _describe(message):
    return f"UID {message.uid}, {message.size} bytes, SHA-256 {message.digest[:12]}"


def _compare_mailbox(path, source, destination, flags, dates, ignored):
    if len(source) != len(destination):
        yield f"{path}: {len(source)} messages at the source, {len(destination)} at the destination"
        here = [m.digest for m in destination]
        for message in source:
            if message.digest in here:
                here.remove(message.digest)
            else:
                yield f"{path}: missing at the destination: {_describe(message)}"
        here = [m.digest for m in source]
        for message in destination:
            if message.digest in here:
                here.remove(message.digest)
            else:
                yield f"{path}: only at the destination: {_describe(message)}, flags {sorted(message.flags)}"
        return
    for position, (a, b) in enumerate(zip(source, destination), 1):
        if a.digest != b.digest:
            yield f"{path}: message {position} differs: {_describe(a)} became {_describe(b)}"
        if flags and a.flags - ignored != b.flags - ignored:
            yield f"{path}: message {position} has flags {sorted(b.flags)} instead of {sorted(a.flags)}"
        if dates and a.date != b.date:
            yield f"{path}: message {position} has INTERNALDATE {b.date} instead of {a.date}"


def differences(source, destination, flags=True, dates=True, ignored=frozenset(), order=True):
    """The differences between two trees as sentences; empty when they are equal. A mailbox that only
    the destination has is a difference when it holds messages (servers create their own)."""
    out = []
    for path in sorted(source):
        if path not in destination:
            out.append(f"{path}: the mailbox is missing at the destination")
            continue
        here, there = source[path], destination[path]
        if not order:
            here, there = (sorted(side, key=lambda m: (m.digest, m.date, sorted(m.flags))) for side in (here, there))
        out.extend(_compare_mailbox(path, here, there, flags, dates, ignored))
    for path in sorted(set(destination) - set(source)):
        if destination[path]:
            out.append(f"{path}: {len(destination[path])} messages that the source does not have")
    return out


def compare(source, destination, source_prefix="", destination_prefix="", **options):
    """`differences` of two logged-in connections."""
    return differences(tree(source, source_prefix), tree(destination, destination_prefix), **options)


def explain(found):
    """A text for a test's failure message."""
    text = "\n".join(found[:SHOWN_MAX])
    return text + (f"\n… and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else "")
