"""Table: the shared objects of an instance as shm-dump shows them."""
import json
import subprocess

from .waiting import build_dir


class Table:
    def __init__(self, instance):
        self.instance = instance

    def run(self, *options, check=True, timeout_s=60):
        """shm-dump with these options; a CompletedProcess with text output."""
        command = [str(build_dir() / "shm-dump"), "-i", self.instance, *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
        if check and result.returncode != 0:
            raise AssertionError(f"{command} gave {result.returncode}: {result.stderr}")
        return result

    def json(self, *options):
        return json.loads(self.run(*options, "--json").stdout)

    def routes(self):
        """{key: [endpoint, ...]} in the schema of /routes."""
        return json.loads(self.run("--routes").stdout)

    def has(self, key, address=None):
        endpoints = self.routes().get(key)
        if endpoints is None:
            return False
        return address is None or any(endpoint["address"] == address for endpoint in endpoints)

    def processes(self):
        return self.json("--processes")

    def counters(self):
        return self.json("--counters")["counters"]

    def facts(self):
        return self.json("--counters")["facts"]

    def counter(self, name):
        return self.counters()[name]

    def explain(self, url):
        return self.run("--explain", url).stdout
