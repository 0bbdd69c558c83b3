"""The union of NATS servers: what a split, frozen or lying server does to the feed, which is nothing."""
import json
import queue
import socket
import ssl
import threading
import time

import pytest

from harness import Authority, Bus, Cluster, FakeNats, wait_until
from harness.feed import QUICK_NATS, source_states as states, sources, wait_source_states as wait_states

def endpoint(host, port=9, **fields):
    return {"host": "10.0.0.1", "port": port, "uris": [host], "app": f"app-{host}", **fields}


def wait_route(router, host):
    wait_until(lambda: router.table.has(host), lambda: f"{host} is in the table; log:\n{router.log_text()[-3000:]}")


@pytest.fixture
def closing():
    """Closes what is appended, last first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def listen(make_router):
    """listen(urls, **settings of registrar.nats): a router that hears these servers."""
    def make(urls, nats=(), **registrar):
        router = make_router(bus=None, start=False, registrar={
            "nats": {**QUICK_NATS, "servers": tuple(urls), **dict(nats)}, **registrar})
        return router.start()
    return make


def starts_heard(bus):
    heard = bus.subscribe("router.start")
    bus.client.flush()
    return heard


def names(*buses):
    return [f"127.0.0.1:{bus.port}" for bus in buses]


def test_all_islands_are_served_and_a_split_is_named(listen, closing):
    one, two = Bus(), Bus()
    closing += [one, two]
    starts = [starts_heard(one), starts_heard(two)]
    router = listen([one.url, two.url])
    wait_until(lambda: len(states(router)) == 2 and "DOWN" not in states(router), "both are connected")
    one.publish("router.register", endpoint("one.example"))
    two.publish("router.register", endpoint("two.example"))
    wait_route(router, "one.example")
    wait_route(router, "two.example")
    wait_until(lambda: router.table.facts()["nats_islands"] == 2, "two islands are counted", 3)
    lost = router.wait_for_log("nats-pair-lost", **{"from": names(one)[0], "to": names(two)[0]})["data"]
    assert lost["text"].startswith(f"{names(one)[0]} -> {names(two)[0]} lost since ")
    assert "restart nats-server on" in lost["text"]
    wait_states(router, "ISLAND", "ISLAND")
    time.sleep(1)
    assert [heard.qsize() for heard in starts] == [1, 1], "router.start once an island"


def test_servers_that_hear_one_another_are_asked_once_and_answered_once(listen, closing):
    cluster = Cluster(3)
    closing.append(cluster)
    starts = starts_heard(cluster.servers[2])
    router = listen(cluster.urls)
    wait_states(router, "UP", "UP", "UP")
    time.sleep(1)
    assert starts.qsize() == 1
    assert router.table.facts()["nats_islands"] == 1
    answers = cluster.servers[1].subscribe("_INBOX.once")
    cluster.servers[1].publish("router.greet", b"", "_INBOX.once")
    answers.get(timeout=2)
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.5)
    assert all(probe == "ok" for source in sources(router)["sources"] for probe in source["probes"].values())
    assert "SERVER" in router.table.run("--sources").stdout


def test_a_loss_in_one_direction_is_named_and_healed(listen, closing):
    cluster = Cluster(2)
    closing.append(cluster)
    router = listen(cluster.urls)
    wait_states(router, "UP", "UP")
    zero, one = names(*cluster.servers)
    cluster.relays[1, 0].drop_backward = True       # what server 0 tells server 1
    lost = router.wait_for_log("nats-pair-lost", timeout_s=5)["data"]
    assert (lost["from"], lost["to"]) == (zero, one)
    wait_states(router, "ISLAND", "ISLAND")
    matrix = {source["server"]: source["probes"] for source in sources(router)["sources"]}
    assert matrix[zero][one] == "lost" and matrix[one][zero] == "ok"
    assert len(router.log_lines("nats-pair-lost")) == 1
    cluster.servers[0].publish("router.register", endpoint("zero.example"))
    wait_route(router, "zero.example")
    cluster.relays[1, 0].heal()
    wait_states(router, "UP", "UP", timeout_s=30)
    router.wait_for_log("nats-pair-restored")


def test_a_frozen_server_is_found_alone_and_no_storm_follows_its_return(listen, closing):
    cluster = Cluster(2)
    closing.append(cluster)
    router = listen(cluster.urls)
    wait_states(router, "UP", "UP")
    starts = starts_heard(cluster.servers[0])
    cluster.servers[1].freeze()
    try:
        wait_until(lambda: states(router)[1] in ("ISLAND", "DOWN"), "the frozen one is found", 5)
        assert states(router)[0] == "UP"
        wait_states(router, "UP", "DOWN")
        assert starts.qsize() == 0
    finally:
        cluster.servers[1].freeze(False)
    wait_states(router, "UP", "UP", timeout_s=30)
    time.sleep(4)
    assert starts.qsize() <= 1, "router.start once an island"


def test_a_server_that_returns_is_asked_and_the_gap_breaks_its_trust(listen, closing):
    bus = Bus()
    closing.append(bus)
    router = listen([bus.url], nats={"start_interval": "0s"})
    wait_states(router, "UP")
    bus.stop()
    wait_states(router, "DOWN")
    router.wait_for_log("nats-source-state", state="DOWN")
    wait_until(lambda: router.table.facts()["feed_lost_ms"] > 0, "the feed counts as lost", 15)
    bus.start()
    starts = starts_heard(bus)
    wait_states(router, "UP")
    starts.get(timeout=5)
    assert router.table.facts()["feed_lost_ms"] == 0
    assert sources(router)["sources"][0]["connects"] == 2


def test_a_source_without_registrations_is_quiet_while_others_bring_some(listen, closing):
    one, two = Bus(), Bus()
    closing += [one, two]
    router = listen([one.url, two.url], nats={"source_quiet": "1s", "probe_misses": 100})
    wait_until(lambda: states(router) == ["UP", "UP"], "both are up")
    for _ in range(20):
        one.publish("router.register", endpoint("one.example"))
        time.sleep(0.1)
    one.client.flush()
    wait_until(lambda: states(router)[1] == "QUIET", lambda: f"the second is quiet: {states(router)}")
    two.publish("router.register", endpoint("two.example"))
    wait_until(lambda: states(router)[1] == "UP", "it is up again")


def test_standby_hears_one_server_until_something_is_wrong(listen, closing):
    cluster = Cluster(2)
    closing.append(cluster)
    router = listen(cluster.urls, nats={"union": "standby", "source_degraded": "1s"})
    wait_states(router, "UP", "UP")
    first, second = cluster.servers
    wait_until(lambda: first.is_subscribed("router.register") and not second.is_subscribed("router.register"),
               "only the first one is asked for registrations")
    assert second.is_subscribed("router.greet")
    cluster.relays[1, 0].drop_backward = True
    wait_until(lambda: second.is_subscribed("router.register"), "all are asked")
    second.publish("router.register", endpoint("two.example"))
    wait_route(router, "two.example")


# --- servers that misbehave

def fake_router(listen, closing, **options):
    fake = FakeNats(**options)
    closing.append(fake)
    return fake, listen([fake.url])


def assert_feeds(router, fake, connection_count, host="fake.example"):
    """The source works on its n-th connection, and the registrar never died."""
    connection = fake.wait_subscribed(connection_count)
    wait_until(lambda: states(router) == ["UP"], lambda: f"it is up: {states(router)}", 30)
    connection.message("router.register", json.dumps(endpoint(host)).encode())
    wait_route(router, host)
    assert len(router.log_lines("child-exited")) == 0


def test_two_authorization_errors_do_not_end_a_source(listen, closing):
    def refuse(connection):
        if len(fake.connections) <= 3:
            connection.send(b"-ERR 'Authorization Violation'\r\n")
            connection.close()
    fake = FakeNats()
    closing.append(fake)
    fake.on_connect = refuse
    router = listen([fake.url])
    assert_feeds(router, fake, 4)
    assert "uthorization" in router.log_lines("nats-connection-error")[0]["data"]["error"]


def test_an_unknown_error_makes_a_new_connection(listen, closing):
    fake, router = fake_router(listen, closing)
    first = fake.wait_subscribed(1)
    wait_states(router, "UP")
    pid = router.registrar_pid()
    first.send(b"-ERR 'Something Nobody Has Seen Before'\r\n")
    assert_feeds(router, fake, 2)
    assert router.registrar_pid() == pid


def test_an_info_in_two_segments_and_one_of_a_megabyte_are_read(listen, closing):
    def greet(connection, number):
        info = fake.info()
        if number == 1:
            connection.send(info[:20])
            time.sleep(0.2)
            connection.send(info[20:])
        else:
            connection.send(fake.info(connect_urls=["127.0.0.1:4222"] * 60000))
    fake = FakeNats()
    closing.append(fake)
    fake.greet = greet
    router = listen([fake.url])
    assert_feeds(router, fake, 1)
    fake.connections[-1].close()
    wait_until(lambda: len(fake.connections) >= 2, "it connects again")
    time.sleep(1)
    fake.greet = lambda connection, number: connection.send(fake.info())    # should the megabyte be too much
    fake.connections[-1].close()
    assert_feeds(router, fake, 3, "after.example")


def test_a_lame_duck_is_shown_and_left_when_it_goes(listen, closing):
    fake, router = fake_router(listen, closing)
    connection = fake.wait_subscribed(1)
    wait_states(router, "UP")
    connection.send(fake.info(ldm=True))
    wait_states(router, "LAME")
    connection.close()
    assert_feeds(router, fake, 2)


def test_messages_beyond_the_limit_make_slow_and_are_asked_for_again(listen, closing):
    bus = Bus()
    closing.append(bus)
    router = listen([bus.url], nats={"pending_limit": "64K", "start_interval": "0s"})
    wait_states(router, "UP")
    starts = starts_heard(bus)
    for i in range(400):
        bus.publish("router.register", endpoint(f"h{i}.example", tags={"x": "y" * 4000}) | {"port": 1 + i})
    bus.client._send(b"".join(b"PUB router.register 5000\r\n" + b"x" * 5000 + b"\r\n" for _ in range(2000)))
    router.wait_for_log("nats-source-state", state="SLOW")
    wait_states(router, "UP")
    starts.get(timeout=5)
    assert router.table.counter("registry_message_dropped") > 0


def test_a_server_that_floods_is_slow_alone(listen, closing):
    """Each has its own part of pending_limit, which is too small here for anything but the flood's first messages."""
    flooded, calm = Bus(), Bus()
    closing += [flooded, calm]
    router = listen([flooded.url, calm.url],
                    nats={"pending_limit": "128K", "start_interval": "0s", "probe_misses": 100})
    wait_states(router, "UP", "UP")
    flooded.client._send(b"".join(b"PUB router.register 5000\r\n" + b"x" * 5000 + b"\r\n" for _ in range(4000)))
    calm.publish("router.register", endpoint("calm.example"))
    router.wait_for_log("nats-source-state", state="SLOW")
    wait_route(router, "calm.example")
    wait_states(router, "UP", "UP")
    assert {line["data"]["server"] for line in router.log_lines("nats-source-state")
            if line["data"]["state"] == "SLOW"} == set(names(flooded))
    assert [source["dropped"] > 0 for source in sources(router)["sources"]] == [True, False]


def test_a_server_that_permits_no_probe_is_no_island(listen, closing):
    bus = Bus()
    fake = FakeNats()
    closing += [bus, fake]
    fake.is_deaf = True
    router = listen([bus.url, fake.url])
    fake.wait_subscribed()
    time.sleep(2)
    assert states(router) == ["UP", "UP"]
    assert router.table.facts()["nats_islands"] == 1


def test_a_server_that_hangs_while_connecting_holds_up_nobody(listen, closing):
    bus, fake = Bus(), FakeNats(greet=lambda connection, number: None)
    closing += [bus, fake]
    router = listen([fake.url, bus.url])
    wait_until(lambda: states(router)[1:] == ["UP"], "the other is up", 3)
    wait_until(lambda: len(fake.connections) >= 2, "it is tried again")


def flood(port, seconds, sent):
    """New routes as fast as the server takes them."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.recv(65536)
        wire.sendall(b'CONNECT {"verbose":false}\r\n')
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            batch = []
            for i in range(sent[0], sent[0] + 500):
                payload = json.dumps(endpoint(f"h{i}.example", 1 + i % 60000)).encode()
                batch.append(b"PUB router.register %d\r\n%s\r\n" % (len(payload), payload))
            wire.sendall(b"".join(batch))
            sent[0] += 500


def test_a_greet_is_answered_while_hundreds_of_thousands_of_routes_load(listen, closing, make_router):
    bus = Bus()
    closing.append(bus)
    router = make_router(bus=None, start=False, table={"size": "512M"}, log={"level": "warn"},
                         registrar={"nats": {**QUICK_NATS, "servers": (bus.url,)}}).start()
    wait_states(router, "UP")
    sent, waits = [0], []
    writer = threading.Thread(target=flood, args=(bus.port, 8, sent))
    writer.start()
    time.sleep(0.5)
    while writer.is_alive():
        began = time.monotonic()
        bus.request("router.greet", timeout_s=5)
        waits.append(time.monotonic() - began)
        time.sleep(0.05)
    writer.join()
    waits.sort()
    print(f"{sent[0]} routes sent, {router.table.facts()['routes']} taken, greets {len(waits)}, "
          f"median {waits[len(waits) // 2] * 1e3:.1f} ms, worst {waits[-1] * 1e3:.1f} ms")
    assert sent[0] > 50000 and waits[-1] < 1


# --- TLS

@pytest.fixture
def authority():
    return Authority()


def tls_bus(authority, *options):
    made, client = authority.issue("nats.example", "127.0.0.1"), authority.issue("client.example")
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(client.chain, client.key)
    return Bus(options=["--tls", "--tlscert", made.chain, "--tlskey", made.key, *options], tls=context)


def tls_settings(authority, **more):
    return {"ca": authority.path, "server_name": "nats.example", **more}


def test_tls_to_nats_with_a_certificate_of_our_own(listen, closing, authority):
    bus = tls_bus(authority, "--tlsverify", "--tlscacert", authority.path)
    closing.append(bus)
    ours = authority.issue("wye.example")
    router = listen([bus.url], nats={"tls": tls_settings(authority, certificate=ours.chain, key=ours.key)})
    wait_states(router, "UP")
    for i in range(3000):
        bus.publish("router.register", endpoint(f"h{i}.example", 1 + i, tags={"long": "x" * (i % 900)}))
    wait_until(lambda: router.table.facts()["routes"] == 3000,
               lambda: f"all are taken: {router.table.facts()['routes']}")
    bus.request("router.greet")


def test_a_server_without_tls_is_refused_when_tls_is_configured(listen, closing, authority):
    bus = Bus()
    closing.append(bus)
    router = listen([bus.url], nats={"tls": tls_settings(authority)})
    error = router.wait_for_log("nats-connection-error")["data"]["error"]
    assert "does not offer TLS" in error
    wait_states(router, "DOWN")


@pytest.mark.parametrize("settings", [{"server_name": "other.example"}, {"ca": "foreign"}])
def test_a_server_with_the_wrong_identity_is_refused(listen, closing, authority, settings):
    if "ca" in settings:
        settings = {"ca": Authority("Foreign").path}
    bus = tls_bus(authority)
    closing.append(bus)
    router = listen([bus.url], nats={"tls": tls_settings(authority, **settings)})
    router.wait_for_log("nats-connection-error")
    wait_states(router, "DOWN")


def test_bad_key_material_is_refused_before_anything_starts(make_router, authority, tmp_path):
    ours, other = authority.issue("a.example"), authority.issue("b.example")
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM at all")
    for settings, word in (({"ca": "/nonexistent.pem"}, "/nonexistent.pem"), ({"ca": str(broken)}, str(broken)),
                           ({"certificate": ours.chain, "key": other.key}, ours.chain),
                           ({"certificate": ours.chain}, "go together")):
        router = make_router(bus=None, start=False, registrar={"nats": {"tls": settings}})
        checked = router.check_config()
        assert checked.returncode != 0 and word in checked.stdout + checked.stderr, (settings, checked)


def test_a_reload_reads_the_certificates_again(listen, closing, authority):
    bus = tls_bus(authority)
    closing.append(bus)
    router = listen([bus.url], nats={"tls": tls_settings(authority, ca=Authority("Foreign").path)})
    router.wait_for_log("nats-connection-error")
    before = router.registrar_pid()
    router.write_config(registrar={"nats": {"tls": {"ca": authority.path}}})
    router.reload()
    wait_until(lambda: router.registrar_pid() not in (None, before), "a new registrar runs")
    wait_states(router, "UP")


def test_a_handshake_that_hangs_is_given_up_and_tried_again(listen, closing, authority):
    fake = FakeNats(greet=lambda connection, number: (connection.send(FakeNats.info(tls_required=True)),
                                                      time.sleep(60)))
    closing.append(fake)
    router = listen([fake.url], nats={"tls": tls_settings(authority)})
    wait_until(lambda: len(fake.connections) >= 2, lambda: f"tried again; log:\n{router.log_text()[-2000:]}", 20)
