"""Sticky sessions, and requests for one instance of an app: sections 13 and 5.9 of the specification and rows 14
to 17 of its section 16, on the real programs.  The edges of cookies are in tests/unit/http/test_cookie.c.
"""
import re
import threading

import pytest

from harness.backend import NodeBackend, PythonBackend
from harness.tls import server_context
from test_tls import connect

HOST = "app.example"
APP, OTHER = "0d0e5e3a-0123-4567-89ab-0123456789ab", "11111111-2222-3333-4444-555555555555"
PROCESS = "abcdef01-0000-0000-0000-000000000001"
SESSION = "JSESSIONID=s"
# Rows of README's failure table that only these requests reach: status, error of Proxy-Status.
ROWS = {
    "UH:no_endpoint_left": (502, "destination_unavailable"),
    "DPE:bad_app_instance": (400, "http_request_error"),
    "DPE:bad_process_instance": (400, "http_request_error"),
    "NR:no_instance": (400, "destination_not_found"),
}


def expect_row(response, code):
    status, error = ROWS[code]
    assert response.status == status, response
    assert response.header("proxy-status") == f'wye; error={error}; details="{code}"', response


def instance(exchange, request):
    """Says who it is; the fields of ?set=FIELD|FIELD are in its answer too."""
    wanted = request.target.partition("?set=")[2].replace("+", " ").replace("%22", '"')
    fields = [field.split(":", 1) for field in wanted.split("|") if field]
    exchange.respond(body=exchange.backend.name.encode(), headers=fields)


@pytest.fixture
def serve(make_router, make_backend):
    """serve(count, answer, uri=..., **settings of worker.proxy): a router and instances 0 to count - 1 of one app."""
    def make(count=3, answer=instance, uri=HOST, fields=None, worker=None, **settings):
        worker = {"proxy": settings, **(worker or {})}
        router = make_router(worker=worker, master={"workers": 1})
        backends = [make_backend(answer, name=f"i{number}") for number in range(count)]
        for number, backend in enumerate(backends):
            register(router, backend, number, uri, **(fields or {}))
        return router, backends
    return make


def register(router, backend, number, uri=HOST, **fields):
    router.register(uri, backend, **{"app": APP, "private_instance_id": f"i{number}",
                                     "private_instance_index": str(number),
                                     "tags": {"component": "c", "process_id": PROCESS}, **fields})


def ask(router, *fields, target="/", method="GET", host=HOST, body=None):
    with router.client() as client:
        return client.request(method, target, host, [tuple(field.split(": ", 1)) for field in fields], body)


def cookie(*pairs):
    return "Cookie: " + "; ".join(pairs)


def whose(router, *fields, **options):
    """Which instance answers."""
    response = ask(router, *fields, **options)
    assert response.status == 200, response
    return response.text


def ours(response):
    """Our cookie in this answer, or None; never more than one."""
    found = [value for value in response.all("set-cookie") if value.startswith("__VCAP_ID__")]
    assert len(found) < 2, found
    return found[0] if found else None


def refused(router, *fields, status=400, **options):
    response = ask(router, *fields, **options)
    assert response.status == status, response
    assert response.header("x-vcap-request-id") is None and response.header("set-cookie") is None
    return response


# --- 13.1: requests

def test_a_session_goes_to_its_instance(serve):
    router, _ = serve()
    for name in ("i0", "i2", "i1"):
        assert {whose(router, cookie(SESSION, f"__VCAP_ID__={name}")) for _ in range(6)} == {name}
    assert {whose(router, cookie('__VCAP_ID__="i1"', SESSION)) for _ in range(6)} == {"i1"}, "quotes are stripped"
    assert {whose(router, "Cookie: JSESSIONID=x", "Cookie: __VCAP_ID__=i1") for _ in range(6)} == {"i1"}, "two fields"
    assert {whose(router, cookie(SESSION, "bad name=1", "b=\\", "__VCAP_ID__=i1", "__VCAP_ID__=i2"))
            for _ in range(6)} == {"i1"}, "the first of them, whatever else is there"


@pytest.mark.parametrize("cookies", [
    ("__VCAP_ID__=i1",), (SESSION,), ("jsessionid=s", "__VCAP_ID__=i1"), (SESSION, "__vcap_id__=i1"),
    (SESSION, "__VCAP_ID__="), (SESSION, '__VCAP_ID__="i1'),
])
def test_without_both_cookies_requests_are_balanced(serve, cookies):
    router, _ = serve()
    assert {whose(router, cookie(*cookies)) for _ in range(6)} == {"i0", "i1", "i2"}


def test_cookies_reach_the_app_untouched(serve):
    router, backends = serve(1)
    sent = 'a=b; JSESSIONID=s;__VCAP_ID__="i0" ; =bad'
    ask(router, f"Cookie: {sent}", "Cookie: second=1")
    assert backends[0].requests[-1].all("cookie") == [sent, "second=1"]


def test_a_client_cannot_choose_a_backend_by_its_address(serve):
    """19.21: Gorouter takes host:port for an id."""
    router, backends = serve()
    for _ in range(3):
        pinned = cookie(SESSION, f"__VCAP_ID__={backends[1].address}")
        assert {whose(router, pinned) for _ in range(3)} == {"i0", "i1", "i2"}


def test_the_names_of_sessions_are_configured(serve):
    router, _ = serve(sticky_session_cookie_names=("sid", "other.name"))
    assert {whose(router, cookie("other.name=1", "__VCAP_ID__=i2")) for _ in range(6)} == {"i2"}
    assert len({whose(router, cookie(SESSION, "__VCAP_ID__=i2")) for _ in range(6)}) == 3
    assert ours(ask(router, target="/?set=Set-Cookie:sid=1"))
    assert not ours(ask(router, target=f"/?set=Set-Cookie:{SESSION}"))


def test_no_name_means_no_sessions(serve):
    router, _ = serve(sticky_session_cookie_names=())
    assert len({whose(router, cookie(SESSION, "__VCAP_ID__=i2")) for _ in range(6)}) == 3
    assert not ours(ask(router, target=f"/?set=Set-Cookie:{SESSION}"))


def test_a_session_whose_instance_is_gone_moves_and_is_told(serve):
    router, _ = serve()
    response = ask(router, cookie(SESSION, "__VCAP_ID__=gone"))
    assert ours(response) == f"__VCAP_ID__={response.text}; Path=/; HttpOnly"
    router.wait_for_log("endpoint-missing-choosing-alternate", **{"requested-endpoint": "gone"})
    assert ours(ask(router, cookie(SESSION, "__VCAP_ID__=i1"))) is None, "nothing new"


def holding():
    """An answer that lets requests for /hold wait, and its events: one has come, they may go on."""
    entered, held = threading.Event(), threading.Event()

    def answer(exchange, request):
        if request.target == "/hold":
            entered.set()
            held.wait(10)
        instance(exchange, request)

    return answer, entered, held


def test_a_session_whose_instance_is_overloaded_moves(serve):
    slow, entered, held = holding()
    router, _ = serve(2, slow, worker={"balancer": {"max_conns": 1}})
    with router.client() as client:
        client.send_head("GET", "/hold", [("Host", HOST), ("Cookie", f"{SESSION}; __VCAP_ID__=i1")])
        assert entered.wait(5)
        response = ask(router, cookie(SESSION, "__VCAP_ID__=i1"))
        held.set()
        assert client.response().text == "i1"
    assert (response.text, ours(response)) == ("i0", "__VCAP_ID__=i0; Path=/; HttpOnly")


# --- 13.1 with 8.1: retries

def test_a_session_whose_instance_cannot_be_reached_is_served_by_another_which_the_cookie_names(serve):
    router, backends = serve()
    backends[1].refuse()
    response = ask(router, cookie(SESSION, "__VCAP_ID__=i1"))
    assert response.status == 200 and response.text in ("i0", "i2")
    assert ours(response) == f"__VCAP_ID__={response.text}; Path=/; HttpOnly", "not the one that was tried first"
    failed = router.log_lines("backend-endpoint-failed")
    assert [line["data"]["attempt"] for line in failed] == [1]


def test_a_session_that_begins_on_the_second_attempt_names_that_endpoint(serve):
    router, backends = serve(2)
    backends[0].refuse()
    for _ in range(4):
        response = ask(router, target=f"/?set=Set-Cookie:{SESSION}")
        assert ours(response) == "__VCAP_ID__=i1; Path=/; HttpOnly"


def test_an_answer_that_is_tried_elsewhere_moves_the_session_unless_it_must_stay(serve):
    def moody(exchange, request):
        if exchange.backend.name == "i1":
            return exchange.respond(503, headers=[("Set-Cookie", "JSESSIONID=lost")])
        instance(exchange, request)

    router, backends = serve(2, moody, worker={"retry": {"on": "gateway-error"}},
                             sticky_sessions_for_auth_negotiate=True)
    response = ask(router, cookie(SESSION, "__VCAP_ID__=i1"))
    assert (response.text, response.all("set-cookie")) == ("i0", ["__VCAP_ID__=i0; Path=/; HttpOnly"])
    assert len(backends[1].requests) == 1
    response = ask(router, NEGOTIATE, cookie("__VCAP_ID__=i1"))
    assert (response.status, ours(response)) == (503, "__VCAP_ID__=i1; Path=/; HttpOnly")
    assert ask(router, f"X-CF-App-Instance: {APP}:1").status == 503, "there is no other"


def test_a_failure_of_lately_does_not_move_a_session(serve):
    state = {"fails": True}

    def moody(exchange, request):
        if state["fails"] and exchange.backend.name == "i1":
            return exchange.reset()
        instance(exchange, request)

    router, _ = serve(3, moody)
    whose(router, cookie(SESSION, "__VCAP_ID__=i1"))
    router.wait_for_log("backend-endpoint-failed")
    state["fails"] = False
    assert {whose(router) for _ in range(6)} == {"i0", "i2"}, "others avoid it"
    assert {whose(router, cookie(SESSION, "__VCAP_ID__=i1")) for _ in range(6)} == {"i1"}


def test_a_stale_connection_is_replaced_at_the_same_instance(serve):
    def once(exchange, request):
        instance(exchange, request)
        if request.target == "/last":
            exchange.close()

    router, backends = serve(3, once)
    for _ in range(20):
        assert whose(router, cookie(SESSION, "__VCAP_ID__=i1"), target="/last") == "i1"
    assert not backends[0].requests and not backends[2].requests


# --- 13.2: answers

@pytest.mark.parametrize("theirs, attributes", [
    ("JSESSIONID=s", ""),
    ("JSESSIONID=s; Path=/x; Domain=b.test; HttpOnly", ""),
    ("JSESSIONID=; Max-Age=0", "; Max-Age=0"),
    ("JSESSIONID=s; Max-Age=-1", "; Max-Age=0"),
    ("JSESSIONID=s; Max-Age=3600", ""),
    ("JSESSIONID=s; Expires=Fri, 31-Dec-2027 23:59:59 GMT", "; Expires=Fri, 31 Dec 2027 23:59:59 GMT"),
    ("JSESSIONID=s; Expires=whenever", ""),
    ("JSESSIONID=s; Secure", "; Secure"),
    ("JSESSIONID=s; SameSite=None; Secure; Partitioned", "; Secure; SameSite=None; Partitioned"),
    ("JSESSIONID=s; SameSite=lax", "; SameSite=Lax"),
    ("JSESSIONID=s; SameSite=Strict", "; SameSite=Strict"),
    ("JSESSIONID=s; SameSite=odd", ""),
])
def test_a_session_that_begins_is_named_with_the_attributes_of_its_cookie(serve, theirs, attributes):
    router, _ = serve(1, answers_with("Set-Cookie: first=1", f"Set-Cookie: {theirs}"))
    before, after = re.match(r"((?:; (?:Expires|Max-Age)[^;]*)*)(.*)", attributes).groups()
    assert ask(router).all("set-cookie") == [
        "first=1", theirs, f"__VCAP_ID__=i0; Path=/{before}; HttpOnly{after}"]


def answers_with(*fields):
    return lambda exchange, request: exchange.respond(
        body=exchange.backend.name.encode(), headers=[field.split(": ", 1) for field in fields])


def test_the_first_session_cookie_counts(serve):
    router, _ = serve(1, answers_with('Set-Cookie: JSESSIONID="x', "Set-Cookie: JSESSIONID=1; SameSite=Lax",
                                      "Set-Cookie: JSESSIONID=2; Secure"))
    assert ours(ask(router)) == "__VCAP_ID__=i0; Path=/; HttpOnly; SameSite=Lax"


def test_a_session_that_is_set_again_is_named_again(serve):
    router, _ = serve()
    response = ask(router, cookie(SESSION, "__VCAP_ID__=i1"), target="/?set=Set-Cookie:JSESSIONID=new")
    assert (response.text, ours(response)) == ("i1", "__VCAP_ID__=i1; Path=/; HttpOnly")


def test_an_apps_own_vcap_id_is_left_alone(serve):
    router, _ = serve()
    target = f"/?set=Set-Cookie:__VCAP_ID__=mine|Set-Cookie:{SESSION}"
    response = ask(router, cookie(SESSION, "__VCAP_ID__=gone"), target=target)
    assert response.all("set-cookie") == ["__VCAP_ID__=mine", SESSION]


def test_other_cookies_begin_nothing(serve):
    router, _ = serve(1)
    assert ask(router, target="/?set=Set-Cookie:a=1").all("set-cookie") == ["a=1"]
    assert ask(router, target="/?set=Set-Cookie:jsessionid=1").all("set-cookie") == ["jsessionid=1"]


def test_an_endpoint_without_an_id_has_no_sessions(serve):
    router, _ = serve(1, fields={"private_instance_id": ""})
    assert ask(router, target=f"/?set=Set-Cookie:{SESSION}").all("set-cookie") == [SESSION]


def test_an_answer_by_a_route_service_begins_nothing(serve):
    router, _ = serve(1)
    target = f"/?set=Set-Cookie:{SESSION}"
    assert not ours(ask(router, "X-CF-Proxy-Signature: s", "X-CF-Forwarded-Url: http://x/", target=target))
    assert ours(ask(router, "X-CF-Proxy-Signature: s", target=target)), "only with both fields"
    assert ours(ask(router, "X-CF-Forwarded-Url: http://x/", target=target))


def test_secure_cookies_makes_ours_secure(serve):
    router, _ = serve(1, secure_cookies=True)
    assert ours(ask(router, target=f"/?set=Set-Cookie:{SESSION}")) == "__VCAP_ID__=i0; Path=/; HttpOnly; Secure"
    assert ours(ask(router, cookie(SESSION, "__VCAP_ID__=gone"))) == "__VCAP_ID__=i0; Path=/; HttpOnly; Secure"


@pytest.mark.parametrize("uri, target, path", [
    (HOST, "/any/thing", "/"), (f"{HOST}/Some/Path", "/Some/Path", "/Some/Path"),
    (f"{HOST}/Some/Path", "/Some/Path/deeper?q", "/Some/Path"), (f"{HOST}/Some/Path/", "/Some/Path/x", "/Some/Path"),
    (f"{HOST}/Some/Path", f"http://{HOST}/Some/Path/x", "/Some/Path"),
    (f"{HOST}/Some/Path", "/some/path/x", "/some/path"), ("*.example/P", "/P/x", "/P"),
])
def test_the_path_is_the_one_that_the_route_is_registered_with(serve, uri, target, path):
    """Hosts and paths match in any case; browsers compare paths with the letters that they sent."""
    router, _ = serve(1, answers_with(f"Set-Cookie: {SESSION}"), uri=uri)
    assert ours(ask(router, target=target)) == f"__VCAP_ID__=i0; Path={path}; HttpOnly"


def test_our_cookie_is_subject_to_http_rewrite(serve):
    router, _ = serve(1, http_rewrite={"responses": {"remove_headers": ({"name": "Set-Cookie"},)}})
    assert ask(router, target=f"/?set=Set-Cookie:{SESSION}").all("set-cookie") == []


def test_the_routers_own_answers_set_no_cookie(serve):
    router, backends = serve(1)
    backends[0].refuse()
    assert ask(router, cookie(SESSION, "__VCAP_ID__=gone")).all("set-cookie") == []


# --- sticky_sessions_for_auth_negotiate

NEGOTIATE = "Authorization: negotiate YII="


def test_an_authorization_sticks_to_its_instance_without_a_session(serve):
    router, _ = serve(sticky_sessions_for_auth_negotiate=True)
    assert {whose(router, NEGOTIATE, cookie("__VCAP_ID__=i2")) for _ in range(6)} == {"i2"}
    assert {whose(router, NEGOTIATE.upper(), cookie("__VCAP_ID__=i2")) for _ in range(6)} == {"i2"}
    assert len({whose(router, "Authorization: Basic eDp5", cookie("__VCAP_ID__=i2")) for _ in range(6)}) == 3
    assert len({whose(router, NEGOTIATE, cookie(SESSION, "__VCAP_ID__=")) for _ in range(6)}) == 3


def test_an_authorization_is_nothing_special_by_default(serve):
    router, _ = serve()
    assert len({whose(router, NEGOTIATE, cookie("__VCAP_ID__=i2")) for _ in range(6)}) == 3
    assert not ours(ask(router, target="/?set=WWW-Authenticate:Negotiate"))


def test_an_authorization_whose_instance_is_gone_fails(serve):
    router, backends = serve(sticky_sessions_for_auth_negotiate=True, proxy_status=True)
    response = ask(router, NEGOTIATE, cookie("__VCAP_ID__=gone"))
    assert (response.status, response.header("x-cf-routererror"), response.text) == (
        502, "endpoint_failure (No endpoints available)",
        "502 Bad Gateway: Registered endpoint failed to handle the request.\n")
    expect_row(response, "UH:no_endpoint_left")
    router.wait_for_log("endpoint-missing-but-request-must-be-sticky", **{"requested-endpoint": "gone"})
    router.wait_for_log("select-endpoint-failed", host=HOST, error="No endpoints available")
    router.wait_for_access_line('" 502 ', 'x_cf_routererror:"endpoint_failure (No endpoints available)"')
    assert not any(backend.requests for backend in backends)


def test_an_authorization_whose_instance_is_overloaded_fails(serve):
    slow, entered, held = holding()
    router, _ = serve(2, slow, worker={"balancer": {"max_conns": 1}}, sticky_sessions_for_auth_negotiate=True)
    fields = [("Host", HOST), tuple(NEGOTIATE.split(": ")), ("Cookie", "__VCAP_ID__=i1")]
    with router.client() as client:
        client.send_head("GET", "/hold", fields)
        assert entered.wait(5)
        response = ask(router, NEGOTIATE, cookie("__VCAP_ID__=i1"))
        held.set()
        client.response()
    assert (response.status, response.header("x-cf-routererror")) == (
        502, "endpoint_failure (No endpoints available)")
    router.wait_for_log("endpoint-overloaded-but-request-must-be-sticky")


def test_an_authorization_is_tried_again_at_the_same_instance_only(serve):
    router, backends = serve(3, sticky_sessions_for_auth_negotiate=True)
    backends[1].refuse()
    response = ask(router, NEGOTIATE, cookie("__VCAP_ID__=i1"))
    assert response.status == 502 and "connection refused" in response.header("x-cf-routererror")
    assert [line["data"]["attempt"] for line in router.log_lines("backend-endpoint-failed")] == [1, 2, 3]
    assert not backends[0].requests and not backends[2].requests


def test_with_one_endpoint_an_authorization_is_tried_once(serve):
    router, backends = serve(1, sticky_sessions_for_auth_negotiate=True)
    backends[0].refuse()
    assert ask(router, NEGOTIATE, cookie("__VCAP_ID__=i0")).status == 502
    assert len(router.log_lines("backend-endpoint-failed")) == 1


def test_an_authorization_that_begins_is_named_for_a_minute(serve):
    router, _ = serve(sticky_sessions_for_auth_negotiate=True)
    begun = "/?set=WWW-Authenticate:NEGOTIATE+abc="
    response = ask(router, target=begun)
    minute = "__VCAP_ID__={}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
    assert ours(response) == minute.format(response.text)
    assert ours(ask(router, NEGOTIATE, cookie("__VCAP_ID__=i1"), target=begun)) is None, "it is there already"
    response = ask(router, target=f"{begun}|Set-Cookie:{SESSION};Secure")
    assert ours(response) == minute.format(response.text), "the session's cookie is ignored"
    assert ours(ask(router, target="/?set=WWW-Authenticate:Basic")) is None


# --- 5.9: X-Cf-App-Instance and X-Cf-Process-Instance

def test_an_app_instance_is_reached_by_its_index(serve):
    router, backends = serve()
    for index in (1, 0, 2):
        assert {whose(router, f"X-CF-App-Instance: {APP}:{index}") for _ in range(4)} == {f"i{index}"}
    assert all(request.header("x-cf-app-instance") is None for backend in backends for request in backend.requests)
    assert {whose(router, f"x-cf-app-instance: {APP}:1", cookie(SESSION, "__VCAP_ID__=i2"))
            for _ in range(4)} == {"i1"}, "an instance beats a session"
    assert {whose(router, "X-CF-App-Instance: ") for _ in range(6)} == {"i0", "i1", "i2"}, "an empty one is none"


def test_a_process_is_reached_whole_or_by_index(serve, make_backend):
    router, backends = serve()
    web = make_backend(instance, name="web")
    register(router, web, 0, tags={"process_id": OTHER}, private_instance_id="web")
    assert {whose(router, f"X-CF-Process-Instance: {PROCESS}") for _ in range(9)} == {"i0", "i1", "i2"}
    assert {whose(router, f"X-CF-Process-Instance: {OTHER}") for _ in range(4)} == {"web"}
    assert {whose(router, f"X-CF-Process-Instance: {PROCESS}:2") for _ in range(4)} == {"i2"}
    assert web.requests[-1].header("x-cf-process-instance") == OTHER, "it is passed on"
    assert whose(router, f"X-CF-Process-Instance: {OTHER}", f"X-CF-App-Instance: {APP}:1") == "i1"


BAD = ["x", APP, f"{APP}:", f"{APP}:-1", f"{APP}:1:2", f"{APP.upper()}:1", f"{APP[1:]}:1", f"{APP}:0x1", f"{APP}: 1"]


@pytest.mark.parametrize("field, error, counts_without_index", [
    ("X-CF-App-Instance", "app", False), ("X-CF-Process-Instance", "process", True)])
def test_a_malformed_instance_is_a_400_of_its_own(serve, field, error, counts_without_index):
    """Rows 14 and 15."""
    router, backends = serve(1, proxy_status=True)
    for value in BAD:
        if value == APP and counts_without_index:
            continue
        response = refused(router, f"{field}: {value}")
        assert response.text == f"400 Bad Request: Invalid {field} Header\n"
        assert response.header("x-cf-routererror") == f"invalid_cf_{error}_instance_header"
        assert response.header("cache-control") == "no-cache, no-store"
        expect_row(response, f"DPE:bad_{error}_instance")
    line = router.wait_for_log(f"invalid-{error}-instance-header",
                               error=f"Incorrect X-CF-{error.upper()}-INSTANCE header : x")
    assert line["log_level"] == 3 and line["data"]["vcap_request_id"]
    router.wait_for_access_line('" 400 ', f'x_cf_routererror:"invalid_cf_{error}_instance_header"')
    assert refused(router, f"{field}: x", host="nobody.example").header("x-cf-routererror") != "unknown_route"
    assert not backends[0].requests


@pytest.mark.parametrize("field, text", [
    (f"X-CF-App-Instance: {APP}:9", f"Requested instance ('9') with guid ('{APP}')"),
    (f"X-CF-App-Instance: {APP}:00", f"Requested instance ('00') with guid ('{APP}')"),
    (f"X-CF-App-Instance: {OTHER}:0", f"Requested instance ('0') with guid ('{OTHER}')"),
    (f"X-CF-Process-Instance: {PROCESS}:9", f"Requested instance ('9') with process guid ('{PROCESS}')"),
    (f"X-CF-Process-Instance: {OTHER}", f"Requested instance with process guid ('{OTHER}')"),
])
def test_an_instance_that_is_not_there_is_a_400(serve, field, text):
    """Rows 16 and 17, whether the route has other instances or does not exist."""
    router, _ = serve(1, proxy_status=True)
    for host in (HOST, f"{HOST}:8080", "nobody.example"):
        response = refused(router, field, host=host)
        assert response.text == f"400 Bad Request: {text} does not exist for route ('{host}')\n"
        assert response.header("x-cf-routererror") == "unknown_route"
        assert response.header("cache-control") == "no-cache, no-store"
        expect_row(response, "NR:no_instance")
    router.wait_for_access_line("nobody.example", '" 400 ', 'x_cf_routererror:"unknown_route"')


def test_an_instance_at_its_limit_is_a_503_though_others_are_idle(serve):
    slow, entered, held = holding()
    router, _ = serve(2, slow, worker={"balancer": {"max_conns": 1}})
    with router.client() as client:
        client.send_head("GET", "/hold", [("Host", HOST), ("X-CF-App-Instance", f"{APP}:0")])
        assert entered.wait(5)
        response = refused(router, f"X-CF-App-Instance: {APP}:0", status=503)
        assert whose(router) == "i1"
        held.set()
        client.response()
    assert response.header("x-cf-routererror") == "Connection Limit Reached"


def test_an_instance_that_fails_is_not_replaced_by_another(serve):
    router, backends = serve()
    backends[1].refuse()
    for _ in range(2):                       # a failure of lately does not keep the request from it
        response = ask(router, f"X-CF-App-Instance: {APP}:1")
        assert response.status == 502 and "connection refused" in response.header("x-cf-routererror")
    assert len(router.log_lines("backend-endpoint-failed")) == 2
    assert not backends[0].requests and not backends[2].requests


def test_of_two_instances_with_one_index_the_one_confirmed_last_answers(serve, make_backend):
    """W9: the other may have been moved by the platform without a goodbye."""
    router, backends = serve(2)
    moved = make_backend(instance, name="moved")
    register(router, moved, 0, private_instance_id="moved")
    register(router, backends[1], 1)
    assert {whose(router, f"X-CF-App-Instance: {APP}:0") for _ in range(4)} == {"moved"}


# --- real servers, and TLS on both sides

def test_sessions_with_real_servers(make_router, make_backend):
    router = make_router()
    for number, kind in enumerate((NodeBackend, PythonBackend, PythonBackend)):
        register(router, make_backend(kind=kind, name=f"real{number}"), number)
    for number in range(3):
        with router.client() as client:
            for n in range(4):
                fields = [("Cookie", f"{SESSION}; __VCAP_ID__=i{number}")]
                assert client.get(HOST, headers=fields).header("x-backend") == f"real{number}"
                fields = [("X-CF-App-Instance", f"{APP}:{(number + n) % 3}")]
                response = client.request("POST", "/", HOST, headers=fields, body=b"n")
                assert response.header("x-backend") == f"real{(number + n) % 3}"


@pytest.mark.parametrize("client_side", ["plain", "TLS"])
def test_sessions_over_tls(make_tls_router, authority, make_backend, client_side):
    router = make_tls_router()
    for number in range(2):
        name = f"instance-{number}"
        backend = make_backend(answers_with(f"Set-Cookie: {SESSION}"), name=f"i{number}",
                               tls=server_context(authority.issue(name)))
        register(router, backend, number, tls_port=backend.port, server_cert_domain_san=name)
    for _ in range(2):
        for name in ("i1", "i0"):
            with (connect(router, authority) if client_side == "TLS" else router.client()) as client:
                response = client.get(HOST, headers=[("Cookie", f"{SESSION}; __VCAP_ID__={name}")])
                assert (response.text, ours(response)) == (name, f"__VCAP_ID__={name}; Path=/; HttpOnly")
