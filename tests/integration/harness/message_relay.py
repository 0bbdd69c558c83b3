"""MessageRelay: stands between a router and its NATS server, and loses or delays whole messages to the router."""
import heapq
import itertools
import socket
import threading
import time

from .waiting import end_listening


class MessageRelay:
    """`judge(subject, payload)` says of each message to the router how many seconds it is late (0: not at all), or
    None: it is lost.  All other lines of the protocol pass at once; so the connection looks healthy."""

    def __init__(self, port, judge=lambda subject, payload: 0):
        self.target, self.judge = port, judge
        self.passed = self.lost = self.late = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.sockets = self.listener.getsockname()[1], []
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                router = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                return
            server.settimeout(None)
            for end in (router, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [router, server]
            for work in (self._up, self._down):
                threading.Thread(target=work, args=(router, server), daemon=True).start()

    @staticmethod
    def _end(*sockets):
        for end in sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _up(self, router, server):
        try:
            while data := router.recv(65536):
                server.sendall(data)
        except OSError:
            pass
        self._end(router, server)

    def _down(self, router, server):
        late = _Late(router)
        try:
            stream = server.makefile("rb")
            while line := stream.readline():
                if not line.startswith(b"MSG "):
                    late.send(line)
                    continue
                fields = line.split()
                payload = stream.read(int(fields[-1]) + 2)
                self._decide(late, fields[1].decode(), line + payload, payload[:-2])
        except (OSError, ValueError):
            pass
        self._end(router, server)
        late.close()

    def _decide(self, late, subject, message, payload):
        delay_s = self.judge(subject, payload)
        if delay_s is None:
            self.lost += 1
        elif delay_s > 0:
            self.late += 1
            late.send_in(delay_s, message)
        else:
            self.passed += 1
            late.send(message)

    def close(self):
        end_listening(self.listener, self.accepting)
        self._end(*self.sockets)


class _Late:
    """One socket on which some messages are sent later than others."""

    def __init__(self, sock):
        self.socket, self.lock, self.changed = sock, threading.Lock(), threading.Condition()
        self.waiting, self.numbers, self.is_closed = [], itertools.count(), False
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def send_in(self, delay_s, data):
        with self.changed:
            heapq.heappush(self.waiting, (time.monotonic() + delay_s, next(self.numbers), data))
            self.changed.notify()

    def _run(self):
        with self.changed:
            while not self.is_closed:
                due = self.waiting[0][0] if self.waiting else None
                rest = None if due is None else due - time.monotonic()
                if rest is None or rest > 0:
                    self.changed.wait(rest)
                    continue
                try:
                    self.send(heapq.heappop(self.waiting)[2])
                except OSError:
                    return

    def close(self):
        with self.changed:
            self.is_closed = True
            self.changed.notify()
