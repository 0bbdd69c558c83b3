"""The component log of the data path: each of Gorouter's lines with its name, level, source and data (spec proxy 15,
spec control 8.2).  Keys of our own follow Gorouter's: code, host, not-retried, suppressed."""
import threading
import time

import pytest

from harness import backend as answers
from harness import wait_until

HOST = "app.example"
DEBUG, INFO, WARN, ERROR = range(4)
ENDPOINT = ["ApplicationId", "Addr", "Tags", "RouteServiceUrl", "AZ"]
ATTEMPT = ["error", "attempt", "vcap_request_id", "retriable", "num-endpoints", "got-connection", "wrote-headers",
           "conn-reused", "dns-lookup-time", "dial-time", "tls-handshake-time", "local-address"]
TAGS = {"component": "route-emitter", "q": 'quote " and \u00fc', "process_id": "p1"}


def expect_line(router, event, level, keys, source="vcap.gorouter", **data):
    line = router.wait_for_log(event, **data)
    assert (line["log_level"], line["source"]) == (level, source), line
    assert list(line.get("data", {})) == keys, line
    return line.get("data", {})


def fails(exchange, request):
    exchange.reset()


def post(router):
    with router.client() as client:
        return client.request("POST", "/", HOST, body=b"x")


def test_a_failed_attempt_has_all_of_gorouters_data(make_router, make_backend):
    router = make_router()
    backend, spare = make_backend(fails), make_backend(fails)
    for each in (backend, spare):
        router.register(HOST, each, tags=TAGS, availability_zone="z1", app="app-guid")
    assert post(router).status == 502
    data = expect_line(router, "backend-endpoint-failed", ERROR,
                       ["route-endpoint", *ATTEMPT, "host", "code", "not-retried", "suppressed"])
    asked = backend if backend.requests else spare
    assert data["route-endpoint"] == {"ApplicationId": "app-guid", "Addr": asked.address, "Tags": TAGS,
                                      "RouteServiceUrl": "", "AZ": "z1"}
    assert list(data["route-endpoint"]) == ENDPOINT
    local = data["local-address"]
    assert data["error"] == f"read tcp {local}->{asked.address}: read: connection reset by peer"
    assert local.startswith("127.0.0.1:") and data["dial-time"] > 0
    assert data["vcap_request_id"] == asked.requests[0].header("x-vcap-request-id")
    assert {key: data[key] for key in ("attempt", "retriable", "num-endpoints", "got-connection", "wrote-headers",
                                       "conn-reused", "dns-lookup-time", "tls-handshake-time")} == {
        "attempt": 1, "retriable": False, "num-endpoints": 2, "got-connection": True, "wrote-headers": True,
        "conn-reused": False, "dns-lookup-time": 0, "tls-handshake-time": 0}
    assert (data["host"], data["code"], data["not-retried"]) == (HOST, "UC:reset_before_response", "not-safe")


@pytest.mark.parametrize("tags, logged", [(None, None), ({}, {}), ({"big": "x" * 5000}, None)],
                         ids=["none", "empty", "too long for a line"])
def test_an_endpoint_that_was_never_reached_says_so(make_router, make_backend, tags, logged):
    router = make_router()
    dead = make_backend()
    router.register(HOST, dead, **({} if tags is None else {"tags": tags}))
    dead.refuse()
    assert router.get(HOST).status == 502
    data = router.wait_for_log("backend-endpoint-failed")["data"]
    assert data["route-endpoint"]["Tags"] == logged
    assert (data["got-connection"], data["wrote-headers"], data["retriable"]) == (False, False, True)
    assert data["error"] == f"dial tcp {dead.address}: connect: connection refused"


def test_an_endpoint_that_is_avoided_or_removed_is_named_by_the_registry(make_router, make_backend):
    router = make_router(registrar={"minimum_register_interval": "1s", "prune_interval": "500ms"})
    plain, secure = make_backend(), [make_backend() for _ in range(2)]
    router.register("plain.example", plain, tags=TAGS, availability_zone="z1")
    for backend in secure:
        router.register(HOST, backend, tls_port=backend.port, tags=TAGS, app="app-guid")
    for backend in (plain, *secure):
        backend.refuse()
    assert router.get("plain.example").status == router.get(HOST).status == 502
    keys, source = ["route-endpoint", "code", "errno"], "vcap.gorouter.registry"
    data = expect_line(router, "endpoint-marked-as-ineligible", ERROR, keys, source)
    assert data["route-endpoint"] == {"ApplicationId": f"app-{plain.port}", "Addr": plain.address, "Tags": TAGS,
                                      "RouteServiceUrl": "", "AZ": "z1"}
    assert data["code"] == "UF:connect_failed" and data["errno"] == 111
    data = expect_line(router, "prune-failed-endpoint", ERROR, keys, source)
    endpoint = data["route-endpoint"]
    assert list(endpoint) == ENDPOINT and data["code"] == "UF:connect_failed"
    assert endpoint["Addr"] in [backend.address for backend in secure]
    assert (endpoint["ApplicationId"], endpoint["Tags"]) == ("app-guid", TAGS)


def test_an_answer_with_too_many_fields_has_a_line_of_its_own(make_router, make_backend):
    router = make_router(worker={"proxy": {"max_response_headers": 10},
                                 "access_log": {"extra_access_log_fields": ("failed_attempts",)}})
    router.register(HOST, make_backend(lambda x, r: x.respond(headers=[(f"X-{i}", "y") for i in range(20)])))
    assert router.get(HOST).header("x-cf-routererror") == "endpoint_failure (Too many response headers)"
    data = expect_line(router, "backend-too-many-response-headers", ERROR,
                       ["error", "retriable", "vcap_request_id", "host", "code", "suppressed"])
    assert (data["error"], data["retriable"]) == ("Too many response headers", False)
    router.wait_for_access_line(" 502 ", "failed_attempts:0")
    assert not router.log_lines("backend-endpoint-failed")


def test_a_late_endpoint_has_a_second_line(make_router, make_backend):
    router = make_router(worker={"proxy": {"response_timeout": "200ms"}})
    router.register(HOST, make_backend(answers.stall))
    assert router.get(HOST).status == 502
    data = expect_line(router, "backend-request-timeout", ERROR, ["error", "vcap_request_id", "suppressed"])
    assert data["error"] == "context deadline exceeded"
    router.wait_for_log("backend-endpoint-failed", vcap_request_id=data["vcap_request_id"])


def test_a_request_whose_client_left_is_cancelled(make_router, make_backend):
    router = make_router()
    backend = make_backend(answers.stall)
    router.register(HOST, backend)
    client = router.client()
    client.send_head("GET", "/", [("Host", HOST)])
    wait_until(lambda: backend.requests, "the backend has it")
    client.reset()
    data = expect_line(router, "gateway-error-and-original-request-context-cancelled", ERROR,
                       ["error", "vcap_request_id", "host", "code", "suppressed"])
    assert data["error"] == "context canceled" and data["code"] == "DC:client_disconnected"


def test_pages_of_our_own_are_logged_but_for_404(make_router, make_backend):
    router = make_router(registrar={"empty_pool_timeout": "1m"})
    router.register_empty(HOST, make_backend())
    body = f"503 Service Unavailable: Requested route ('{HOST}') has no available endpoints."
    expect_line(router, "status", INFO, ["body", "code", "vcap_request_id", "suppressed"], body=body)
    data = expect_line(router, "select-endpoint-failed", ERROR, ["host", "error", "suppressed"])
    assert data["host"] == HOST
    assert router.get("nobody.example").status == 404
    assert router.get("127.0.0.1").status == 400
    router.wait_for_log("status", body="400 Bad Request: Request had empty Host header", code="DPE:empty_host")
    assert not [line for line in router.log_lines("status") if line["data"]["body"].startswith("404")]


def test_a_connection_limit_is_logged(make_router, make_backend):
    go_on = threading.Event()
    backend = make_backend(lambda x, r: (go_on.wait(10), answers.ok(x, r)))
    router = make_router(worker={"balancer": {"max_conns": 1}})
    router.register(HOST, backend)
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        wait_until(lambda: backend.requests, "the backend has it")
        assert router.get(HOST).status == 503
        go_on.set()
        assert client.response().status == 200
    expect_line(router, "connection-limit-reached", INFO, ["host", "suppressed"])
    router.wait_for_log("status", code="UO:connection_limit")


def test_a_storm_of_failures_fills_no_log(make_router, make_backend):
    """Of each kind a hundred lines a second and worker, and then how many there were between."""
    router = make_router(master={"workers": 1}, registrar={"empty_pool_timeout": "1m"},
                         worker={"retry": {"attempts": 1}, "balancer": {"failed_time": "0s"}})
    dead = make_backend()
    router.register(HOST, dead)
    router.register_empty("empty.example", make_backend())
    dead.refuse()
    began, count = time.monotonic(), 400
    with router.client() as client:
        for _ in range(count):
            assert client.get(HOST).status == 502
            assert client.get("empty.example").status == 503
    most = 100 * (int(time.monotonic() - began) + 2)
    for event in ("backend-endpoint-failed", "select-endpoint-failed", "status"):
        lines = router.log_lines(event)
        assert len(lines) <= most and len(lines) < count, event
        wait_until(lambda: [router.get(host) for host in (HOST, "empty.example")] and
                   any(line["data"]["suppressed"] for line in router.log_lines(event)),
                   f"{event} says how many were left out")


def test_semicolons_are_warned_of(router, make_backend):
    router.register(HOST, make_backend())
    router.get(HOST, "/?a=1;b=2")
    data = expect_line(router, "deprecated-semicolon-params", WARN,
                       ["vcap_request_id", "trace-id", "span-id", "suppressed"])
    assert len(data["vcap_request_id"]) == 36


@pytest.mark.parametrize("algorithm", ["round-robin", "least-connection"])
def test_requests_have_their_debug_lines(make_router, make_backend, algorithm):
    router = make_router(worker={"balancer": {"algorithm": algorithm}})
    backend = make_backend()
    router.register(HOST, backend)
    assert router.get(HOST).status == 200
    sent = backend.requests[0].header("x-vcap-request-id")
    expect_line(router, "vcap-request-id-header-set", DEBUG, ["VcapRequestIdHeader"], VcapRequestIdHeader=sent)
    expect_line(router, f"endpoint-iterator-with-{algorithm}-lb-algo", DEBUG, [])
    data = expect_line(router, "backend", DEBUG, ["attempt", "vcap_request_id"], vcap_request_id=sent)
    assert data["attempt"] == 1


def test_at_the_usual_level_a_good_request_has_no_line(make_router, make_backend):
    router = make_router(log={"level": "info"})
    router.register(HOST, make_backend())
    before = len(router.log_lines())
    assert router.get(HOST).status == 200
    router.wait_for_access_line(" 200 ")
    assert router.log_lines()[before:] == []
