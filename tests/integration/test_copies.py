"""Servers that let no probe pass: which of them lost one another is told by whose registrations come through whom."""
import itertools
import time

import pytest

from harness import Bus, Cluster, Emitter, wait_until
from harness.feed import QUICK_NATS, source_states, sources, wait_source_states

# No moment of a busy machine is taken for a silent server or a slow one.
CALM_NATS = {**QUICK_NATS, "ping_interval": "5s", "slow_lag": "20s"}

# Emitters say everything twice in an interval that routers count with; the rest follows.
EMIT_S = 0.5
QUICK = {"minimum_register_interval": "1s", "droplet_stale_threshold": "8s", "prune_interval": "500ms"}


def config(what="publish", denied="_r.probe.>"):
    """A server that lets routers not publish probes, or not subscribe to them; all others may do anything."""
    return f"""authorization {{ users = [
        {{ user: wye, password: secret, permissions: {{ {what}: {{ deny: ["{denied}"] }} }} }}
        {{ user: open, password: open }} ] }}
        no_auth_user: open"""


def urls(servers):
    return tuple(f"nats://wye:secret@127.0.0.1:{server.port}" for server in servers)


def name_of(server):
    return f"127.0.0.1:{server.port}"


@pytest.fixture
def listen(make_router):
    def make(servers, nats=()):
        router = make_router(bus=None, start=False, log={"level": "info"}, registrar={
            **QUICK, "nats": {**CALM_NATS, "servers": urls(servers), **dict(nats)}})
        router.start()
        wait_source_states(router, *["UP"] * len(servers))
        return router
    return make


backend_ports = itertools.count(1000)       # two apps at one address would take it from one another


def emitter_of(closing, server, name, routes=4):
    emitter = closing(Emitter(server, EMIT_S))
    for i in range(routes):
        emitter.add(f"{name}-{i}.example", next(backend_ports), app=f"{name}-{i}")
    return emitter


def wait_routes(router, number):
    wait_until(lambda: router.table.facts()["routes"] == number,
               lambda: f"{number} routes are registered: {router.table.facts()}; log:\n{router.log_text()[-3000:]}")


def expect_asked_once(router, emitters):
    """router.start comes once an island, not once a connection."""
    assert [len(emitter.starts) for emitter in emitters] == [1] * len(emitters), router.log_text()[-6000:]


def lost_pairs(router):
    return {(line["data"]["from"], line["data"]["to"]) for line in router.log_lines("nats-pair-lost")}


def wait_lost(router, *pairs):
    wanted = {(name_of(one), name_of(other)) for one, other in pairs}
    wait_until(lambda: lost_pairs(router) >= wanted,
               lambda: f"{wanted} is told: {lost_pairs(router)} {sources(router)}; log:\n{router.log_text()[-3000:]}")
    assert lost_pairs(router) == wanted


@pytest.mark.parametrize("what", ["publish", "subscribe"])
def test_a_one_way_loss_is_named_and_healed_without_probes(listen, closing, what):
    cluster = closing(Cluster(2, config(what)))
    zero, one = cluster.servers
    emitters = [emitter_of(closing, zero, "zero"), emitter_of(closing, one, "one")]
    router = listen(cluster.servers)
    wait_routes(router, 8)
    for server in cluster.servers:
        told = router.wait_for_log("nats-copies-compared", server=name_of(server))["data"]["text"]
        assert "no probe" in told and "copies" in told
    time.sleep(4)
    assert source_states(router) == ["UP", "UP"] and not lost_pairs(router)
    expect_asked_once(router, emitters)

    cluster.relays[1, 0].drop_backward = True       # what server 0 tells server 1
    wait_lost(router, (zero, one))
    text = router.log_lines("nats-pair-lost")[0]["data"]["text"]
    assert text.startswith(f"{name_of(zero)} -> {name_of(one)} lost since ")
    assert f"endpoints known only via {name_of(one)}" in text and "restart nats-server on" in text
    wait_source_states(router, "ISLAND", "ISLAND")
    assert router.table.facts()["nats_islands"] == 2
    matrix = {source["server"]: source["probes"] for source in sources(router)["sources"]}
    assert matrix[name_of(zero)][name_of(one)] == "lost" and matrix[name_of(one)][name_of(zero)] != "lost"
    emitters[0].add("late.example", 999, app="late")
    wait_until(lambda: router.table.has("late.example"), "islands are served")

    cluster.relays[1, 0].heal()
    wait_source_states(router, "UP", "UP", timeout_s=30)
    restored = router.wait_for_log("nats-pair-restored")["data"]
    assert (restored["from"], restored["to"]) == (name_of(zero), name_of(one))
    assert router.table.facts()["nats_islands"] == 1
    assert len(router.log_lines("nats-copies-compared")) == 2, "once a server"
    assert len(router.log_lines("nats-not-permitted")) <= 2, "once a connection"
    assert router.table.counter("routes_pruned") == 0


def test_islands_from_the_start_are_named_and_asked_once_each(listen, closing):
    islands = [closing(Bus(config=config())) for _ in range(2)]
    emitters = [emitter_of(closing, island, f"island-{i}") for i, island in enumerate(islands)]
    router = listen(islands)
    wait_lost(router, (islands[0], islands[1]), (islands[1], islands[0]))
    wait_source_states(router, "ISLAND", "ISLAND")
    assert router.table.facts()["nats_islands"] == 2
    time.sleep(4)
    expect_asked_once(router, emitters)


@pytest.mark.parametrize("is_both_ways", [True, False])
def test_of_three_servers_the_two_that_lost_one_another_are_named(listen, closing, is_both_ways):
    cluster = closing(Cluster(3, config()))
    for i, server in enumerate(cluster.servers):
        emitter_of(closing, server, f"of-{i}")
        time.sleep(EMIT_S / 4)      # all at the same moment would hide who brings what first
    router = listen(cluster.servers)
    wait_routes(router, 12)
    time.sleep(2)
    cluster.relays[1, 0].drop_backward, cluster.relays[1, 0].drop_forward = True, is_both_ways
    zero, one, _ = cluster.servers
    wait_lost(router, (zero, one), *[(one, zero)] * is_both_ways)
    wait_source_states(router, "ISLAND", "ISLAND", "UP")
    time.sleep(3)
    assert len(lost_pairs(router)) == 1 + is_both_ways
    cluster.relays[1, 0].heal()
    wait_source_states(router, "UP", "UP", "UP", timeout_s=30)


def test_of_three_servers_only_one_of_which_forbids_probes_the_right_ones_are_named(listen, closing):
    """The other pairs are told by probes."""
    cluster = closing(Cluster(3, [config(), config(denied="nothing"), config(denied="nothing")]))
    for i, server in enumerate(cluster.servers):
        emitter_of(closing, server, f"of-{i}")
    router = listen(cluster.servers)
    wait_routes(router, 12)
    time.sleep(2)
    cluster.relays[2, 0].drop_backward = True       # what the silent one tells server 2
    zero, _, two = cluster.servers
    wait_lost(router, (zero, two))
    wait_source_states(router, "ISLAND", "UP", "ISLAND")


def test_a_single_endpoint_that_comes_and_goes_is_no_reason_for_alarm(listen, closing):
    cluster = closing(Cluster(2, config()))
    router = listen(cluster.servers)
    time.sleep(2)
    emitter = emitter_of(closing, cluster.servers[1], "few", routes=0)
    for turn in range(12):
        emitter.add("guest.example", 700 + turn % 2, app="guest")
        time.sleep(0.6)
        emitter.remove("guest.example", 700 + turn % 2)
        time.sleep(0.2)
    assert source_states(router) == ["UP", "UP"] and not lost_pairs(router)
    assert router.table.facts()["nats_islands"] == 1


def test_servers_that_are_restarted_in_turn_raise_no_false_alarm(listen, closing):
    cluster = closing(Cluster(2, config()))
    router = listen(cluster.servers)
    for server in cluster.servers:
        server.stop()
        wait_until(lambda: "DOWN" in source_states(router), "it is missed")
        server.start()
        cluster.wait_whole()
        wait_source_states(router, "UP", "UP")
        emitter_of(closing, server, f"of-{server.port}")
        time.sleep(4)
    assert source_states(router) == ["UP", "UP"] and not lost_pairs(router)
    assert len(router.log_lines("nats-copies-compared")) == 2, "once a server"


def test_standby_hears_all_servers_where_probes_are_forbidden(listen, closing):
    cluster = closing(Cluster(2, config()))
    listen(cluster.servers, nats={"union": "standby", "source_degraded": "1s"})
    second = cluster.servers[1]
    wait_until(lambda: second.is_subscribed("router.register"), "what probes cannot tell, copies must")
    time.sleep(2)
    assert second.is_subscribed("router.register")
