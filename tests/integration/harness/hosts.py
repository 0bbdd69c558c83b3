"""Hosts: a name service of the test's own, which is /etc/hosts as one process tree sees it."""
import os
import shlex
import subprocess
import tempfile


class Hosts:
    """`prefix` goes before a command that is to see it.  None of the rest of the machine does."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(mode="w", prefix="wye-hosts-")
        os.chmod(self.file.name, 0o644)
        mount = f'mount --bind {shlex.quote(self.file.name)} /etc/hosts && exec "$0" "$@"'
        self.prefix = ["unshare", "-m", "sh", "-c", mount]

    def reason_why_not(self):
        """What is missing for this to work here, or nothing."""
        tried = subprocess.run([*self.prefix, "true"], capture_output=True, text=True, timeout=10)
        return tried.stderr.strip() if tried.returncode else None

    def set(self, **addresses):
        """set(nats=["127.0.0.1", ...]): the addresses of nats.example; names that are not given do not exist."""
        lines = ["127.0.0.1 localhost"]
        for name, of_name in addresses.items():
            lines += [f"{address} {name}.example" for address in of_name]
        self.file.seek(0)                       # the same file: it is what is mounted
        self.file.truncate()
        self.file.write("\n".join(lines) + "\n")
        self.file.flush()

    def close(self):
        self.file.close()
