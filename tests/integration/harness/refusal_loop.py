"""RefusalLoop: two real NATS servers that refuse one another for ever, by their own doing (nats-server#5500).

After an overload a server redials its peer with a URL that it made up itself,
without user and password.  Here somebody with the right password says to be
that peer, twice: the second route is refused as a duplicate, which makes the
first one worth a redial; then it ends.  No overload is needed and no luck.
"""
import json
import os
import random
import socket
import tempfile

from .bus import Bus
from .waiting import wait_until

USER, PASSWORD = "cu", "cp"


def free_address():
    """A loopback address and a port there that nobody listens on."""
    for _ in range(100):
        pick = random.SystemRandom().randrange
        address = f"127.{pick(10, 250)}.{pick(1, 250)}.{pick(2, 250)}", pick(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(address)
            except OSError:
                continue
        return address
    raise AssertionError("no free address found")


class RefusalLoop:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wye-loop-")
        self.addresses = [free_address(), free_address()]
        self.servers = [Bus(options=["-c", self._config(i)]) for i in range(2)]
        self.routes = []

    def _config(self, i):
        host, port = self.addresses[i]
        path = os.path.join(self.folder.name, f"{i}.conf")
        with open(path, "w") as file:
            file.write(f"debug: true\ncluster {{ name: x, host: {host}, port: {port}, no_advertise: true,\n"
                       f"  authorization {{ user: {USER}, password: {PASSWORD} }} }}\n")
        return path

    @property
    def urls(self):
        return [server.url for server in self.servers]

    def log(self, i):
        with open(os.path.join(self.servers[i].folder, "nats.log"), errors="replace") as log:
            return log.read()

    def refusals(self):
        """How often the second server has refused the first, as the first one's log has it."""
        return self.log(0).count("Route Error 'Authorization Violation'")

    def _dial(self, i):
        wire = socket.create_connection(self.addresses[i], timeout=10)
        stream = wire.makefile("rb")
        self.routes.append(wire)
        return wire, stream, json.loads(stream.readline()[len(b"INFO "):])

    def _pretend(self, identity):
        """A route to the first server by somebody who says to be the second; returns when it is accepted."""
        wire, stream, _ = self._dial(0)
        connect = {"user": USER, "pass": PASSWORD, "name": identity["server_id"], "cluster": "x", "headers": True,
                   "lnoc": True}
        wire.sendall(f"CONNECT {json.dumps(connect)}\r\nINFO {json.dumps(identity)}\r\nPING\r\n".encode())
        while (line := stream.readline()) and not line.startswith(b"PONG"):
            pass
        return wire

    def begin(self):
        """Returns when the loop runs."""
        wire, _, identity = self._dial(1)
        wire.close()
        first = self._pretend(identity)
        self._pretend(identity)                       # closed as "Duplicate Route", and the first one gets a retry
        wait_until(lambda: "Duplicate" in self.log(0), lambda: f"the second route is a duplicate: {self.log(0)}")
        first.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: self.refusals() >= 3, lambda: f"the loop runs: {self.log(0)[-3000:]}")

    def close(self):
        for wire in self.routes:
            wire.close()
        for server in self.servers:
            server.close()
        self.folder.cleanup()
