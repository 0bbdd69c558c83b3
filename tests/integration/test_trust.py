"""What leaves the table and what is held: dead cells, addresses that change hands, floods (one NATS server)."""
import os
import pathlib
import signal
import subprocess
import threading
import time

from harness import wait_until
from harness.feed import entry_states as states

QUICK = {"minimum_register_interval": "1s", "droplet_stale_threshold": "2s", "prune_interval": "200ms"}
CELL = "127.0.0.2"                                    # nobody listens there
APPS = 60


class Heart:
    """Repeats registrations twice in an interval, until the block ends."""

    def __init__(self, router, messages):
        self.bus, self.messages, self.ended = router.bus, messages, threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def beat(self):
        while not self.ended.wait(0.4):
            for message in list(self.messages):
                self.bus.publish("router.register", message)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def message(uri, host, port, app, **fields):
    return {"host": host, "port": port, "uris": [uri], "app": app, "private_instance_id": f"{host}:{port}", **fields}


def host_of(number):
    return f"app-{number}.example"


def publish_all(router, messages):
    for item in messages:
        router.bus.publish("router.register", item)
    router.bus.client.flush()


def addresses(router, key):
    return sorted(endpoint["address"] for endpoint in router.table.routes().get(key, []))


def release(router):
    """The init script's exit code."""
    pid_file, defaults = (os.path.join(router.folder, name) for name in ("master.pid", "defaults"))
    with open(pid_file, "w") as file:
        file.write(f"{router.process.pid}\n")
    with open(defaults, "w") as file:
        file.write(f"PIDFILE={pid_file}\n")
    script = pathlib.Path(__file__).resolve().parents[2] / "etc/wye.init"
    return subprocess.run(["sh", str(script), "release"], env=dict(os.environ, WYE_DEFAULTS=defaults),
                          timeout=20).returncode


def dead_cell(make_router, make_backend, **settings):
    """A cell with one of two instances of every app, that has just died; the other instances live."""
    router = make_router(registrar={**QUICK, **settings})
    backend = make_backend()
    living = [message(host_of(i), "127.0.0.1", backend.port, "app") for i in range(APPS)]
    dying = [message(host_of(i), CELL, 10000 + i, "app") for i in range(APPS)]
    publish_all(router, living + dying)
    wait_until(lambda: all(len(addresses(router, host_of(i))) == 2 for i in (0, APPS - 1)), "all are registered")
    return router, living


def test_a_cell_that_dies_is_held_and_costs_no_request(make_router, make_backend):
    router, living = dead_cell(make_router, make_backend)
    with Heart(router, living):
        wait_until(lambda: router.table.facts()["endpoints_held"] == APPS, "the cell is held", 15)
        assert router.table.counter("mass_expiry_held_total") == APPS
        assert states(router) == {"-": APPS, "held(brake)": APPS}
        line = router.wait_for_log("mass-expiry-held")
        assert line["log_level"] == 3 and "fell silent at once" in line["data"]["meaning"], line
        for _ in range(3):
            for i in range(APPS):
                assert router.get(host_of(i)).status == 200, i
        # What failed a request was a witness against itself; no route lost its last endpoint.
        wait_until(lambda: router.table.facts()["endpoints_held"] < APPS, "failed ones leave", 10)
        assert all(addresses(router, host_of(i)) for i in range(APPS))


def test_the_operator_releases_what_is_held(make_router, make_backend):
    router, living = dead_cell(make_router, make_backend)
    with Heart(router, living):
        wait_until(lambda: router.table.facts()["endpoints_held"] == APPS, "the cell is held", 15)
        assert release(router) == 0
        wait_until(lambda: states(router) == {"-": APPS}, "all of them are gone", 10)
        router.wait_for_log("held-endpoints-released")
        wait_until(lambda: router.table.facts()["endpoints_held"] == 0, "and nothing is held")


def test_a_hold_has_a_limit(make_router, make_backend):
    router, living = dead_cell(make_router, make_backend, hold_limit="3s")
    with Heart(router, living):
        router.wait_for_log("mass-expiry-held")
        wait_until(lambda: states(router) == {"-": APPS}, "then it is not", 15)


def test_an_app_that_is_stopped_properly_is_gone_within_a_second(router, make_backend):
    backend = make_backend()
    router.register("stopped.example", backend)
    assert router.get("stopped.example").status == 200
    began = time.monotonic()
    router.bus.unregister("stopped.example", backend)
    wait_until(lambda: router.get("stopped.example").status == 404, "the route is gone", 5)
    assert time.monotonic() - began < 1


def test_an_address_that_changes_hands_never_serves_the_old_app(make_router, make_backend):
    router = make_router()
    backend = make_backend()
    for uri in ("old.example", "old-alias.example"):
        router.register(uri, backend, app="old", private_instance_id="old")
    assert router.get("old.example").status == 200
    router.register("new.example", backend, app="new", private_instance_id="new")
    for _ in range(30):                               # no unregister ever came
        assert router.get("old.example").status in (404, 503)
        assert router.get("old-alias.example").status in (404, 503)
    assert router.get("new.example").status == 200
    wait_until(lambda: set(router.table.routes()) == {"new.example"}, "the old routes are gone")
    assert router.table.counter("ownership_change_total") == 1
    router.wait_for_log("ownership-changed", application_id="new")


def test_an_endpoint_with_tls_ages_if_asked_for(make_router):
    router = make_router(registrar={**QUICK, "tls_stale_threshold": "3s"})
    router.bus.publish("router.register", message("tls.example", CELL, 1, "app", tls_port=443))
    wait_until(lambda: addresses(router, "tls.example"), "it is registered")
    time.sleep(2)                                     # the subject of the test: time goes by
    assert addresses(router, "tls.example")
    wait_until(lambda: not addresses(router, "tls.example"), "silence prunes it", 10)


def test_nothing_ages_while_the_only_server_is_away(make_router, bus):
    router = make_router(registrar=QUICK)
    publish_all(router, [message(host_of(i), CELL, 10000 + i, "app") for i in range(3)])
    wait_until(lambda: len(router.table.routes()) == 3, "all are registered")
    bus.stop()
    wait_until(lambda: states(router) == {"held(source)": 3}, "all are held", 15)
    assert router.table.facts()["endpoints_held"] == 3
    assert set(router.table.routes()) == {host_of(i) for i in range(3)}


def test_a_registrar_that_is_new_holds_what_nobody_confirms(make_router, bus):
    router = make_router(registrar=QUICK)
    publish_all(router, [message(host_of(i), CELL, 10000 + i, "app") for i in range(3)])
    wait_until(lambda: len(router.table.routes()) == 3, "all are registered")
    bus.stop()
    os.kill(router.registrar_pid(), signal.SIGKILL)
    wait_until(lambda: states(router) == {"held(unconfirmed)": 3}, "all are held", 20)


def test_a_flood_of_names_stops_at_its_share_and_nobody_else_notices(make_router, make_backend):
    router = make_router(table={"size": "4M"}, registrar={"routes_per_endpoint": 500}, log={"level": "info"})
    backend = make_backend()
    router.register("other.example", backend)
    name = "-".join(["u" * 60] * 3)
    flood = [message(f"{name}.{i}.example", CELL, 10000, "flood") for i in range(20000)]
    publish_all(router, flood)
    began = time.monotonic()
    router.register("late.example", ("127.0.0.3", backend.port))
    assert time.monotonic() - began < 3
    assert router.get("other.example").status == 200
    wait_until(lambda: router.table.counter("quota_refusals_total") + len(router.table.routes()) == 20002,
               "the rest is refused", 20)
    facts = router.table.facts()
    assert 75 <= facts["table_used_bytes"] * 100 / facts["table_capacity_bytes"] < 80, facts
    lines = router.log_lines("quota-exceeded")
    assert 1 <= len(lines) < 20 and lines[0]["data"]["application_id"] == "flood", lines
    publish_all(router, flood[:500])                  # what it has, it keeps
    wait_until(lambda: router.table.counter("registry_message_refreshed") == 500, "they are known", 10)
