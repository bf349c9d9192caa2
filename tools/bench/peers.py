"""The tools that are compared: how each is told to copy one account, with the settings that are
fastest for it and still give a complete copy (flags and arrival dates included)."""

import shutil


class Peer:
    """`command(source, destination, folder)` prepares the folder and returns the command to time."""

    name = ""
    program = ""
    tls = True

    def found(self):
        return shutil.which(self.program)

    def command(self, source, destination, folder):
        raise NotImplementedError

    @staticmethod
    def secret(folder, name, text):
        path = folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path


class Imapult(Peer):
    name = "imapult"

    def __init__(self, path):
        self.path = path

    def found(self):
        return str(self.path) if self.path.exists() else None

    def command(self, source, destination, folder):
        def url(side):
            return (f"imaps://{side.user}@{side.host}:{side.port}" if side.tls
                    else f"imap://{side.user}@{side.host}:{side.port}?tls=off")

        command = [self.path, "copy", "--source", url(source), "--destination", url(destination),
                   "--source-password-file", self.secret(folder, "source.password", source.password),
                   "--destination-password-file", self.secret(folder, "destination.password", destination.password),
                   "--state", folder / "ledger", "--json", "--quiet"]
        if source.tls:
            command += ["--source-ca-file", source.ca, "--destination-ca-file", destination.ca]
        return command


class Mbsync(Peer):
    """It puts a header line X-TUID into every message, so a full comparison always finds differences."""

    name = "mbsync"
    program = "mbsync"

    def command(self, source, destination, folder):
        lines = ["FSync no", "CopyArrivalDate yes", ""]
        for name, side in (("far", source), ("near", destination)):
            host = "localhost" if side.tls else side.host  # it knows no certificates for addresses
            lines += [f"IMAPAccount {name}", f"Host {host}", f"Port {side.port}", f"User {side.user}",
                      f"Pass {side.password}", "AuthMechs LOGIN",
                      "DisableExtension COMPRESS=DEFLATE",  # on loopback it only costs processor time
                      f"SSLType {'IMAPS' if side.tls else 'None'}"]
            if side.tls:
                lines += ["SystemCertificates no", f"CertificateFile {side.ca}"]
            lines += ["", f"IMAPStore {name}", f"Account {name}", ""]
        (folder / "sync").mkdir()
        lines += ["Channel copy", "Far :far:", "Near :near:", "Patterns *", "Create Near", "Sync Pull", "Expunge None",
                  f"SyncState {folder}/sync/"]
        config = self.secret(folder, "mbsyncrc", "\n".join(lines))
        return [self.found(), "-q", "-c", config, "copy"]


class Interimap(Peer):
    name = "interimap"
    program = "interimap"

    def command(self, source, destination, folder):
        lines = [f"database = {folder}/interimap.db", ""]
        for name, side in (("local", destination), ("remote", source)):
            lines += [f"[{name}]", f"type = {'imaps' if side.tls else 'imap'}", f"host = {side.host}",
                      f"port = {side.port}", f"username = {side.user}", f"password = {side.password}",
                      "compress = NO"]
            lines += [f"SSL_CAfile = {side.ca}"] if side.tls else ["STARTTLS = NO"]
            lines.append("")
        config = self.secret(folder, "interimap.conf", "\n".join(lines))
        return [self.found(), "--quiet", f"--config={config}"]


class Imapcopy(Peer):
    name = "imapcopy"
    program = "imapcopy"
    tls = False  # it has none

    def command(self, source, destination, folder):
        lines = [f"SourceServer {source.host}", f"SourcePort {source.port}", f"DestServer {destination.host}",
                 f"DestPort {destination.port}", 'DenyFlags "\\Recent"',
                 f'Copy "{source.user}" "{source.password}" "{destination.user}" "{destination.password}"']
        self.secret(folder, "ImapCopy.cfg", "\n".join(lines))
        return [self.found()]


class Imapsync(Peer):
    name = "imapsync"
    program = "imapsync"

    def command(self, source, destination, folder):
        command = [self.found(), "--useuid", "--nolog", "--noreleasecheck", "--nofoldersizes", "--nofoldersizesatend",
                   "--tmpdir", folder, "--pidfile", folder / "pid"]
        for number, side in ((1, source), (2, destination)):
            command += [f"--host{number}", side.host, f"--port{number}", side.port, f"--user{number}", side.user,
                        f"--passfile{number}", self.secret(folder, f"password{number}", side.password)]
            command += ([f"--ssl{number}"] if side.tls else [f"--nossl{number}", f"--notls{number}"])
        return command


PEERS = (Mbsync(), Interimap(), Imapcopy(), Imapsync())
