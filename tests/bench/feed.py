"""What routes cost on their way from NATS into the table, and what requests notice of it."""
import contextlib
import json
import os
import queue
import statistics
import subprocess
import threading
import time

import targets
from harness import Bus, Router
from harness.bus import BusClient
from harness.waiting import spawn
from measure import load, measure, middle, ratio

ROUTES = 1_000_000
ROUTES_QUICK = 100_000
LOAD_SECONDS = 6               # a million routes
HOSTS = 100_000
GREET_MS = 100                 # within which each is answered, while all that is loaded
GREET_EVERY_S = 0.02
UPDATE_RATES = (0, 5_000, 50_000)
UPDATE_ROUNDS = 15
GIVE_UP_S = 120


def emit(bus, *options):
    """What it says; the registrar may still be busy."""
    done = subprocess.run([targets.bench_program("emit"), str(bus.port), *map(str, options)], capture_output=True,
                          text=True, check=True, timeout=GIVE_UP_S)
    return json.loads(done.stdout)


def wait_for(router, name, value):
    """Seconds until the registrar says so."""
    began = time.monotonic()
    while router.table.facts()[name] != value:
        assert time.monotonic() - began < GIVE_UP_S, f"{name} is {router.table.facts()[name]}, not {value}"
        time.sleep(0.1)
    return time.monotonic() - began


def settle(pid):
    """Until the registrar has nothing to do; its CPU time then."""
    before = targets.cpu_ns(pid)
    while True:
        time.sleep(0.2)
        now = targets.cpu_ns(pid)
        if now - before < 5_000_000:
            return now
        before = now


@contextlib.contextmanager
def router_with_room(**settings):
    bus = Bus()
    router = Router(bus, table={"size": "2G"}, log={"level": "info"}, master={"workers": 1},
                    access_log={"file": ""}, **settings)
    try:
        yield router
    finally:
        router.close()
        bus.close()


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


class Greeter:
    """Somebody who asks the router for its greeting again and again; `ms`: how long each answer took."""

    def __init__(self, port):
        self.client, self.ms, self.is_over = BusClient(port), [], False
        self.thread = threading.Thread(target=self.ask_all, daemon=True)
        self.thread.start()

    def ask_all(self):
        answers = self.client.subscribe("_INBOX.greeter.*")
        while not self.is_over:
            began = time.monotonic()
            self.client.publish("router.greet", b"", f"_INBOX.greeter.{len(self.ms)}")
            try:
                answers.get(timeout=GIVE_UP_S)
            except queue.Empty:
                pass                                  # the time it took says so
            self.ms.append((time.monotonic() - began) * 1000)
            time.sleep(GREET_EVERY_S)

    def finish(self):
        self.is_over = True
        self.thread.join(GIVE_UP_S)
        self.client.close()
        return self.ms


def feed(_backend, aims, options):
    """All routes at once, then the same messages again."""
    routes = ROUTES_QUICK if options.quick else ROUTES
    with router_with_room() as router:
        pid = router.registrar_pid()
        idle = settle(pid)
        greeter = Greeter(router.bus.port)
        began = time.monotonic()
        sender = spawn([targets.bench_program("emit"), str(router.bus.port), "--routes", str(routes)])
        wait_for(router, "routes", routes)
        seconds = (time.monotonic() - began) * ROUTES / routes
        sender.wait(GIVE_UP_S)
        greets = greeter.finish()
        dropped = router.table.counter("registry_message_dropped")
        loaded = settle(pid)
        memory = router.table.facts()["table_used_bytes"] / routes / 1024
        repeats = []
        for _ in range(3):
            before = settle(pid)
            emit(router.bus, "--routes", routes)
            repeats.append((settle(pid) - before) / routes / 1000)
    row = {"routes": routes, "seconds_a_million": seconds, "new_us": (loaded - idle) / routes / 1000,
           "refresh_us": statistics.median(repeats), "kib_a_route": memory, "dropped": dropped,
           "greet_p99_ms": percentile(greets, 99), "greet_worst_ms": max(greets)}
    print(f"\nfeed: {routes} routes over NATS, with texts and tags as route-emitter sends them")
    print(f"  a million in          {seconds:6.2f} s     "
          f"{aims.note('feed', 'seconds for a million routes', seconds, LOAD_SECONDS)}")
    print(f"  a new route           {row['new_us']:6.2f} us of the registrar's CPU, all threads")
    print(f"  a message that repeats{row['refresh_us']:6.2f} us     "
          f"{aims.note('feed', 'registrar us of a known message', row['refresh_us'], 1)}")
    print(f"  greets while loading  {row['greet_worst_ms']:6.1f} ms at worst, p99 {row['greet_p99_ms']:.1f}, "
          f"of {len(greets)}   {aims.note('feed', 'worst greet while loading (ms)', row['greet_worst_ms'], GREET_MS)}")
    if dropped:
        aims.fault(f"feed: {dropped} messages were dropped")
    print(f"  table                 {memory:6.2f} KiB a route   {aims.note('feed', 'KiB a route', memory, 0.75)}")
    return row


class WyeFull(targets.Wye):
    """With all hosts on one backend."""

    name = "wye"
    host = "app-0000000.apps.example.com"

    def configure(self, router):
        router.write_config(table={"size": "512M"})

    def register(self):
        emit(self.bus, "--routes", HOSTS, "--backend", self.backend_port)
        wait_for(self.router, "routes", HOSTS)


def hosts(backend, aims, options):
    """The same instance asked for one host and for all of them."""
    requests, rounds = (10000, 3) if options.quick else (40000, 10)
    with targets.started((WyeFull,), backend.port) as (subject,):
        one, many = [], []
        load(subject.port, ["-c", "64", "-u", "/1024", "-w", str(HOSTS)], 2 * HOSTS)      # warm
        for _ in range(rounds):
            one += measure([subject], ["-c", "64", "-u", "/1024", "-w", "1"], requests, 1)[subject.name]
            many += measure([subject], ["-c", "64", "-u", "/1024", "-w", str(HOSTS)], requests, 1)[subject.name]
    value, lower, upper = ratio(many, one)
    print(f"\nhosts: CPU per request, {HOSTS} hosts in no order beside one host")
    print(f"  one {middle(one):6.2f} us   all {middle(many):6.2f} us   ratio {value:5.3f} ({lower:.3f}-{upper:.3f})   "
          f"{aims.note('hosts', f'{HOSTS} hosts / one host', value, 1.05)}")
    return {"ratio": value, "quartiles": [lower, upper]}


def on_cpus(pids, cpus):
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cpus)


def p99_under(subject, rate, requests):
    """While so many endpoints a second come and go."""
    command = [targets.bench_program("emit"), str(subject.bus.port), "--routes", "20000", "--first", str(HOSTS),
               "--rounds", "1000000", "--churn", "--rate", str(rate)]
    emitter = spawn(command) if rate else None
    try:
        if emitter:
            on_cpus([emitter.pid], {1})
            time.sleep(0.5)
        return load(subject.port, ["-c", "8", "-u", "/1024", "-w", str(HOSTS)], requests)["p99_us"]
    finally:
        if emitter:
            emitter.terminate()
            emitter.wait()


def updates(backend, aims, options):
    """Traffic on one core; NATS, its emitter and the registrar on the other."""
    requests, rounds = (10000, 2) if options.quick else (40000, UPDATE_ROUNDS)
    rows = {rate: [] for rate in UPDATE_RATES}
    with targets.started((WyeFull,), backend.port) as (subject,):
        on_cpus([*subject.traffic_pids(), backend.process.pid, os.getpid()], {0})
        on_cpus([subject.router.registrar_pid(), subject.bus.server.pid], {1})
        try:
            p99_under(subject, 0, HOSTS)
            for _ in range(rounds):
                for rate in UPDATE_RATES:
                    rows[rate].append(p99_under(subject, rate, requests))
        finally:
            on_cpus([backend.process.pid, os.getpid()], range(os.cpu_count()))
    print("\nupdates: p99 of requests while endpoints come and go, median of the ratios within a round")
    for rate in UPDATE_RATES[1:]:
        value = statistics.median(a / b for a, b in zip(rows[rate], rows[0]))
        print(f"  {rate:6d}/s   p99 {statistics.median(rows[rate]):5.0f} us beside {statistics.median(rows[0]):5.0f} us"
              f"   ratio {value:5.2f}   {aims.note('updates', f'p99 at {rate}/s / none', value, 1.10)}")
    return {str(rate): values for rate, values in rows.items()}
