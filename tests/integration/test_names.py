"""A DNS name with several addresses is as many NATS servers, and reconnects follow what it says."""
import queue
import time

import pytest

from harness import Bus, Cluster, wait_until
from harness.feed import QUICK_NATS, source_states, sources
from harness.hosts import Hosts
from harness.waiting import free_port

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@pytest.fixture
def hosts(closing):
    made = closing(Hosts())
    if why := made.reason_why_not():
        pytest.skip(f"a private /etc/hosts needs a mount namespace of its own: {why}")
    return made


@pytest.fixture
def listen(make_router, hosts):
    def make(port):
        router = make_router(bus=None, start=False, log={"level": "info"}, registrar={
            "nats": {**QUICK_NATS, "servers": (f"nats://nats.example:{port}",), "probe_misses": 100}})
        router.prefix = hosts.prefix
        return router.start()
    return make


def endpoint(host, port=9):
    return {"host": "10.0.0.1", "port": port, "uris": [host], "app": f"app-{host}"}


def connected(router):
    """The addresses in the order in which they were connected."""
    lines = [*router.log_lines("Successfully-connected-to-nats"), *router.log_lines("nats-connection-reconnected")]
    return [line["data"]["addr"].rsplit(":", 1)[0] for line in sorted(lines, key=lambda line: line["timestamp"])]


def wait_states(router, *wanted):
    """In any order."""
    wait_until(lambda: sorted(source_states(router)) == sorted(wanted),
               lambda: f"states are {wanted}: {sources(router)}; log:\n{router.log_text()[-3000:]}", 30)


def served_by(router, bus, host):
    bus.publish("router.register", endpoint(host))
    wait_until(lambda: router.table.has(host), lambda: f"{host} came; log:\n{router.log_text()[-3000:]}")


def test_a_name_with_three_addresses_is_three_servers(listen, closing, hosts):
    port = free_port()
    hosts.set(nats=ADDRESSES)
    cluster = closing(Cluster(3, port=port, addresses=ADDRESSES))
    router = listen(port)
    wait_states(router, "UP", "UP", "UP")
    assert sorted(connected(router)) == ADDRESSES
    assert router.table.facts()["nats_islands"] == 1
    answers = cluster.servers[1].subscribe("_INBOX.once")
    cluster.servers[1].publish("router.greet", b"", "_INBOX.once")
    answers.get(timeout=2)
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.5)
    served_by(router, cluster.servers[2], "whole.example")
    time.sleep(1)
    assert len(source_states(router)) == 3 and router.table.facts()["nats_configured"] == 3


def test_reconnects_follow_the_name(listen, closing, hosts):
    port = free_port()
    hosts.set(nats=ADDRESSES)
    islands = {address: closing(Bus(port, address=address)) for address in [*ADDRESSES, "127.0.0.4"]}
    router = listen(port)
    wait_states(router, "UP", "UP", "UP")
    for address in ADDRESSES:
        served_by(router, islands[address], f"{address}.example")

    hosts.set(nats=["127.0.0.1", "127.0.0.2", "127.0.0.4"])
    time.sleep(1)
    assert sorted(connected(router)) == ADDRESSES, "a connection that works is not left"
    islands["127.0.0.3"].stop()
    wait_until(lambda: connected(router)[3:] == ["127.0.0.4"], lambda: f"it went over: {connected(router)}")
    wait_states(router, "UP", "UP", "UP")
    served_by(router, islands["127.0.0.4"], "over.example")

    hosts.set(nats=["127.0.0.1", "127.0.0.2"])
    islands["127.0.0.4"].stop()
    wait_until(lambda: router.table.facts()["nats_configured"] == 2, "it has no address any more")
    wait_states(router, "UP", "UP", "DOWN")
    islands["127.0.0.3"].start()
    hosts.set(nats=ADDRESSES)
    wait_until(lambda: connected(router)[4:] == ["127.0.0.3"], lambda: f"it is back: {connected(router)}", 30)
    wait_states(router, "UP", "UP", "UP")
    served_by(router, islands["127.0.0.3"], "back.example")
    assert router.table.facts()["nats_configured"] == 3 and len(source_states(router)) == 3


def test_a_name_that_is_not_found_any_more_keeps_its_address(listen, closing, hosts):
    """A name service may be gone just when a server is restarted."""
    port = free_port()
    hosts.set(nats=["127.0.0.2"])
    bus = closing(Bus(port, address="127.0.0.2"))
    router = listen(port)
    wait_states(router, "UP")
    hosts.set()
    bus.stop()
    wait_states(router, "DOWN")
    bus.start()
    wait_states(router, "UP")
    served_by(router, bus, "again.example")


def test_addresses_that_come_later_are_connected_with_the_next_reconnect(listen, closing, hosts):
    port = free_port()
    hosts.set(nats=ADDRESSES[:1])
    islands = [closing(Bus(port, address=address)) for address in ADDRESSES]
    router = listen(port)
    wait_states(router, "UP")
    hosts.set(nats=ADDRESSES)
    islands[0].stop()
    islands[0].start()
    wait_states(router, "UP", "UP", "UP")
    served_by(router, islands[2], "later.example")
