"""What Gorouter has been broken by, one test each: published vulnerabilities that Wye must not have."""
import re
import threading
import time

import pytest

from harness import backend as answers
from harness import wait_until

HOST = "app.example"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n"


@pytest.fixture
def backend(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend)
    return backend


def everything(router, data):
    """All answers to these bytes."""
    with router.client() as client:
        try:
            client.send(data)
            client.half_close()
        except OSError:
            pass
        return client.read_rest()


# --- CVE-2020-15586 and its kin: two readers that disagree where a request ends
#
# Go's server could be made to race on requests with "Expect: 100-continue"; the request that came out was
# another than the one that went in.  And whatever spelling of Transfer-Encoding one reader takes for
# chunked and the next does not, is a request smuggled.

SPELLINGS = [
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding:\x0cchunked", b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding\x00: chunked", b"Transfer_Encoding: chunked", b"\x0bTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"X: y\n\rTransfer-Encoding: chunked",
    b" Transfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: chun\r\n ked", b"Transfer-Encoding: ", b"TRANSFER-ENCODING: chunked",
    b"Transfer-Encoding: \xc7\x88chunked", b"Transfer-Encoding: chunked\t", b"Transfer-Encoding: chunked,",
]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("length", [None, 0, 4, 1000])
def test_no_spelling_of_transfer_encoding_smuggles_a_request(router, backend, length, version):
    framed = b"" if length is None else b"Content-Length: %d\r\n" % length
    for spelling in SPELLINGS:
        head = b"POST /outer HTTP/" + version + b"\r\nHost: app.example\r\n"
        for fields in (framed + spelling + b"\r\n", spelling + b"\r\n" + framed):
            before = len(backend.requests)
            everything(router, head + fields + b"\r\n" + b"0\r\n\r\n" + SMUGGLED)
            for request in backend.requests[before:]:
                codings = request.all("transfer-encoding")
                assert codings in ([], ["chunked"]), (spelling, request)
                assert len(request.all("content-length")) + len(codings) <= 1, (spelling, request)
            smuggled = [request for request in backend.requests[before:] if request.target == "/smuggled"]
            outer = [request for request in backend.requests[before:] if request.target == "/outer"]
            if smuggled:              # it is a request of its own only behind a whole one that we framed
                assert len(outer) == 1 and SMUGGLED not in outer[0].body, (spelling, backend.requests[before:])
                framing = outer[0].header("transfer-encoding") or int(outer[0].header("content-length") or 0)
                assert framing in ("chunked", len(outer[0].body)), (spelling, outer)


def test_an_expectation_is_not_confused_with_the_next_request(router, make_backend):
    """The race of CVE-2020-15586: the answer begins while the body that was expected is still being read."""
    def half(exchange, request):
        exchange.respond(body=request.target.encode())
        exchange.read_body(request)

    backend = make_backend(half, read_body=False)
    router.register(HOST, backend)
    faults = []

    def visit(number):
        try:
            with router.client() as client:
                for turn in range(10):
                    target = f"/{number}-{turn}"
                    client.send_head("POST", target, [("Host", HOST), ("Content-Length", 4),
                                                      ("Expect", "100-continue")])
                    client.send(b"GET ")          # does not wait; looks like a request
                    answer = client.response()
                    if answer.body != target.encode():
                        faults.append((target, answer))
                    if answer.header("connection") == "close":
                        return
        except Exception as fault:
            faults.append(fault)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert not faults, faults[:3]
    assert {request.method for request in backend.requests} == {"POST"}
    assert all(re.fullmatch(r"/\d-\d", request.target) for request in backend.requests)


# --- CVE-2023-34041: a client names in Connection what the app trusts, and the proxy takes it out

TRUSTED = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Client-Cert", "X-Request-Start", "B3", "X-B3",
           "X-B3-SpanID", "X-B3-TraceID", "X-Vcap-Request-Id", "X-CF-ApplicationID", "X-CF-InstanceID",
           "X-CF-InstanceIndex", "Host", "Content-Length"]


@pytest.mark.parametrize("spelling", ["{}", "close, {}", "keep-alive,{}", " ,{} , ,", "{}\r\nConnection: close"])
def test_a_client_cannot_abuse_connection_to_hide_what_apps_trust(router, backend, spelling):
    for name in TRUSTED:
        for written in (name, name.lower(), name.upper()):
            with router.client() as client:
                # as a proxy before us would have set it
                fields = [] if name in ("Host", "Content-Length") else [(name, "trusted")]
                client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 3), *fields,
                                               ("Connection", spelling.format(written))])
                client.send(b"abc")
                assert client.response().body == b"abc"
            request = backend.requests[-1]
            assert request.header(name), (written, request)
            assert request.header("connection") is None
    assert backend.requests[0].header("x-forwarded-for") == "trusted, 127.0.0.1"


def test_connection_options_cost_a_bounded_time(router, backend):
    """Each option is a walk over the fields: a client must not be able to ask for a million of them."""
    fields = b"".join(b"N%d: 1\r\n" % number for number in range(900))
    options = b", ".join(b"N%d" % number for number in range(90000))
    began = time.monotonic()
    answer = everything(router, b"GET / HTTP/1.1\r\nHost: app.example\r\n" + fields + b"Connection: " + options +
                        b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and time.monotonic() - began < 2


# --- CVE-2024-22279: inconsistent framing makes the router give up on itself or on its connections

BROKEN_FRAMING = {
    "body shorter than its length, then a reset": (b"Content-Length: 100\r\n\r\nshort", True),
    "body shorter than its length, then an end": (b"Content-Length: 100\r\n\r\nshort", False),
    "chunk shorter than its size": (b"Transfer-Encoding: chunked\r\n\r\n64\r\nshort", False),
    "chunk that is not one": (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", False),
    "no last chunk": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", True),
    "length and chunks": (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    "expectation without body": (b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", True),
    "trailers without end": (b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n", True),
}


@pytest.mark.parametrize("what", BROKEN_FRAMING)
def test_broken_framing_harms_nobody_else(router, make_backend, backend, what):
    """Early answers together with bodies that break: the workers, the app's route and its connections go on."""
    early = make_backend(lambda exchange, request: exchange.respond(body=b"early"), read_body=False)
    router.register("early.example", early)
    workers = router.worker_pids()
    fields, resets = BROKEN_FRAMING[what]
    for host in (HOST, "early.example"):
        for _ in range(30):
            client = router.client()
            client.send(b"POST / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n" + fields)
            if resets:
                client.reset()
            else:
                client.half_close()
                client.read_rest()
                client.close()
        with router.client() as client:
            for _ in range(5):
                assert client.request("POST", "/", HOST, body=b"whole").body == b"whole"
    assert router.worker_pids() == workers, "no worker died of it"
    for uri, kept in ((HOST, backend), ("early.example", early)):
        assert router.table.has(uri, kept.address)
    wait_until(lambda: router.table.counter("connections_open") <= 1, "no connection is left behind")


# --- CVE-2023-20882: clients that leave make the router remove healthy endpoints

def test_clients_that_leave_do_not_cost_a_healthy_app_its_endpoints(make_router, make_backend):
    router = make_router(worker={"balancer": {"failed_time": "1h"}})
    slow = [make_backend(lambda exchange, request: (time.sleep(0.05), exchange.respond(body=b"x" * 100000)))
            for _ in range(2)]
    for backend in slow:
        router.register(HOST, backend)

    def leave(number):
        client = router.client()
        if number % 4 == 0:           # before its answer
            client.send_head("GET", "/", [("Host", HOST)])
        elif number % 4 == 1:         # inside its body
            client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 100000)])
            client.send(b"x" * 1000)
        elif number % 4 == 2:         # inside its head
            client.send(b"GET / HTTP/1.1\r\nHost: app.ex")
        else:                         # inside the answer
            client.send_head("GET", "/", [("Host", HOST)])
            client.fill()
        client.reset() if number % 3 else client.close()

    for number in range(120):
        leave(number)
    router.wait_for_access_line('" 499 ')
    for backend in slow:
        assert router.table.has(HOST, backend.address), "still registered"
    before = [len(backend.requests) for backend in slow]
    for _ in range(8):
        assert router.get(HOST).status == 200
    assert all(len(backend.requests) > count for backend, count in zip(slow, before)), "none is passed over"
    assert not router.log_lines("prune-failed-endpoint") and not router.log_lines("endpoint-marked-as-ineligible")


# --- without a number: what took whole Gorouters down, or let a tenant past them (spec proxy 19.1, 19.5, 19.10)

def test_interim_answers_racing_with_a_broken_body_kill_nobody(router, make_backend, backend):
    """The recipe that ended a Gorouter within 1.4 s: five 103 of 400 fields each, and a bad first chunk."""
    fields = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(400))
    hints = (b"HTTP/1.1 103 Early Hints\r\n" + fields + b"\r\n") * 5
    hostile = make_backend(lambda exchange, request: exchange.send(hints), read_body=False)
    router.register("hostile.example", hostile)
    workers = router.worker_pids()

    def attack():
        for _ in range(60):
            with router.client() as client:
                client.send(b"POST / HTTP/1.1\r\nHost: hostile.example\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
                client.fill()

    attackers = [threading.Thread(target=attack) for _ in range(6)]
    for attacker in attackers:
        attacker.start()
    while any(attacker.is_alive() for attacker in attackers):
        assert router.get(HOST).status == 200
    assert router.worker_pids() == workers
    assert not router.log_lines("child-died")


def test_fields_of_route_services_from_a_client_are_only_fields(router, backend):
    fields = [("X-CF-Proxy-Signature", "x"), ("X-CF-Proxy-Metadata", "y"), ("X-CF-Forwarded-Url", "http://z/")]
    assert router.get(HOST, headers=fields).status == 200
    assert router.get("nobody.example", headers=fields).status == 404


@pytest.mark.parametrize("status", ["000", "099", "99", "1000", "-20"])
def test_a_status_that_is_none_is_a_502_with_its_own_framing(router, make_backend, status):
    answer = f"HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\n\r\nok".encode()
    router.register("odd.example", make_backend(lambda exchange, request: exchange.send(answer)))
    with router.client() as client:
        for _ in range(2):
            response = client.get("odd.example")
            assert response.status == 502 and len(response.body) == int(response.header("content-length"))
    router.wait_for_access_line("odd.example", '" 502 ')


@pytest.mark.parametrize("fields", [
    [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
    [("Connection", "upgrade,http2-settings"), ("Upgrade", "H2C")],
    [("Upgrade", "h2c")],
])
def test_h2c_is_never_tunnelled_past_the_router(router, make_backend, fields):
    def willing(exchange, request):
        exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    backend = make_backend(willing)
    router.register(HOST, backend)
    response = router.get(HOST, headers=fields)
    assert response.status == 502
    assert [backend.requests[0].header(name) for name in ("upgrade", "connection", "http2-settings")] == [None] * 3
