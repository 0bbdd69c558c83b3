"""Rows of the proxy specification: what is accepted, what is passed on, what is changed on the way."""
import re

import pytest

from harness import backend as answers

HOST = "app.example"
MiB = 1 << 20


@pytest.fixture
def backend(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend)
    return backend


def ask(router, text, timeout_s=10):
    """Sends raw bytes and returns the response head with its body."""
    with router.client(timeout_s=timeout_s) as client:
        client.send(text)
        return client.response(text.split(b" ")[0].decode("latin-1"))


def raw(router, text):
    """Everything that comes back until the router closes."""
    with router.client() as client:
        client.send(text)
        return client.read_rest()


# --- section 2: request lines

ACCEPTED = {
    "bare line feeds": (b"GET /a HTTP/1.1\nHost: app.example\n\n", "GET", "/a"),
    "an unknown method": (b"FOO! /a HTTP/1.1\r\nHost: app.example\r\n\r\n", "FOO!", "/a"),
    "a method in lower case": (b"get /a HTTP/1.1\r\nHost: app.example\r\n\r\n", "get", "/a"),
    "absolute form": (b"GET http://app.example/p?q=1 HTTP/1.1\r\nHost: other.example\r\n\r\n", "GET",
                      "http://app.example/p?q=1"),
    "absolute form of another scheme": (b"GET ftp://u@app.example/p HTTP/1.1\r\nHost: x\r\n\r\n", "GET",
                                        "ftp://u@app.example/p"),
    "authority form": (b"CONNECT app.example:80 HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT", "app.example:80"),
    "CONNECT with a path": (b"CONNECT /a HTTP/1.1\r\nHost: app.example\r\n\r\n", "CONNECT", "/a"),
    "odd bytes in the target": (b'GET /a"^<|#\xc3\xa4 HTTP/1.1\r\nHost: app.example\r\n\r\n', "GET",
                                '/a"^<|#\xc3\xa4'),
    "dot segments and escapes": (b"GET /a/../b%2Fc//d? HTTP/1.1\r\nHost: app.example\r\n\r\n", "GET",
                                 "/a/../b%2Fc//d?"),
    "a bad escape in the query": (b"GET /a?x=%zz HTTP/1.1\r\nHost: app.example\r\n\r\n", "GET", "/a?x=%zz"),
    "a port in Host": (b"GET /a HTTP/1.1\r\nHost: APP.example:8080\r\n\r\n", "GET", "/a"),
    "leading zeros of a length": (b"GET /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 000\r\n\r\n", "GET", "/a"),
    "a length twice": (b"GET /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                       "GET", "/a"),
    "a coding on HTTP/1.0": (b"GET /a HTTP/1.0\r\nHost: app.example\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", "/a"),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_what_gorouter_accepts_is_passed_on(router, backend, what):
    text, method, target = ACCEPTED[what]
    assert ask(router, text).status == 200
    request = backend.requests[-1]
    assert (request.method, request.target, request.version) == (method, target, "HTTP/1.1")


REFUSED = {
    "absolute form without Host": (b"GET http://app.example/ HTTP/1.1\r\n\r\n",
                                   "400 Bad Request: missing required Host header"),
    "a malformed Host": (b"GET / HTTP/1.1\r\nHost: a<b\r\n\r\n", "400 Bad Request: malformed Host header"),
    "a blank in a name": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A : v\r\n\r\n", "400 Bad Request: invalid header name"),
    "an empty line first": (b"\r\nGET / HTTP/1.1\r\nHost: app.example\r\n\r\n", "400 Bad Request"),
    "a relative target": (b"GET foo HTTP/1.1\r\nHost: app.example\r\n\r\n", "400 Bad Request"),
    "a trailing blank": (b"GET / HTTP/1.1 \r\nHost: app.example\r\n\r\n", "400 Bad Request"),
    "a tab for a blank": (b"GET\t/ HTTP/1.1\r\nHost: app.example\r\n\r\n", "400 Bad Request"),
    "a trailer that frames": (b"POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n"
                              b"Trailer: Content-Length\r\n\r\n0\r\n\r\n", "400 Bad Request"),
    "version 0.9": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
                    "505 HTTP Version Not Supported: unsupported protocol version"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_has_the_shape_of_the_server_level(router, backend, what):
    text, line = REFUSED[what]
    assert raw(router, text) == (f"HTTP/1.1 {line}\r\nConnection: close\r\n"
                                 f"Content-Type: text/plain; charset=utf-8\r\n\r\n{line}").encode()
    assert backend.requests == []


def test_an_unsupported_coding_is_a_501(router, backend):
    text = raw(router, b"POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: gzip\r\n\r\n")
    assert text.startswith(b"HTTP/1.1 501 Not Implemented\r\n")
    assert text.endswith(b"\r\n\r\nUnsupported transfer encoding")


def test_an_unknown_expectation_is_a_417(router, backend):
    text = raw(router, b"GET / HTTP/1.1\r\nHost: app.example\r\nExpect: miracles\r\n\r\n")
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 Expectation Failed\r\n") and b"Connection: close" in head and body == b""


def test_versions_1_2_to_1_9_get_a_bare_400(router, backend):
    for version in (b"1.2", b"1.9"):
        text = raw(router, b"GET / HTTP/%s\r\nHost: app.example\r\n\r\n" % version)
        assert text == b"HTTP/1.0 400 Bad Request\r\n\r\n"
    router.wait_for_access_line(f'{HOST} - [', '"GET / HTTP/1.9" "-" 0 0 ')


def test_an_http_2_preface_has_an_empty_host(router, backend):
    response = ask(router, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (response.status, response.header("x-cf-routererror")) == (400, "empty_host")


def test_a_request_of_http_1_0_needs_a_host_as_well(router, backend):
    assert ask(router, b"GET / HTTP/1.0\r\n\r\n").header("x-cf-routererror") == "empty_host"


def test_a_host_that_is_the_client_itself_is_empty(router, backend):
    assert ask(router, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n").header("x-cf-routererror") == "empty_host"


def test_options_asterisk_is_answered_and_other_methods_are_looked_up(router, backend):
    response = ask(router, b"OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n")
    assert (response.status, response.header("content-length"), response.body) == (200, "0", b"")
    assert ask(router, b"GET * HTTP/1.1\r\nHost: app.example\r\n\r\n").status == 404
    assert backend.requests == []


def test_blank_lines_are_tolerated_after_a_post_only(router, backend):
    post = b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1\r\n\r\nx"
    get = b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
    with router.client() as client:
        client.send(post + b"\r\n" + get)
        assert [client.response().status for _ in range(2)] == [200, 200]
        client.send(b"\r\n" + get)
        assert client.response().status == 400


def test_folded_lines_are_joined(router, backend):
    assert ask(router, b"GET / HTTP/1.1\r\nHost: app.example\r\nX-Long: one\r\n \t two\r\n\r\n").status == 200
    assert backend.requests[-1].header("x-long") == "one two"


def test_a_head_at_the_routers_limit_is_a_431_and_the_connection_lives(router, backend):
    with router.client() as client:
        for size in (MiB - 50, MiB + 4000):           # of one line; the server's own limit is at 1 MiB and 4 KiB
            client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\nX: " + b"x" * size + b"\r\n\r\n")
            response = client.response()
            assert (response.status, response.header("x-cf-routererror")) == (431, "max-request-size-exceeded")
        assert client.get(HOST).status == 200
    assert f'"{backend.address}"' in router.wait_for_access_line(' 431 0 0 ')
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: nobody.example\r\nX: " + b"x" * (MiB - 50) + b"\r\n\r\n")
        assert client.response().status == 404, "the route is looked for first"


# --- sections 5 and 6: what the app sees

def seen(router, backend, *fields, method="GET", body=b""):
    """Sends these fields; the request as the backend got it."""
    lines = b"".join(f"{field}\r\n".encode("latin-1") for field in fields)
    head = method.encode() + b" /x HTTP/1.1\r\nHost: App.Example:80\r\n" + lines + b"\r\n"
    assert ask(router, head + body).status == 200
    return backend.requests[-1]


def test_the_app_learns_about_client_request_and_itself(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend, app="app-guid", private_instance_id="iid", private_instance_index="7")
    request = seen(router, backend, "User-Agent: tester")
    assert request.header("host") == "App.Example:80"
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("user-agent") == "tester"
    assert re.fullmatch(r"\d{13}", request.header("x-request-start"))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        request.header("x-vcap-request-id"))
    assert (request.header("x-cf-applicationid"), request.header("x-cf-instanceid"),
            request.header("x-cf-instanceindex")) == ("app-guid", "iid", "7")


def test_an_app_without_instance_id_is_named_by_its_address(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend, app="", private_instance_id="", private_instance_index="")
    request = seen(router, backend)
    assert request.header("x-cf-instanceid") == f"127.0.0.1:{backend.port}"
    assert (request.header("x-cf-applicationid"), request.header("x-cf-instanceindex")) == ("", "")
    assert request.header("user-agent") is None


def test_what_the_client_may_and_may_not_say(router, backend):
    request = seen(router, backend, "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3",
                   "X-Forwarded-Proto: https", "X-Request-Start: ", "X-Vcap-Request-Id: mine",
                   "X-CF-InstanceID: forged", "X-CF-App-Instance: ", "Forwarded: for=a", "Via: 1.1 b",
                   "X-Forwarded-Host: c", "Cookie: __VCAP_ID__=x", "Under_Score: yes")
    assert request.all("x-forwarded-for") == ["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"]
    assert request.all("x-forwarded-proto") == ["https"]
    assert request.all("x-request-start") == [""]
    assert len(request.all("x-vcap-request-id")) == 1 and request.header("x-vcap-request-id") != "mine"
    assert "forged" not in request.all("x-cf-instanceid")
    assert request.header("x-cf-app-instance") is None
    assert [request.header(name) for name in ("forwarded", "via", "x-forwarded-host", "cookie", "under_score")] == [
        "for=a", "1.1 b", "c", "__VCAP_ID__=x", "yes"]


def test_fields_of_one_connection_stay_there(router, backend):
    request = seen(router, backend, "Connection: X-Secret, keep-alive, X-Forwarded-For", "X-Secret: 1",
                   "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x",
                   "TE: trailers, deflate", "Upgrade: h2c", "X-Forwarded-For: 9.9.9.9")
    for name in ("x-secret", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "connection"):
        assert request.header(name) is None, name
    assert request.all("te") == ["trailers"]
    assert request.header("x-forwarded-for") == "9.9.9.9, 127.0.0.1", "a client cannot hide what is trusted"


def test_a_connection_field_without_end_is_refused(router, backend):
    names = ", ".join(f"n{i}" for i in range(5000)).encode()
    assert ask(router, b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: " + names + b"\r\n\r\n").status == 400


@pytest.mark.parametrize("method, length", [
    ("POST", "0"), ("PUT", "0"), ("PATCH", "0"), ("DELETE", None), ("GET", None)])
def test_a_request_without_body_says_so_where_it_matters(router, backend, method, length):
    request = seen(router, backend, method=method)
    assert (request.header("content-length"), request.header("transfer-encoding")) == (length, None)


def test_a_client_that_closes_does_not_close_the_apps_connection(router, backend):
    for _ in range(3):
        assert seen(router, backend, "Connection: close").header("connection") is None


# --- sections 11 and 12: what the client sees

def answered(router, make_backend, head, body=b"", method="GET", close=True):
    """The client's view of these bytes from a backend."""
    def answer(exchange, request):
        exchange.send(head + b"\r\n" + body)
        if close:
            exchange.close()
    router.register(HOST, make_backend(answer))
    with router.client() as client:
        client.send_head(method, "/", [("Host", HOST)])
        return client.response(method)


def test_connection_fields_of_the_app_stay_there(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\nConnection: X-Foo, close\r\nX-Foo: 1\r\n"
                        b"Keep-Alive: timeout=5\r\nX-Bar: 2\r\nContent-Length: 0\r\n")
    assert response.header("x-foo") is None and response.header("keep-alive") is None
    assert response.header("connection") is None and response.header("x-bar") == "2"
    assert response.header("date") and response.header("x-vcap-request-id")


def test_the_apps_own_date_id_and_error_are_kept(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\nDate: now\r\nX-Vcap-Request-Id: own\r\n"
                        b"X-Cf-RouterError: mine\r\nContent-Length: 0\r\n")
    assert (response.all("date"), response.all("x-vcap-request-id")) == (["now"], ["own"])
    router.wait_for_access_line('x_cf_routererror:"mine"')


@pytest.mark.parametrize("line, reason", [
    (b"HTTP/1.1 200 Fine", "OK"), (b"HTTP/1.1 418 x", "I'm a teapot"), (b"HTTP/1.1 599 x", "status code 599"),
    (b"HTTP/1.1 201", "Created"), (b"HTTP/1.0 200 OK", "OK"), (b"HTTP/2.0 200 OK", "OK"),
])
def test_reasons_are_the_standard_ones(router, make_backend, line, reason):
    response = answered(router, make_backend, line + b"\r\nContent-Length: 2\r\n", b"ab")
    assert (response.reason, response.body) == (reason, b"ab")


def test_a_204_and_a_304_have_no_framing(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 204 No\r\nContent-Length: 0\r\nContent-Type: a/b\r\n",
                        close=False)
    assert (response.header("content-length"), response.header("transfer-encoding"),
            response.header("content-type")) == (None, None, "a/b")


def test_a_304_loses_length_and_type(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 304 N\r\nContent-Length: 9\r\nContent-Type: a/b\r\n",
                        close=False)
    assert (response.header("content-length"), response.header("content-type")) == (None, None)


def test_a_head_answer_keeps_its_length(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n", method="HEAD",
                        close=False)
    assert (response.header("content-length"), response.header("transfer-encoding")) == ("12", None)


def test_a_body_until_close_is_chunked_to_the_client(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\n", b"until the end")
    assert (response.header("transfer-encoding"), response.body) == ("chunked", b"until the end")


def test_length_and_chunked_together_is_chunked(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n"
                        b"Transfer-Encoding: chunked\r\n",
                        b"3\r\nabc\r\n0\r\n\r\n")
    assert (response.header("content-length"), response.body) == (None, b"abc")


def test_trailers_reach_the_client(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
                        b"3\r\nabc\r\n0\r\nX-Sum: 7\r\nContent-Length: 5\r\n\r\n")
    assert (response.body, response.trailers) == (b"abc", [("X-Sum", "7")])
    assert response.header("trailer") == "X-Sum"


def test_odd_heads_of_apps_are_tolerated(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 200 OK\nX A: dropped\r\nX-B: 1\r\n folded\n"
                        b"Content-Length: 1\r\n", b"x")
    assert response.header("x-b") == "1 folded" and "dropped" not in str(response.headers)


def test_another_protocol_that_nobody_asked_for_is_a_502(router, make_backend):
    response = answered(router, make_backend, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\n")
    assert (response.status, response.body, response.header("x-cf-routererror")) == (502, b"", None)


def test_interim_answers_do_not_reach_clients_of_http_1_0(router, make_backend):
    def answer(exchange, request):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        exchange.respond(body=b"final")
    router.register(HOST, make_backend(answer))
    assert raw(router, b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_of_http_1_0_may_keep_its_connection(router, backend):
    with router.client() as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nHost: app.example\r\nConnection: keep-alive\r\n\r\n")
            assert client.response().header("connection") == "keep-alive"


def test_a_silent_app_gets_the_body_after_a_second(router, make_backend):
    backend = make_backend(answers.echo)
    router.register(HOST, backend)
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 4), ("Expect", "100-continue")])
        assert client.read_head().status == 100
        client.send(b"body")
        assert client.response().body == b"body"


def test_no_endpoints_left_is_a_503(make_router, make_backend):
    router = make_router(registrar={"empty_pool_timeout": "60s"})
    router.register_empty(HOST, make_backend())
    response = router.get(HOST)
    assert response.text == "503 Service Unavailable: Requested route ('app.example') has no available endpoints.\n"
    assert response.header("x-cf-routererror") == "no_endpoints"
    assert response.header("cache-control") == "public,max-age=2"


def test_the_connection_limit_is_a_503_until_a_body_has_ended(make_router, make_backend):
    router = make_router(worker={"balancer": {"max_conns": 1}})
    held = make_backend(lambda exchange, request: exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    router.register(HOST, held)
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        assert client.read_head().status == 200
        response = router.get(HOST)
        assert response.status == 503
        assert response.text == ("503 Service Unavailable: Requested route ('app.example') "
                                 "has reached the connection limit.\n")
        assert response.header("x-cf-routererror") == "Connection Limit Reached"
