"""Bus: a real nats-server on a free port, and a small NATS client that speaks the protocol itself."""
import json
import os
import queue
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.request

from .waiting import end_process, free_port, is_listening, spawn, wait_until


class BusClient:
    """One connection to a NATS server.  `subscribe` returns a queue of (subject, reply, payload)."""

    def __init__(self, port, tls=None, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.info = json.loads(self._read_info())
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="nats.example")
        self.stream = self.socket.makefile("rb")
        self.subscriptions, self.pongs = {}, queue.Queue()
        self.lock = threading.Lock()
        self.socket.settimeout(None)
        self._send(b'CONNECT {"verbose":false,"pedantic":false,"lang":"test","protocol":1,"headers":true}\r\n')
        threading.Thread(target=self._read, daemon=True).start()
        self.flush()

    def _read_info(self):
        """Byte by byte: what follows may be a handshake."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.socket.recv(1)
        return line[len(b"INFO "):]

    def _send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def _read(self):
        try:
            while line := self.stream.readline():
                verb, _, rest = line.strip().partition(b" ")
                if verb == b"PING":
                    self._send(b"PONG\r\n")
                elif verb == b"PONG":
                    self.pongs.put(True)
                elif verb == b"MSG":
                    self._on_message(rest.split(b" "))
        except (OSError, ValueError):
            pass
        self.pongs.put(False)

    def _on_message(self, fields):
        payload = self.stream.read(int(fields[-1]) + 2)[:-2]
        reply = fields[2].decode() if len(fields) == 4 else None
        self.subscriptions[int(fields[1])].put((fields[0].decode(), reply, payload))

    def flush(self):
        """Returns when the server has seen everything sent before."""
        self._send(b"PING\r\n")
        if not self.pongs.get(timeout=60):
            raise ConnectionError("the server has ended the connection")

    def publish(self, subject, payload=b"", reply=""):
        if not isinstance(payload, bytes):
            payload = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        head = f"PUB {subject} {reply + ' ' if reply else ''}{len(payload)}\r\n"
        self._send(head.encode() + payload + b"\r\n")

    def subscribe(self, subject):
        messages = queue.Queue()
        number = len(self.subscriptions) + 1
        self.subscriptions[number] = messages
        self._send(f"SUB {subject} {number}\r\n".encode())
        self.flush()
        return messages

    def request(self, subject, payload=b"", timeout_s=10):
        inbox = f"_INBOX.{os.getpid()}.{id(self)}.{len(self.subscriptions)}"
        answers = self.subscribe(inbox)
        self.publish(subject, payload, inbox)
        return answers.get(timeout=timeout_s)[2]

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Bus:
    """nats-server with a memory of nothing: stop() and start() lose all subscriptions, as a restart does."""

    def __init__(self, port=None, options=(), tls=None, config="", address="127.0.0.1"):
        """`options`: further ones of nats-server's command line; `tls`: an ssl.SSLContext for our own client;
        `config`: text of a configuration file, for what has no option."""
        self.tls, self.config, self.address = tls, config, address
        self.port, self.options = port or free_port(), list(options)
        self.monitor_port = free_port()
        self.folder = tempfile.mkdtemp(prefix="wye-bus-")
        self.server = self.connection = None
        self.start()

    @property
    def url(self):
        return f"nats://{self.address}:{self.port}"

    def start(self):
        server = shutil.which("nats-server") or "/usr/sbin/nats-server"
        config = os.path.join(self.folder, "nats.conf")
        with open(config, "w") as file:
            file.write(self.config)
        self.server = spawn([server, "-c", config, "-a", self.address, "-p", str(self.port),
                             "-m", str(self.monitor_port), "-l", os.path.join(self.folder, "nats.log"), *self.options])
        wait_until(lambda: all(is_listening(port, self.address) for port in (self.port, self.monitor_port)),
                   "nats-server listens")

    def stop(self):
        self._forget_connection()
        end_process(self.server)

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def freeze(self, is_frozen=True):
        """The process stands still and keeps its connections, as an overloaded machine does."""
        os.kill(self.server.pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def _forget_connection(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    @property
    def client(self):
        """The bus's own connection, made when first needed and anew after a restart."""
        for attempt in range(20):
            if self.connection:
                break
            try:
                self.connection = BusClient(self.port, self.tls, self.address)
            except OSError:                             # nats-server waits two seconds for a handshake
                if attempt == 19 or not is_listening(self.port, self.address):
                    raise
                time.sleep(0.1)
        return self.connection

    def publish(self, subject, payload=b"", reply=""):
        self.client.publish(subject, payload, reply)

    def subscribe(self, subject):
        return self.client.subscribe(subject)

    def request(self, subject, payload=b"", timeout_s=10):
        return self.client.request(subject, payload, timeout_s)

    def is_subscribed(self, subject):
        """True if anybody listens to exactly this subject, or to its siblings too."""
        with urllib.request.urlopen(f"http://{self.address}:{self.monitor_port}/connz?subs=1", timeout=5) as answer:
            connections = json.load(answer)["connections"]
        wanted = {subject, re.sub(r"\.[^.]*$", ".*", subject)}
        return any(wanted & set(connection.get("subscriptions_list", [])) for connection in connections)

    @staticmethod
    def message(uri, backend, fields):
        """A registration message; `backend` is a port, (host, port) or anything with .host and .port."""
        if isinstance(backend, int):
            host, port = "127.0.0.1", backend
        elif isinstance(backend, tuple):
            host, port = backend
        else:
            host, port = backend.host, backend.port
        uris = [uri] if isinstance(uri, str) else list(uri)
        return {"host": host, "port": port, "uris": uris, "app": f"app-{port}",
                "private_instance_id": f"instance-{port}", "private_instance_index": "0", **fields}

    def register(self, uri, backend, **fields):
        self.publish("router.register", self.message(uri, backend, fields))
        self.client.flush()

    def unregister(self, uri, backend, **fields):
        self.publish("router.unregister", self.message(uri, backend, fields))
        self.client.flush()
