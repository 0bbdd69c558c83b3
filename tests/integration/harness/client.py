"""Client: HTTP/1.1 over a raw socket, so that a test can send what no library would."""
import socket
import struct


class Response:
    """One response; `informational` holds the 1xx heads that came before it."""

    def __init__(self, version, status, reason, headers):
        self.version, self.status, self.reason, self.headers = version, status, reason, headers
        self.body, self.trailers, self.informational = b"", [], []
        self.is_complete = False

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self):
        return self.body.decode("latin-1")

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:200]!r}>"


class Disconnected(Exception):
    """The router closed (or reset) the connection where more bytes were expected."""


def parse_fields(lines):
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


class Client:
    """One connection.  Usable as a context manager."""

    def __init__(self, port, host="127.0.0.1", timeout_s=15, tls=None, server_name=None, session=None):
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:                                           # an ssl.SSLContext
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name, session=session)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        return "%s:%d" % self.socket.getsockname()[:2]

    # --- sending

    def send(self, data):
        self.socket.sendall(data)

    def send_head(self, method, target, headers=()):
        lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def request(self, method, target, host, headers=(), body=None):
        """Sends a whole request and returns its response."""
        fields = [("Host", host), *headers]
        if body is not None:
            fields.append(("Content-Length", len(body)))
        self.send_head(method, target, fields)
        if body:
            self.send(body)
        return self.response(method)

    def get(self, host, target="/", headers=()):
        return self.request("GET", target, host, headers)

    def send_chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    # --- receiving

    def fill(self):
        """Reads once; False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.pending += data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.pending:
            if not self.fill():
                raise Disconnected(f"closed after {self.pending[:200]!r}")
        data, _, self.pending = self.pending.partition(mark)
        return data

    def read_exactly(self, count):
        while len(self.pending) < count:
            if not self.fill():
                raise Disconnected(f"closed {count - len(self.pending)} bytes early")
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def read_rest(self):
        """Everything until the router closes."""
        while self.fill():
            pass
        data, self.pending = self.pending, b""
        return data

    def is_closed(self):
        """True once the router has closed; waits for it up to the socket's timeout."""
        return not self.pending and not self.fill()

    def read_head(self):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        status, _, reason = rest.partition(" ")
        return Response(version, int(status), reason, parse_fields(lines[1:]))

    def read_chunk(self):
        """One chunk; b"" is the last one (its trailers are still to be read)."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.read_exactly(size)
        assert self.read_exactly(2) == b"\r\n"
        return data

    def read_trailers(self):
        lines = []
        while line := self.read_until(b"\r\n"):
            lines.append(line.decode("latin-1"))
        return parse_fields(lines)

    def read_body(self, response, method="GET"):
        """Fills response.body; a connection cut inside it raises, with what came so far in the body."""
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            pass
        elif (response.header("transfer-encoding") or "").lower() == "chunked":
            while chunk := self.read_chunk():
                response.body += chunk
            response.trailers = self.read_trailers()
        elif response.header("content-length") is not None:
            wanted = int(response.header("content-length"))
            while len(response.body) < wanted:
                if not self.pending and not self.fill():
                    raise Disconnected(f"body cut at {len(response.body)} of {wanted}")
                take = wanted - len(response.body)
                response.body += self.pending[:take]
                self.pending = self.pending[take:]
        else:
            response.body = self.read_rest()
        response.is_complete = True
        return response

    def response(self, method="GET"):
        """The next final response, whole."""
        informational = []
        while True:
            head = self.read_head()
            if head.status >= 200 or head.status == 101:
                break
            informational.append(head)
        head.informational = informational
        return self.read_body(head, method)
