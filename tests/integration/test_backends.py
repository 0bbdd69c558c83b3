"""Backends that misbehave: the client gets a clear answer, the log says why, and the rest goes on."""
import threading
import time

import pytest

from harness import NodeBackend, PythonBackend, wait_until
from harness import backend as answers
from harness.client import Disconnected

HOST, OTHER = "app.example", "other.example"


@pytest.fixture
def other(router, make_backend):
    """other(): asserts that requests for another app are answered, now."""
    router.register(OTHER, make_backend(name="healthy"))

    def check():
        assert router.get(OTHER).body == b"healthy"

    return check


def expect_bad_gateway(router, response, path="/"):
    assert response.status == 502, response
    assert response.text == "502 Bad Gateway: Registered endpoint failed to handle the request.\n"
    assert response.header("x-cf-routererror").startswith("endpoint_failure ("), response
    assert response.header("content-type") == "text/plain; charset=utf-8"
    router.wait_for_access_line(f"{HOST} - [", f"{path} HTTP/1.1\" 502 ",
                                'x_cf_routererror:"endpoint_failure (')


MISBEHAVIOUR = {
    "closes without an answer": (answers.close_without_answer, None),
    "resets without an answer": (answers.reset_without_answer, None),
    "closes at once": (answers.ok, lambda exchange: exchange.close()),
    "resets at once": (answers.ok, lambda exchange: exchange.reset()),
    "sends garbage": (answers.garbage, None),
    "sends a bad status": (lambda x, r: x.send(b"HTTP/1.1 abc no\r\n\r\n"), None),
    "begins with nonsense and waits": (lambda x, r: (x.send(b"220 mail ready\r\n"), x.stall()), None),
    "sends a header without colon": (lambda x, r: x.send(b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n"), None),
    "sends differing lengths": (
        lambda x, r: x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), None),
    "sends an unknown coding": (
        lambda x, r: x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), None),
    "sends half a head and closes": (
        lambda x, r: (x.send(b"HTTP/1.1 200 OK\r\nContent-Le"), x.close()), None),
}


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_a_backend_that_gives_a_502(router, make_backend, other, how):
    answer, on_connect = MISBEHAVIOUR[how]
    router.register(HOST, make_backend(answer, on_connect=on_connect))
    with router.client() as client:
        for method, body in (("GET", None), ("POST", b"some body")):
            expect_bad_gateway(router, client.request(method, "/", HOST, body=body))
        assert client.get(OTHER).status == 200, "the client's connection is still good"
    other()


@pytest.mark.parametrize("how", ["closes at once", "resets at once", "closes without an answer",
                                 "resets without an answer"])
def test_a_request_without_body_is_tried_on_another_endpoint(router, make_backend, how):
    answer, on_connect = MISBEHAVIOUR[how]
    router.register(HOST, make_backend(answer, on_connect=on_connect))
    router.register(HOST, make_backend(name="good"))
    for _ in range(6):
        assert router.get(HOST).body == b"good"


def test_an_endpoint_that_refuses_is_passed_over(router, make_backend, other):
    dead, good = make_backend(), make_backend(answers.echo, name="good")
    router.register(HOST, dead)
    router.register(HOST, good)
    dead.refuse()
    for _ in range(6):
        with router.client() as client:
            response = client.request("POST", "/", HOST, body=b"x" * 1000)
            assert (response.status, response.body) == (200, b"x" * 1000)
    other()


def test_only_dead_endpoints_give_a_502_that_names_the_refusal(router, make_backend, other):
    dead = make_backend()
    router.register(HOST, dead)
    dead.refuse()
    response = router.get(HOST)
    expect_bad_gateway(router, response)
    assert "connection refused" in response.header("x-cf-routererror")
    other()


def test_a_body_that_was_delivered_is_never_sent_twice_or_in_part(router, make_backend):
    """A post that the backend may have acted upon fails, or is replayed whole; nothing in between."""
    first = make_backend(answers.reset_without_answer)
    second = make_backend(answers.echo)
    router.register(HOST, first)
    router.register(HOST, second)
    body = bytes(range(256)) * 64
    for _ in range(6):
        with router.client() as client:
            response = client.request("POST", "/", HOST, body=body)
            assert response.status == 502 or response.body == body
    assert all(request.body == body for request in second.requests)


def test_a_backend_that_stalls_is_given_up_and_blocks_nobody(make_router, make_backend):
    router = make_router(worker={"proxy": {"response_timeout": "500ms"}})
    stalling = make_backend(answers.stall)
    router.register(HOST, stalling)
    router.register(OTHER, make_backend(name="healthy"))
    with router.client() as client:
        began = time.monotonic()
        client.send_head("GET", "/", [("Host", HOST)])
        wait_until(lambda: stalling.requests, "the backend has the request")
        assert router.get(OTHER).body == b"healthy"
        response = client.response()
        assert 0.4 < time.monotonic() - began < 5
        assert response.status in (502, 504), response
        assert response.header("x-cf-routererror").startswith("endpoint_failure ("), response
    router.wait_for_access_line(f"{HOST} - [", f'" {response.status} ')


def test_a_body_that_ends_early_cuts_the_client_and_is_logged(router, make_backend, other):
    router.register(HOST, make_backend(answers.partial_body))
    with router.client() as client:
        client.send_head("GET", "/cut", [("Host", HOST)])
        response = client.read_head()
        assert response.status == 200
        with pytest.raises(Disconnected):
            client.read_body(response)
        assert response.body == b"only this"
    router.wait_for_access_line("/cut HTTP/1.1\" 200 0 9 ")
    other()


def test_a_chunked_body_that_ends_early_has_no_last_chunk(router, make_backend, other):
    def cut(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        exchange.close()

    router.register(HOST, make_backend(cut))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        response = client.read_head()
        with pytest.raises(Disconnected):
            client.read_body(response)
        assert response.body == b"hello"
    router.wait_for_access_line(f"{HOST} - [", '" 200 0 5 ')
    other()


def test_a_broken_chunk_cuts_the_client(router, make_backend, other):
    def broken(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")

    router.register(HOST, make_backend(broken))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        response = client.read_head()
        if response.status != 502:            # seen before the head went out
            with pytest.raises(Disconnected):
                client.read_body(response)
    other()


def test_bytes_after_the_answer_reach_nobody(router, make_backend, other):
    backend = make_backend(answers.too_much_body)
    router.register(HOST, backend)
    with router.client() as client:
        for _ in range(5):
            response = client.get(HOST)
            assert (response.status, response.body) == (200, b"four")
            assert client.get(OTHER).body == b"healthy"
        assert client.pending == b""
    assert backend.connections == 5, "a connection with bytes left over is not used again"


def test_an_answer_before_the_body_is_passed_on_at_once(router, make_backend, other):
    def early(exchange, request):
        exchange.respond(413, b"too large", reason="Payload Too Large", framing="close")

    router.register(HOST, make_backend(early, read_body=False))
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 10 << 20)])
        client.send(b"x" * 1000)
        response = client.response()
        assert (response.status, response.body) == (413, b"too large")
    router.wait_for_access_line(f"{HOST} - [", '" 413 ')
    other()


def test_an_early_answer_on_a_living_connection_lets_the_upload_go_on(router, make_backend):
    """Full duplex: the answer arrives while the client still holds its body."""
    def duplex(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        exchange.read_body(request)
        exchange.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(request.body), request.body))

    router.register(HOST, make_backend(duplex, read_body=False))
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked")])
        client.send_chunk(b"one")
        response = client.read_head()
        assert response.status == 200
        client.send_chunk(b"two")
        client.send(b"0\r\n\r\n")
        assert client.read_body(response).body == b"onetwo"


def test_interim_answers_are_passed_on_and_bounded(router, make_backend, other):
    def hints(count):
        def answer(exchange, request):
            exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * count)
            exchange.respond(body=b"final")
        return answer

    router.register(HOST, make_backend(hints(3)))
    router.register("hostile.example", make_backend(hints(1000)))
    with router.client() as client:
        response = client.get(HOST)
        assert (response.status, response.body) == (200, b"final")
        assert [hint.status for hint in response.informational] == [103] * 3
        assert response.informational[0].header("link") == "</a.css>"
        assert response.header("link") is None
    with router.client() as client:
        response = client.get("hostile.example")
        assert response.status == 502 and len(response.informational) < 10
    other()


def test_an_oversized_answer_head_is_refused(router, make_backend, other):
    def huge(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * (20 << 20) + b"\r\n\r\n")

    router.register(HOST, make_backend(huge))
    response = router.get(HOST)
    assert response.status == 502, response.status
    assert response.header("x-cf-routererror").startswith("endpoint_failure (")
    other()


def test_an_idle_backend_connection_that_closes_is_never_used(router, make_backend):
    backend = make_backend(answers.echo, idle_s=0.2)
    router.register(HOST, backend)
    with router.client() as client:
        for turn in range(5):
            response = client.request("POST", "/", HOST, body=b"turn %d" % turn)
            assert (response.status, response.body) == (200, b"turn %d" % turn)
            wait_until(lambda: not backend.exchanges[-1].is_open, "the backend closed its idle connection")
    assert backend.connections == 5


def test_backend_connections_are_reused(make_router, make_backend):
    router = make_router(master={"workers": 1})
    backend = make_backend()
    router.register(HOST, backend)
    for _ in range(20):
        assert router.get(HOST).status == 200
    assert backend.connections == 1


def race_with_keep_alive(router, idle_s, spread_s, clients=24):
    """Posts that arrive around the moment when the backend closes its idle connections."""
    failures = []

    def one(index):
        pause = idle_s - spread_s + 2 * spread_s * index / clients
        with router.client(timeout_s=30) as client:
            for turn in range(2):
                try:
                    response = client.request("POST", "/", HOST, body=b"body %d" % index)
                    if (response.status, response.body) != (200, b"body %d" % index):
                        failures.append((index, turn, response))
                except (Disconnected, OSError) as fault:
                    failures.append((index, turn, fault))
                if turn == 0:
                    time.sleep(pause)         # the subject of the test: a client that comes back late

    threads = [threading.Thread(target=one, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_node_with_its_keep_alive_default_loses_no_post(router, make_backend):
    router.register(HOST, make_backend(kind=NodeBackend))
    assert race_with_keep_alive(router, idle_s=5.0, spread_s=0.3) == []


def test_python_with_its_keep_alive_limit_loses_no_post(router, make_backend, monkeypatch):
    monkeypatch.setenv("IDLE_S", "1")
    router.register(HOST, make_backend(kind=PythonBackend))
    assert race_with_keep_alive(router, idle_s=1.0, spread_s=0.2) == []


def test_real_backends_answer_all_methods(router, make_backend):
    for kind, host in ((NodeBackend, "node.example"), (PythonBackend, "python.example")):
        backend = make_backend(kind=kind)
        router.register(host, backend)
        with router.client() as client:
            response = client.get(host, "/path?q=1")
            assert response.status == 200 and response.header("x-backend") == backend.name
            assert response.header("x-vcap-request-id")
            assert client.request("HEAD", "/", host).status == 200
            assert client.request("POST", "/", host, body=b"z" * 100000).body == b"z" * 100000
            client.send_head("POST", "/", [("Host", host), ("Content-Length", 5), ("Expect", "100-continue")])
            client.send(b"hello")
            assert client.response().body == b"hello"
