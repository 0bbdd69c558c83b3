"""Clients that are slow, half-closed, gone, impatient or hostile: a clear answer, a log line, the rest goes on."""
import threading

import pytest

from harness import wait_until
from harness import backend as answers
from harness.client import Disconnected

HOST = "app.example"


@pytest.fixture
def backend(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend)
    return backend


def still_serves(router):
    assert router.get(HOST).status == 200


# --- slow

def test_a_request_sent_byte_by_byte_is_answered(router, backend):
    text = f"POST /slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nhello".encode()
    with router.client() as client:
        for index in range(len(text)):
            client.send(text[index:index + 1])
        assert client.response().body == b"hello"


def test_a_head_that_never_ends_is_given_up(make_router, make_backend):
    router = make_router(worker={"proxy": {"header_timeout": "300ms"}})
    router.register(HOST, make_backend())
    with router.client() as silent, router.client() as slow:
        slow.send(b"GET / HTTP/1.1\r\nHost: app.exa")
        still_serves(router)
        assert silent.read_rest() == b""
        assert b" 200 " not in slow.read_rest()
    still_serves(router)


def test_a_slow_reader_holds_up_nobody_and_no_memory(router, make_backend, backend):
    size = 64 << 20

    def big(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            exchange.send(b"x" * (1 << 16))

    router.register("big.example", make_backend(big))
    before = resident_bytes(router)
    with router.client() as client:
        client.send_head("GET", "/", [("Host", "big.example")])
        response = client.read_head()
        for _ in range(20):
            still_serves(router)
        assert resident_bytes(router) - before < 16 << 20, "back-pressure bounds what is buffered"
        assert len(client.read_body(response).body) == size


def resident_bytes(router):
    total = 0
    for pid in router.worker_pids():
        with open(f"/proc/{pid}/statm") as statm:
            total += int(statm.read().split()[1]) * 4096
    return total


def test_a_slow_upload_is_streamed_not_collected(router, make_backend):
    seen = threading.Event()

    def answer(exchange, request):
        exchange.read_until(b"first\r\n")
        seen.set()
        exchange.read_until(b"0\r\n\r\n")
        exchange.respond(body=b"done")

    router.register("upload.example", make_backend(answer, read_body=False))
    with router.client() as client:
        client.send_head("POST", "/", [("Host", "upload.example"), ("Transfer-Encoding", "chunked")])
        client.send_chunk(b"first")
        assert seen.wait(10), "the first chunk arrives before the second is sent"
        client.send_chunk(b"second")
        client.send(b"0\r\n\r\n")
        assert client.response().body == b"done"


# --- half-closed and gone

def test_a_client_that_half_closes_gets_its_answer(router, backend):
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 4)])
        client.send(b"body")
        client.half_close()
        response = client.response()
        assert (response.status, response.body) == (200, b"body")


def test_a_client_that_resets_while_waiting_is_a_499(router, make_backend, backend):
    waiting = make_backend(answers.stall)
    router.register("slow.example", waiting)
    client = router.client()
    client.send_head("GET", "/gone", [("Host", "slow.example")])
    wait_until(lambda: waiting.requests, "the backend has the request")
    client.reset()
    router.wait_for_access_line("slow.example - [", "/gone HTTP/1.1\" 499 ")
    wait_until(lambda: not waiting.exchanges[0].is_open, "the backend's connection is closed")
    still_serves(router)


def test_a_client_that_disappears_inside_its_body_is_a_499(router, make_backend, backend):
    reading = make_backend(answers.ok)
    router.register("upload.example", reading)
    client = router.client()
    client.send_head("POST", "/part", [("Host", "upload.example"), ("Content-Length", 100000)])
    client.send(b"x" * 5000)
    wait_until(lambda: reading.requests, "the backend has the head")
    client.close()
    router.wait_for_access_line("upload.example - [", "/part HTTP/1.1\" 499 ")
    wait_until(lambda: not reading.exchanges[0].is_open, "the backend's connection is closed")
    assert router.table.counter("client_disconnects") == 1
    still_serves(router)


def test_a_client_that_resets_inside_a_download_is_logged(router, make_backend, backend):
    def endless(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not exchange.backend.is_closing.is_set():
            exchange.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    source = make_backend(endless)
    router.register("endless.example", source)
    client = router.client()
    client.send_head("GET", "/download", [("Host", "endless.example")])
    client.read_head()
    client.reset()
    router.wait_for_access_line("endless.example - [", "/download HTTP/1.1\" ")
    wait_until(lambda: not source.exchanges[0].is_open, "the backend's connection is closed")
    still_serves(router)


# --- impatient

def test_pipelined_requests_are_answered_in_order(router, backend):
    requests = b"".join(b"POST /%d HTTP/1.1\r\nHost: app.example\r\nContent-Length: 2\r\n\r\n%02d" % (i, i)
                        for i in range(30))
    with router.client() as client:
        client.send(requests)
        assert [client.response().body for _ in range(30)] == [b"%02d" % i for i in range(30)]
    assert [request.target for request in backend.requests] == [f"/{i}" for i in range(30)]
    wait_until(lambda: len(router.access_lines()) == 30, "every request has its line")


def test_pipelining_ends_with_close(router, backend):
    with router.client() as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n"
                    b"GET /2 HTTP/1.1\r\nHost: app.example\r\n\r\n")
        assert client.response().header("connection") == "close"
        assert client.read_rest() == b""
    assert [request.target for request in backend.requests] == ["/1"]


def test_continue_is_sent_when_the_backend_wants_the_body(router, make_backend):
    def wanting(exchange, request):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.read_body(request)
        exchange.respond(body=request.body)

    router.register("expect.example", make_backend(wanting, read_body=False))
    with router.client() as client:
        client.send_head("POST", "/", [("Host", "expect.example"), ("Content-Length", 4),
                                       ("Expect", "100-continue")])
        assert client.read_head().status == 100
        client.send(b"body")
        assert client.response().body == b"body"


def test_trailers_reach_the_backend(router, backend):
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")])
        client.send(b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
        assert client.response().body == b"abc"
    assert ("X-Sum", "7") in [(name.title(), value) for name, value in backend.requests[0].trailers]


def test_trailers_that_would_frame_or_route_are_left_out(router, backend):
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked")])
        client.send(b"3\r\nabc\r\n0\r\nHost: other\r\nContent-Length: 9\r\n"
                    b"Transfer-Encoding: chunked\r\nX-Sum: 7\r\n\r\n")
        assert client.response().body == b"abc"
    assert [name.title() for name, _ in backend.requests[0].trailers] == ["X-Sum"]


# --- hostile

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: app.example\r\n"
REJECTED = {
    "length and chunked": (HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "differing lengths": (HEAD + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\n", 400),
    "signed length": (HEAD + b"Content-Length: +4\r\n\r\nbody", 400),
    "list of lengths": (HEAD + b"Content-Length: 4, 4\r\n\r\nbody", 400),
    "hexadecimal length": (HEAD + b"Content-Length: 0x4\r\n\r\nbody", 400),
    "empty length": (HEAD + b"Content-Length:\r\n\r\n", 400),
    "length beyond 63 bits": (HEAD + b"Content-Length: 9223372036854775808\r\n\r\n", 400),
    "blank before the colon": (HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "blank inside a name": (HEAD + b"X Y: 1\r\n\r\n", 400),
    "no colon": (HEAD + b"nonsense\r\n\r\n", 400),
    "empty name": (HEAD + b": value\r\n\r\n", 400),
    "control in a value": (HEAD + b"X: a\x00b\r\n\r\n", 400),
    "bare CR in a value": (HEAD + b"X: a\rb\r\n\r\n", 400),
    "two codings": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "coding twice": (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "unknown coding": (HEAD + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "folded coding": (HEAD + b"Transfer-Encoding:\r\n xchunked\r\n\r\n0\r\n\r\n", 501),
    "two hosts": (HEAD + b"Host: app.example\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "two blanks in the request line": (b"GET  / HTTP/1.1\r\nHost: app.example\r\n\r\n", 400),
    "blank in the target": (b"GET /a b HTTP/1.1\r\nHost: app.example\r\n\r\n", 400),
    "no version": (b"GET /\r\nHost: app.example\r\n\r\n", 400),
    "lower-case version": (b"GET / http/1.1\r\nHost: app.example\r\n\r\n", 400),
    "version 2.0": (b"GET / HTTP/2.0\r\nHost: app.example\r\n\r\n", 505),
    "bad escape": (b"GET /%zz HTTP/1.1\r\nHost: app.example\r\n\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "first line folded": (b"GET / HTTP/1.1\r\n Host: app.example\r\n\r\n", 400),
}


@pytest.mark.parametrize("line", [b"nonsense\r\n", b"GET / HTTP/3.0\r\n", b"GET /\n"])
def test_a_request_line_that_is_wrong_is_answered_before_the_rest_comes(router, line):
    with router.client() as client:
        client.send(line)
        assert client.read_head().status in (400, 505)
        client.read_rest()
    router.wait_for_access_line(' 505 0 ' if b"3.0" in line else ' 400 0 ')


@pytest.mark.parametrize("what", REJECTED)
def test_what_could_be_smuggled_is_refused_whole(router, backend, what):
    text, status = REJECTED[what]
    with router.client() as client:
        client.send(text + SMUGGLED)
        response = client.read_head()
        assert response.status == status, response
        assert response.header("connection") == "close"
        rest = client.read_rest()
        assert b"HTTP/1.1" not in rest, "one answer only"
    still_serves(router)
    assert not any("smuggled" in request.target for request in backend.requests)
    router.wait_for_access_line(f" {status} ")


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "hexadecimal prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "negative": b"-3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "leading blank": b" 3\r\nabc\r\n0\r\n\r\n",
    "seventeen digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "more data than size": b"3\r\nabcd\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"x" * 100000 + b"\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", BAD_CHUNKS)
def test_broken_chunks_end_the_connection(router, backend, what):
    with router.client() as client:
        try:
            client.send(CHUNKED + BAD_CHUNKS[what] + SMUGGLED)
            rest = client.read_rest()
        except OSError:
            rest = b""
        assert b" 200 " not in rest.split(b"\r\n")[0]
        assert rest.count(b"HTTP/1.1 ") <= 1
    still_serves(router)
    assert not any("smuggled" in request.target for request in backend.requests)


def test_a_chunked_body_is_framed_anew(router, backend):
    """Extensions and odd spellings of sizes do not reach the backend."""
    with router.client() as client:
        client.send(CHUNKED + b"0003;name=value\r\nabc\r\n0A\r\n0123456789\r\n000;x\r\n\r\n")
        assert client.response().body == b"abc0123456789"


def test_an_oversized_head_is_refused(router, backend):
    with router.client() as client:
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\nX: " + b"x" * (3 << 20))
        except OSError:
            pass
        assert client.read_head().status == 431
    still_serves(router)
    assert not any(request.header("x") for request in backend.requests)


# --- the router's own answers

def test_an_unknown_route_is_a_404(router, backend):
    response = router.get("nobody.example")
    assert response.status == 404
    assert response.text == "404 Not Found: Requested route ('nobody.example') does not exist.\n"
    assert response.header("x-cf-routererror") == "unknown_route"
    assert response.header("cache-control") == "no-cache, no-store"
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("x-vcap-request-id") is None
    router.wait_for_access_line('nobody.example - [', '" 404 0 ', 'x_cf_routererror:"unknown_route"')
    still_serves(router)


def test_an_empty_host_is_a_400(router, backend):
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
        response = client.response()
        assert (response.status, response.header("x-cf-routererror")) == (400, "empty_host")
        assert response.text == "400 Bad Request: Request had empty Host header\n"
        assert client.get(HOST).status == 200, "the connection stays open"


def test_the_monitor_is_answered_by_the_router_itself(router, backend):
    response = router.get("any.example", "/", [("User-Agent", "HTTP-Monitor/1.1")])
    assert (response.status, response.body) == (200, b"ok\n")
    assert response.header("cache-control") == "private, max-age=0"
    assert response.header("expires") == "0"


def test_head_answers_have_no_body(router, backend):
    with router.client() as client:
        assert client.request("HEAD", "/", HOST).status == 200
        response = client.request("HEAD", "/", "nobody.example")
        assert response.status == 404
        assert client.get(HOST).status == 200, "nothing was left on the connection"


def test_an_http_1_0_client_is_served_and_closed(router, make_backend):
    router.register("old.example", make_backend(lambda x, r: x.respond(body=b"text", framing="chunked")))
    with router.client() as client:
        client.send(b"GET / HTTP/1.0\r\nHost: old.example\r\n\r\n")
        head = client.read_head()
        assert head.status == 200 and head.header("transfer-encoding") is None
        assert client.read_rest() == b"text"


def test_many_clients_of_all_kinds_at_once(router, backend, make_backend):
    """Hostile connections, to a backend of their own, beside ordinary ones: the ordinary ones lose nothing."""
    router.register("ordinary.example", make_backend(answers.echo))
    faults, is_over = [], threading.Event()

    def ordinary():
        with router.client() as client:
            for turn in range(100):
                response = client.request("POST", "/", "ordinary.example", body=b"turn %d" % turn)
                if (response.status, response.body) != (200, b"turn %d" % turn):
                    faults.append(response)

    def hostile():
        texts = [text for text, _ in REJECTED.values()] + [CHUNKED + chunks for chunks in BAD_CHUNKS.values()]
        while not is_over.is_set():
            for text in texts:
                try:
                    with router.client() as client:
                        client.send(text)
                        client.reset() if len(text) % 3 == 0 else client.half_close()
                except (OSError, Disconnected):
                    pass

    others = [threading.Thread(target=hostile) for _ in range(2)]
    threads = [threading.Thread(target=ordinary) for _ in range(6)]
    for thread in others + threads:
        thread.start()
    for thread in threads:
        thread.join()
    is_over.set()
    for thread in others:
        thread.join()
    assert faults == []
    assert len(router.worker_pids()) == router.workers_wanted, "no worker died"
