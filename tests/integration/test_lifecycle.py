"""Processes that die, reload, drain and come back, under load: what a client may lose is named in each test."""
import os
import signal
import threading
import time

import pytest
import secrets
from harness import backend as answers
from harness.client import Disconnected
from harness.waiting import wait_until

HOST = "app.example"


class Load:
    """Clients that ask all the time, each on a kept connection (or a new one each time).

    `failed` holds what went wrong; `cut` what a client cannot count as a fault: a kept connection that
    the router closed between two requests."""

    def __init__(self, router, clients=4, keep_alive=True):
        self.router, self.keep_alive = router, keep_alive
        self.answered, self.refused, self.failed, self.cut = 0, [], [], 0
        self.lock, self.done = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.answered > 20, lambda: f"load runs: {self.failed[:3]} {self.refused[:3]}")
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def more(self, count=50):
        """Waits until `count` more answers came."""
        before = self.answered
        wait_until(lambda: self.answered - before >= count, lambda: f"more answers: {self.failed[-3:]}")

    def _one(self, client, is_first):
        headers = [] if self.keep_alive else [("Connection", "close")]
        try:
            answer = client.get(HOST, "/", headers)
        except (Disconnected, OSError) as fault:
            with self.lock:
                if is_first or client.pending:
                    self.failed.append(repr(fault))
                else:
                    self.cut += 1
            return False
        with self.lock:
            self.answered += 1
            if answer.status != 200:
                self.failed.append(repr(answer))
        return self.keep_alive and (answer.header("connection") or "").lower() != "close"

    def _run(self):
        while not self.done.is_set():
            try:
                client = self.router.client()
            except OSError as fault:
                with self.lock:
                    self.refused.append(repr(fault))
                continue
            with client:
                is_first = True
                while not self.done.is_set() and self._one(client, is_first):
                    is_first = False


@pytest.fixture
def backend(router, make_backend):
    backend = make_backend()
    router.register(HOST, backend)
    return backend


def test_a_killed_worker_loses_only_what_it_held_and_refuses_no_connection(router, backend):
    with Load(router, clients=6) as load:
        for _ in range(3):
            victim = router.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(set(router.worker_pids()) - {victim}) == 2, "a new worker runs")
            load.more()
    assert not load.refused
    # A connection belongs to one worker: at most one open request of each client is lost with it.
    assert len(load.failed) + load.cut <= 3 * 6, load.failed


def test_a_killed_registrar_loses_nothing(router, backend):
    with Load(router) as load:
        victim = router.registrar_pid()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: router.registrar_pid() not in (None, victim), "a new registrar runs")
        load.more()
    assert not load.failed and not load.refused and not load.cut
    wait_until(router.is_subscribed, "the new registrar listens")
    router.register("later.example", backend)
    assert router.get("later.example").status == 200
    assert router.table.has(HOST)


def test_workers_finish_what_they_hold_when_the_master_is_killed(router, make_backend):
    begun = threading.Event()

    def slowly(exchange, request):
        begun.set()
        time.sleep(1)
        exchange.respond(body=b"whole")

    router.register(HOST, make_backend(slowly))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        assert begun.wait(10)
        router.kill_master()
        assert client.response().body == b"whole"
    wait_until(lambda: not router.processes(), "all children are gone")


def test_a_new_master_starts_with_the_old_table(router, backend):
    router.kill_master()
    router.bus.stop()                         # so the routes can come from nowhere else
    router.start(wait=False)
    wait_until(lambda: router.health() == 200, "it serves again")
    assert router.get(HOST).status == 200
    assert router.log_lines("gorouter.started")[-1]["data"]["table"] == "taken over"
    router.bus.start()


def test_a_reload_under_keep_alive_load_loses_nothing(router, backend):
    with Load(router) as load:
        for _ in range(3):
            router.reload()
            load.more()
    assert not load.failed and not load.refused and not load.cut


def test_a_reload_under_load_of_short_connections_loses_nothing(router, backend):
    with Load(router, keep_alive=False) as load:
        for _ in range(3):
            router.reload()
            load.more()
    assert not load.failed and not load.refused and not load.cut


def test_a_bad_file_is_refused_and_everything_goes_on(router, backend):
    with Load(router) as load:
        before = router.worker_pids()
        with open(router.config_path) as file:
            good = file.read()
        router.write_config(text=good + "\nworkr = { };\n")
        router.signal(signal.SIGHUP)
        reason = router.wait_for_log("reload-refused")["data"]["reason"]
        load.more()
    assert reason.startswith(f"{router.config_path}:") and 'did you mean "worker"?' in reason
    assert router.worker_pids() == before
    assert not load.failed and not load.refused and not load.cut


def test_a_drain_answers_health_with_503_serves_on_and_ends_with_0(make_router, make_backend):
    router = make_router(master={"drain_wait": "1s", "drain_timeout": "5s"})
    router.register(HOST, make_backend())
    for _ in range(3):
        router.signal(signal.SIGUSR1)
        time.sleep(0.05)
    wait_until(lambda: router.health() == 503, "health says no")
    assert router.get(HOST).status == 200
    assert router.wait_exit() == 0
    wait_until(lambda: not router.processes(), "all processes are gone")
    assert router.objects() == []


def test_a_drain_lets_an_open_request_finish(make_router, make_backend):
    begun = threading.Event()

    def slowly(exchange, request):
        begun.set()
        time.sleep(1)
        exchange.respond(body=b"whole")

    router = make_router(master={"drain_timeout": "10s"})
    router.register(HOST, make_backend(slowly))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        assert begun.wait(10)
        router.signal(signal.SIGUSR1)
        assert client.response().body == b"whole"
    assert router.wait_exit() == 0


def test_a_stop_is_prompt_even_with_open_requests(router, make_backend):
    begun = threading.Event()

    def never(exchange, request):
        begun.set()
        answers.stall(exchange, request)

    router.register(HOST, make_backend(never))
    with router.client() as client:
        client.send_head("GET", "/", [("Host", HOST)])
        assert begun.wait(10)
        at = time.monotonic()
        assert router.stop() == 0
        assert time.monotonic() - at < 3


def test_routes_survive_a_bus_that_is_away_for_longer_than_the_stale_threshold(make_router, make_backend):
    router = make_router(registrar={"minimum_register_interval": "1s", "droplet_stale_threshold": "2s",
                                    "prune_interval": "1s"})
    router.register(HOST, make_backend())
    router.bus.stop()
    time.sleep(4)
    assert router.get(HOST).status == 200
    router.bus.start()
    wait_until(router.is_subscribed, "the registrar is back on the bus", 30)
    assert router.get(HOST).status == 200


def test_a_full_table_refuses_new_routes_says_so_and_goes_on_serving(make_router, make_backend):
    router = make_router(table={"size": "4M"})
    backend = make_backend()
    router.register(HOST, backend)
    for number in range(20000):
        tags = {f"tag{i}": secrets.token_hex(100) for i in range(10)}         # they do not pack well
        router.bus.register(f"app-{number}.example", backend, tags=tags)
        if number % 500 == 0 and router.table.counter("table_full_refusals"):
            break
    wait_until(lambda: router.table.counter("table_full_refusals"), "the table is full", 30)
    assert router.get(HOST).status == 200
    assert any("full" in line["message"] for line in router.log_lines())
    assert router.table.run("--check").returncode == 0
