"""Router: Wye itself, started from its real programs with a configuration of its own."""
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid

from .client import Client
from .libconfig import group_text, merged
from .table import Table
from .waiting import build_dir, end_process, free_port, spawn, wait_until


def processes_naming(text):
    """Pids whose command line holds `text`, zombies excluded (they have none)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as line:
                if text.encode() in line.read():
                    found.append(int(entry))
        except OSError:
            continue
    return found


def stat_of(pid):
    """(name, state, parent) of a process, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            text = stat.read()
    except OSError:
        return None
    rest = text[text.rindex(")") + 2:].split()
    return text[text.index("(") + 1:text.rindex(")")], rest[0], int(rest[1])


class Router:
    """Settings are given as nested groups and laid over small, quick defaults:
    Router(bus, worker={"proxy": {"response_timeout": "1s"}}, master={"workers": 1}).
    """

    def __init__(self, bus=None, start=True, instance=None, port=None, status_port=None, **settings):
        self.bus = bus
        self.instance = instance or f"wt-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.folder = tempfile.mkdtemp(prefix=f"{self.instance}-")
        os.chmod(self.folder, 0o755)
        self.port, self.status_port = port or free_port(), status_port or free_port()
        self.config_path = os.path.join(self.folder, "wye.conf")
        self.log_path = os.path.join(self.folder, "wye.log")
        self.access_log_path = os.path.join(self.folder, "access.log")
        self.settings = merged(self.default_settings(), settings)
        self.process, self.table = None, Table(self.instance)
        self.prefix = []                        # of the command that starts it
        self.write_config()
        if start:
            self.start()

    def default_settings(self):
        servers = (self.bus.url,) if self.bus else (f"nats://127.0.0.1:{free_port()}",)
        return {
            "instance": self.instance,
            "log": {"level": "debug"},
            "access_log": {"file": self.access_log_path},
            "table": {"size": "32M"},
            "master": {
                "workers": 2, "start_delay": "0s", "programs": str(build_dir()),
                "listeners": ({"kind": "http", "address": f"127.0.0.1:{self.port}"},
                              {"kind": "status", "address": f"127.0.0.1:{self.status_port}"}),
            },
            "registrar": {"snapshot_directory": "", "nats": {"servers": servers}},
        }

    def write_config(self, text=None, **changes):
        """Writes the file anew with the settings changed, or with a text of the test's own."""
        self.settings = merged(self.settings, changes)
        with open(self.config_path, "w") as file:
            file.write(group_text(self.settings) if text is None else text)

    # --- life

    def command(self, *options):
        return [*self.prefix, str(build_dir() / "wye"), "-c", self.config_path, *options]

    def start(self, wait=True):
        """Starts the master in the foreground; its log is appended to log_path."""
        with open(self.log_path, "ab") as log:
            self.process = spawn(self.command(), stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s=30):
        """Until workers answer and, if there is a bus, the registrar listens to it."""
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"wye exited with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            return self.health() == 200 and (not self.bus or self.is_subscribed() and self.is_feed_trusted())
        wait_until(is_ready, lambda: f"the router is ready; its log:\n{self.log_text()[-4000:]}", timeout_s)

    def is_subscribed(self):
        return self.bus.is_subscribed("router.register")

    def is_feed_trusted(self):
        return self.table.facts()["feed_lost_ms"] == 0

    def health(self, path="/health"):
        """The status of the health endpoint, or None if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            return None

    def check_config(self):
        """`wye -t`: the finished process with its text output."""
        return subprocess.run(self.command("-t"), capture_output=True, text=True, timeout=30)

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, wait=True):
        """SIGHUP; with `wait`, until a full set of new workers is ready (old ones may still drain)."""
        before = set(self.worker_pids())
        self.signal(signal.SIGHUP)
        if wait:
            wait_until(lambda: len(self.ready_workers() - before) >= self.workers_wanted,
                       lambda: f"new workers are ready; log:\n{self.log_text()[-3000:]}", 30)
        return before

    def ready_workers(self):
        """Pids of the workers that have said READY; none before the instance exists."""
        answer = self.table.run("--processes", "--json", check=False)
        return {process["pid"] for process in json.loads(answer.stdout or "[]")
                if process["role"] == "worker" and process["alive"] and process["state"] == "ready"}

    def wait_gone(self, pids, timeout_s=30):
        """Until none of these processes is left."""
        wait_until(lambda: not set(pids) & set(self.processes()),
                   lambda: f"{sorted(pids)} are gone; log:\n{self.log_text()[-3000:]}", timeout_s)

    @property
    def workers_wanted(self):
        return self.settings["master"]["workers"]

    def wait_exit(self, timeout_s=15):
        return self.process.wait(timeout_s)

    def kill_master(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code.  Fails if a process of this instance is left behind."""
        code = end_process(self.process, 20) if self.process else None
        left = self.processes()
        if left:
            try:
                wait_until(lambda: not self.processes(), "all processes are gone", 5)
            except AssertionError:
                self.kill_all()
                raise AssertionError(f"left behind: {left}; log:\n{self.log_text()[-3000:]}") from None
        return code

    def kill_all(self):
        """SIGKILL for every process of this instance: the table and the board stay, dead."""
        for _ in range(100):
            pids = self.processes()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if self.process:
                self.process.poll()
            if not pids:
                return
            wait_until(lambda: not set(pids) & set(self.processes()), "killed processes are gone")

    def close(self):
        """Stops what runs and removes every trace."""
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        finally:
            self.kill_all()
            self.remove_objects()
            shutil.rmtree(self.folder, ignore_errors=True)

    def objects(self):
        return sorted(glob.glob(f"/dev/shm/{self.instance}.*"))

    def remove_objects(self):
        for path in self.objects():
            os.unlink(path)

    # --- processes

    def processes(self):
        return processes_naming(self.config_path)

    def children(self, name):
        """Pids of the master's living children whose program has this name."""
        found = []
        for pid in self.processes():
            stat = stat_of(pid)
            if stat and stat[0] == name and stat[1] != "Z" and stat[2] == self.process.pid:
                found.append(pid)
        return sorted(found)

    def worker_pids(self):
        return self.children("wye-worker")

    def registrar_pid(self):
        pids = self.children("wye-registrar")
        return pids[0] if pids else None

    # --- logs

    def log_text(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def log_lines(self, event=None):
        """The JSON lines of the log, in order; with `event`, only those with this message."""
        lines = []
        for text in self.log_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and (event is None or line.get("message") == event):
                lines.append(line)
        return lines

    def wait_for_log(self, event, timeout_s=None, **data):
        """The first line with this message whose data holds these values."""
        def found():
            for line in self.log_lines(event):
                if all(line.get("data", {}).get(key) == value for key, value in data.items()):
                    return line
            return None
        return wait_until(found, lambda: f"the log has {event} {data}:\n{self.log_text()[-3000:]}", timeout_s)

    def access_lines(self, having=""):
        try:
            with open(self.access_log_path, errors="replace") as log:
                return [line for line in log.read().splitlines() if having in line]
        except FileNotFoundError:
            return []

    def wait_for_access_line(self, *having, timeout_s=None):
        """The first access-log line that holds all these texts."""
        def found():
            for line in self.access_lines():
                if all(text in line for text in having):
                    return line
            return None
        return wait_until(found, lambda: f"the access log has {having}: {self.access_lines()[-20:]}", timeout_s)

    # --- use

    def client(self, timeout_s=15):
        return Client(self.port, timeout_s=timeout_s)

    def get(self, host, target="/", headers=()):
        """One request on a connection of its own."""
        with self.client() as client:
            return client.get(host, target, [*headers, ("Connection", "close")])

    def register(self, uri, backend, **fields):
        """Registers over the bus and waits until the table has it."""
        message = self.bus.message(uri, backend, fields)
        address = f"{message['host']}:{message.get('tls_port') or message['port']}"
        self.bus.register(uri, backend, **fields)
        for key in message["uris"]:
            wait_until(lambda: self.table.has(key.lower().split("?")[0].strip("/"), address),
                       lambda: f"{key} is in the table; log:\n{self.log_text()[-3000:]}")

    def register_empty(self, uri, backend):
        """A route whose last endpoint is gone; needs registrar.empty_pool_timeout."""
        self.register(uri, backend)
        self.bus.unregister(uri, backend)
        wait_until(lambda: self.get(uri).status == 503, f"{uri} has no endpoint")

    def unregister(self, uri, backend, **fields):
        message = self.bus.message(uri, backend, fields)
        address = f"{message['host']}:{message.get('tls_port') or message['port']}"
        self.bus.unregister(uri, backend, **fields)
        for key in message["uris"]:
            wait_until(lambda: not self.table.has(key.lower().split("?")[0].strip("/"), address),
                       f"{key} is gone from the table")
