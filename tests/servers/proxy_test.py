"""The delay proxy delays by what it says, counts right, and passes endings on: figures rest on it."""

import json
import os
import socket
import subprocess
import time
import unittest

from lab.case import main

RTT = 0.08


class Peer:
    """A listener on loopback; `accept()` gives the next connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        return connection


class DelayProxy(unittest.TestCase):
    def setUp(self):
        if not os.environ.get("DELAY_PROXY"):
            self.skipTest("the environment variable DELAY_PROXY does not name the program")
        self.peer = Peer()
        self.addCleanup(self.peer.listener.close)

    def proxy(self, rtt):
        process = subprocess.Popen([os.environ["DELAY_PROXY"], "--connect", str(self.peer.port), "--rtt",
                                    str(rtt * 1000)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, int(process.stdout.readline().split()[1])

    def pair(self, rtt):
        process, port = self.proxy(rtt)
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        server = self.peer.accept()
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return process, client, server

    @staticmethod
    def counters(process):
        process.terminate()
        return json.loads(process.stdout.read())

    def test_a_question_and_its_answer_take_one_round_trip(self):
        _, client, server = self.pair(RTT)
        for _ in range(3):
            begin = time.monotonic()
            client.sendall(b"question")
            self.assertEqual(server.recv(64), b"question")
            half = time.monotonic() - begin
            server.sendall(b"answer")
            self.assertEqual(client.recv(64), b"answer")
            whole = time.monotonic() - begin
            self.assertGreaterEqual(half, RTT / 2)
            self.assertGreaterEqual(whole, RTT)
            self.assertLess(whole, 3 * RTT)

    def test_the_greeting_takes_as_long_as_a_handshake_and_half_a_trip(self):
        _, port = self.proxy(RTT)
        begin = time.monotonic()
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.addCleanup(client.close)
        server = self.peer.accept()
        self.addCleanup(server.close)
        server.sendall(b"* OK\r\n")
        client.recv(64)
        self.assertGreaterEqual(time.monotonic() - begin, 2 * RTT)

    def test_pipelined_questions_take_one_round_trip_together(self):
        _, client, server = self.pair(RTT)
        begin = time.monotonic()
        for _ in range(50):
            client.sendall(b"q" * 100)
        got = 0
        while got < 5000:
            got += len(server.recv(65536))
        server.sendall(b"a" * 5000)
        got = 0
        while got < 5000:
            got += len(client.recv(65536))
        self.assertLess(time.monotonic() - begin, 3 * RTT)

    def test_bytes_and_turns_are_counted(self):
        process, client, server = self.pair(0)
        server.sendall(b"greeting")
        client.recv(64)
        for _ in range(4):
            client.sendall(b"12345")
            server.recv(64)
            server.sendall(b"123")
            client.recv(64)
        self.assertEqual(self.counters(process),
                         {"connections": 1, "client_bytes": 20, "server_bytes": 20, "turns": 4})

    def test_much_data_arrives_complete_and_in_order(self):
        import hashlib
        import threading
        _, client, server = self.pair(0.01)
        data = os.urandom(1 << 20) * 32
        threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)), daemon=True).start()
        seen, total = hashlib.sha256(), 0
        while chunk := server.recv(1 << 20):
            seen.update(chunk)
            total += len(chunk)
        self.assertEqual((total, seen.hexdigest()), (len(data), hashlib.sha256(data).hexdigest()))

    def test_an_end_is_passed_on_and_the_other_direction_goes_on(self):
        _, client, server = self.pair(0)
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(64), b"last words")
        self.assertEqual(server.recv(64), b"")
        server.sendall(b"still here")
        self.assertEqual(client.recv(64), b"still here")
        server.close()
        self.assertEqual(client.recv(64), b"")

    def test_a_reset_is_passed_on(self):
        _, client, server = self.pair(0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with self.assertRaises(ConnectionResetError):
            server.recv(64)

    def test_a_refused_server_resets_the_client(self):
        _, port = self.proxy(0)
        self.peer.listener.close()
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.addCleanup(client.close)
        with self.assertRaises(ConnectionResetError):
            client.recv(64)


if __name__ == "__main__":
    main()
