"""Every row of the table "Every failure has a code": a backend or client that fails exactly so, over plain and TLS on
both sides, and what is said of it: status, Proxy-Status, X-Cf-RouterError, body, access log, component log."""
import os
import re
import resource
import signal
import socket
import threading
import time
from collections import namedtuple

import pytest

from harness import backend as answers
from harness import wait_until
from harness.client import Disconnected
from harness.tls import server_context

HOST = "app.example"
README = os.path.join(os.path.dirname(__file__), "../../README.md")

SETTINGS = {
    "proxy": {"proxy_status": True, "response_timeout": "500ms", "body_timeout": "500ms", "endpoint_timeout": "1500ms",
              "max_request_headers": 50, "max_response_headers": 100, "header_timeout": "5s"},
    "upstream": {"connect_timeout": "400ms", "head_limit": "64K", "line_limit": "32K",
                 "tls": {"handshake_timeout": "400ms"}},
    "balancer": {"max_conns": 2},
    "retry": {"attempts": 1},
    "access_log": {"extra_access_log_fields": ("failure_code",)},
}

FAILED, CANCELLED = "backend-endpoint-failed", "gateway-error-and-original-request-context-cancelled"
BAD_GATEWAY = "502 Bad Gateway: Registered endpoint failed to handle the request."
DEADLINE = "(context deadline exceeded)"

# told: what X-Cf-RouterError is, or for endpoint failures what its parentheses hold; event: in the component log
Row = namedtuple("Row", "status error told event body", defaults=[FAILED, BAD_GATEWAY])
ROWS = {
    "UF:connect_failed": Row(502, "connection_refused", "(dial tcp 127.0.0.1:"),
    "UF:connect_timeout": Row(502, "connection_timeout", ": i/o timeout)"),
    "DF:resolve_failed": Row(502, "dns_error", "(dial tcp: lookup no such name.invalid"),
    "LR:local_fault": Row(502, "proxy_internal_error", "socket: too many open files)"),
    "UF:tls_not_tls": Row(525, "tls_protocol_error", "(tls: first record does not look like a TLS handshake)",
                          body="525 SSL Handshake Failed"),
    "UF:tls_wrong_name": Row(503, "tls_certificate_error", "x509: certificate is valid for other, not instance-1)",
                             body="503 Service Unavailable"),
    "UF:tls_untrusted": Row(526, "tls_certificate_error", "x509: certificate signed by unknown authority)",
                            body="526 Invalid SSL Certificate"),
    "UF:tls_expired": Row(526, "tls_certificate_error", "x509: certificate has expired or is not yet valid",
                          body="526 Invalid SSL Certificate"),
    "UF:tls_our_certificate_refused": Row(496, "tls_alert_received", "(remote error: tls: certificate required)",
                                          body="496 SSL Certificate Required"),
    "UF:tls_handshake_failed": Row(525, "tls_alert_received", "(remote error: tls: handshake failure)",
                                   body="525 SSL Handshake Failed"),
    "UF:tls_timeout": Row(502, "connection_timeout", "(net/http: TLS handshake timeout)"),
    "UF:tls_reset": Row(502, "connection_terminated", "read: connection reset by peer)"),
    "UC:stale_connection": Row(502, "connection_terminated", "(http: server closed idle connection)"),
    "UC:reset_before_response": Row(502, "connection_terminated", "read: connection reset by peer)"),
    "UC:closed_before_response": Row(502, "connection_terminated", "(EOF)"),
    "UC:request_not_written": Row(502, "connection_terminated", "write: connection reset by peer)"),
    "UC:truncated_response_head": Row(502, "http_response_incomplete", "(unexpected EOF)"),
    "UPE:malformed_response": Row(502, "http_protocol_error", "malformed HTTP response"),
    "UPE:response_head_too_large": Row(502, "http_response_header_section_size",
                                       "net/http: server response headers exceeded 65536 bytes; aborted)"),
    "UPE:too_many_response_headers": Row(502, "http_response_header_section_size", "(Too many response headers)",
                                         "backend-too-many-response-headers"),
    "UPE:upgrade_refused": Row(502, "http_upgrade_failed", None, body=""),
    "UT:per_try_timeout": Row(502, "http_response_timeout", DEADLINE),
    "UT:response_timeout": Row(502, "http_response_timeout", DEADLINE),
    "UT:total_timeout": Row(502, "http_response_timeout", DEADLINE),
    "UC:truncated_response_body": Row(502, "http_response_incomplete", "(unexpected EOF)"),
    "UPE:malformed_response_body": Row(502, "http_response_transfer_coding", ""),
    "SI:idle_timeout": Row(502, "connection_read_timeout", DEADLINE),
    "DPE:malformed_request": Row(400, "http_request_error", None, None, None),
    "DPE:malformed_request_body": Row(502, "http_request_error", "("),
    "DC:client_disconnected": Row(499, "http_request_error", "(context canceled)", CANCELLED),
    "SI:client_timeout": Row(408, "http_request_error", "(context canceled)", CANCELLED, "408 Request Timeout"),
    "DPE:empty_host": Row(400, "http_request_error", "empty_host", "status",
                          "400 Bad Request: Request had empty Host header"),
    "DPE:request_head_too_large": Row(431, "http_request_denied", "max-request-size-exceeded", None, ""),
    "NR:unknown_route": Row(404, "destination_not_found", "unknown_route", None,
                            "404 Not Found: Requested route ('nobody.example') does not exist."),
    "UH:no_endpoints": Row(503, "destination_unavailable", "no_endpoints", "status",
                           "503 Service Unavailable: Requested route ('app.example') has no available endpoints."),
    "UO:connection_limit": Row(503, "connection_limit_reached", "Connection Limit Reached", "status",
                               "503 Service Unavailable: Requested route ('app.example') has reached the connection "
                               "limit."),
    "LR:drained": Row(503, "proxy_internal_error", "(context canceled)", CANCELLED, "503 Service Unavailable"),
    "OM:worker_overloaded": Row(503, "proxy_internal_error", "(worker_overloaded)", body="503 Service Unavailable"),
}
# No test can bring these about: the first needs HTTP/2, the second a race of two processes within a microsecond.
OF_STICKY = {"UH:no_endpoint_left", "DPE:bad_app_instance", "DPE:bad_process_instance", "NR:no_instance"}
# HTTP/2; test_persistence.py; test_sticky.py
NOT_HERE = {"UR:stream_refused", "NR:registry_untrusted", *OF_STICKY}
LEVELS = {FAILED: 3, CANCELLED: 3, "backend-too-many-response-headers": 3, "status": 1}


def test_every_row_that_operators_read_is_one_of_these():
    with open(README) as file:
        found = re.findall(r"^\| `([A-Z]+:\w+)` \| (\d+) \| (\w+) \| `(.*?)` \|", file.read(), re.M)
    read = {code: (int(status), error) for code, status, error, _ in found}
    assert {code: read[code] for code in ROWS} == {code: (row.status, row.error) for code, row in ROWS.items()}
    assert set(read) - set(ROWS) == NOT_HERE
    told = {code: router_error for code, _, _, router_error in found}
    for code, row in ROWS.items():
        if not told[code].startswith("endpoint_failure"):
            assert told[code] == (row.told or "-"), code


def expect_log(router, code, error=None):
    row = ROWS[code]
    if not row.event:
        return None
    line = router.wait_for_log(row.event, code=code)
    assert line["log_level"] == LEVELS[row.event] and line["source"] == "vcap.gorouter", line
    if error is not None and row.event != "status":
        assert line["data"]["error"] == error, line
    return line


def expect_row(router, response, code):
    """The client was told so, and both logs say the same."""
    row, told = ROWS[code], response.header("x-cf-routererror")
    assert response.status == row.status, (code, response)
    assert response.header("proxy-status") == f'wye; error={row.error}; details="{code}"', response
    error = None
    if row.event in (None, "status") or row.told is None:
        assert told == row.told, response
    else:
        assert told.startswith("endpoint_failure (") and row.told in told[len("endpoint_failure "):], response
        error = told[len("endpoint_failure ("):-1]
    if row.body is not None:
        assert response.text == (row.body + "\n" if row.body else ""), response
    expect_log(router, code, error)
    router.wait_for_access_line(f" {row.status} ", f'failure_code:"{code}"',
                                'x_cf_routererror:"%s"' % (told or "-").replace('"', '\\"'))


def expect_cut(router, sides, code, method="GET"):
    """The client has the begin of an answer, and no end; the logs say why."""
    with sides.client(router) as client:
        client.send_head(method, "/", [("Host", HOST)])
        response = client.read_head()
        with pytest.raises((Disconnected, OSError)):
            client.read_body(response)
        assert response.status == 200 and response.body.startswith(b"half")
    expect_log(router, code)
    router.wait_for_access_line('HTTP/1.1" 200 ', f'failure_code:"{code}"')


def serve(sides, answer, **options):
    router = sides.router(worker=SETTINGS, registrar={"empty_pool_timeout": "1m"})
    backend = sides.backend(answer, **options)
    sides.register(router, HOST, backend)
    return router, backend


def post(sides, router, body=b"x"):
    with sides.client(router) as client:
        return client.request("POST", "/", HOST, body=body)


def sends(data, then="close"):
    def answer(exchange, request):
        exchange.send(data)
        getattr(exchange, then)()
    return answer


# --- the endpoint, before its answer

HEAD = b"HTTP/1.1 200 OK\r\n"

BEFORE_THE_ANSWER = {
    "UC:reset_before_response": answers.reset_without_answer,
    "UC:closed_before_response": answers.close_without_answer,
    "UC:truncated_response_head": sends(HEAD + b"Content-Le"),
    "UPE:malformed_response": sends(b"220 mail ready\r\n\r\n"),
    "UPE:response_head_too_large": sends(HEAD + b"X: y\r\n" * 20000 + b"\r\n"),
    "UPE:too_many_response_headers": sends(HEAD + b"X: y\r\n" * 101 + b"\r\n"),
    "UPE:upgrade_refused": sends(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "UT:response_timeout": answers.stall,
}


@pytest.mark.parametrize("code", BEFORE_THE_ANSWER)
def test_a_backend_that_fails_before_its_answer(sides, code):
    router, _ = serve(sides, BEFORE_THE_ANSWER[code])
    with sides.client(router) as client:
        expect_row(router, client.request("POST", "/", HOST, body=b"x"), code)
        assert client.get("nobody.example").status == 404, "the client's connection is still good"


@pytest.mark.parametrize("code, change", [("UT:per_try_timeout", {"retry": {"per_try_timeout": "300ms"}}),
                                          ("UT:total_timeout", {"proxy": {"endpoint_timeout": "300ms"}})])
def test_a_backend_that_takes_too_long(sides, code, change):
    router, _ = serve(sides, answers.stall)
    router.write_config(worker=change)
    router.wait_gone(router.reload())
    expect_row(router, post(sides, router), code)


def test_a_backend_that_resets_before_it_has_the_whole_request(sides):
    code = "UC:request_not_written"
    router, backend = serve(sides, answers.reset_without_answer, read_body=False)
    with sides.client(router) as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", "100")])
        client.send(b"not all")
        expect_row(router, client.response(), code)
    assert not router.log_lines("endpoint-marked-as-ineligible"), "it may just not have wanted the body"


def test_a_kept_connection_that_breaks_over_a_post(sides):
    def second_breaks(exchange, request):
        (answers.ok if len(exchange.backend.requests) == 1 else answers.reset_without_answer)(exchange, request)

    router = sides.router(worker=SETTINGS, master={"workers": 1})
    backend = sides.backend(second_breaks)
    sides.register(router, HOST, backend)
    assert sides.get(router, HOST).status == 200
    expect_row(router, post(sides, router), "UC:stale_connection")
    assert len(backend.requests) == 2, "it may have been acted upon, so it is not sent again"


# --- the endpoint, before a connection

def test_an_endpoint_that_refuses(sides):
    router, backend = serve(sides, answers.ok)
    backend.refuse()
    expect_row(router, sides.get(router, HOST), "UF:connect_failed")


def test_an_endpoint_that_does_not_answer_to_a_connect(sides):
    router, full = sides.router(worker=SETTINGS), socket.create_server(("127.0.0.1", 0), backlog=0)
    callers = []
    for _ in range(4):                        # until its queue takes no more
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex(full.getsockname())
        callers.append(caller)
    sides.register(router, HOST, full.getsockname())
    expect_row(router, sides.get(router, HOST), "UF:connect_timeout")
    for each in [*callers, full]:
        each.close()


def test_a_name_without_address(sides):
    router = sides.router(worker=SETTINGS)
    router.bus.register(HOST, 1, **sides.fields(1, host="no such name.invalid"))
    wait_until(lambda: sides.get(router, HOST).status != 404, "it is registered")
    expect_row(router, sides.get(router, HOST), "DF:resolve_failed")


def test_a_worker_without_descriptors_blames_no_endpoint(sides):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))   # inherited
    try:
        router = sides.router(worker=SETTINGS, master={"workers": 1, "open_files": 0})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    sides.register(router, HOST, sides.backend(lambda x, r: x.respond(body=b"ok", framing="close")))
    clients = []
    for _ in range(64):                       # one of them takes the last descriptor
        clients.append(sides.client(router, timeout_s=2))
        response = clients[-1].get(HOST)
        if response.status != 200:
            break
    expect_row(router, response, "LR:local_fault")
    for client in clients:
        client.close()
    wait_until(lambda: sides.get(router, HOST).status == 200, "it goes on")
    assert not router.log_lines("endpoint-marked-as-ineligible")


HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"


def bad_tls(code, authority, stranger):
    """How a backend is made that fails in the handshake."""
    if code == "UF:tls_wrong_name":
        return {"tls": server_context(authority.issue("other"))}
    if code == "UF:tls_untrusted":
        return {"tls": server_context(stranger.issue("instance-1"))}
    if code == "UF:tls_expired":
        return {"tls": server_context(authority.issue("instance-1", days=-1))}
    if code == "UF:tls_our_certificate_refused":
        return {"tls": server_context(authority.issue("instance-1"), stranger)}
    return {"tls": None, "on_connect": {
        "UF:tls_not_tls": lambda exchange: exchange.send(b"HTTP/1.0 400 no\r\n\r\n"),
        "UF:tls_handshake_failed": lambda exchange: exchange.send(HANDSHAKE_FAILURE),
        "UF:tls_timeout": lambda exchange: exchange.stall(),
        "UF:tls_reset": lambda exchange: (exchange.socket.recv(1), exchange.reset()),
    }[code]}


@pytest.mark.parametrize("sides", [("plain", "tls"), ("tls", "tls")], ids="-".join, indirect=True)
@pytest.mark.parametrize("code", [code for code in ROWS if ":tls_" in code])
def test_an_endpoint_that_fails_in_the_handshake(sides, stranger, code):
    router, backend = serve(sides, answers.ok, **bad_tls(code, sides.authority, stranger))
    expect_row(router, sides.get(router, HOST), code)
    assert not backend.requests, "nothing was said to it"
    if code != "UF:tls_our_certificate_refused":          # TLS 1.3 says it after the handshake
        assert router.wait_for_log(FAILED)["data"]["got-connection"] is False


# --- the endpoint, inside its answer

# what the backend sends, and between the parts a pause
INSIDE_THE_BODY = {
    "UC:truncated_response_body": [HEAD + b"Content-Length: 9\r\n\r\nhalf", "close"],
    "UPE:malformed_response_body": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"zz\r\n"],
    "SI:idle_timeout": [HEAD + b"Content-Length: 9\r\n\r\nhalf", "stall"],
    "UT:total_timeout": [HEAD + b"Content-Length: 99\r\n\r\nhalf"] + [b"."] * 25,
}


@pytest.mark.parametrize("code", INSIDE_THE_BODY)
def test_a_backend_that_fails_inside_its_body(sides, code):
    def answer(exchange, request):
        for part in INSIDE_THE_BODY[code]:
            if isinstance(part, str):
                getattr(exchange, part)()
            else:
                exchange.send(part)
                time.sleep(0.1)

    router, _ = serve(sides, answer)
    expect_cut(router, sides, code)


# --- the client

def test_a_client_that_sends_no_http(sides):
    code = "DPE:malformed_request"
    router, _ = serve(sides, answers.echo)
    with sides.client(router) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\nbroken\r\n\r\n")
        expect_row(router, client.read_head(), code)


def test_a_client_that_sends_broken_chunks(sides):
    router, backend = serve(sides, answers.echo)
    with sides.client(router) as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked")])
        client.send(b"nonsense\r\n")
        expect_row(router, client.response(), "DPE:malformed_request_body")
    assert not router.log_lines("endpoint-marked-as-ineligible")


def test_a_client_that_leaves(sides):
    router, backend = serve(sides, answers.stall)
    client = sides.client(router)
    client.send_head("GET", "/left", [("Host", HOST)])
    wait_until(lambda: backend.requests, "the backend has it")
    client.reset()
    expect_log(router, "DC:client_disconnected", "context canceled")
    router.wait_for_access_line("/left HTTP/1.1", '" 499 ', 'failure_code:"DC:client_disconnected"')
    assert not router.log_lines(FAILED) and not router.log_lines("endpoint-marked-as-ineligible")


def test_a_client_that_stalls_inside_its_body(sides):
    router, backend = serve(sides, answers.echo)
    with sides.client(router) as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", "10")])
        client.send(b"half")
        response = client.response()
        expect_row(router, response, "SI:client_timeout")
        assert response.header("connection") == "close" and client.is_closed()
    assert not router.log_lines(FAILED) and not router.log_lines("endpoint-marked-as-ineligible")


def test_a_client_that_does_not_take_its_answer(sides):
    size = 64 << 20

    def big(exchange, request):
        exchange.send(HEAD + b"Content-Length: %d\r\n\r\nhalf" % size)
        exchange.send(bytes(size))

    router, _ = serve(sides, big)
    with sides.client(router) as client:
        client.send_head("GET", "/", [("Host", HOST)])
        expect_log(router, "SI:client_timeout", "context canceled")
        router.wait_for_access_line('HTTP/1.1" 200 ', 'failure_code:"SI:client_timeout"')
    assert not router.log_lines(FAILED)


# --- refusals

def test_a_request_without_host_or_route_or_with_too_many_fields(sides):
    router, _ = serve(sides, answers.ok)
    expect_row(router, sides.get(router, "nobody.example"), "NR:unknown_route")
    expect_row(router, sides.get(router, "127.0.0.1"), "DPE:empty_host")
    with sides.client(router) as client:
        expect_row(router, client.request("GET", "/", HOST, [(f"X-{i}", "y") for i in range(60)]),
                   "DPE:request_head_too_large")


def test_a_route_without_endpoints(sides):
    router, backend = serve(sides, answers.ok)
    router.bus.unregister(HOST, backend, **sides.fields(backend.port))
    wait_until(lambda: sides.get(router, HOST).status == 503, "it has no endpoint")
    expect_row(router, sides.get(router, HOST), "UH:no_endpoints")
    router.wait_for_log("select-endpoint-failed", host=HOST)


def test_a_route_whose_endpoints_are_busy(sides):
    entered, go_on = threading.Semaphore(0), threading.Event()

    def hold(exchange, request):
        entered.release()
        go_on.wait(10)
        answers.ok(exchange, request)

    router, _ = serve(sides, hold)
    router.write_config(worker={"proxy": {"response_timeout": "10s", "endpoint_timeout": "10s"}})
    router.wait_gone(router.reload())
    clients = [sides.client(router) for _ in range(2)]
    for client in clients:
        client.send_head("GET", "/", [("Host", HOST)])
        assert entered.acquire(timeout=5)
    expect_row(router, sides.get(router, HOST), "UO:connection_limit")
    assert router.wait_for_log("connection-limit-reached")["log_level"] == 1
    go_on.set()
    for client in clients:
        assert client.response().status == 200
        client.close()


# --- the router itself

def test_what_a_drain_ends_before_its_answer(sides):
    router = sides.router(worker={**SETTINGS, "proxy": {"proxy_status": True}}, master={"drain_timeout": "300ms"})
    backend = sides.backend(answers.stall)
    sides.register(router, HOST, backend)
    with sides.client(router) as client:
        client.send_head("GET", "/", [("Host", HOST)])
        wait_until(lambda: backend.requests, "the backend has it")
        router.signal(signal.SIGUSR1)
        response = client.response()
        assert response.header("connection") == "close" and client.is_closed()
        router.wait_exit()
        expect_row(router, response, "LR:drained")


def test_what_a_drain_ends_inside_its_answer(sides):
    def answer(exchange, request):
        exchange.send(HEAD + b"Content-Length: 9\r\n\r\nhalf")
        router.signal(signal.SIGUSR1)
        exchange.stall()

    router = sides.router(worker={**SETTINGS, "proxy": {"proxy_status": True}}, master={"drain_timeout": "300ms"})
    sides.register(router, HOST, sides.backend(answer))
    expect_cut(router, sides, "LR:drained")


def test_a_worker_whose_buffers_are_taken(sides):
    code = "OM:worker_overloaded"
    router = sides.router(worker={**SETTINGS, "proxy": {"proxy_status": True, "buffer_limit": "1M"}},
                          master={"workers": 1})
    sides.register(router, HOST, sides.backend(answers.echo))
    holders, request = [], b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n\r\nbody"
    for _ in range(70):                       # each holds a buffer with the begin of a head
        with sides.client(router) as client:
            client.send(request)
            response = client.response()
        if response.status != 200:
            break
        holders.append(sides.client(router))
        holders[-1].send(b"GET / HTTP/1.1\r\nHost: app")
        time.sleep(0.005)
    expect_row(router, response, code)
    assert not router.log_lines("endpoint-marked-as-ineligible")
    refused = None
    while not refused and len(holders) < 100:     # until not even the begin of a head finds room
        holders.append(sides.client(router))
        holders[-1].socket.settimeout(0.2)
        holders[-1].send(b"GET / HTTP/1.1\r\nHost: app")
        try:
            refused = holders[-1].response()
        except socket.timeout:
            continue
    assert (refused.status, refused.header("proxy-status"), refused.header("x-cf-routererror")) == (
        503, f'wye; error=proxy_internal_error; details="{code}"', "endpoint_failure (worker_overloaded)")
    router.wait_for_access_line(' - [', '] "-" 503 0 ', f'failure_code:"{code}"')
    for holder in holders:
        holder.close()
    wait_until(lambda: post(sides, router).status == 200, "it goes on")
