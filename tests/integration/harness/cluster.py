"""Cluster: several real nats-servers, and relays in their routes that can lose one direction."""
import select
import socket
import threading

from .bus import Bus
from .waiting import end_listening, free_port, wait_until


class Relay:
    """Passes bytes between whoever connects and `port`.  `drop_forward` and `drop_backward` swallow them: towards
    `port`, and from it.  Nobody is told: that is how a half-broken network behaves."""

    def __init__(self, port):
        self.target, self.drop_forward, self.drop_backward = port, False, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.pairs = self.listener.getsockname()[1], []
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                return
            self.pairs.append((near, far))
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()

    def _pass(self, near, far):
        try:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        raise OSError
                    if ready is near and not self.drop_forward:
                        far.sendall(data)
                    elif ready is far and not self.drop_backward:
                        near.sendall(data)
        except (OSError, ValueError):
            near.close()
            far.close()

    def heal(self):
        """Connections that lost bytes are useless: they end, and new ones work."""
        self.drop_forward = self.drop_backward = False
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        end_listening(self.listener, self.accepting)
        self.heal()


class Cluster:
    """`count` servers, each with a route to all others; `relays[i, j]` (i > j) is the route that i dials to j."""

    def __init__(self, count=2, config="", port=None, addresses=None):
        """`config`: text of the servers' configuration file, or a list of them; `port`: the same for all, at
        `addresses`."""
        addresses = addresses or ["127.0.0.1"] * count
        configs = [config] * count if isinstance(config, str) else config
        ports = [free_port() for _ in range(count)]
        self.relays = {(i, j): Relay(ports[j]) for i in range(count) for j in range(i)}
        self.servers = []
        for i in range(count):
            routes = [f"nats://127.0.0.1:{self.relays[i, j].port}" for j in range(i)]
            options = ["--cluster_name", "test", "--cluster", f"nats://127.0.0.1:{ports[i]}",
                       "--no_advertise", "--cluster_advertise", "127.0.0.1:1",
                       *(["--routes", ",".join(routes)] if routes else [])]
            self.servers.append(Bus(port, options, config=configs[i], address=addresses[i]))
        self.wait_whole()

    def wait_whole(self):
        wait_until(self.is_whole, "every server hears every other", 30)

    def is_whole(self):
        for one in self.servers:
            subject = f"whole.{free_port()}"
            queues = [other.subscribe(subject) for other in self.servers]
            try:
                wait_until(lambda: self._all_hear(one, subject, queues), "heard", 1)
            except AssertionError:
                return False
        return True

    @staticmethod
    def _all_hear(one, subject, queues):
        one.publish(subject, b"x")
        one.client.flush()
        return all(not q.empty() for q in queues)

    @property
    def urls(self):
        return tuple(server.url for server in self.servers)

    def close(self):
        for server in self.servers:
            server.close()
        for relay in self.relays.values():
            relay.close()
