"""A server that says nothing must not hold the program for ever. All wait at once: nobody works meanwhile."""

import concurrent.futures
import socket
import time

from lab.case import ImapultCase, main
from lab.dovecot import Dovecot
from lab.scripted import ScriptedSource

PATIENCE_SECONDS = 100  # 65 s at most by the program's limits, and room for a busy machine
GIVE_UP_SECONDS = 300


class Stalls(ImapultCase):
    def scripted(self, behave):
        server = ScriptedSource(behave=behave)
        self.addCleanup(server.stop)
        return server.url()

    def test_silent_servers_are_given_up(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        urls = {
            "no greeting": self.scripted("silent"),
            "no answer to the log-in": self.scripted("deaf"),
            "no TLS handshake": f"imaps://alice@127.0.0.1:{listener.getsockname()[1]}",
        }
        destination = self.server(Dovecot)
        passwords = self.passwords()

        def run(url, number):
            begin = time.monotonic()
            result = self.imapult("copy", "--source", url, "--destination", destination.url(), *passwords,
                                  "--state", self.state(f"stall-{number}"), "--json", code=None,
                                  timeout=GIVE_UP_SECONDS)
            return result, time.monotonic() - begin

        with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
            runs = {name: pool.submit(run, url, i) for i, (name, url) in enumerate(urls.items())}
        for name, future in runs.items():
            with self.subTest(name):
                result, seconds = future.result()
                self.assertEqual(result.code, 4, str(result))
                self.assertRegex(result.err, "(?i)no answer|silent", str(result))
                self.assertEqual(result.summary["errors"][0]["code"], "timeout", str(result))
                self.assertLess(seconds, PATIENCE_SECONDS)


if __name__ == "__main__":
    main()
