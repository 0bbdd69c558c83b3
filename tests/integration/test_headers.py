"""Header fields on their way through the router: every handler's effect, on the real programs.

What test_spec_rows.py shows of sections 5, 6, 11 and 12 of the specification is not repeated here.
"""
import re
import time

import pytest

from harness import backend as answers

HOST = "app.example"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TRACE, SPAN = "463ac35c9f6443ad48485a3953bb6124", "0020000000000001"
TRACE_AS_ID = "463ac35c-9f64-43ad-4848-5a3953bb6124"


@pytest.fixture
def serve(make_router, make_backend):
    """serve(answer, **settings of worker.proxy): a router with one app."""
    def make(answer=answers.echo, read_body=True, **settings):
        router = make_router(worker={"proxy": settings})
        backend = make_backend(answer, read_body=read_body)
        router.register(HOST, backend, app="app-guid", private_instance_id="iid", private_instance_index="7")
        return router, backend
    return make


def fixed(*fields, status="200 OK", body=b""):
    """A backend that answers with exactly these fields."""
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{field}\r\n" for field in fields)
    return lambda exchange, request: exchange.send(
        head.encode("latin-1") + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def ask(router, *fields, target="/", method="GET"):
    with router.client() as client:
        client.send_head(method, target, [("Host", HOST), *(field.split(": ", 1) for field in fields)])
        return client.response(method)


def seen(router, backend, *fields, target="/"):
    """Sends these fields; the request as the app got it."""
    assert ask(router, *fields, target=target).status == 200
    return backend.requests[-1]


# --- 5.2 to 5.4: tracing

def test_without_tracing_a_clients_trace_is_passed_on(serve):
    router, backend = serve()
    request = seen(router, backend, "b3: 1", "traceparent: x", "tracestate: y", "X-B3-TraceId: z")
    assert [request.header(name) for name in ("b3", "traceparent", "tracestate", "x-b3-traceid")] == list("1xyz")
    request = seen(router, backend)
    assert not [name for name, _ in request.headers if name.lower() in ("b3", "traceparent", "tracestate")]


def test_zipkin_begins_continues_and_repairs_traces(serve):
    router, backend = serve(tracing={"enable_zipkin": True})
    request = seen(router, backend)
    trace = request.header("X-B3-Traceid")
    assert request.header("X-B3-Spanid") == trace[16:] and request.header("B3") == f"{trace}-{trace[16:]}"
    assert request.header("x-vcap-request-id").replace("-", "") == trace
    assert {"B3", "X-B3-Traceid", "X-B3-Spanid"} <= {name for name, _ in request.headers}, "as Go writes them"
    request = seen(router, backend, f"b3: {TRACE}-{SPAN}-1")
    assert request.all("b3") == [f"{TRACE}-{SPAN}-1"] and request.header("x-b3-traceid") is None
    assert request.header("x-vcap-request-id") == TRACE_AS_ID
    request = seen(router, backend, f"X-B3-TraceId: {TRACE}", f"X-B3-SpanId: {SPAN}", "X-B3-Sampled: 0")
    assert request.all("b3") == [f"{TRACE}-{SPAN}-0"]
    request = seen(router, backend, f"X-B3-TraceId: {TRACE}")
    assert request.all("x-b3-traceid") != [TRACE] and len(request.all("x-b3-traceid")) == 1
    request = seen(router, backend, "X-B3-TraceId: no", "X-B3-SpanId: no")
    assert request.header("b3") is None
    assert re.fullmatch(UUID, request.header("x-vcap-request-id"))


def test_w3c_begins_and_continues_traces(serve):
    router, backend = serve(tracing={"enable_w3c": True, "w3c_tenant_id": "tid"})
    request = seen(router, backend, "tracestate: lost=1")
    begun = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", request.header("traceparent"))
    assert request.all("tracestate") == [f"tid@gorouter={begun[2]}"]
    assert request.header("x-vcap-request-id").replace("-", "") == begun[1]
    request = seen(router, backend, f"traceparent: 01-{TRACE}-{SPAN}-00", "tracestate: a=1, tid@gorouter=0,b",
                   "tracestate: never=read")
    continued = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-00", request.header("traceparent"))
    assert continued[1] != SPAN
    assert request.all("tracestate") == [f"tid@gorouter={continued[1]},a=1"]
    assert request.header("x-vcap-request-id") == TRACE_AS_ID


def test_with_both_the_request_id_follows_b3(serve):
    router, backend = serve(tracing={"enable_w3c": True, "enable_zipkin": True})
    request = seen(router, backend, f"traceparent: 00-{TRACE}-{SPAN}-01")
    assert request.header("traceparent").startswith(f"00-{TRACE}-")
    assert request.header("x-vcap-request-id").replace("-", "") == request.header("x-b3-traceid") != TRACE


def test_a_client_cannot_take_a_trace_of_ours_away(serve):
    router, backend = serve(tracing={"enable_w3c": True, "enable_zipkin": True}, hop_by_hop_headers_to_filter=())
    request = seen(router, backend, "Connection: b3, X-B3-TraceId, X-B3-SpanId, traceparent, tracestate, "
                                    "X-Vcap-Request-Id")
    for name in ("b3", "x-b3-traceid", "x-b3-spanid", "traceparent", "tracestate", "x-vcap-request-id"):
        assert request.header(name), name


def test_the_trace_id_is_the_answers_id_too(serve):
    router, _ = serve(tracing={"enable_w3c": True})
    assert ask(router, f"traceparent: 00-{TRACE}-{SPAN}-01").header("x-vcap-request-id") == TRACE_AS_ID
    router.wait_for_access_line(f'vcap_request_id:"{TRACE_AS_ID}"')


# --- 5.5: semicolons

def test_a_semicolon_in_the_target_is_warned_about_and_forwarded(serve):
    router, backend = serve()
    request = seen(router, backend, target="/a;b?x=1;y=2")
    assert request.target == "/a;b?x=1;y=2"
    line = router.wait_for_log("deprecated-semicolon-params", vcap_request_id=request.header("x-vcap-request-id"))
    assert line["log_level"] == 2
    assert line["data"]["trace-id"] == request.header("x-vcap-request-id").replace("-", "")
    assert ask(router, target="/?;").header("x-cf-routererror") is None, "too late for the client"
    seen(router, backend, target="/plain%3b")
    assert not any("plain" in str(warning) for warning in router.log_lines("deprecated-semicolon-params"))


# --- 5.6: http_rewrite

REWRITE = {"responses": {
    "remove_headers": ({"name": "server"}, {"name": "X-Vcap-Request-Id"}),
    "add_headers_if_not_present": ({"name": "strict-transport-security", "value": "max-age=1"},
                                   {"name": "X-TWICE", "value": "one"}, {"name": "X-TWICE", "value": "two"}),
}}


def test_rules_hold_for_what_apps_answer(serve):
    router, _ = serve(fixed("Server: app", "X-A: 1"), http_rewrite=REWRITE)
    response = ask(router)
    assert (response.header("server"), response.header("x-vcap-request-id")) == (None, None)
    assert ("Strict-Transport-Security", "max-age=1") in response.headers, "the name as Go writes it"
    assert response.all("X-Twice") == ["one", "two"] and response.header("x-a") == "1"


def test_a_field_that_is_there_is_not_added(serve):
    router, _ = serve(fixed("strict-transport-security: mine", "X-Twice: mine"), http_rewrite=REWRITE)
    response = ask(router)
    assert (response.all("strict-transport-security"), response.all("x-twice")) == (["mine"], ["mine"])


def test_rules_hold_for_interim_answers(serve):
    def hints(exchange, request):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nServer: app\r\nLink: a\r\n\r\n")
        exchange.respond(body=b"final")
    router, _ = serve(hints, http_rewrite=REWRITE)
    hint, = ask(router).informational
    assert (hint.header("server"), hint.header("link"), hint.header("strict-transport-security")) == (
        None, "a", "max-age=1")


def test_rules_hold_for_the_routers_own_answers_but_not_the_servers(serve):
    router, _ = serve(http_rewrite=REWRITE, max_request_header_bytes="1K")
    for response in (router.get("nobody.example"), ask(router, "User-Agent: HTTP-Monitor/1.1"),
                     ask(router, "X: " + "x" * 2000), router.get("")):
        assert response.header("strict-transport-security") == "max-age=1", response
        assert response.all("x-twice") == ["one", "two"]
    for text in (b"nonsense\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n",
                 b"GET / HTTP/1.2\r\nHost: app.example\r\n\r\n"):
        with router.client() as client:
            client.send(text)
            client.half_close()
            assert b"transport-security" not in client.read_rest().lower()


@pytest.mark.parametrize("list_name, rule, words", [
    ("remove_headers", {"name": ""}, "is not a name of a header"),
    ("remove_headers", {"name": "A B"}, "is not a name of a header"),
    ("remove_headers", {"nam": "A"}, "nam"),
    ("add_headers_if_not_present", {"name": "A:", "value": "1"}, "is not a name of a header"),
    ("add_headers_if_not_present", {"name": "A", "value": "1\x012"}, "control character"),
    ("add_headers_if_not_present", {"name": "content-length", "value": "5"}, "set by the router itself"),
    ("add_headers_if_not_present", {"name": "Transfer-Encoding", "value": "x"}, "set by the router itself"),
])
def test_rules_with_faults_are_refused(make_router, list_name, rule, words):
    router = make_router(start=False, worker={"proxy": {"http_rewrite": {"responses": {list_name: (rule,)}}}})
    check = router.check_config()
    assert check.returncode != 0 and words in check.stderr + check.stdout, check


def test_a_tenant_that_breaks_tracestate_is_refused(make_router):
    router = make_router(start=False, worker={"proxy": {"tracing": {"w3c_tenant_id": "a,b"}}})
    check = router.check_config()
    assert check.returncode != 0 and "w3c_tenant_id" in check.stderr + check.stdout


# --- 5.7: health check

def test_an_empty_agent_setting_means_requests_without_user_agent(serve):
    router, backend = serve(healthcheck_user_agent="")
    assert ask(router).text == "ok\n"
    assert ask(router, "User-Agent: somebody").status == 200 and len(backend.requests) == 1


# --- 5.11: client certificates, for connections without TLS

@pytest.mark.parametrize("mode, sent, arrives", [
    ("always_forward", None, None), ("always_forward", "mine", "mine"),
    ("forward", None, None), ("forward", "mine", None),
    ("sanitize_set", None, None), ("sanitize_set", "mine", None),
])
def test_a_plain_clients_certificate_field_is_believed_only_if_told_so(serve, mode, sent, arrives):
    router, backend = serve(forwarded_client_cert=mode)
    fields = (f"X-Forwarded-Client-Cert: {sent}", f"x-forwarded-client-cert: {sent}") if sent else ()
    assert seen(router, backend, *fields).all("x-forwarded-client-cert") == ([arrives] * 2 if arrives else [])


# --- 5.12: hop-by-hop fields

def test_the_operator_says_which_fields_a_client_cannot_take_away(serve):
    router, backend = serve(hop_by_hop_headers_to_filter=("X-Trusted",))
    request = seen(router, backend, "Connection: x-trusted, X-Other,X-Request-Start", "X-Trusted: 1", "X-Other: 2",
                   "X-Request-Start: 3")
    assert (request.header("x-trusted"), request.header("x-other")) == ("1", None)
    assert request.header("x-request-start") != "3", "not in this list: taken away, and set anew"


# --- 5.13: X-Forwarded-Proto

@pytest.mark.parametrize("force, sanitize, sent, arrives", [
    (False, False, None, "http"), (False, False, "https", "https"), (False, False, "", "http"),
    (False, True, None, "http"), (False, True, "https", "http"),
    (True, False, None, "https"), (True, False, "http", "https"), (True, True, "http", "https"),
])
def test_x_forwarded_proto_is_kept_replaced_or_forced(serve, force, sanitize, sent, arrives):
    router, backend = serve(force_forwarded_proto_https=force, sanitize_forwarded_proto=sanitize)
    fields = () if sent is None else (f"X-Forwarded-Proto: {sent}",)
    assert seen(router, backend, *fields).all("x-forwarded-proto") == [arrives]
    router.wait_for_access_line(f'x_forwarded_proto:"{arrives}"')


# --- 6.2: the rest of the request's fields

def test_what_is_between_client_and_app_is_not_touched(serve):
    router, backend = serve()
    fields = {"Accept-Encoding": "gzip;q=0, br", "Cookie": "a=b; __VCAP_ID__=c", "Authorization": "Basic eDp5",
              "Forwarded": "for=1.2.3.4", "Via": "1.0 p", "X-CF-Process-Instance": "", "Max-Forwards": "3",
              "lower-case_name": "kept"}
    request = seen(router, backend, *(f"{name}: {value}" for name, value in fields.items()))
    for name, value in fields.items():
        assert (name, value) in request.headers, "name and value as they came"


def test_a_client_cannot_say_which_instance_answers(serve):
    router, backend = serve()
    request = seen(router, backend, "X-CF-ApplicationID: forged", "X-CF-InstanceID: forged",
                   "X-CF-InstanceIndex: forged", "X-CF-InstanceIndex: twice")
    assert (request.all("x-cf-applicationid"), request.all("x-cf-instanceid"), request.all("x-cf-instanceindex")) == (
        ["app-guid"], ["iid"], ["7"])


# --- 11.4: Expect

def expecting(router, value="100-continue", length=4):
    client = router.client(timeout_s=10)
    client.send_head("POST", "/", [("Host", HOST), ("Content-Length", length), ("Expect", value)])
    return client


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-continue, x"])
def test_an_app_that_answers_at_once_is_not_preceded_by_a_100(serve, value):
    """19.16: Gorouter invents a 100 and reads the body first."""
    router, _ = serve(lambda exchange, request: exchange.respond(417, b"no", reason="Expectation Failed"),
                      read_body=False)
    with expecting(router, value) as client:
        response = client.response()
        assert (response.status, response.body, response.informational) == (417, b"no", [])


def test_an_app_that_answers_and_closes_is_not_sent_the_body(serve):
    router, backend = serve(lambda exchange, request: exchange.respond(403, b"no", framing="close"), read_body=False)
    with expecting(router) as client:
        response = client.response()
        assert (response.status, response.body) == (403, b"no")
        assert response.header("connection") == "close" and client.is_closed()
    assert backend.exchanges[0].pending == b""


def test_one_100_reaches_the_client_however_many_the_app_sends(serve):
    def eager(exchange, request):
        exchange.send(b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n" * 3)
        exchange.read_body(request)
        exchange.respond(body=request.body)
    router, backend = serve(eager, read_body=False)
    with expecting(router) as client:
        assert client.read_head().status == 100
        client.send(b"body")
        response = client.response()
        assert (response.body, response.informational) == (b"body", [])
        assert response.header("x-interim") is None, "interim fields do not leak into the final answer"
    assert backend.requests[0].header("expect") == "100-continue"


def test_a_100_that_nobody_asked_for_is_not_passed_on(serve):
    def eager(exchange, request):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.respond(body=b"final")
    router, _ = serve(eager)
    response = ask(router)
    assert (response.body, response.informational) == (b"final", [])


# --- 11.3, 12.5, 19.13: answers before the end of the request

@pytest.mark.parametrize("framing", [("Content-Length", 50 << 20), ("Transfer-Encoding", "chunked")])
def test_an_early_answer_reaches_a_client_that_holds_its_body(serve, framing):
    """Gorouter reads 256 KiB of the body before it writes the answer: here not a byte of it is needed."""
    router, _ = serve(lambda exchange, request: exchange.respond(401, b"who are you", reason="Unauthorized"),
                      read_body=False)
    began = time.monotonic()
    with router.client(timeout_s=5) as client:
        client.send_head("POST", "/", [("Host", HOST), framing])
        response = client.response()
        assert (response.status, response.body) == (401, b"who are you")
    assert time.monotonic() - began < 1.5


def test_an_answer_that_ends_the_apps_connection_ends_the_clients_if_its_body_is_not_there(serve):
    """Spec proxy 11.3: nobody takes the rest of the body, so the client is told not to go on."""
    def answer(exchange, request):
        if request.method == "POST":
            exchange.send(b"HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.respond(body=b"", headers=[("Connection", "close")])
        exchange.close()

    router, _ = serve(answer, read_body=False)
    with router.client() as client:
        assert client.get(HOST).header("connection") is None
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 300)])
        client.send(b"begin")
        response = client.response()
        assert (response.status, response.header("connection")) == (413, "close")
        assert client.read_rest() == b""


def test_a_conversation_goes_both_ways_at_once(serve):
    def converse(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(exchange.read_until(b"\r\n"), 16):
            data = exchange.read_exactly(size + 2)
            exchange.send(b"%x\r\n%s" % (size, data))
        exchange.read_until(b"\r\n")
        exchange.send(b"0\r\n\r\n")
    router, _ = serve(converse, read_body=False)
    with router.client() as client:
        client.send_head("POST", "/", [("Host", HOST), ("Transfer-Encoding", "chunked")])
        for number in range(20):
            client.send_chunk(b"word %d" % number)
            if number == 0:
                assert client.read_head().status == 200
            assert client.read_chunk() == b"word %d" % number
        client.send(b"0\r\n\r\n")
        assert client.read_chunk() == b""


def test_a_connection_lives_on_after_an_early_answer_whose_rest_arrives(serve):
    def early(exchange, request):
        exchange.respond(body=request.target.encode())
        exchange.read_body(request)
    router, _ = serve(early, read_body=False)
    with router.client() as client:
        client.send_head("POST", "/1", [("Host", HOST), ("Content-Length", 100)])
        assert client.response().body == b"/1"
        client.send(b"x" * 100)
        client.send_head("GET", "/2", [("Host", HOST)])
        assert client.response().body == b"/2"


# --- 19.7: half-closing clients

def slow(exchange, request):
    time.sleep(0.3)
    exchange.respond(body=request.body + b"whole answer")


@pytest.mark.parametrize("text, body", [
    (b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n", b"whole answer"),
    (b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n", b"whole answer"),
    (b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3\r\n\r\nabc", b"abcwhole answer"),
    (b"POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
     b"abcwhole answer"),
])
def test_a_client_that_half_closes_after_its_request_is_served(serve, text, body):
    router, _ = serve(slow)
    with router.client() as client:
        client.send(text)
        client.half_close()
        response = client.response()
        assert (response.status, response.body) == (200, body)
        assert client.is_closed()
    router.wait_for_access_line('" 200 ')
    assert router.access_lines('" 499 ') == []


def test_a_client_that_half_closes_gets_all_that_it_pipelined(serve):
    router, _ = serve(slow)
    with router.client() as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: app.example\r\n\r\n" * 3)
        client.half_close()
        assert client.read_rest().count(b"whole answer") == 3


def test_a_client_that_half_closes_gets_a_large_download_whole(serve):
    router, _ = serve(lambda exchange, request: exchange.respond(body=b"x" * (8 << 20)))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        client.half_close()
        assert len(client.response().body) == 8 << 20


# --- 12: the answer

def test_answers_of_the_router_have_no_request_id(serve):
    router, _ = serve()
    assert router.get("nobody.example").header("x-vcap-request-id") is None


def test_the_trace_key_tells_the_way(serve):
    router, backend = serve(trace_key="secret")
    response = ask(router, "X-Vcap-Trace: secret")
    assert (response.header("x-vcap-router"), response.header("x-vcap-backend"),
            response.header("x-cf-routeendpoint")) == ("127.0.0.1", backend.address, backend.address)
    for fields in ((), ("X-Vcap-Trace: wrong",), ("X-Vcap-Trace: ",)):
        assert ask(router, *fields).header("x-vcap-backend") is None


def test_pragma_of_an_answer_becomes_cache_control(serve):
    router, _ = serve(fixed("Pragma: no-cache"))
    assert ask(router).header("cache-control") == "no-cache"


def test_signatures_of_route_services_never_reach_clients(serve):
    router, _ = serve(fixed("X-CF-Proxy-Signature: secret", "Server: app", "Content-Type: a/b"))
    response = ask(router)
    assert (response.header("x-cf-proxy-signature"), response.header("server"), response.header("content-type")) == (
        None, "app", "a/b")


def test_a_content_type_is_never_guessed(serve):
    router, _ = serve(fixed(body=b"<html>"))
    assert ask(router).header("content-type") is None


@pytest.mark.parametrize("announced", [True, False])
def test_trailers_reach_the_client_announced_or_not(serve, announced):
    announcement = b"Trailer: X-Sum, X-More\r\n" if announced else b""
    router, _ = serve(lambda exchange, request: exchange.send(
        b"HTTP/1.1 200 OK\r\n" + announcement + b"Transfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"))
    response = ask(router)
    assert response.trailers == [("X-Sum", "1"), ("X-More", "2")]
    assert response.header("trailer") == ("X-Sum, X-More" if announced else None)


def test_each_event_of_a_stream_is_passed_on_at_once(serve):
    def events(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            exchange.send(b"9\r\ndata: %d\n\n\r\n" % number)
            exchange.read_until(b"\n")            # the client's word that it has it
        exchange.send(b"0\r\n\r\n")
    router, _ = serve(events, read_body=False)
    with router.client(timeout_s=5) as client:
        client.send_head("POST", "/", [("Host", HOST), ("Content-Length", 5)])
        assert client.read_head().status == 200
        for number in range(5):
            assert client.read_chunk() == b"data: %d\n\n" % number
            client.send(b"\n")
        assert client.read_chunk() == b""


def test_what_the_app_says_about_its_connection_ends_here(serve):
    router, _ = serve(fixed("Connection: X-One", "Connection: X-Two, close", "X-One: 1", "X-Two: 2", "X-Three: 3",
                            "Proxy-Authenticate: Basic", "Keep-Alive: timeout=1", "Upgrade: h2c", "TE: trailers"))
    names = {name.lower() for name, _ in ask(router).headers}
    assert not names & {"x-one", "x-two", "proxy-authenticate", "keep-alive", "upgrade", "te", "connection"}
    assert "x-three" in names
