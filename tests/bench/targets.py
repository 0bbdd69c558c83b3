"""What is measured: Wye, nginx, haproxy and the bare relay, each with one worker and the same duties.

Duties: X-Forwarded-For appended, a request id, connections kept on both sides, no access log
(unless asked for).  Every target is started on free loopback ports and ended by pid.
"""
import os
import shutil
import tempfile
import time

from harness import Bus, Router
from harness.waiting import build_dir, end_process, free_port, is_listening, spawn, wait_until

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
    """Anonymous memory of a process that is in use."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith(("Anonymous:", "Private_Dirty:"))) / 2


class Target:
    """A server on `port`; `pids()` are the processes whose CPU counts."""

    name, kinds = "?", ()

    def __init__(self, backend_port):
        self.backend_port, self.port = backend_port, free_port()
        self.folder = tempfile.mkdtemp(prefix=f"wye-bench-{self.name}-")
        os.chmod(self.folder, 0o755)
        self.process = None
        self.start()
        wait_until(lambda: is_listening(self.port), f"{self.name} listens", 30)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def pids(self):
        return [self.process.pid, *children_of(self.process.pid)]

    def traffic_pids(self):
        """The processes that hold client connections."""
        return self.pids()

    def cpu_ns(self):
        return sum(cpu_ns(pid) for pid in self.pids())

    def reload(self):
        raise NotImplementedError

    def close(self):
        if self.process:
            end_process(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def children_of(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


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


class Nginx(Target):
    name = "nginx"

    def start(self):
        text = NGINX.format(folder=self.folder, port=self.port, backend=self.backend_port, host=HOST)
        self.process = spawn(["nginx", "-p", self.folder, "-c", self.write("nginx.conf", text)])

    def reload(self):
        self.process.send_signal(1)


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
        self.access_log = access_log
        super().__init__(backend_port)

    def start(self):
        self.bus = Bus()
        settings = {} if self.access_log else {"access_log": {"file": ""}}
        self.router = Router(self.bus, start=False, port=self.port, log={"level": "info"},
                             master={"workers": 1}, worker={"balancer": {"max_conns": 0}}, **settings)
        self.began = time.monotonic()
        self.router.start()
        self.process = self.router.process
        self.register()
        wait_until(self.is_routing, "the route is served")

    def register(self):
        self.bus.publish("router.register", {
            "host": "127.0.0.1", "port": self.backend_port, "uris": [HOST], "app": "bench",
            "private_instance_id": "bench-instance", "private_instance_index": "0"})

    def is_routing(self):
        return self.router.get(HOST, "/10").status == 200

    def pids(self):
        return self.router.processes()

    def traffic_pids(self):
        return self.router.worker_pids()

    def reload(self):
        self.router.reload()

    def close(self):
        self.router.close()
        self.bus.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class WyeLogging(Wye):
    name = "wye+log"

    def __init__(self, backend_port):
        super().__init__(backend_port, access_log=True)
