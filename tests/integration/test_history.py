"""Who removed my route at 03:12: the history of a host, and tables of two routers compared."""
import os
import signal

import pytest

from harness import wait_until

HOST = "app.example"
QUICK = {"minimum_register_interval": "1s", "droplet_stale_threshold": "2s", "prune_interval": "200ms"}


def history(router, host=HOST):
    return router.table.json("--history", host)["changes"]


def wait_for_changes(router, expected, host=HOST):
    wait_until(lambda: [change["change"] for change in history(router, host)] == expected,
               lambda: f"{host} changed like {expected}: {history(router, host)}")
    return history(router, host)


def test_register_update_and_unregister_are_told_with_the_server_that_brought_them(router):
    router.bus.register(HOST + "/v1", ("10.0.0.1", 80))
    router.bus.register(HOST + "/v1", ("10.0.0.1", 80))
    router.bus.register(HOST + "/v1", ("10.0.0.1", 80), availability_zone="z2")
    router.bus.unregister(HOST + "/v1", ("10.0.0.1", 80))
    changes = wait_for_changes(router, ["registered", "updated", "unregistered"])
    for change in changes:
        assert change["uri"] == HOST + "/v1" and change["address"] == "10.0.0.1:80"
        assert change["application_id"] == "app-80"
        assert change["server"] == f"127.0.0.1:{router.bus.port}"
    text = router.table.run("--history", f"https://{HOST.upper()}:443/v1?x").stdout.splitlines()
    assert [line.split()[2] for line in text[1:]] == ["registered", "updated", "unregistered"], text


def test_an_endpoint_that_fell_silent_expired_and_for_how_long(make_router):
    router = make_router(registrar=QUICK)
    router.bus.register(HOST, ("10.0.0.1", 80))
    changes = wait_for_changes(router, ["registered", "expired"])
    assert changes[1]["why"].startswith("silent for ") and "server" not in changes[1]


def test_an_endpoint_that_failed_was_pruned_from_every_host(make_router, make_backend):
    router = make_router(registrar={"minimum_register_interval": "1s", "prune_interval": "500ms"})
    for _ in range(2):
        dead = make_backend()
        dead.refuse()
        router.bus.register([HOST, "other.example"], dead, tls_port=dead.port, app="app")
    wait_for_changes(router, ["registered"] * 2)
    assert router.get(HOST).status == 502
    change = wait_for_changes(router, ["registered", "registered", "pruned"])[-1]
    assert change["why"] == "UF:connect_failed"
    other = wait_for_changes(router, ["registered", "registered", "pruned"], "other.example")[-1]
    assert other["address"] == change["address"]


def test_wildcards_that_could_serve_a_host_are_shown_with_it(router):
    router.bus.register("*.apps.example", ("10.0.0.1", 80))
    router.bus.register("a.apps.example/x", ("10.0.0.2", 80))
    router.bus.register("b.apps.example", ("10.0.0.3", 80))
    changes = wait_for_changes(router, ["registered"] * 2, "a.apps.example")
    assert [change["uri"] for change in changes] == ["*.apps.example", "a.apps.example/x"]
    assert [c["uri"] for c in history(router, "*.apps.example")] == ["*.apps.example"]


def test_a_host_without_changes_is_said_to_have_none(router):
    result = router.table.run("--history", "nobody.example")
    assert result.stdout == "no change of nobody.example is on record\n"
    assert router.table.json("--history", "nobody.example") == {
        "host": "nobody.example", "older_may_be_lost": False, "changes": []}
    assert router.table.run("--history", check=False).returncode == 1


def test_the_history_survives_the_registrar_and_the_router(router):
    router.bus.register(HOST, ("10.0.0.1", 80))
    wait_for_changes(router, ["registered"])
    before = router.registrar_pid()
    os.kill(before, signal.SIGKILL)
    wait_for_changes(router, ["registered"])
    wait_until(lambda: router.registrar_pid() not in (None, before) and router.is_subscribed(), "a new registrar")
    router.bus.unregister(HOST, ("10.0.0.1", 80))
    changes = wait_for_changes(router, ["registered", "unregistered"])
    assert changes[1]["number"] > changes[0]["number"]
    router.kill_all()
    assert [change["change"] for change in history(router)] == ["registered", "unregistered"]


def differ(first, second):
    return first.table.run("--digest-diff", second.instance, check=False)


def test_routers_with_equal_tables_agree_and_one_that_starves_is_named(make_router, tmp_path):
    comparing = {"digest_interval": "200ms", "divergence_routes": 3, "divergence_permille": 1000}
    fed = make_router(registrar=comparing)
    starved = make_router(registrar={**comparing, **QUICK})
    uris = [f"host-{i}.example" for i in range(40)]

    def register():
        fed.bus.register(uris, ("10.0.0.1", 80))

    def both_full():
        register()
        return all(len(router.table.routes()) == 40 for router in (fed, starved))

    wait_until(both_full, "both have all routes")
    wait_until(lambda: fed.table.facts()["digest_routers"] == 1, "they hear of one another")
    for _ in range(5):
        register()
        if differ(fed, starved).returncode == 0:
            break
    else:
        pytest.fail(differ(fed, starved).stdout)
    digest = tmp_path / "digest"
    digest.write_text(fed.table.run("--digest").stdout)
    assert differ(fed, starved).stdout == "equal: 40 entries each\n"
    assert fed.table.run("--digest-diff", str(digest)).stdout == "equal: 40 entries each\n"

    said = fed.wait_for_log("table-divergence", timeout_s=20)["data"]
    assert said["router"].endswith("/" + starved.instance[:22]) and said["routes"] > 3, said
    assert said["summary"].startswith(f"router {said['router']} does not hold the same routes"), said
    wait_until(lambda: starved.table.routes() == {}, "all expired there")
    wait_until(lambda: fed.table.facts()["table_divergence"] >= 40, "the difference is a fact")
    assert fed.table.facts()["routers_diverging"] == 1
    result = differ(fed, starved)
    assert result.returncode == 2 and "here 40 entries, there 0" in result.stdout
    buckets = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    listed = [line.split()[0] for bucket in buckets
              for line in fed.table.run("--bucket", bucket).stdout.splitlines()[1:]]
    assert sorted(listed) == sorted(uris)
    assert str(min(map(int, buckets))) in said["summary"] or said["buckets"] < len(buckets)

    def agree_again():
        register()
        return fed.log_lines("table-divergence-ended")
    assert "holds the same routes" in wait_until(agree_again, "the end is told")[0]["data"]["summary"]


def test_routers_of_other_shards_are_not_compared_and_rubbish_does_no_harm(make_router):
    fed = make_router(registrar={"digest_interval": "100ms", "divergence_routes": 0, "divergence_cycles": 0})
    make_router(registrar={"digest_interval": "100ms", "routing_table_sharding_mode": "segments",
                           "isolation_segments": ["blue"]})
    fed.bus.register(HOST, ("10.0.0.1", 80))
    wait_for_changes(fed, ["registered"])
    messages = fed.bus.subscribe("_r.digest")
    for junk in (b"", b"{}", b"WYD1" * 795, b"\xff" * 3180, b"x" * 100000):
        fed.bus.publish("_r.digest", junk)
    for _ in range(10):
        messages.get(timeout=10)
    facts = fed.table.facts()
    assert facts["digest_routers"] == facts["table_divergence"] == facts["routers_diverging"] == 0
    assert not fed.log_lines("table-divergence")
    assert fed.registrar_pid()


def test_a_bucket_is_a_number_and_another_instance_must_exist(router):
    for options in (["--bucket", "256"], ["--bucket", "x"], ["--digest-diff", "no-such-instance"],
                    ["--digest-diff", "/dev/null"]):
        result = router.table.run(*options, check=False)
        assert result.returncode == 1 and result.stdout == "" and result.stderr.startswith("shm-dump: "), result
    assert len(router.table.json("--digest")) == 256
