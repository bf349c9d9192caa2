"""A certificate authority of our own, and the certificates that a client must accept or refuse."""

import subprocess


def _openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stdout.decode(errors='replace')}")


class Authority:
    """Signs for localhost with `issue()`; `ca.pem` is what a client trusts."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        if not self.ca.exists():
            _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-days", "30", "-subj", "/CN=Test Authority", "-keyout", self._key, "-out", self.ca)

    def issue(self, kind="valid"):
        """(certificate, key) of `kind`: valid, expired, wrong-host, self-signed."""
        key, request = self.folder / f"{kind}.key", self.folder / f"{kind}.csr"
        certificate, extensions = self.folder / f"{kind}.pem", self.folder / f"{kind}.ext"
        if certificate.exists():
            return certificate, key
        names = "DNS:other.example.com" if kind == "wrong-host" else "DNS:localhost,IP:127.0.0.1"
        subject = "/CN=other.example.com" if kind == "wrong-host" else "/CN=localhost"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                 "-keyout", key, "-out", request)
        if kind == "self-signed":
            _openssl("x509", "-req", "-in", request, "-signkey", key, "-days", "30", "-extfile", extensions,
                     "-out", certificate)
        elif kind == "expired":
            self._expired(request, certificate, extensions)
        else:
            _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial",
                     "-days", "30", "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _expired(self, request, certificate, extensions):
        # `openssl x509` cannot date backwards before 3.4; `openssl ca` can.
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("1000\n")
        config = self.folder / "expired.cnf"
        config.write_text(f"""[ca]
default_ca = d
[d]
database = {self.folder}/index.txt
serial = {self.folder}/serial
new_certs_dir = {self.folder}
default_md = sha256
policy = p
[p]
commonName = supplied
""")
        _openssl("ca", "-batch", "-config", config, "-in", request, "-cert", self.ca, "-keyfile", self._key,
                 "-startdate", "20240101000000Z", "-enddate", "20240201000000Z", "-extfile", extensions,
                 "-notext", "-out", certificate)
