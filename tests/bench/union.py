"""Registrations through three clustered servers at once, and an emitter gone wild beside one that behaves."""
import contextlib
import http.client
import time

import targets
from feed import GIVE_UP_S, emit, percentile, settle
from harness import Bus, Router
from harness.waiting import end_process, free_port, spawn, wait_until

SERVERS = 3
INSTANCES, INSTANCES_QUICK = 200_000, 50_000
RATE = 10_000                  # messages a second; each comes once from each server
CORE_SHARE = 0.30
LAG_MS = 1000
WILD_HOSTS, WILD_RATE = 5_000_000, 50_000
NEW_EVERY_S = 0.02
NEW_P99_MS = 100


@contextlib.contextmanager
def clustered_servers():
    ports = [free_port() for _ in range(SERVERS)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = []
    try:
        for port in ports:
            servers.append(Bus(options=["--cluster_name", "bench", "--cluster", f"nats://127.0.0.1:{port}",
                                        "--routes", routes]))
        heard = [server.subscribe("bench.ready") for server in servers]

        def is_whole():
            servers[0].publish("bench.ready")
            time.sleep(0.05)
            return all(not queue.empty() for queue in heard)
        wait_until(is_whole, "the servers hear one another")
        yield servers
    finally:
        for server in servers:
            server.close()


def repeats(router):
    """Messages that found their endpoint there; a few in a million are read in full again."""
    counters = router.table.counters()
    return counters["registry_message_refreshed"] + counters["registry_message_updated"]


def wait_repeats(router, count):
    wait_until(lambda: repeats(router) >= count, lambda: f"{repeats(router)} of {count} came", GIVE_UP_S)


def union(_backend, aims, options):
    """Known instances repeat themselves; all copies count."""
    instances, rounds = (INSTANCES_QUICK, 2) if options.quick else (INSTANCES, 2)
    with clustered_servers() as servers:
        router = Router(servers[0], table={"size": "512M"}, log={"level": "info"}, master={"workers": 1},
                        access_log={"file": ""},
                        registrar={"nats": {"servers": tuple(server.url for server in servers)}})
        try:
            row = measure_union(router, servers[0], instances, rounds)
        finally:
            router.close()
    print(f"\nunion: {instances} instances from {SERVERS} servers, {RATE} messages a second, each {SERVERS} times")
    print(f"  registrar     {100 * row['share']:6.1f} % of a core, all threads   "
          f"{aims.note('union', 'share of a core', row['share'], CORE_SHARE)}")
    print(f"  a copy        {row['copy_us']:6.2f} us; in one burst {row['burst_us']:.2f} us   "
          f"{aims.note('union', 'registrar us of a copy in a burst', row['burst_us'], 1)}")
    print(f"  lag           {row['lag_ms']:6.0f} ms at the end   "
          f"{aims.note('union', 'lag (ms)', row['lag_ms'], LAG_MS)}")
    if row["dropped"]:
        aims.fault(f"union: {row['dropped']} messages were dropped")
    return row


def measure_union(router, server, instances, rounds):
    pid, copies = router.registrar_pid(), SERVERS * instances
    emit(server, "--routes", instances)
    wait_until(lambda: router.table.facts()["routes"] == instances, "all are there", GIVE_UP_S)
    settle(pid)
    known = repeats(router)
    before = settle(pid)
    emit(server, "--routes", instances)
    wait_repeats(router, known + copies)
    burst_us = (settle(pid) - before) / copies / 1000
    before, began = targets.cpu_ns(pid), time.monotonic()
    sender = spawn([targets.bench_program("emit"), str(server.port), "--routes", str(instances),
                    "--rounds", str(rounds), "--rate", str(RATE)])
    sender.wait(GIVE_UP_S)
    seconds, sent = time.monotonic() - began, time.monotonic()
    used = targets.cpu_ns(pid) - before
    wait_repeats(router, known + (rounds + 1) * copies)
    lag_ms = (time.monotonic() - sent) * 1000
    return {"share": used / 1e9 / seconds, "copy_us": used / (rounds * copies) / 1000, "burst_us": burst_us,
            "lag_ms": lag_ms, "dropped": router.table.counter("registry_message_dropped")}


class Newcomer:
    """Registers one host after another and asks for each until it is served."""

    def __init__(self, router, backend_port):
        self.router, self.backend_port, self.count = router, backend_port, 0
        self.client = http.client.HTTPConnection("127.0.0.1", router.port, timeout=GIVE_UP_S)

    def status(self, host):
        self.client.request("GET", "/0", headers={"Host": host})
        response = self.client.getresponse()
        response.read()
        return response.status

    def served_ms(self):
        """From its publication to the first answer of its app."""
        host = f"new-{self.count}.bench.example"
        self.count += 1
        began = time.monotonic()
        self.router.bus.publish("router.register", {"host": "127.0.0.1", "port": self.backend_port, "uris": [host],
                                                    "app": "new", "private_instance_id": "new"})
        while self.status(host) != 200:
            assert time.monotonic() - began < GIVE_UP_S, f"{host} is not served"
        return (time.monotonic() - began) * 1000

    def some(self, seconds):
        times, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            times.append(self.served_ms())
            time.sleep(NEW_EVERY_S)
        return times


def quota(backend, aims, options):
    """While it fills what is free and when it is refused."""
    size, seconds = ("32M", 4) if options.quick else ("128M", 20)
    bus = Bus()
    router = Router(bus, table={"size": size}, log={"level": "info"}, master={"workers": 1}, access_log={"file": ""})
    wild = None
    try:
        newcomer = Newcomer(router, backend.port)
        quiet = newcomer.some(seconds / 2)
        wild = spawn([targets.bench_program("emit"), str(bus.port), "--routes", str(WILD_HOSTS), "--backend", "9",
                      "--host", "9", "--rate", str(WILD_RATE)])
        filling = newcomer.some(seconds / 2)
        wait_until(lambda: router.table.counter("quota_refusals_total"), "it is refused", GIVE_UP_S)
        refused = newcomer.some(seconds / 2)
        facts = router.table.facts()
    finally:
        if wild:
            end_process(wild)
        router.close()
        bus.close()
    used = facts["table_used_bytes"] / facts["table_capacity_bytes"]
    row = {name: {"p99_ms": percentile(times, 99), "p50_ms": percentile(times, 50)}
           for name, times in (("before", quiet), ("filling", filling), ("refused", refused))}
    print(f"\nquota: {WILD_HOSTS} hosts of one endpoint at {WILD_RATE} messages a second; another's new hosts, ms")
    for name, times in row.items():
        print(f"  {name:<8} p50 {times['p50_ms']:6.2f}   p99 {times['p99_ms']:6.2f}   "
              f"{aims.note('quota', f'p99 of others, {name} (ms)', times['p99_ms'], NEW_P99_MS)}")
    print(f"  table    {100 * used:5.1f} % used   {aims.note('quota', 'of the table used', used, 0.80)}")
    return row | {"used": used}
