"""FakeNats: a NATS server that says what the test wants, when it wants."""
import json
import socket
import threading

from .waiting import end_listening, wait_until

INFO = {"server_id": "fake", "version": "2.9.10", "proto": 1, "max_payload": 1048576, "headers": True}


class FakeConnection:
    def __init__(self, server, sock):
        self.server, self.socket, self.subjects, self.published = server, sock, {}, []
        self.lock = threading.Lock()

    def send(self, data):
        try:
            with self.lock:
                self.socket.sendall(data)
        except OSError:
            pass

    def message(self, subject, payload):
        """To all of this connection's subscriptions that match."""
        for sid, wanted in list(self.subjects.items()):
            if wanted == subject or (wanted.endswith(".*") and subject.rpartition(".")[0] == wanted[:-2]):
                self.send(f"MSG {subject} {sid} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def run(self):
        stream = self.socket.makefile("rb")
        try:
            while line := stream.readline():
                verb, *fields = line.decode().split()
                if verb == "CONNECT":
                    self.server.on_connect(self)
                elif verb == "PING" and not self.server.is_silent:
                    self.send(b"PONG\r\n")
                elif verb == "SUB":
                    self.subjects[fields[-1]] = fields[0]
                elif verb == "UNSUB":
                    self.subjects.pop(fields[0], None)
                elif verb == "PUB":
                    payload = stream.read(int(fields[-1]) + 2)[:-2]
                    self.published.append((fields[0], payload))
                    if not self.server.is_deaf:
                        self.message(fields[0], payload)
        except (OSError, ValueError):
            pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class FakeNats:
    """`greet(connection, number)` sends the INFO; `on_connect(connection)` runs after CONNECT."""

    def __init__(self, greet=None, on_connect=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.connections = self.listener.getsockname()[1], []
        self.is_silent = self.is_deaf = False
        self.greet = greet or (lambda connection, number: connection.send(self.info()))
        self.on_connect = on_connect or (lambda connection: None)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    @staticmethod
    def info(**fields):
        return b"INFO " + json.dumps({**INFO, **fields}).encode() + b" \r\n"

    def _accept(self):
        while True:
            try:
                connection = FakeConnection(self, self.listener.accept()[0])
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self.connections)), daemon=True).start()

    def _serve(self, connection, number):
        self.greet(connection, number)
        connection.run()

    def wait_subscribed(self, count=1):
        """The newest connection, once it is the count-th at least and has subscribed."""
        def is_ready():
            return len(self.connections) >= count and "router.greet" in self.connections[-1].subjects.values()
        wait_until(is_ready, lambda: f"connection {count} subscribes; there are {len(self.connections)}", 30)
        return self.connections[-1]

    def close(self):
        end_listening(self.listener, self.accepting)
        for connection in self.connections:
            connection.close()
