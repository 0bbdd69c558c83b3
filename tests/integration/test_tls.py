"""TLS towards clients and towards endpoints: who is trusted, what is said when somebody is not."""
import os
import shutil
import socket
import ssl
import tempfile

import pytest

from harness import Client, wait_until
from harness import backend as answers
from harness.client import Disconnected
from harness.tls import client_context as context, rows, server_context

HOST = "app.example"
MiB = 1 << 20


@pytest.fixture
def router(make_tls_router):
    return make_tls_router()


def connect(router, authority, name=HOST, session=None, tls=None, **options):
    return Client(router.tls_port, tls=tls or context(authority, **options), server_name=name, session=session)


# --- clients


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_over_tls_are_served_and_the_connection_is_kept(router, authority, make_backend, version):
    backend = make_backend(answers.echo)
    router.register(HOST, backend)
    with connect(router, authority, minimum_version=version, maximum_version=version) as client:
        for n in range(3):
            assert client.request("POST", "/", HOST, body=b"turn %d" % n).body == b"turn %d" % n
    assert [request.header("x-forwarded-proto") for request in backend.requests] == ["https"] * 3
    assert 'x_forwarded_proto:"https"' in router.wait_for_access_line('"POST / HTTP/1.1" 200')


def test_large_bodies_pass_both_ways(router, authority, make_backend):
    router.register(HOST, make_backend(answers.echo))
    body = os.urandom(5 * MiB)
    with connect(router, authority) as client:
        assert client.request("POST", "/", HOST, body=body).body == body


@pytest.mark.parametrize("name, subject", [
    (HOST, HOST), ("x.apps.example", HOST), ("APP.example", HOST), ("rsa.example", "rsa.example"),
    ("nobody.example", HOST), (None, HOST)])
def test_the_server_name_chooses_the_certificate_and_an_unknown_one_is_not_refused(router, authority, name, subject):
    with connect(router, authority, name, check_hostname=False) as client:
        shown = dict(entry[0] for entry in client.socket.getpeercert()["subject"])
    assert shown["commonName"] == subject


def test_versions_outside_the_range_are_refused(make_tls_router, authority):
    router = make_tls_router(tls={"min_tls_version": "TLSv1.3"})
    with pytest.raises(ssl.SSLError):
        connect(router, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    with connect(router, authority) as client:
        assert client.socket.version() == "TLSv1.3"


def test_plain_http_on_the_tls_port_is_answered_in_plain_words(router):
    with Client(router.tls_port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
        assert client.read_rest() == (b"HTTP/1.0 400 Bad Request\r\n\r\n"
                                      b"Client sent an HTTP request to an HTTPS server.\n")


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x00" * 64, b"SSH-2.0-x\r\n", b"\x16"])
def test_garbage_on_the_tls_port_costs_one_connection(router, authority, garbage):
    with Client(router.tls_port) as client:
        client.send(garbage)
        client.half_close()
        client.read_rest()
    with connect(router, authority) as client:
        assert client.get("nobody.example").status == 404


def test_a_handshake_that_stalls_is_given_up(make_tls_router, authority):
    router = make_tls_router(worker={"proxy": {"header_timeout": "300ms"}})
    with Client(router.tls_port) as client:
        assert client.read_rest() == b""
    with connect(router, authority) as client:
        assert client.get("nobody.example").status == 404


def test_client_certificates_are_required_or_not(make_tls_router, authority, stranger):
    router = make_tls_router(tls={"client_cert_validation": "require", "client_ca_certs": (authority.path,),
                                  "only_trust_client_ca_certs": True})

    def is_served(made):
        tls = context(authority)
        if made:
            tls.load_cert_chain(made.chain, made.key)
        try:
            with connect(router, authority, tls=tls) as client:
                return client.get("nobody.example").status == 404
        except (ssl.SSLError, OSError, AssertionError, EOFError):
            return False
        except Exception as fault:
            assert type(fault).__name__ == "Disconnected", fault
            return False

    assert not is_served(None)
    assert not is_served(stranger.issue("client"))
    assert is_served(authority.issue("client"))


def test_sessions_are_resumed_by_any_worker_and_after_a_reload(router, authority):
    tls = context(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    with connect(router, authority, tls=tls) as client:
        client.get("nobody.example")
        session = client.socket.session
        assert not client.socket.session_reused
    for round_ in range(2):
        for _ in range(8):
            with connect(router, authority, tls=tls, session=session) as client:
                assert client.socket.session_reused, round_
                assert client.get("nobody.example").status == 404
        router.reload()


def test_tickets_are_good_for_two_lifetimes_of_their_key_and_then_cost_a_handshake(make_tls_router, authority):
    router = make_tls_router(master={"ticket_key_lifetime": "2s"})
    tls = context(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    with connect(router, authority, tls=tls) as client:
        session = client.socket.session

    def is_resumed():
        with connect(router, authority, tls=tls, session=session) as client:
            assert client.get("nobody.example").status == 404
            return client.socket.session_reused

    assert is_resumed()
    router.wait_for_log("ticket-keys-rotated")
    wait_until(lambda: not is_resumed(), "the key is forgotten", 15)


def test_a_new_certificate_is_taken_at_a_reload_and_open_connections_stay(make_tls_router, authority, make_backend):
    folder = tempfile.mkdtemp(prefix="wye-cert-")
    os.chmod(folder, 0o755)
    live = {kind: os.path.join(folder, kind) for kind in ("chain", "key")}

    def install(made):
        shutil.copy(made.chain, live["chain"])
        shutil.copy(made.key, live["key"])

    def shown(router):
        with connect(router, authority) as client:
            return client.socket.getpeercert()["serialNumber"]

    try:
        install(authority.issue(HOST))
        router = make_tls_router(tls={"certificates": ({"cert_chain": live["chain"], "private_key": live["key"]},)})
        router.register(HOST, make_backend())
        first = shown(router)
        with connect(router, authority) as client:
            assert client.get(HOST).status == 200
            install(authority.issue(HOST))
            router.reload()
            wait_until(lambda: shown(router) != first, "the new certificate is shown")
            assert client.get(HOST).status == 200
        shutil.copy(authority.issue(HOST).key, live["key"])
        router.reload(wait=False)
        router.wait_for_log("reload-refused")
        assert shown(router) != first
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("fault", ["missing", "not PEM", "another key", "expired", "unknown cipher"])
def test_faults_of_key_material_are_named_before_anything_starts(make_tls_router, authority, fault):
    good, other = authority.issue(HOST), authority.issue(HOST)
    tls = {"certificates": rows(good)}
    if fault == "missing":
        tls["certificates"] = ({"cert_chain": "/nowhere.pem", "private_key": good.key},)
    elif fault == "not PEM":
        tls["certificates"] = ({"cert_chain": "/etc/hostname", "private_key": good.key},)
    elif fault == "another key":
        tls["certificates"] = ({"cert_chain": good.chain, "private_key": other.key},)
    elif fault == "expired":
        tls["certificates"] = rows(authority.issue(HOST, days=-1))
    else:
        tls["cipher_suites"] = "ECDHE-RSA-AES128-GCM-SHA256:NO-SUCH-CIPHER"
    router = make_tls_router(tls=tls, start=False)
    checked = router.check_config()
    assert checked.returncode != 0
    named = {"missing": "/nowhere.pem", "not PEM": "/etc/hostname", "another key": other.key,
             "unknown cipher": "NO-SUCH-CIPHER"}
    assert named.get(fault, "expired") in checked.stdout + checked.stderr


def test_a_tls_port_without_certificates_is_refused_with_its_line(make_tls_router):
    checked = make_tls_router(tls={"certificates": ()}, start=False).check_config()
    assert checked.returncode != 0
    assert 'a listener of kind "https" needs "worker.tls.certificates"' in checked.stdout + checked.stderr


# --- endpoints


def register(router, backend, name="instance-1", **fields):
    router.register(HOST, backend, tls_port=backend.port, server_cert_domain_san=name, **fields)


def test_endpoints_are_verified_reused_and_told_nothing_in_the_clear(router, authority, make_backend):
    backend = make_backend(answers.echo, tls=server_context(authority.issue("instance-1")))
    register(router, backend)
    with router.client() as client:
        for n in range(5):
            assert client.request("POST", "/", HOST, body=b"%d" % n).body == b"%d" % n
    assert backend.connections == 1
    body = os.urandom(3 * MiB)
    with connect(router, authority) as client:
        assert client.request("POST", "/", HOST, body=body).body == body


def test_an_endpoint_without_a_name_is_known_by_its_address(router, authority, make_backend):
    backend = make_backend(tls=server_context(authority.issue("127.0.0.1")))
    register(router, backend, name="")
    assert router.get(HOST).status == 200


REFUSED = {
    "another name": (503, "certificate is valid for other, not instance-1"),
    "a stranger's certificate": (526, "certificate signed by unknown authority"),
    "an expired certificate": (526, "certificate has expired or is not yet valid"),
    "no TLS at all": (525, "tls: first record does not look like a TLS handshake"),
    "a client certificate wanted": (496, "remote error: tls: "),
    "a stall": (502, "net/http: TLS handshake timeout"),
    "a reset": (502, ""),
}


def misbehaving(what, authority, stranger, make_backend):
    good = authority.issue("instance-1")
    if what == "another name":
        return make_backend(tls=server_context(authority.issue("other")))
    if what == "a stranger's certificate":
        return make_backend(tls=server_context(stranger.issue("instance-1")))
    if what == "an expired certificate":
        return make_backend(tls=server_context(authority.issue("instance-1", days=-1)))
    if what == "no TLS at all":
        return make_backend(on_connect=lambda exchange: exchange.send(b"HTTP/1.0 400 no\r\n\r\n"))
    if what == "a client certificate wanted":
        return make_backend(tls=server_context(good, stranger))
    if what == "a stall":
        return make_backend(on_connect=lambda exchange: exchange.stall())
    return make_backend(on_connect=lambda exchange: exchange.reset())


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_endpoint_does_wrong_has_its_own_status(make_tls_router, authority, stranger, make_backend, what):
    status, text = REFUSED[what]
    router = make_tls_router(upstream={"handshake_timeout": "400ms"})
    backend = misbehaving(what, authority, stranger, make_backend)
    register(router, backend)
    response = router.get(HOST)
    assert response.status == status, response
    assert text in response.header("x-cf-routererror"), response
    router.wait_for_access_line(f" {status} ", "endpoint_failure (")
    assert not backend.requests, "nothing was said to it"


@pytest.mark.parametrize("what", REFUSED)
def test_a_good_endpoint_serves_in_the_place_of_one_that_misbehaves(make_tls_router, authority, stranger,
                                                                   make_backend, what):
    router = make_tls_router(upstream={"handshake_timeout": "400ms"})
    register(router, misbehaving(what, authority, stranger, make_backend))
    register(router, make_backend(tls=server_context(authority.issue("instance-1"))))
    for _ in range(4):
        assert router.get(HOST).status == 200


def test_our_certificate_is_shown_to_endpoints_that_ask(make_tls_router, authority, make_backend):
    ours = authority.issue("router")
    router = make_tls_router(upstream={"cert_chain": ours.chain, "private_key": ours.key})
    seen = []

    def answer(exchange, request):
        seen.append(exchange.socket.getpeercert()["subject"])
        answers.ok(exchange, request)

    register(router, make_backend(answer, tls=server_context(authority.issue("instance-1"), authority)))
    assert router.get(HOST).status == 200
    assert seen == [((("commonName", "router"),),)]


def test_a_name_is_never_served_by_the_connection_of_another(router, authority, make_backend):
    """The same address registered under two names: each connection was verified for its own."""
    backend = make_backend(tls=server_context(authority.issue("first", "second")))
    router.register("first.example", backend, tls_port=backend.port, server_cert_domain_san="first")
    assert router.get("first.example").status == 200
    router.register("second.example", backend, tls_port=backend.port, server_cert_domain_san="second",
                    private_instance_id="second")
    assert router.get("second.example").status == 200
    assert backend.connections == 2


def test_an_endpoint_that_cuts_without_close_notify_is_noticed(router, authority, make_backend):
    def cut(exchange, request):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        raw = exchange.socket.detach()
        socket.socket(fileno=raw).close()
        exchange.is_open = False

    register(router, make_backend(cut, tls=server_context(authority.issue("instance-1"))))
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
        rest = client.read_rest()
    assert rest.endswith(b"abc") and b" 200 OK" in rest


# --- what the steps know, over TLS


def der_in_base64(made):
    """The first certificate of the file: a PEM body on one line."""
    with open(made.chain) as file:
        return "".join(file.read().split("-----")[2].split())


@pytest.mark.parametrize("mode, sent, without", [
    ("always_forward", "forged", "forged"), ("forward", "forged", None), ("sanitize_set", "leaf", None)])
def test_what_a_client_says_of_its_certificate_is_believed_set_or_deleted(make_tls_router, authority, make_backend,
                                                                          mode, sent, without):
    """Over TLS with a certificate, also one with its issuer behind it and in a resumed session; and without one."""
    router = make_tls_router(tls={"client_cert_validation": "request", "client_ca_certs": (authority.path,)},
                             worker={"proxy": {"forwarded_client_cert": mode}})
    backend = make_backend()
    router.register(HOST, backend)
    between = authority.delegate()

    def arrives(made, resumes=False):
        tls, session = context(authority), None
        if made:
            tls.load_cert_chain(made.chain, made.key)
        for _ in range(1 + resumes):
            with connect(router, authority, tls=tls, session=session) as client:
                assert client.request("GET", "/", HOST, [("X-Forwarded-Client-Cert", "forged")]).status == 200
                session, was_resumed = client.socket.session, client.socket.session_reused
        assert was_resumed == resumes
        return backend.requests[-1].all("x-forwarded-client-cert")

    for made in (authority.issue("client"), between.issue("leaf")):
        for resumes in (False, True):
            assert arrives(made, resumes) == [der_in_base64(made) if sent == "leaf" else sent]
    assert arrives(None) == ([without] if without else [])
    shutil.rmtree(between.folder)


def test_rules_say_whom_an_authority_may_name(make_tls_router, authority):
    between = authority.delegate("Own CA")
    rule = {"issuer_in_chain": "CN=Own CA", "valid_cert_subjects": ("CN=client,O=Org",)}
    router = make_tls_router(tls={"client_cert_validation": "require", "only_trust_client_ca_certs": True,
                                  "client_ca_certs": (authority.path, between.path),
                                  "verify_client_certificate_metadata": (rule,)})

    def is_served(made):
        tls = context(authority)
        tls.load_cert_chain(made.chain, made.key)
        try:
            with connect(router, authority, tls=tls) as client:
                return client.get("nobody.example").status == 404
        except (OSError, Disconnected):
            return False

    assert is_served(between.issue("client", subject="/O=Org/CN=client"))
    assert not is_served(between.issue("client", subject="/O=Other/CN=client"))
    assert is_served(authority.issue("anybody")), "the rule is about another authority"
    shutil.rmtree(between.folder)


def test_times_of_the_handshake_are_logged(make_tls_router, authority, make_backend):
    router = make_tls_router(worker={"access_log": {"extra_access_log_fields": ("dial_time", "tls_time")}})
    register(router, make_backend(tls=server_context(authority.issue("instance-1"))))
    assert router.get(HOST).status == 200
    line = router.wait_for_access_line('"GET / HTTP/1.1" 200', "tls_time:0.0")
    assert "tls_time:0.000000" not in line
