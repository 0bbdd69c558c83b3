"""What is measured: Wye, nginx, haproxy and the bare relay, each with one worker and the same duties.

Duties: X-Forwarded-For appended, a request id (given to the backend and to the client, as Wye does),
connections kept on both sides, no access log (unless asked for).  checks.py proves them.  Every target
is started on free loopback ports and ended by pid.

The peers' settings were tried against their alternatives over all scenarios; what was found is said
beside them.
"""
import contextlib
import os
import shutil
import signal
import tempfile
import time

from harness import Bus, Client, Router
from harness.client import Disconnected
from harness.waiting import build_dir, end_process, free_port, spawn, wait_until

HOST = "bench.example"


def bench_program(name):
    return str(build_dir() / "bench" / name)


def cpu_ns(pid):
    """Time on a CPU of all threads of a process, in nanoseconds."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def private_kib(pid):
    """Memory of a process that files do not back: its own, and its share of what it shares."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def children_of(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Target:
    """A server on `port` that answers when the constructor returns, `start_s` after its start."""

    name = "?"
    host = HOST                       # that answers once the target is ready

    def __init__(self, backend_port):
        self.backend_port, self.port = backend_port, free_port()
        self.folder = tempfile.mkdtemp(prefix=f"wye-bench-{self.name}-")
        os.chmod(self.folder, 0o755)
        self.process = None
        try:
            self.began = time.monotonic()
            self.start()
            wait_until(self.is_answering, f"{self.name} answers", 30, 0.002)
            self.start_s = time.monotonic() - self.began
        except BaseException:
            self.close()
            raise

    def start(self):
        raise NotImplementedError

    def is_answering(self):
        try:
            with Client(self.port, timeout_s=5) as client:
                return client.get(self.host, "/10", [("Connection", "close")]).status == 200
        except (OSError, Disconnected):
            return False

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def pids(self):
        """The processes whose CPU counts."""
        return [self.process.pid, *children_of(self.process.pid)]

    def traffic_pids(self):
        """The processes that hold client connections."""
        return self.pids()

    def cpu_ns(self):
        return sum(cpu_ns(pid) for pid in self.pids())

    def close(self):
        if self.process:
            end_process(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


class BenchBackend(Target):
    name = "backend"

    def __init__(self):
        super().__init__(0)

    def start(self):
        self.process = spawn([bench_program("backend"), str(self.port)])


class Relay(Target):
    name = "relay"

    def start(self):
        self.process = spawn([bench_program("relay"), str(self.port), str(self.backend_port)])


# Buffers: 16 x 64k did as well as 8 x 256k and better than the defaults with large bodies; without
# buffering it is the same.  Tried without effect: multi_accept off, buffered requests, fewer headers.
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit; worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 900s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_max_body_size 0; client_body_buffer_size 128k;
  upstream app {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 100000000; keepalive_timeout 60s; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; server_name {host};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Vcap-Request-Id $request_id; add_header X-Vcap-Request-Id $request_id;
      proxy_request_buffering off; proxy_buffers 16 64k; proxy_buffer_size 16k; proxy_busy_buffers_size 128k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""


# Otherwise the C library may give the buffers of a large body back to the kernel after every request
# and fault them in again, which made such requests two and a half times as dear.
NGINX_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_TOP_PAD_": str(16 << 20)}


class Nginx(Target):
    name = "nginx"

    def start(self):
        text = NGINX.format(folder=self.folder, port=self.port, backend=self.backend_port, host=HOST)
        self.process = spawn(["nginx", "-p", self.folder, "-c", self.write("nginx.conf", text)],
                             env=dict(os.environ, **NGINX_MALLOC))

    def reload(self):
        before = set(self.pids())
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: set(self.pids()) - before, "nginx has a new worker")


# Tried: tune.bufsize 64k (large bodies a quarter cheaper, posts dearer, the rest the same or a little
# dearer), splice-auto and edge-triggered polling (no difference), http-reuse safe (dearer when closing).
HAPROXY = """
global
  maxconn 9500
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 900s
  timeout server 900s
  timeout http-keep-alive 900s
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  unique-id-format %[uuid()]
  unique-id-header X-Vcap-Request-Id
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-response set-header X-Vcap-Request-Id %[unique-id]
  default_backend app
backend app
  server one 127.0.0.1:{backend} pool-max-conn 4096 pool-purge-delay 60s
"""


class Haproxy(Target):
    name = "haproxy"

    def start(self):
        text = HAPROXY.format(port=self.port, backend=self.backend_port)
        self.process = spawn(["haproxy", "-f", self.write("haproxy.cfg", text)])


class Wye(Target):
    """The whole instance: master, one worker, registrar; its nats-server is not counted."""

    name = "wye"

    def __init__(self, backend_port, access_log=False):
        self.access_log, self.bus, self.router = access_log, None, None
        super().__init__(backend_port)

    def start(self):
        self.bus = Bus()
        settings = {} if self.access_log else {"access_log": {"file": ""}}
        self.router = Router(self.bus, start=False, port=self.port, log={"level": "info"},
                             master={"workers": 1}, worker={"balancer": {"max_conns": 0}}, **settings)
        self.configure(self.router)
        greetings = self.bus.subscribe("router.start")
        self.began = time.monotonic()
        self.router.start(wait=False)
        self.process = self.router.process
        greetings.get(timeout=30)                     # the platform registers when it hears this
        self.register()

    def configure(self, router):
        """For variants: changes of the settings."""

    def register(self):
        self.bus.publish("router.register", {
            "host": "127.0.0.1", "port": self.backend_port, "uris": [HOST], "app": "bench",
            "private_instance_id": "bench-instance", "private_instance_index": "0"})

    def pids(self):
        return self.router.processes()

    def traffic_pids(self):
        return self.router.worker_pids()

    def reload(self):
        self.router.reload()

    def close(self):
        if self.router:
            self.router.close()
        if self.bus:
            self.bus.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class WyeLogging(Wye):
    name = "wye+log"

    def __init__(self, backend_port):
        super().__init__(backend_port, access_log=True)


@contextlib.contextmanager
def started(kinds, backend_port):
    """One of each, all up at once, all ended."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(kind(backend_port))) for kind in kinds]
