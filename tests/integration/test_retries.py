"""Every failure by name, with a backend or client that fails exactly so; what is tried again, and what never."""
import json
import os
import re
import resource
import selectors
import socket
import threading
import time

import pytest

from harness import backend as answers
from harness import wait_until
from harness.backend import _ProgramBackend
from harness.client import Disconnected

HOST = "app.example"
README = os.path.join(os.path.dirname(__file__), "../../README.md")

# Client's side x endpoint's side; a TLS layer adds its own makers here.
SIDES = [("plain", "plain")]

SETTINGS = {
    "proxy": {"proxy_status": True, "response_timeout": "500ms", "body_timeout": "500ms", "endpoint_timeout": "3s",
              "max_request_headers": 50, "header_timeout": "1s"},
    "upstream": {"connect_timeout": "400ms", "head_limit": "64K", "line_limit": "32K"},
    "balancer": {"max_conns": 2},
    "retry": {"attempts": 1},
}


@pytest.fixture(params=SIDES, ids=lambda sides: "-".join(sides))
def sides(request):
    return request.param


def rows_of_readme():
    """code -> (status, RFC 9209 error, X-Cf-RouterError) of the table that operators read."""
    with open(README) as file:
        found = re.findall(r"^\| `([A-Z]+:\w+)` \| (\d+) \| (\w+) \| `(.*?)` \|", file.read(), re.M)
    return {code: (int(status), error, router_error) for code, status, error, router_error in found}


ROWS = rows_of_readme()


def expect_row(response, code, text=""):
    status, error, router_error = ROWS[code]
    assert response.status == status, (code, response)
    assert response.header("proxy-status") == f'wye; error={error}; details="{code}"', response
    told = response.header("x-cf-routererror")
    if router_error == "-":
        assert told is None, response
    elif router_error.startswith("endpoint_failure"):
        assert told.startswith("endpoint_failure (") and text in told, response
    else:
        assert told == router_error, response


def sends(data, then="close"):
    def answer(exchange, request):
        exchange.send(data)
        getattr(exchange, then)()
    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"

# code: how the backend fails before the client has an answer, and the words that operators know
BEFORE_THE_ANSWER = {
    "UC:reset_before_response": (answers.reset_without_answer, "read: connection reset by peer"),
    "UC:closed_before_response": (answers.close_without_answer, "(EOF)"),
    "UC:truncated_response_head": (sends(HEAD + b"Content-Le"), "unexpected EOF"),
    "UPE:malformed_response": (sends(b"220 mail ready\r\n\r\n"), "malformed HTTP response"),
    "UPE:response_head_too_large": (sends(HEAD + b"X: y\r\n" * 20000 + b"\r\n"), "response headers exceeded"),
    "UPE:upgrade_refused": (sends(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), ""),
    "UT:response_timeout": (answers.stall, "context deadline exceeded"),
}


@pytest.mark.parametrize("code", BEFORE_THE_ANSWER)
def test_a_backend_that_fails_before_its_answer_gives_its_row(make_router, make_backend, sides, code):
    answer, words = BEFORE_THE_ANSWER[code]
    router = make_router(worker=SETTINGS)
    router.register(HOST, make_backend(answer))
    with router.client() as client:
        expect_row(client.request("POST", "/", HOST, body=b"x"), code, words)
    if code != "UPE:upgrade_refused":
        router.wait_for_log("backend-endpoint-failed", code=code)


def test_an_endpoint_that_cannot_be_reached_gives_its_row(make_router, make_backend, sides):
    router = make_router(worker=SETTINGS)
    dead, full = make_backend(), socket.create_server(("127.0.0.1", 0), backlog=0)
    router.register("dead.example", dead)
    dead.refuse()
    expect_row(router.get("dead.example"), "UF:connect_failed", "connect: connection refused")
    callers = []
    for _ in range(4):                        # until its queue takes no more
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex(full.getsockname())
        callers.append(caller)
    router.bus.register("full.example", dead, port=full.getsockname()[1])
    wait_until(lambda: router.get("full.example").status != 404, "it is registered")
    expect_row(router.get("full.example"), "UF:connect_timeout", "i/o timeout")
    for caller in [*callers, full]:
        caller.close()


def test_a_name_without_address_gives_its_row(make_router, make_backend, sides):
    router = make_router(worker=SETTINGS)
    router.bus.register(HOST, make_backend(), host="no such name.invalid")
    wait_until(lambda: router.get(HOST).status != 404, "it is registered")
    expect_row(router.get(HOST), "DF:resolve_failed", "dial tcp: lookup no such name.invalid")


def test_a_worker_without_descriptors_blames_no_endpoint(make_router, make_backend, sides):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))   # inherited
    try:
        router = make_router(worker=SETTINGS, master={"workers": 1, "open_files": 0})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    router.register(HOST, make_backend(lambda x, r: x.respond(body=b"ok", framing="close")))
    clients = []
    for _ in range(64):                       # one of them takes the last descriptor
        clients.append(router.client(timeout_s=2))
        response = clients[-1].get(HOST)
        if response.status != 200:
            break
    expect_row(response, "LR:local_fault", "socket: too many open files")
    for client in clients:
        client.close()
    wait_until(lambda: router.get(HOST).status == 200, "it goes on")
    assert not router.log_lines("endpoint-marked-as-ineligible")


def test_a_try_that_takes_too_long_gives_its_row(make_router, make_backend, sides):
    router = make_router(worker={"proxy": {"proxy_status": True}, "retry": {"per_try_timeout": "300ms"}})
    router.register(HOST, make_backend(answers.stall))
    with router.client() as client:
        expect_row(client.request("POST", "/", HOST, body=b"x"), "UT:per_try_timeout", "context deadline exceeded")


def test_a_kept_connection_that_breaks_over_a_post_gives_its_row(make_router, make_backend, sides):
    def second_breaks(exchange, request):
        if len(exchange.backend.requests) == 1:
            answers.ok(exchange, request)
        else:
            exchange.reset()

    router = make_router(worker=SETTINGS, master={"workers": 1})
    backend = make_backend(second_breaks)
    router.register(HOST, backend)
    assert router.get(HOST).status == 200
    with router.client() as client:
        expect_row(client.request("POST", "/", HOST, body=b"x"), "UC:stale_connection", "server closed idle connection")
    assert len(backend.requests) == 2, "it may have been acted upon, so it is not sent again"


# code: (what the backend sends before and after a pause, how long it is)
INSIDE_THE_BODY = {
    "UC:truncated_response_body": [HEAD + b"Content-Length: 9\r\n\r\nhalf", "close"],
    "UPE:malformed_response_body": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"zz\r\n"],
    "SI:idle_timeout": [HEAD + b"Content-Length: 9\r\n\r\nhalf", "stall"],
    "UT:total_timeout": [HEAD + b"Content-Length: 99\r\n\r\nhalf"] + [b"."] * 40,
}


@pytest.mark.parametrize("code", INSIDE_THE_BODY)
def test_a_backend_that_fails_inside_its_body_is_logged_and_the_client_cut(make_router, make_backend, sides, code):
    def answer(exchange, request):
        for part in INSIDE_THE_BODY[code]:
            if isinstance(part, str):
                getattr(exchange, part)()
            else:
                exchange.send(part)
                time.sleep(0.1)

    router = make_router(worker=SETTINGS)
    router.register(HOST, make_backend(answer))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        response = client.read_head()
        with pytest.raises(Disconnected):
            client.read_body(response)
        assert response.status == 200 and response.body.startswith(b"half")
    router.wait_for_log("backend-endpoint-failed", code=code)


def test_what_the_router_refuses_gives_its_row(make_router, make_backend, sides):
    router = make_router(worker=SETTINGS, registrar={"empty_pool_timeout": "1m"})
    entered, go_on = threading.Semaphore(0), threading.Event()

    def hold(exchange, request):
        entered.release()
        go_on.wait(10)
        answers.ok(exchange, request)

    busy, gone = make_backend(hold), make_backend()
    router.register(HOST, busy)
    router.register("empty.example", gone)
    router.bus.unregister("empty.example", gone)
    wait_until(lambda: router.get("empty.example").status == 503, "it has no endpoint")
    expect_row(router.get("empty.example"), "UH:no_endpoints")
    expect_row(router.get("nobody.example"), "NR:unknown_route")
    expect_row(router.get("127.0.0.1"), "DPE:empty_host")
    with router.client() as client:
        expect_row(client.request("GET", "/", HOST, [(f"X-{i}", "y") for i in range(60)]),
                   "DPE:request_head_too_large")
        clients = [router.client() for _ in range(2)]
        for each in clients:
            each.send_head("GET", "/", [("Host", HOST)])
            assert entered.acquire(timeout=5)
        expect_row(client.get(HOST), "UO:connection_limit")
        go_on.set()
        for each in clients:
            each.close()


def test_a_client_that_sends_nonsense_gives_its_row(make_router, make_backend, sides):
    router = make_router(worker=SETTINGS)
    router.register(HOST, make_backend(answers.echo))
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\nbroken\r\n\r\n")
        response = client.read_head()
        assert response.status == 400
        assert response.header("proxy-status").endswith('details="DPE:malformed_request"')
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked")])
        client.send(b"nonsense\r\n")
        expect_row(client.read_head(), "DPE:malformed_request_body")


def test_a_client_that_leaves_is_no_fault_of_the_endpoint(make_router, make_backend, sides):
    router = make_router(worker=SETTINGS)
    backend = make_backend(answers.stall)
    router.register(HOST, backend)
    client = router.client()
    client.send_head("GET", "/left", [("Host", HOST)])
    wait_until(lambda: backend.requests, "the backend has it")
    client.reset()
    router.wait_for_access_line("/left HTTP/1.1", '" 499 ')
    assert not router.log_lines("backend-endpoint-failed")
    assert not router.log_lines("endpoint-marked-as-ineligible")


def test_texts_for_clients_are_printable_and_can_be_short(make_router, make_backend):
    router = make_router(worker={"proxy": {"short_router_errors": True}})
    router.register(HOST, make_backend(sends(b"HTTP/1.1 200 a\x01\xff\r\nx\x02y\r\n\r\n")))
    dead = make_backend()
    router.register("dead.example", dead)
    dead.refuse()
    assert router.get("dead.example").header("x-cf-routererror") == "endpoint_failure (connect_failed)"
    told = router.get(HOST).header("x-cf-routererror")
    assert told == "endpoint_failure (malformed_response)"
    router.write_config(worker={"proxy": {"short_router_errors": False}})
    router.reload()

    def long_text():
        text = router.get(HOST).header("x-cf-routererror")
        return text if text and "malformed MIME" in text else None

    told = wait_until(long_text, "the long text is back")
    assert all(" " <= c <= "~" for c in told), told


# --- what is tried again

RETRIED = {
    "connect-failure": ("refuse", "connect-failure"),
    "5xx includes it": ("refuse", "5xx"),
    "reset": (answers.reset_without_answer, "reset"),
    "gateway-error": (lambda x, r: x.respond(503, b"busy", reason="Busy"), "gateway-error"),
    "5xx": (lambda x, r: x.respond(500, b"oops", reason="Oops"), "5xx"),
    "retriable-status-codes": (lambda x, r: x.respond(429, b"slow", reason="Slow"), "retriable-status-codes"),
}


@pytest.mark.parametrize("name", RETRIED)
def test_what_operators_allow_is_tried_on_another_endpoint(make_router, make_backend, sides, name):
    how, on = RETRIED[name]
    router = make_router(worker={"retry": {"on": on, "retriable_status_codes": "429"},
                                 "balancer": {"failed_time": "0s"}})
    bad, good = make_backend(answers.ok if how == "refuse" else how), make_backend(name="good")
    for backend in (bad, good):
        router.register(HOST, backend)
    if how == "refuse":
        bad.refuse()
    for _ in range(6):
        assert router.get(HOST).body == b"good"


@pytest.mark.parametrize("how", ["refuse", "reset", "500"])
def test_what_operators_do_not_allow_is_not(make_router, make_backend, sides, how):
    bad_answer = answers.reset_without_answer if how == "reset" else lambda x, r: x.respond(500, b"oops")
    router = make_router(worker={"retry": {"on": "retriable-status-codes"}, "balancer": {"failed_time": "0s"}})
    bad, good = make_backend(bad_answer), make_backend(name="good")
    for backend in (bad, good):
        router.register(HOST, backend)
    if how == "refuse":
        bad.refuse()
    assert sorted({router.get(HOST).status for _ in range(6)}) == [200, 500 if how == "500" else 502]


def test_a_post_is_never_acted_upon_twice_unless_operators_say_so(make_router, make_backend, sides):
    busy = make_backend(lambda x, r: x.respond(503, b"busy"))
    good = make_backend(answers.echo)
    router = make_router(worker={"retry": {"on": "5xx,reset"}})
    for backend in (busy, good):
        router.register(HOST, backend)

    def statuses(headers=()):
        with router.client() as client:
            return sorted({client.request("POST", "/", HOST, headers, body=b"one").status for _ in range(6)})

    assert statuses() == [200, 503]
    assert statuses([("Idempotency-Key", "k")]) == [200]
    router.write_config(worker={"retry": {"non_idempotent": True}})
    router.reload()
    wait_until(lambda: statuses() == [200], "the new workers try posts again")
    assert {request.body for request in good.requests} == {b"one"}, "whole, or not at all"


def test_a_try_that_takes_too_long_is_made_elsewhere(make_router, make_backend, sides):
    router = make_router(worker={"retry": {"per_try_timeout": "300ms"}})
    for backend in (make_backend(answers.stall), make_backend(name="good")):
        router.register(HOST, backend)
    began = time.monotonic()
    assert [router.get(HOST).body for _ in range(4)] == [b"good"] * 4
    assert time.monotonic() - began < 5


def test_retries_stay_within_their_share(make_router, make_backend, sides):
    """All endpoints fail: the load on them grows by a fifth or by the few that are always allowed, not threefold."""
    def fail(exchange, request):
        time.sleep(0.05)
        exchange.respond(503, b"busy")

    backends = [make_backend(fail) for _ in range(4)]
    router = make_router(master={"workers": 1},
                         worker={"retry": {"on": "5xx", "attempts": 4, "min_retry_concurrency": 1}})
    for backend in backends:
        router.register(HOST, backend)

    def one():
        with router.client() as client:
            for _ in range(10):
                assert client.get(HOST).status == 503

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attempts = sum(len(backend.requests) for backend in backends)
    assert 200 < attempts < 400, attempts     # 4 of 20 in flight, each up to three times more


# --- what becomes of endpoints that fail

def dead_address(make_backend, host="127.0.0.1"):
    """An address where nobody listens."""
    backend = make_backend()
    backend.refuse()
    return host, backend.port


def endpoints_of(router, key=HOST):
    return len(router.table.routes().get(key, []))


def test_a_dead_endpoint_with_tls_leaves_but_never_the_last_one(make_router, make_backend):
    router = make_router(registrar={"minimum_register_interval": "1s", "prune_interval": "500ms"})
    for _ in range(3):
        address = dead_address(make_backend)
        router.register(HOST, address, tls_port=address[1], app="app")
    assert router.get(HOST).status == 502
    wait_until(lambda: endpoints_of(router) == 1, "all but the last one leave", 10)
    for _ in range(3):
        assert router.get(HOST).status == 502, "it is known, and does not answer"
    router.wait_for_log("prune-failed-endpoint")
    time.sleep(2.5)
    assert endpoints_of(router) == 1
    assert router.table.counter("routes_pruned") == 2


def test_a_dead_endpoint_without_tls_stays_and_is_avoided(make_router, make_backend):
    router = make_router()
    router.register(HOST, dead_address(make_backend))
    router.register(HOST, make_backend(name="good"))
    assert [router.get(HOST).body for _ in range(4)] == [b"good"] * 4
    router.wait_for_log("endpoint-marked-as-ineligible")
    time.sleep(2.5)
    assert endpoints_of(router) == 2


def test_unrelated_endpoints_that_fail_alike_raise_an_alarm_and_stay(make_router, make_backend):
    router = make_router(registrar={"prune_alarm_apps": 3})
    for app in range(4):
        for instance in range(2):
            address = dead_address(make_backend, f"127.0.1.{app + 1}")
            router.register(f"{app}.example", address, tls_port=address[1], app=f"app-{app}")
    for app in range(4):
        assert router.get(f"{app}.example").status == 502
    line = router.wait_for_log("endpoints-fail-alike")
    assert line["log_level"] == 3
    time.sleep(2.5)
    assert [endpoints_of(router, f"{app}.example") for app in range(4)] == [2] * 4


# --- the keep-alive race, scaled: a counting backend that closes idle connections after IDLE_S

NODE = """
const seen = new Map();
const server = require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    if (request.url === '/twice')
      return response.end(JSON.stringify([seen.size, [...seen].filter(([, n]) => n > 1)]));
    const id = request.headers['x-id'];
    seen.set(id, (seen.get(id) || 0) + 1);
    response.end('ok');
  });
});
server.keepAliveTimeout = 1000 * Number(process.env.IDLE_S);
if (process.env.SILENT) server.on('request', (_, response) => response.setHeader('Keep-Alive', 'max=1000'));
server.listen(Number(process.env.PORT), '127.0.0.1');
"""

PYTHON = """
import collections, http.server, json, os
SEEN = collections.Counter()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, timeout, wbufsize = 'HTTP/1.1', float(os.environ['IDLE_S']), -1

    def answer(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        body = b'ok'
        if self.path == '/twice':
            body = json.dumps([len(SEEN), [item for item in SEEN.items() if item[1] > 1]]).encode()
        else:
            SEEN[self.headers['X-Id']] += 1
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 512

Server(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
"""


class CountingNode(_ProgramBackend):
    def __init__(self, name=None):
        super().__init__(["node", "-e"], NODE, name)


class CountingPython(_ProgramBackend):
    def __init__(self, name=None):
        super().__init__(["/usr/bin/python3", "-c"], PYTHON, name)


def burst(clients, first_id):
    """One request on each connection at once, GET and POST in turn; the statuses that are not 200."""
    wrong, waiting = [], selectors.DefaultSelector()
    for i, client in enumerate(clients):
        head = f"Host: {HOST}\r\nX-Id: {first_id + i}\r\n"
        client.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: 4\r\n\r\nbody".encode() if i % 2 else
                       f"GET / HTTP/1.1\r\n{head}\r\n".encode())
        waiting.register(client, selectors.EVENT_READ, b"")
    while waiting.get_map():
        for key, _ in waiting.select(10) or pytest.fail("no answer"):
            data = key.data + key.fileobj.recv(65536)
            if b"\r\n\r\nok" in data or b"\r\n\r\n5" in data or data == key.data:
                waiting.unregister(key.fileobj)
                if not data.startswith(b"HTTP/1.1 200 "):
                    wrong.append(data)
            else:
                waiting.modify(key.fileobj, selectors.EVENT_READ, data)
    return wrong


@pytest.mark.parametrize("kind, idle_s, is_silent", [(CountingNode, 1, False), (CountingNode, 0.4, True),
                                                     (CountingPython, 0.4, True)],
                         ids=["node that tells its limit", "node", "python"])
def test_the_keep_alive_race_loses_nothing_and_doubles_nothing(make_router, make_backend, sides, monkeypatch,
                                                               kind, idle_s, is_silent):
    """WYE_RACE_REQUESTS=100000 for the long run."""
    wanted = int(os.environ.get("WYE_RACE_REQUESTS", "2000"))
    width = 100 if wanted < 10000 else 500
    monkeypatch.setenv("IDLE_S", str(idle_s))
    if is_silent:
        monkeypatch.setenv("SILENT", "1")
    router = make_router(log={"level": "info"}, worker={"balancer": {"max_conns": 0}})
    router.register(HOST, make_backend(kind=kind))
    clients = [socket.create_connection(("127.0.0.1", router.port)) for _ in range(width)]
    wrong = []
    for _ in range(2):                        # it is seen twice when the backend closes
        wrong += burst(clients, -width)
        time.sleep(1.5 * idle_s)
    for number in range(wanted // width):
        wrong += burst(clients, number * width)
        time.sleep(idle_s * (0.9 + 0.02 * (number % 11)))
    for client in clients:
        client.close()
    assert wrong == []
    seen, twice = json.loads(router.get(HOST, "/twice").body)
    assert seen == wanted + width
    assert {int(i) for i, _ in twice} <= set(range(-width, 0)), twice
