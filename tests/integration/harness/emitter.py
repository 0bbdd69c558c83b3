"""Emitter: what announces apps in Cloud Foundry; and Traffic: the clients of those apps, who never stop."""
import json
import threading
import time

from .bus import BusClient


class Emitter:
    """Holds one connection to one server, as a route-emitter does: greets, says everything each interval, and
    everything again when a router.start comes.  `starts` are the times when one did."""

    def __init__(self, bus, interval_s=1.0):
        self.bus, self.interval_s = bus, interval_s
        self.connection = BusClient(bus.port)
        self.routes, self.lock = {}, threading.Lock()
        self.starts, self.sent = [], 0
        self.ended = threading.Event()
        self.heard = self.connection.subscribe("router.start")
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._beat, self._answer)]
        for thread in self.threads:
            thread.start()

    def _beat(self):
        while not self.ended.wait(self.interval_s):
            self.say_all()

    def _answer(self):
        while self.heard.get():
            self.starts.append(time.monotonic())
            self.say_all()

    def say_all(self):
        with self.lock:
            said = b"".join(self._framed("router.register", payload) for payload in self.routes.values())
            self.sent += len(self.routes)
        self._send(said)

    @staticmethod
    def _framed(subject, payload):
        return f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n"

    def _send(self, data):
        try:
            self.connection._send(data)
        except OSError:
            pass

    def add(self, uri, backend, **fields):
        """Announces an app, now and each interval."""
        payload = json.dumps(self.bus.message(uri, backend, fields)).encode()
        with self.lock:
            self.routes[str(uri), str(getattr(backend, "address", backend))] = payload
        self._send(self._framed("router.register", payload))

    def _take(self, uri, backend):
        with self.lock:
            return self.routes.pop((str(uri), str(getattr(backend, "address", backend))))

    def remove(self, uri, backend):
        """The app was stopped properly."""
        self._send(self._framed("router.unregister", self._take(uri, backend)))

    def forget(self, uri, backend):
        """It is not announced any more, and nobody says that it is gone."""
        self._take(uri, backend)

    def flush(self):
        self.connection.flush()

    def close(self):
        self.ended.set()
        self.heard.put(None)
        for thread in self.threads:
            thread.join()
        self.connection.close()


class Traffic:
    """Requests to every host in turn, without a pause, until the block ends.  `expected` maps hosts to the body
    that their app gives; whatever else comes is a fault."""

    def __init__(self, router, expected, pause_s=0.002):
        self.router, self.expected, self.pause_s = router, dict(expected), pause_s
        self.requests, self.faults, self.ended = 0, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.ended.is_set():
            for host, body in list(self.expected.items()):
                self._ask(host, body)
                if self.ended.wait(self.pause_s):
                    return

    def _ask(self, host, body):
        try:
            answer = self.router.get(host)
            answer = (answer.status, answer.body.decode())
        except Exception as fault:  # whatever it is, the client did not get its answer
            answer = repr(fault)
        self.requests += 1
        if answer != (200, body):
            self.faults.append((time.strftime("%H:%M:%S"), host, answer))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        self.thread.join()
        if not kind:
            assert self.requests and not self.faults, (self.requests, len(self.faults), self.faults[:5])
