"""A small LDAP v3 client (RFC 4511) on a socket: bind, search, add, modify. For the SOAP stand-in, so that
it needs nothing but Python."""

import socket


def ber(tag, body):
    size = len(body)
    if size < 128:
        head = bytes([size])
    else:
        raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(raw)]) + raw
    return bytes([tag]) + head + body


def integer(value, tag=2):
    return ber(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value, tag=4):
    return ber(tag, value.encode() if isinstance(value, str) else value)


def read(data, at):
    """(tag, body, position behind it)"""
    tag, size = data[at], data[at + 1]
    at += 2
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(data[at:at + count], "big")
        at += count
    return tag, data[at:at + size], at + size


def children(data):
    at, found = 0, []
    while at < len(data):
        tag, body, at = read(data, at)
        found.append((tag, body))
    return found


class LdapError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Directory:
    def __init__(self, port, dn, password):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.buffer = b""
        self.id = 0
        self.call(ber(0x60, integer(3) + octets(dn) + octets(password, 0x80)))

    def message(self):
        while True:
            if len(self.buffer) > 2:
                try:
                    tag, body, end = read(self.buffer, 0)
                    if len(self.buffer) >= end:
                        self.buffer = self.buffer[end:]
                        return children(body)[1]
                except IndexError:
                    pass
            more = self.socket.recv(1 << 16)
            if not more:
                raise LdapError(81, "closed")
            self.buffer += more

    def call(self, operation):
        self.id += 1
        self.socket.sendall(ber(0x30, integer(self.id) + operation))
        entries = []
        while True:
            tag, body = self.message()
            if tag == 0x64:
                dn, attributes = children(body)
                entry = {}
                for _, pair in children(attributes[1]):
                    name, values = children(pair)
                    entry[name[1].decode()] = [v.decode("utf-8", "replace") for _, v in children(values[1])]
                entries.append((dn[1].decode(), entry))
                continue
            if tag == 0x73:
                continue
            code, _, text = children(body)[:3]
            number = int.from_bytes(code[1], "big")
            if number not in (0, 32):
                raise LdapError(number, text[1].decode("utf-8", "replace"))
            return entries

    def search(self, base="", name="objectClass", value=None, scope=2):
        filter_ = octets(name, 0x87) if value is None else ber(0xA3, octets(name) + octets(value))
        wanted = b"".join(octets(x) for x in ("*",))
        return self.call(ber(0x63, octets(base) + integer(scope, 10) + integer(0, 10) + integer(0) + integer(0) +
                             ber(1, b"\0") + filter_ + ber(0x30, wanted)))

    def add(self, dn, attributes):
        body = b"".join(ber(0x30, octets(n) + ber(0x31, b"".join(octets(v) for v in values)))
                        for n, values in attributes.items() if values)
        self.call(ber(0x68, octets(dn) + ber(0x30, body)))

    def modify(self, dn, changes):
        """changes: (op, name, values) with op 0 add, 1 delete, 2 replace"""
        body = b"".join(ber(0x30, integer(op, 10) + ber(0x30, octets(n) + ber(0x31, b"".join(octets(v) for v in vs))))
                        for op, n, vs in changes)
        self.call(ber(0x66, octets(dn) + ber(0x30, body)))
