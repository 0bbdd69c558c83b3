"""TLS: a kept connection, handshakes full and resumed, large bodies, and TLS to the endpoint (h2o stands there).

The loads are wrk and `openssl s_time`; only the servers' CPU is compared, so that what these cost is of no
account.  Beside Wye stand HAProxy, which only relays TCP behind its TLS, and h2o, which does handshakes.
"""
import random
import re
import shutil
import subprocess

import targets
from harness import Authority
from harness.waiting import spawn
from measure import measure, middle, ratio
from targets import HOST

CONNECTIONS, TURN_S, ROUNDS = 64, 2, 7

HAPROXY = """
global
  maxconn 9500
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 900s
  timeout server 900s
frontend front
  bind 127.0.0.1:{port} ssl crt {pem} backlog 4096 ssl-min-ver TLSv1.2
  default_backend app
backend app
  server one 127.0.0.1:{backend}
"""

H2O = """
num-threads: 1
max-connections: 9500
listen:
  host: 127.0.0.1
  port: {port}
  ssl:
    certificate-file: {chain}
    key-file: {key}
    minimum-version: TLSv1.2
hosts:
  default:
    paths:
      /: {{ proxy.reverse.url: "http://127.0.0.1:{backend}/" }}
"""


class _Secured:
    """A target that shows this certificate; the instances of one run share it."""

    certificate = authority = None

    def is_answering(self):
        done = subprocess.run(["curl", "-sk", "-o", "/dev/null", "-H", f"Host: {HOST}", "-w", "%{http_code}",
                               f"https://127.0.0.1:{self.port}/10"], capture_output=True, text=True)
        return done.stdout == "200"


class Wye(_Secured, targets.Wye):
    def configure(self, router):
        shown = {"cert_chain": self.certificate.chain, "private_key": self.certificate.key}
        router.write_config(master={"listeners": ({"kind": "https", "address": f"127.0.0.1:{self.port}"},
                                                  {"kind": "status", "address": f"127.0.0.1:{router.status_port}"})},
                            worker={"tls": {"certificates": (shown,)}})


class WyeToTls(targets.Wye):
    """Plain towards clients, TLS towards an endpoint, which is an h2o in front of the backend."""

    name = "wye+tls"

    def start(self):
        self.inner = H2o(self.backend_port)
        self.backend_port = self.inner.port
        super().start()

    def configure(self, router):
        router.write_config(worker={"upstream": {"tls": {"ca_certs": (_Secured.authority.path,)}}})

    def register(self):
        self.bus.publish("router.register", {
            "host": "127.0.0.1", "port": self.backend_port, "tls_port": self.backend_port, "uris": [HOST],
            "server_cert_domain_san": HOST, "app": "bench", "private_instance_id": "bench-instance"})

    def close(self):
        super().close()
        self.inner.close()


class Haproxy(_Secured, targets.Target):
    name = "haproxy"

    def start(self):
        pem = self.write("both.pem", open(self.certificate.chain).read() + open(self.certificate.key).read())
        text = HAPROXY.format(port=self.port, backend=self.backend_port, pem=pem)
        self.process = spawn(["haproxy", "-f", self.write("haproxy.cfg", text)])


class H2o(_Secured, targets.Target):
    name = "h2o"

    def start(self):
        text = H2O.format(port=self.port, backend=self.backend_port, chain=self.certificate.chain,
                          key=self.certificate.key)
        self.process = spawn(["h2o", "-c", self.write("h2o.conf", text)])


def keep_alive(port, path):
    done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{TURN_S}s", "-H", f"Host: {HOST}",
                           f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    assert "Non-2xx" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout).group(1))


def handshakes(port, *options):
    done = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-time", str(TURN_S), *options],
                          capture_output=True, text=True)
    return int(re.search(r"(\d+) connections in \d+ real seconds", done.stdout).group(1))


LOADS = {
    "keep-alive": lambda port: keep_alive(port, "/1024"),
    "1 MiB": lambda port: keep_alive(port, "/1048576"),
    "handshake": lambda port: handshakes(port, "-new", "-tls1_3"),
    "resumed": lambda port: handshakes(port, "-reuse", "-tls1_2"),
}


def compare(backend, aims, what, certificate, peer, most):
    """Wye and one peer in alternating turns."""
    _Secured.certificate = certificate
    turns = {}
    with targets.started((Wye, peer), backend.port) as subjects:
        for round_ in range(ROUNDS + 1):
            for subject in random.sample(subjects, len(subjects)):
                before = subject.cpu_ns()
                count = LOADS[what](subject.port)
                if round_:                            # the first one warms
                    us = (subject.cpu_ns() - before) / 1000 / count
                    turns.setdefault(subject.name, []).append({"us": us})
    value, lower, upper = ratio(turns["wye"], turns[peer.name])
    kind = certificate.label
    note = aims.note("tls", f"{what} {kind} wye / {peer.name}", value, most)
    print(f"  {what:<10} {kind:<6} wye {middle(turns['wye']):8.1f} us   "
          f"{peer.name} {middle(turns[peer.name]):8.1f} us   {value:5.2f} ({lower:.2f}-{upper:.2f})   {note}")
    return {"what": what, "key": kind, "peer": peer.name, "ratio": value}


def to_endpoint(backend):
    """What TLS to the endpoint costs a request on kept connections."""
    options = ["-c", str(CONNECTIONS), "-u", "/1024", "-l", "1024"]
    with targets.started((targets.Wye, WyeToTls), backend.port) as subjects:
        turns = measure(subjects, options, 20000, ROUNDS)
    value, lower, upper = ratio(turns["wye+tls"], turns["wye"])
    print(f"  to the endpoint: {middle(turns['wye+tls']):.1f} us with TLS, {middle(turns['wye']):.1f} us without"
          f"   {value:5.2f} ({lower:.2f}-{upper:.2f})")


def tls(backend, aims, options):
    authority = Authority()
    ecdsa, rsa = authority.issue(HOST), authority.issue(HOST, key="rsa")
    ecdsa.label, rsa.label = "ECDSA", "RSA"
    print(f"\ntls: CPU per request or handshake, {ROUNDS} alternating turns of {TURN_S} s")
    rows = [("keep-alive", ecdsa, Haproxy, 1.10), ("1 MiB", ecdsa, Haproxy, 1.10), ("handshake", ecdsa, H2o, 1.0),
            ("handshake", rsa, H2o, 1.0), ("resumed", ecdsa, H2o, 1.0)]
    _Secured.authority, _Secured.certificate = authority, ecdsa
    try:
        if not options.quick:
            to_endpoint(backend)
        return [compare(backend, aims, *row) for row in (rows[:1] if options.quick else rows)]
    finally:
        shutil.rmtree(authority.folder)
