"""What is tried again after a failure, and what never; what becomes of endpoints that fail."""
import threading
import time

import pytest

from harness import backend as answers
from harness import wait_until

HOST = "app.example"


def sends(data):
    def answer(exchange, request):
        exchange.send(data)
        exchange.close()
    return answer


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
def test_what_operators_allow_is_tried_on_another_endpoint(sides, name):
    how, on = RETRIED[name]
    router = sides.router(worker={"retry": {"on": on, "retriable_status_codes": "429"},
                                 "balancer": {"failed_time": "0s"}})
    bad, good = sides.backend(answers.ok if how == "refuse" else how), sides.backend(name="good")
    for backend in (bad, good):
        sides.register(router, HOST, backend)
    if how == "refuse":
        bad.refuse()
    for _ in range(6):
        assert sides.get(router, HOST).body == b"good"


@pytest.mark.parametrize("how", ["refuse", "reset", "500"])
def test_what_operators_do_not_allow_is_not(sides, how):
    bad_answer = answers.reset_without_answer if how == "reset" else lambda x, r: x.respond(500, b"oops")
    router = sides.router(worker={"retry": {"on": "retriable-status-codes"}, "balancer": {"failed_time": "0s"}})
    bad, good = sides.backend(bad_answer), sides.backend(name="good")
    for backend in (bad, good):
        sides.register(router, HOST, backend)
    if how == "refuse":
        bad.refuse()
    assert sorted({sides.get(router, HOST).status for _ in range(6)}) == [200, 500 if how == "500" else 502]


def test_a_post_is_never_acted_upon_twice_unless_operators_say_so(sides):
    busy = sides.backend(lambda x, r: x.respond(503, b"busy"))
    good = sides.backend(answers.echo)
    router = sides.router(worker={"retry": {"on": "5xx,reset"}})
    for backend in (busy, good):
        sides.register(router, HOST, backend)

    def statuses(headers=()):
        with sides.client(router) as client:
            return sorted({client.request("POST", "/", HOST, headers, body=b"one").status for _ in range(6)})

    assert statuses() == [200, 503]
    assert statuses([("Idempotency-Key", "k")]) == [200]
    router.write_config(worker={"retry": {"non_idempotent": True}})
    router.reload()

    def is_tried_again():
        try:
            return statuses() == [200]
        except OSError:                               # the old worker closed between two requests
            return False

    wait_until(is_tried_again, "the new workers try posts again")
    assert {request.body for request in good.requests} == {b"one"}, "whole, or not at all"


def test_a_try_that_takes_too_long_is_made_elsewhere(make_router, make_backend):
    router = make_router(worker={"retry": {"per_try_timeout": "300ms"}})
    for backend in (make_backend(answers.stall), make_backend(name="good")):
        router.register(HOST, backend)
    began = time.monotonic()
    assert [router.get(HOST).body for _ in range(4)] == [b"good"] * 4
    assert time.monotonic() - began < 5


def test_retries_stay_within_their_share(make_router, make_backend):
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
    assert line["log_level"] == 3 and line["data"]["code"] == "UF:connect_failed"
    time.sleep(2.5)
    assert [endpoints_of(router, f"{app}.example") for app in range(4)] == [2] * 4
