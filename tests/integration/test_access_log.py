"""The access log as operators set it up: what is in a line, and syslog servers that stall, close and come back."""
import hashlib
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness import free_port, wait_until
from harness import backend as answers

HOST = "app.example"
DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
DROPPED = "access_log_syslog_dropped"
SENT = "access_log_syslog_lines"


class Receiver:
    """A syslog server of any kind.  It can stop reading, close its connections, go and come back."""

    def __init__(self, network, address, small=False):
        self.network, self.address, self.is_small = network, address, small
        self.is_stream = network in ("tcp", "unix")
        self.data, self.messages, self.connections = b"", [], []
        self.accepted = 0
        self.is_reading = threading.Event()
        self.is_reading.set()
        self.threads, self.socket = [], None
        self.open()

    def open(self):
        is_unix = self.network.startswith("unix")
        if is_unix and os.path.exists(self.address):
            os.unlink(self.address)
        self.socket = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET,
                                    socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        if not is_unix:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.is_small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.bind(self.address if is_unix else ("127.0.0.1", int(self.address.split(":")[1])))
        if is_unix:
            os.chmod(self.address, 0o777)
        if self.is_stream:
            self.socket.listen()
        self._begin(self._accept if self.is_stream else self._read, self.socket)

    def _begin(self, run, source):
        self.is_ending = False
        self.threads.append(threading.Thread(target=run, args=(source,), daemon=True))
        self.threads[-1].start()

    def _accept(self, listener):
        listener.settimeout(0.02)
        while not self.is_ending:
            try:
                connection, _ = listener.accept()
            except socket.timeout:
                continue
            self.accepted += 1
            self.connections.append(connection)
            self._begin(self._read, connection)

    def _read(self, source):
        source.settimeout(0.02)
        while not self.is_ending:
            if not self.is_reading.wait(0.02):
                continue
            try:
                data = source.recv(70000)
            except socket.timeout:
                continue
            except OSError:
                return
            if self.is_stream and not data:
                return
            if self.is_stream:
                self.data += data
            else:
                self.messages.append(data)

    def drop_connections(self):
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        while self.connections:
            self.connections.pop().close()

    def close(self):
        """Gone when this returns: a thread that still waits would keep the socket open."""
        self.is_ending = True
        while self.threads:
            self.threads.pop().join()
        self.socket.close()
        self.drop_connections()

    def lines(self, having=b""):
        found = self.messages if not self.is_stream else self.data.split(b"\n")[:-1]
        return [line for line in found if having in line]

    def wait_for(self, text, timeout_s=None):
        return wait_until(lambda: self.lines(text.encode()),
                          lambda: f"{text} arrives: {self.lines()[-5:]}", timeout_s)[0]


@pytest.fixture
def make_receiver(tmp_path_factory):
    receivers = []

    def make(network, **options):
        folder = tmp_path_factory.mktemp("syslog")
        for part in (folder, *folder.parents):
            if os.stat(part).st_uid == os.getuid() and str(part).startswith("/tmp/"):
                os.chmod(part, 0o755)
        address = str(folder / "log") if network.startswith("unix") else f"127.0.0.1:{free_port()}"
        receivers.append(Receiver(network, address, **options))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def make_log(make_router, make_backend):
    """make_log(receiver, **settings): a router of one worker with this access log, and a backend for HOST."""

    def make(receiver=None, answer=answers.echo, master=None, **settings):
        if receiver:
            settings = {"enable_streaming": True, "syslog_network": receiver.network,
                        "syslog_addr": receiver.address, **settings}
        router = make_router(master={"workers": 1, **(master or {})}, worker={"access_log": settings})
        router.backend = make_backend(answer)
        router.register(HOST, router.backend)
        return router

    return make


def ask(router, count, mark="/x", headers=()):
    with router.client() as client:
        for number in range(count):
            assert client.get(HOST, f"{mark}-{number}", headers).status == 200


def ask_quickly(router, count, mark):
    """As ask(); the slowest answer in seconds.  Lines are long, so that rings fill up."""
    slowest = 0
    with router.client() as client:
        for number in range(count):
            begun = time.monotonic()
            assert client.get(HOST, f"{mark}-{number}", [("User-Agent", "u" * 4000)]).status == 200
            slowest = max(slowest, time.monotonic() - begun)
    return slowest


# --- what is in a line

def test_extra_fields_and_headers_have_their_places(make_log):
    router = make_log(extra_access_log_fields=("local_address", "failed_attempts", "no_such", "dns_time", "dial_time",
                                               "tls_time", "backend_time", "failed_attempts_time", "dns_time"),
                      extra_headers_to_log=("X-Some-Thing", "Accept"))
    ask(router, 2, "/extra", [("X-Some-Thing", 'a"b')])
    port = router.backend.exchanges[0].socket.getpeername()[1]
    first, second = router.wait_for_access_line("/extra-0"), router.wait_for_access_line("/extra-1")
    tail = re.search(r' instance_id:"[^"]*" (.*)$', first).group(1)
    assert re.fullmatch(rf'local_address:"127\.0\.0\.1:{port}" failed_attempts:0 dns_time:0\.000000 '
                        rf'dial_time:0\.\d{{6}} tls_time:0\.000000 backend_time:0\.\d{{6}} '
                        rf'failed_attempts_time:"-" x_cf_routererror:"-" '
                        rf'x_some_thing:"a\\"b" accept:"-"', tail), tail
    assert " dial_time:0.000000 " in second and " dial_time:0.000000 " not in first
    assert router.log_lines("access-log-unknown-field")[0]["data"]["field"] == "no_such"


def test_names_of_endpoints_take_time_to_look_up(make_log, make_backend):
    router = make_log(extra_access_log_fields=("dns_time", "dial_time"))
    router.register("named.example", make_backend(), host="localhost")
    assert router.get("named.example", "/named").status == 200
    line = router.wait_for_access_line("/named")
    assert " dns_time:0." in line and " dns_time:0.000000 " not in line and " dial_time:0.000000 " not in line


def test_failed_attempts_are_counted_and_timed(make_log, make_backend):
    router = make_log(extra_access_log_fields=("failed_attempts", "failed_attempts_time", "dial_time", "backend_time",
                                               "local_address"))
    broken = make_backend()
    broken.refuse()
    router.register(HOST, broken)
    ask(router, 4, "/retried")
    retried = router.wait_for_access_line("/retried", " failed_attempts:1 ")
    assert re.search(r'failed_attempts_time:0\.\d{6} dial_time:0\.\d{6} backend_time:0\.\d{6} '
                     r'local_address:"127', retried), retried
    router.backend.refuse()
    router.backend.exchanges[0].close()
    with router.client() as client:
        assert client.get(HOST, "/lost").status == 502
    lost = router.wait_for_access_line("/lost")
    assert re.search(r' failed_attempts:[23] failed_attempts_time:0\.\d{6} dial_time:"-" backend_time:"-" '
                     r'local_address:"-" ', lost), lost
    assert router.get("no.example", "/unknown").status == 404
    assert ' failed_attempts:0 failed_attempts_time:"-" dial_time:"-" backend_time:"-" local_address:"-" ' in \
        router.wait_for_access_line("/unknown")


def test_addresses_are_left_out_on_demand(make_log):
    router = make_log(disable_log_forwarded_for=True, disable_log_source_ip=True)
    ask(router, 1, "/hidden", [("X-Forwarded-For", "1.2.3.4")])
    line = router.wait_for_access_line("/hidden")
    assert "1.2.3.4" not in line and ' x_forwarded_for:"-" ' in line
    assert f'"-" "-" "-" "{router.backend.address}" ' in line
    assert router.backend.requests[0].header("X-Forwarded-For").startswith("1.2.3.4")


@pytest.mark.parametrize("how, logged", [("none", "?secret=1"), ("all", ""), ("hash", None)])
def test_queries_are_redacted_in_the_log_only(make_log, how, logged):
    router = make_log(redact_query_params=how)
    if logged is None:
        logged = "?hash=" + hashlib.sha1(b"secret=1").hexdigest()
    with router.client() as client:
        assert client.get(HOST, "/get?secret=1").status == 200
        assert client.request("POST", "/post?secret=1", HOST, body=b"x").status == 200
    assert f'"GET /get{logged} HTTP/1.1"' in router.wait_for_access_line("/get")
    assert '"POST /post?secret=1 HTTP/1.1"' in router.wait_for_access_line("/post")
    assert router.backend.requests[0].target == "/get?secret=1"


def test_json_holds_the_same_data_and_any_bytes(make_log):
    router = make_log(format="json", extra_access_log_fields=("failed_attempts", "local_address"),
                      extra_headers_to_log=("Accept", "X-Odd"))
    with router.client() as client:
        client.send(b"GET /j?a=\xff HTTP/1.1\r\nHost: " + HOST.encode() +
                    b"\r\nUser-Agent: \xc3\xa4\xff\"\\\t\r\nX-Odd: \xe2\x80\xa8\xed\xa0\x80\r\n\r\n")
        assert client.response().status == 200
    text = router.wait_for_access_line("/j")
    with open(router.access_log_path, "rb") as file:
        line = json.loads(file.read().decode())       # strict UTF-8
    assert line["host"] == HOST and line["method"] == "GET" and line["uri"] == "/j?a=\ufffd"
    assert line["protocol"] == "HTTP/1.1" and line["status"] == 200 and line["referer"] is None
    assert line["user_agent"] == "\u00e4\ufffd\"\\" and line["failed_attempts"] == 0
    assert line["headers"] == {"accept": None, "x_odd": "\u2028\ufffd\ufffd\ufffd"}
    assert line["backend"] == router.backend.address and line["local_address"].startswith("127.0.0.1:")
    assert re.fullmatch(DATE + r"\.\d{9}Z", line["start"]) and 0 < line["response_time"] < 5
    assert len(text.splitlines()) == 1


# --- the file

def test_an_existing_file_is_appended_to_and_opened_anew_on_demand(make_router, make_backend):
    router = make_router(start=False)
    with open(router.access_log_path, "w") as file:
        file.write("what was there\n")
    router.start()
    router.register(HOST, make_backend())
    ask(router, 1, "/first")
    router.wait_for_access_line("/first")
    assert router.access_lines()[0] == "what was there"
    os.rename(router.access_log_path, router.access_log_path + ".1")
    router.signal(signal.SIGUSR2)
    router.wait_for_log("logs-reopened")
    ask(router, 1, "/second")
    router.wait_for_access_line("/second")
    assert len(router.access_lines()) == 1


def test_a_file_that_stalls_stops_neither_requests_nor_syslog(make_router, make_backend, make_receiver):
    receiver = make_receiver("tcp")
    router = make_router(start=False, master={"workers": 1}, table={"log_ring": "64K"},
                         worker={"access_log": {"enable_streaming": True, "syslog_network": "tcp",
                                                "syslog_addr": receiver.address}})
    os.mkfifo(router.access_log_path)
    reader = os.open(router.access_log_path, os.O_RDONLY | os.O_NONBLOCK)   # and never reads
    router.start()
    router.register(HOST, make_backend())
    assert ask_quickly(router, 100, "/stalled") < 1
    receiver.wait_for("/stalled-99")
    counters = router.table.counters()
    assert counters["access_log_dropped"] > 0 and counters[DROPPED] == 0
    assert router.wait_for_log("access-log-dropped", sink="file")["data"]["lines"] >= 1
    os.close(reader)


# --- syslog: the messages

MESSAGE = re.compile(rf"<14>1 {DATE}Z (\S+) vcap\.gorouter (\d+) - - \ufeff(.*)", re.S)


@pytest.mark.parametrize("network", ["udp", "tcp", "unix", "unixgram"])
def test_lines_go_to_syslog_as_rfc_5424_messages(make_log, make_receiver, network):
    receiver = make_receiver(network)
    router = make_log(receiver)
    ask(router, 20, "/sent")
    receiver.wait_for("/sent-19")
    line = router.wait_for_access_line("/sent-19")
    match = MESSAGE.fullmatch(receiver.lines(b"/sent-19")[0].decode())
    assert match.group(1) == re.sub(r"[^!-~]", "?", socket.gethostname())
    assert int(match.group(2)) == router.worker_pids()[0] and match.group(3) == line
    assert len(receiver.lines(b"/sent-")) == 20
    assert router.table.counter(SENT) == 20 and router.table.counter(DROPPED) == 0


def test_octet_counting_frames_messages_by_their_length(make_log, make_receiver):
    receiver = make_receiver("tcp")
    router = make_log(receiver, syslog_framing="octet-counting", syslog_tag="tag")
    ask(router, 10, "/counted")
    wait_until(lambda: b"/counted-9" in receiver.data, "all arrive")
    rest, messages = receiver.data, []
    while rest:
        length, _, rest = rest.partition(b" ")
        messages.append(rest[:int(length)])
        rest = rest[int(length):]
    assert len(messages) == 10 and all(m.startswith(b"<14>1 ") and b"\n" not in m for m in messages)
    assert b" tag " in messages[0]


def test_gorouters_own_form_has_no_structured_data(make_log, make_receiver):
    receiver = make_receiver("udp")
    router = make_log(receiver, syslog_form="gorouter", syslog_network="udp4",
                      syslog_addr=receiver.address.replace("127.0.0.1", "localhost"))
    ask(router, 1, "/old")
    message = receiver.wait_for("/old").decode()
    assert re.fullmatch(rf"<14>1 {DATE}Z \S+ vcap\.gorouter \d+ - \ufeff{HOST} - \[.*", message)


@pytest.mark.parametrize("network", ["udp", "tcp"])
def test_lines_are_cut_between_characters(make_log, make_receiver, network):
    receiver = make_receiver(network)
    router = make_log(receiver, syslog_truncate=150)
    for shift in range(3):
        ask(router, 1, "/c" + "c" * shift, [("Referer", "\u20ac".encode().decode("latin-1") * 100)])
    router.wait_for_access_line("/ccc-0")
    receiver.wait_for("/ccc-0")
    for message in receiver.lines():
        line = message.decode().partition("\ufeff")[2].encode()
        assert 148 <= len(line) <= 150


def test_a_datagram_takes_as_much_of_a_line_as_it_can(make_log, make_receiver):
    receiver = make_receiver("udp")
    router = make_log(receiver)
    ask(router, 1, "/short")
    short = len(receiver.wait_for("/short").partition("\ufeff".encode())[2])
    ask(router, 1, "/long" + "l" * (65530 - short))
    wait_until(lambda: receiver.lines(b"/long"), "the message arrives")
    assert len(receiver.lines(b"/long")[0]) == 65507
    ask(router, 1, "/next")
    receiver.wait_for("/next")


def test_syslog_needs_no_file(make_router, make_backend, make_receiver):
    receiver = make_receiver("tcp")
    router = make_router(access_log={"file": ""}, worker={"access_log": {
        "enable_streaming": True, "syslog_network": "tcp", "syslog_addr": receiver.address, "format": "json"}})
    router.register(HOST, make_backend())
    ask(router, 5, "/only")
    line = receiver.wait_for("/only-4").decode().partition("\ufeff")[2]
    assert json.loads(line)["uri"] == "/only-4"


# --- syslog: servers in trouble

@pytest.mark.parametrize("network", ["tcp", "unix", "unixgram"])
def test_a_server_that_stalls_stops_neither_requests_nor_the_file(make_log, make_receiver, network):
    receiver = make_receiver(network, small=True)
    router = make_log(receiver, syslog_buffer="128K")
    ask(router, 1, "/before")
    receiver.wait_for("/before")
    receiver.is_reading.clear()
    count = 400 if network == "unixgram" else 2500     # 10 MB: more than any socket buffer and the ring
    assert ask_quickly(router, count, "/stalled") < 1
    wait_until(lambda: router.table.counter(DROPPED) > 0, "lines were dropped")
    said = [line["data"] for line in router.log_lines("access-log-dropped")]
    assert any(data["sink"] == "syslog" for data in said) and len(said) < 30
    wait_until(lambda: len(router.access_lines("/stalled")) + router.table.counter("access_log_dropped") == count,
               "the file has its lines")
    receiver.is_reading.set()
    wait_until(lambda: router.table.counter(DROPPED) + router.table.counter(SENT) == count + 1, "the rest was sent")
    ask(router, 1, "/after")
    receiver.wait_for("/after")
    counters = router.table.counters()
    wait_until(lambda: len(receiver.lines(b" - [")) == counters[SENT], "all that was sent arrives whole")


@pytest.mark.parametrize("network", ["tcp", "unix", "unixgram", "udp"])
def test_a_server_that_goes_and_comes_back_gets_what_waited(make_log, make_receiver, network):
    receiver = make_receiver(network)
    router = make_log(receiver)
    ask(router, 1, "/before")
    receiver.wait_for("/before")
    receiver.close()
    ask(router, 10, "/away")
    error = router.wait_for_log("error-emitting-access-log-to-writer-syslog")
    assert error["log_level"] == 3 and error["data"]["address"] == receiver.address
    assert len(router.wait_for_access_line("/away-9")) > 0
    receiver.open()
    ask(router, 1, "/after")
    receiver.wait_for("/after-0", 30)
    arrived = len(receiver.lines(b"/away-"))
    lost = router.table.counter(DROPPED)
    assert arrived == 10 if network != "udp" else arrived + lost >= 10
    assert lost == 0 or network == "udp"
    assert len(router.log_lines("error-emitting-access-log-to-writer-syslog")) < 30


def test_a_connection_that_is_closed_is_made_anew_without_loss(make_log, make_receiver):
    receiver = make_receiver("tcp")
    router = make_log(receiver)
    for turn in range(5):
        ask(router, 3, f"/turn{turn}")
        receiver.wait_for(f"/turn{turn}-2")
        receiver.drop_connections()
    assert receiver.accepted == 5 and len(receiver.lines(b"/turn")) == 15


def test_a_server_that_is_not_there_at_the_start_is_no_fault(make_log, make_receiver):
    receiver = make_receiver("tcp")
    receiver.close()
    router = make_log(receiver)
    ask(router, 5, "/early")
    router.wait_for_log("error-emitting-access-log-to-writer-syslog", error="Connection refused")
    receiver.open()
    receiver.wait_for("/early-4", 30)
    assert len(receiver.lines(b"/early")) == 5
    router.wait_for_log("access-log-syslog-opened")


def test_what_waits_is_sent_when_a_worker_ends_and_a_stalled_server_holds_it_no_second(make_log, make_receiver):
    receiver = make_receiver("tcp", small=True)
    router = make_log(receiver, syslog_buffer="4M", master={"stop_timeout": "4s"})
    ask(router, 50, "/last")
    assert router.stop() == 0
    wait_until(lambda: len(receiver.lines(b"/last")) == 50, "all lines arrive")
    router.start()
    router.register(HOST, router.backend)
    receiver.is_reading.clear()
    ask_quickly(router, 1000, "/never")
    begun = time.monotonic()
    assert router.stop() == 0
    assert time.monotonic() - begun < 3
    assert router.log_lines("access-log-dropped")[-1]["data"]["lines"] > 100


def test_a_reopened_component_log_is_used_by_all_threads(make_log, make_receiver):
    receiver = make_receiver("tcp")
    router = make_log(receiver)
    ask(router, 1, "/before")
    receiver.wait_for("/before")
    router.write_config(worker={"access_log": {"extra_access_log_fields": ("failed_attempts",)}})
    router.reload()
    ask(router, 1, "/reloaded")
    assert b" failed_attempts:0 " in receiver.wait_for("/reloaded")


@pytest.mark.parametrize("settings, reason", [
    ({"syslog_tag": "two words"}, "syslog_tag must be"),
    ({"syslog_addr": "nowhere"}, "syslog_addr must be"),
    ({"syslog_network": "unix"}, "syslog_addr must be"),
    ({"syslog_network": "sctp"}, "must be one of udp|"),
    ({"syslog_buffer": "300K"}, "syslog_buffer must be a power of two"),
    ({"extra_headers_to_log": ("a b",)}, 'extra_headers_to_log: "a b"'),
    ({"redact_query_params": "some"}, "must be one of none|all|hash"),
])
def test_settings_that_cannot_work_are_refused_with_their_name(make_router, settings, reason):
    router = make_router(start=False, worker={"access_log": settings})
    result = router.check_config()
    assert result.returncode == 1 and "worker.access_log" in result.stderr and reason in result.stderr


# --- what other handlers leave in the line


def test_what_the_router_tells_apps_about_the_client_is_in_lines_of_requests_that_reached_one(make_router,
                                                                                              make_backend):
    router = make_router(worker={"proxy": {"max_request_headers": 10}})
    router.register(HOST, make_backend())
    fields = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")]
    for host, target, more, status in ((HOST, "/sent", [], 200), ("nobody.example", "/nobody", [], 404),
                                       (HOST, "/large", [("A", "1")] * 11, 431)):
        assert router.get(host, target, more).status == status
        assert router.get(host, target + "-as", fields + more).status == status
        line, said = router.wait_for_access_line(f"{target} "), router.wait_for_access_line(f"{target}-as ")
        if status == 200:
            assert ' x_forwarded_for:"127.0.0.1" x_forwarded_proto:"http" ' in line
            assert ' x_forwarded_for:"1.2.3.4, 127.0.0.1" x_forwarded_proto:"https" ' in said
        else:
            assert ' x_forwarded_for:"-" x_forwarded_proto:"-" ' in line
            assert ' x_forwarded_for:"1.2.3.4" x_forwarded_proto:"https" ' in said


def test_a_semicolon_in_the_target_is_named_where_nothing_else_went_wrong(make_router, make_backend):
    router = make_router()
    router.register(HOST, make_backend())
    assert router.get(HOST, "/a?b;c").header("x-cf-routererror") is None
    assert router.get("nobody.example", "/a;b").status == 404
    router.wait_for_access_line("GET /a?b;c ", 'x_cf_routererror:"deprecated-semicolon-params"')
    router.wait_for_access_line("GET /a;b ", 'x_cf_routererror:"unknown_route"')


def test_what_tracing_set_is_in_the_line(make_router, make_backend):
    tracing = {"tracing": {"enable_zipkin": True, "enable_w3c": True}}
    router = make_router(worker={"proxy": tracing, "access_log": {"extra_headers_to_log": ("X-One", "traceparent")}})
    backend = make_backend()
    router.register(HOST, backend)
    assert router.get(HOST, headers=[("X-One", "1")]).status == 200
    sent, line = backend.requests[0], router.wait_for_access_line('"GET / HTTP/1.1" 200')
    assert re.search(r' x_one:"1" traceparent:"(.*?)" x_b3_traceid:"(.*?)" x_b3_spanid:"(.*?)" '
                     r'x_b3_parentspanid:"-" b3:"(.*?)" tracestate:"', line).groups() == (
        sent.header("traceparent"), sent.header("x-b3-traceid"), sent.header("x-b3-spanid"), sent.header("b3"))


def test_a_failed_attempt_is_logged_with_what_was_known_of_it(make_router, make_backend):
    router, backend = make_router(), make_backend(answers.close_without_answer)
    router.register(HOST, backend)
    with router.client() as client:
        assert client.request("POST", "/", HOST, body=b"x").status == 502
    data = router.wait_for_log("backend-endpoint-failed")["data"]
    assert (data["retriable"], data["got-connection"], data["wrote-headers"], data["conn-reused"]) == (
        False, True, True, False)
    assert (data["route-endpoint"]["Addr"], data["route-endpoint"]["ApplicationId"]) == (
        backend.address, f"app-{backend.port}")
    assert data["dial-time"] > 0 and data["dns-lookup-time"] == data["tls-handshake-time"] == 0
