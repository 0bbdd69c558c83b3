"""Backends: a scripted one on raw sockets that can misbehave on purpose, and two real ones."""
import os
import shutil
import socket
import struct
import sys
import threading

from .client import parse_fields
from .waiting import end_listening, end_process, free_port, is_listening, spawn, wait_until


class Request:
    """What the backend received; `connection` counts the backend's connections from 0."""

    def __init__(self, raw, connection):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw, self.connection = raw, connection
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.headers = parse_fields(lines[1:])
        self.body, self.trailers = b"", []

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} {self.body[:100]!r}>"


class Gone(Exception):
    """The peer closed where the backend wanted bytes."""


class Exchange:
    """A backend's connection as its answer function sees it."""

    def __init__(self, backend, sock, number):
        self.backend, self.socket, self.number = backend, sock, number
        self.pending, self.is_open, self.thread = b"", True, None

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone()
        self.pending += data

    def read_until(self, mark):
        while mark not in self.pending:
            self._fill()
        data, _, self.pending = self.pending.partition(mark)
        return data

    def read_exactly(self, count):
        while len(self.pending) < count:
            self._fill()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def read_request(self):
        request = Request(self.read_until(b"\r\n\r\n"), self.number)
        self.backend.requests.append(request)
        return request

    def read_body(self, request):
        """The body as the request frames it; kept in request.body as it comes."""
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
                request.body += self.read_exactly(size)
                self.read_exactly(2)
            lines = []
            while line := self.read_until(b"\r\n"):
                lines.append(line.decode("latin-1"))
            request.trailers = parse_fields(lines)
        else:
            wanted = int(request.header("content-length") or 0)
            while len(request.body) < wanted:
                if not self.pending:
                    self._fill()
                take = wanted - len(request.body)
                request.body += self.pending[:take]
                self.pending = self.pending[take:]
        return request.body

    def send(self, data):
        self.socket.sendall(data)

    def respond(self, status=200, body=b"", headers=(), reason="OK", framing="length"):
        """A whole response; framing is "length", "chunked" or "close"."""
        fields = list(headers)
        if framing == "length":
            fields.append(("Content-Length", len(body)))
        elif framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
            body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        else:
            fields.append(("Connection", "close"))
        head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        self.send(head.encode("latin-1") + body)
        if framing == "close":
            self.close()

    def close(self):
        """Any thread; the descriptor itself is given up by the one that reads from it."""
        if self.is_open:
            self.is_open = False
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if threading.current_thread() is self.thread:
                self.socket.close()

    def reset(self):
        """Closes with RST."""
        self.is_open = False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def stall(self):
        """Says nothing until the router gives up or the backend is closed; True if the router did."""
        while not self.backend.is_closing.is_set():
            self.socket.settimeout(0.05)
            try:
                if not self.socket.recv(65536):
                    return True
            except socket.timeout:
                continue
            except OSError:
                return True
        return False


# --- answers: what a backend does with a request

def ok(exchange, request):
    exchange.respond(body=exchange.backend.name.encode())


def echo(exchange, request):
    exchange.respond(body=request.body)


def close_without_answer(exchange, request):
    exchange.close()


def reset_without_answer(exchange, request):
    exchange.reset()


def stall(exchange, request):
    exchange.stall()


def garbage(exchange, request):
    exchange.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    exchange.close()


def partial_body(exchange, request):
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
    exchange.close()


def too_much_body(exchange, request):
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfourHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")


class Backend:
    """A threaded HTTP/1.1 server whose every byte the test decides.

    answer(exchange, request) is called for each request, on the connection's
    own thread; on_connect(exchange) before anything is read.  With
    read_body=False the answer function reads the body itself, or does not.
    Requests are recorded in `requests` as soon as their head is there.
    """

    host = "127.0.0.1"

    def __init__(self, answer=ok, on_connect=None, read_body=True, idle_s=None, name=None, port=0, tls=None):
        self.answer, self.on_connect, self.reads_body, self.idle_s = answer, on_connect, read_body, idle_s
        self.requests, self.exchanges, self.faults = [], [], []
        self.tls = tls                                    # an ssl.SSLContext: every connection begins with TLS
        self.is_closing = threading.Event()
        self.listener = socket.create_server((self.host, port or free_port()), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.name = name or f"backend-{self.port}"
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def connections(self):
        """Connections accepted so far."""
        return len(self.exchanges)

    def _accept(self):
        while not self.is_closing.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            exchange = Exchange(self, sock, len(self.exchanges))
            self.exchanges.append(exchange)
            exchange.thread = threading.Thread(target=self._serve, args=(exchange,), daemon=True)
            exchange.thread.start()

    def _serve(self, exchange):
        try:
            exchange.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.on_connect:
                self.on_connect(exchange)
            if self.tls:
                exchange.socket = self.tls.wrap_socket(exchange.socket, server_side=True)
            while exchange.is_open and not self.is_closing.is_set():
                exchange.socket.settimeout(self.idle_s)
                request = exchange.read_request()
                exchange.socket.settimeout(None)
                if self.reads_body:
                    exchange.read_body(request)
                self.answer(exchange, request)
        except (Gone, OSError):
            pass
        except Exception as fault:
            self.faults.append(fault)
        exchange.close()
        exchange.socket.close()

    def refuse(self):
        """Stops listening: connections are refused from now on; open ones stay."""
        end_listening(self.listener, self.accepting)

    def close(self):
        self.is_closing.set()
        self.refuse()
        for exchange in self.exchanges:
            exchange.close()


class _ProgramBackend:
    host = "127.0.0.1"

    def __init__(self, command, source, name=None):
        self.port = free_port()
        self.name = name or f"{type(self).__name__}-{self.port}"
        environment = dict(os.environ, PORT=str(self.port), NAME=self.name)
        self.process = spawn([*command, source], env=environment)
        wait_until(lambda: is_listening(self.port) or self.process.poll() is not None, f"{self.name} listens")
        assert self.process.poll() is None, f"{self.name} ended at once"

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def close(self):
        end_process(self.process)


NODE_SOURCE = """
require('http').createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    response.setHeader('X-Backend', process.env.NAME);
    response.setHeader('X-Backend-Port', String(request.socket.remotePort));
    response.end(request.method === 'POST' ? Buffer.concat(parts) : 'node ' + request.url);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
"""

PYTHON_SOURCE = """
import http.server, json, os
NAME = os.environ['NAME']

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = float(os.environ.get('IDLE_S', '5'))

    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.command == 'GET':
            body = json.dumps({'instance': NAME, 'request': self.requestline,
                               'headers': dict(self.headers.items())}, indent=2).encode() + b'\\n'
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('X-Backend', NAME)
        self.send_header('X-Backend-Port', str(self.client_address[1]))
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
"""


class NodeBackend(_ProgramBackend):
    """node's http server with its default keep-alive timeout of 5 s; echoes posts."""

    def __init__(self, name=None):
        super().__init__([shutil.which("node") or "node", "-e"], NODE_SOURCE, name)


class PythonBackend(_ProgramBackend):
    """python's http.server speaking HTTP/1.1; shows who answers and the request's headers."""

    def __init__(self, name=None):
        super().__init__([sys.executable, "-c"], PYTHON_SOURCE, name)
