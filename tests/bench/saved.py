"""A start with every NATS server down: how soon the last-known-good table is served."""
import collections
import os
import shutil
import statistics
import tempfile
import time

import targets
from feed import GIVE_UP_S, emit, wait_for
from harness import Bus, Router
from harness.waiting import wait_until

ROUTES = 1_000_000
ROUTES_QUICK = 100_000
STARTS = 5
SERVED_SECONDS = 1
HOSTS = [f"probe-{number}.example" for number in range(16)]      # anywhere among the others


def fill(router, backend, routes):
    """Until the file holds them."""
    emit(router.bus, "--routes", routes)
    for host in HOSTS:
        router.bus.register(host, ("127.0.0.1", backend.port), app="probes")
    wait_for(router, "routes", routes + len(HOSTS))
    wait_until(lambda: router.table.counter("snapshots_written"), "a table is saved", GIVE_UP_S)
    router.stop()                                     # saves what has changed since


def answer_of(router, host):
    try:
        return router.get(host, "/10").status
    except OSError:
        return None                                   # nobody listens yet


def start(router, aims):
    """Seconds from the start of the master to the first and to the last host that is answered, and the
    registrar's CPU until then."""
    began, served, answers = time.monotonic(), {}, collections.Counter()
    router.start(wait=False)
    waiting = list(HOSTS)
    while waiting and time.monotonic() - began < GIVE_UP_S:     # one by one: the router needs the CPUs
        status = answer_of(router, waiting[0])
        answers[status] += 1
        if status == 200:
            served[waiting.pop(0)] = time.monotonic() - began
        else:
            time.sleep(0.005)
    cpu = targets.cpu_ns(router.registrar_pid()) / 1e9
    wrong = {status: count for status, count in answers.items() if status not in (None, 200, 503)}
    if wrong or waiting:
        aims.fault(f"saved: answers {wrong}, {len(served)} of {len(HOSTS)} hosts served")
    router.kill_all()
    router.remove_objects()
    return min(served.values(), default=GIVE_UP_S), max(served.values(), default=GIVE_UP_S), cpu


def saved(backend, aims, options):
    routes, starts = (ROUTES_QUICK, 3) if options.quick else (ROUTES, STARTS)
    directory = tempfile.mkdtemp(prefix="wye-bench-saved-")
    bus = Bus()
    router = Router(bus, table={"size": "2G"}, log={"level": "info"}, access_log={"file": ""},
                    registrar={"snapshot_directory": directory, "snapshot_interval": "1s",
                               "minimum_register_interval": "1s"})
    try:
        fill(router, backend, routes)
        router.write_config(master={"start_delay": "20s"})
        bus.stop()
        runs = [start(router, aims) for _ in range(starts)]
        size = max(os.stat(os.path.join(directory, name)).st_size for name in os.listdir(directory))
    finally:
        router.close()
        bus.close()
        shutil.rmtree(directory)
    first, last, cpu = (statistics.median(column) for column in zip(*runs))
    print(f"\nsaved: a start with NATS down and a file of {routes} routes, median of {starts}")
    print(f"  first host served after {first:6.2f} s")
    print(f"  last host served after  {last:6.2f} s   "
          f"{aims.note('saved', 'seconds to the last host', last, SERVED_SECONDS)}")
    print(f"  registrar               {cpu / routes * 1e6:6.2f} us a route, of threads that still run")
    print(f"  file                    {size / routes:6.0f} bytes a route")
    return {"routes": routes, "first_s": first, "last_s": last, "cpu_us": cpu / routes * 1e6, "bytes": size / routes}
