"""The feed of routes over a real nats-server: what is taken, what is refused, and what is never lost."""
import json
import os
import queue
import signal
import time

import pytest

from harness import Bus, wait_until

HOST = "app.example"
QUICK = {"minimum_register_interval": "1s", "droplet_stale_threshold": "2s", "prune_interval": "200ms"}


def endpoint(port=9, **fields):
    return {"host": "10.0.0.1", "port": port, "uris": [HOST], "app": "guid", **fields}


def routes(router):
    return json.loads(router.table.run("--routes").stdout)


def publish(router, message, subject="router.register"):
    router.bus.publish(subject, message)


def wait_for_routes(router, count, host=HOST):
    wait_until(lambda: len(routes(router).get(host, [])) == count,
               lambda: f"{host} has {count} endpoints: {routes(router)}; log:\n{router.log_text()[-2000:]}")


def test_registrations_of_all_shapes_reach_the_table(router):
    publish(router, endpoint(1))
    publish(router, {"HOST": "10.0.0.1", "Port": 2, "URIS": ["App.Example/Some/Path/?q"], "unknown": {"a": [1]}})
    publish(router, endpoint(3, tls_port=4, server_cert_domain_san="san", private_instance_id="i",
                             availability_zone="z", tags={"component": "c"}, protocol="http2",
                             stale_threshold_in_seconds=60, uris=["tls.example"]))
    wait_for_routes(router, 1, "tls.example")
    found = routes(router)
    assert set(found) == {HOST, f"{HOST}/some/path", "tls.example"}
    assert found["tls.example"][0] == {
        "address": "10.0.0.1:4", "availability_zone": "z", "protocol": "http2", "tls": True, "ttl": 60,
        "tags": {"component": "c"}, "private_instance_id": "i", "server_cert_domain_san": "san"}


def publish_with_headers(router, message):
    payload, head = json.dumps(message).encode(), b"NATS/1.0\r\nKind: test\r\n\r\n"
    router.bus.client._send(b"HPUB router.register %d %d\r\n" % (len(head), len(head) + len(payload)) + head + payload
                              + b"\r\n")


def test_registrations_in_frames_of_all_kinds_reach_the_table(router):
    """With a subject to answer to, with headers, and from the smallest to more than is read at once."""
    router.bus.client.publish("router.register", endpoint(1), reply="_INBOX.nobody")
    publish_with_headers(router, endpoint(2))
    sizes = [0, 1000, 100_000, 131_000, 131_072, 300_000, 1_000_000]
    for turn in range(3):
        for i, size in enumerate(sizes):
            publish(router, endpoint(10 + i + 100 * turn, unknown="x" * size))
    wait_for_routes(router, 2 + 3 * len(sizes))
    assert {int(e["address"].split(":")[1]) for e in routes(router)[HOST]} == {
        1, 2, *(10 + i + 100 * turn for turn in range(3) for i in range(len(sizes)))}
    assert router.table.counter("registry_message_rejected") == 0


def test_an_unregister_removes_one_endpoint_and_the_last_one_the_route(router):
    for port in (1, 2):
        publish(router, endpoint(port))
    wait_for_routes(router, 2)
    publish(router, endpoint(1), "router.unregister")
    wait_for_routes(router, 1)
    publish(router, endpoint(2), "router.unregister")
    wait_until(lambda: HOST not in routes(router), "the route is gone")
    router.wait_for_log("route-unregistered", uri=HOST)


def check_greeting(payload):
    greeting = json.loads(payload)
    assert set(greeting) == {"id", "hosts", "minimumRegisterIntervalInSeconds", "pruneThresholdInSeconds"}
    assert (greeting["minimumRegisterIntervalInSeconds"], greeting["pruneThresholdInSeconds"]) == (20, 120)
    assert len(greeting["hosts"]) == 1


def test_the_start_message_follows_the_subscriptions(make_router, bus):
    starts = bus.subscribe("router.start")
    router = make_router(start=False)
    router.start()
    _, _, payload = starts.get(timeout=10)
    check_greeting(payload)
    publish(router, endpoint())                       # who hears the start may register at once
    wait_for_routes(router, 1)
    with pytest.raises(queue.Empty):
        starts.get(timeout=0.5)


def test_a_greeting_is_answered(router):
    check_greeting(router.bus.request("router.greet"))
    publish(router, b"", "router.greet")              # without an inbox: nobody to answer
    check_greeting(router.bus.request("router.greet"))


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{nonsense",
    "an array": b"[]",
    "a number": b"17",
    "bytes that are no text": b"\xff\xfe\x00\x01",
    "garbage behind": b'{"host":"a","port":1,"uris":["x"]} more',
    "deep nesting": b'{"tags":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "too long": b'{"host":"' + b"a" * 1000000 + b'"}',
    "no host": json.dumps({"port": 1, "uris": ["x.example"]}).encode(),
    "no port": json.dumps({"host": "a", "uris": ["x.example"]}).encode(),
    "no URIs": json.dumps({"host": "a", "port": 1}).encode(),
    "a plain route service": json.dumps(endpoint(route_service_url="http://rs.example")).encode(),
    "a wrong tls_port": json.dumps(endpoint(tls_port="secure")).encode(),
    "a wrong segment": json.dumps(endpoint(isolation_segment=["a"])).encode(),
    "10,000 URIs": json.dumps(endpoint(uris=[f"u{i}.example" for i in range(10000)])).encode(),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_message_is_dropped_alone_and_said(router, what):
    publish(router, HOSTILE[what])
    line = router.wait_for_log("validation-error", subject="router.register")
    assert line["log_level"] == 3 and line["data"]["error"], line
    wait_until(lambda: router.table.counter("registry_message_rejected") == 1, "it is counted")
    publish(router, endpoint())
    wait_for_routes(router, 1)
    assert set(routes(router)) == {HOST}


def test_names_that_cannot_be_routes_are_refused_one_by_one(router):
    publish(router, endpoint(uris=["", "bad\x01name", "a" * 3000, HOST]))
    wait_for_routes(router, 1)
    assert set(routes(router)) == {HOST}


def test_heartbeats_are_recognised_and_keep_a_route(make_router):
    router = make_router(registrar=QUICK)
    uris = [HOST, *(f"alias-{i}.example" for i in range(20))]
    publish(router, endpoint(uris=uris))
    wait_for_routes(router, 1)
    for _ in range(40):
        publish(router, endpoint(uris=uris))
        time.sleep(0.1)                               # the subject of the test: time goes by
    assert len(routes(router)) == 21
    assert router.table.counter("registry_message_refreshed") == 40
    wait_until(lambda: not routes(router), "silence prunes it", 10)
    assert router.wait_for_log("pruned-route", uri=HOST)["data"]["endpoints"] == ["10.0.0.1:9"]


def test_a_tls_endpoint_is_not_pruned_for_silence(make_router):
    router = make_router(registrar=QUICK)
    publish(router, endpoint(tls_port=10, uris=["tls.example"]))
    publish(router, endpoint())
    wait_for_routes(router, 1)
    wait_until(lambda: HOST not in routes(router), "the plain one is pruned", 10)
    assert len(routes(router)["tls.example"]) == 1


def test_the_age_of_the_feed_is_live(router):
    def age():
        return router.table.json("--counters").get("ms_since_last_registry_update")
    publish(router, endpoint())
    wait_for_routes(router, 1)
    wait_until(lambda: age() is not None and age() > 300, "it grows")
    publish(router, endpoint())
    wait_until(lambda: age() < 300, "it begins anew")


def test_a_start_without_nats_serves_and_connects_later(make_router, bus):
    bus.stop()
    router = make_router(start=False)
    router.start(wait=False)
    wait_until(lambda: router.health() == 200, "the router is up without a bus", 20)
    assert router.get("nobody.example").status == 503        # nobody can say that it does not exist
    bus.start()
    wait_until(router.is_subscribed, "the registrar finds the bus", 20)
    publish(router, endpoint())
    wait_for_routes(router, 1)


def test_nats_that_is_killed_and_comes_back_loses_no_route(make_router, bus):
    router = make_router(registrar=QUICK)
    publish(router, endpoint())
    wait_for_routes(router, 1)
    router.wait_for_log("prune-unsuspended")
    bus.stop()
    router.wait_for_log("nats-connection-disconnected")
    router.wait_for_log("prune-suspended")
    time.sleep(4)                                     # twice the stale threshold
    assert HOST in routes(router)
    bus.start()
    wait_until(router.is_subscribed, "the registrar is back", 20)
    router.wait_for_log("nats-connection-reconnected")
    assert HOST in routes(router)
    wait_until(lambda: HOST not in routes(router), "a lifetime after the feed is back, silence counts", 10)


def test_the_second_server_of_the_list_is_taken_when_the_first_is_gone(make_router, bus):
    other = Bus()
    try:
        router = make_router(start=False, registrar={"nats": {"servers": (bus.url, other.url)}})
        bus.stop()
        router.start(wait=False)
        wait_until(lambda: other.is_subscribed("router.register"), "the second one is taken", 20)
        other.publish("router.register", endpoint())
        wait_for_routes(router, 1)
    finally:
        other.close()


def test_a_killed_registrar_leaves_the_table_and_its_successor_takes_over(make_router):
    router = make_router(registrar=QUICK | {"droplet_stale_threshold": "4s"})
    publish(router, endpoint(1))
    publish(router, endpoint(2))
    wait_for_routes(router, 2)
    before = router.registrar_pid()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: router.registrar_pid() not in (None, before), "a new one runs")
    wait_until(router.is_subscribed, "and listens")
    assert len(routes(router)[HOST]) == 2
    publish(router, endpoint(1), "router.unregister")
    wait_for_routes(router, 1)
    wait_until(lambda: HOST not in routes(router), "the other one is still pruned in time", 15)


@pytest.mark.parametrize("servers, reason", [
    ('"localhost"', "server 1 of"), ('"http://a:1"', "server 1 of"),
    ('"nats://a:4222", "nats://b:99999"', "server 2 of"),
])
def test_a_nats_url_that_cannot_be_is_found_by_the_check(make_router, servers, reason):
    router = make_router(start=False)
    router.write_config(f'instance = "{router.instance}";\n'
                        f'registrar = {{\n  nats = {{\n    servers = ( {servers} );\n  }};\n}};\n')
    result = router.check_config()
    assert result.returncode == 1
    assert "wye.conf:4: " in result.stderr and reason in result.stderr, result.stderr
