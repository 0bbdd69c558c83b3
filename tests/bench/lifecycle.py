"""What is measured on instances of their own: idle connections, start, reloads, the price of the access log."""
import statistics
import time

import targets
from measure import Load, load, measure, middle, ratio

IDLE_CONNECTIONS = 8000
STARTS = 5
KEEPALIVE = ["-c", "64", "-u", "/1024", "-l", "1024"]


def private_kib(subject):
    return sum(targets.private_kib(pid) for pid in subject.traffic_pids())


def idle_kib(subject):
    """KiB for each connection that did a request, few at a time, and stays; and how many were closed."""
    load(subject.port, ["-c", "10", "-u", "/10"], 100)
    time.sleep(0.5)
    before = private_kib(subject)
    holder = Load(subject.port, ["-n", str(IDLE_CONNECTIONS), "-c", str(IDLE_CONNECTIONS), "-u", "/10", "-i", "4"])
    try:
        errors = holder.result()["errors"]
        time.sleep(2)
        after = private_kib(subject)
        return (after - before) / IDLE_CONNECTIONS, errors + holder.result()["closed"]
    finally:
        holder.close()


def idle(backend, aims, _options):
    """One instance after another: what other loads left in an allocator does not count."""
    rows = {}
    print(f"\nidle: memory for each of {IDLE_CONNECTIONS} connections that did one request")
    for kind in (targets.Wye, targets.Nginx, targets.Haproxy, targets.Relay):
        with targets.started((kind,), backend.port) as (subject,):
            rows[kind.name], missing = idle_kib(subject)
        note = aims.note("idle", "KiB of an idle connection", rows[kind.name], 0.45) if kind is targets.Wye else ""
        print(f"  {kind.name:<10} {rows[kind.name]:6.2f} KiB   {note}")
        if missing:
            aims.fault(f"idle: {missing} connections of {kind.name} failed or did not stay open")
    return rows


def start(backend, _aims, _options):
    """Wye: from the start of the master, with its bus up, to a request that was routed."""
    rows = {}
    print(f"\nstart: to the first routed request, median of {STARTS}")
    for kind in (targets.Wye, targets.Nginx, targets.Haproxy):
        times = []
        for _ in range(STARTS):
            with targets.started((kind,), backend.port) as (subject,):
                times.append(subject.start_s)
        rows[kind.name] = {"median_s": statistics.median(times), "worst_s": max(times)}
        print(f"  {kind.name:<10} {statistics.median(times) * 1000:6.0f} ms   worst {max(times) * 1000:.0f} ms")
    return rows


def reload_under_load(subject, count):
    """Reloads while 64 connections are kept busy and 8 more come and go; {kind of load: result}."""
    loads = {"kept connections": Load(subject.port, KEEPALIVE + ["-t", "60"]),
             "new connections": Load(subject.port, ["-c", "8", "-u", "/1024", "-l", "1024", "-x", "-t", "60"])}
    try:
        for _ in range(count):
            time.sleep(0.3)
            subject.reload()
        time.sleep(0.3)
        return {what: each.finish() for what, each in loads.items()}
    finally:
        for each in loads.values():
            each.close()


def reloads(backend, aims, options):
    rows, count = {}, 3 if options.quick else 8
    print(f"\nreload: requests lost over {count} reloads under load (retried: written as the server closed "
          "the idle connection in order)")
    for kind in (targets.Wye, targets.Nginx):
        with targets.started((kind,), backend.port) as (subject,):
            rows[kind.name] = reload_under_load(subject, count)
        for what, result in rows[kind.name].items():
            note = aims.note("reload", f"lost on {what}", result["errors"], 0) if kind is targets.Wye else ""
            print(f"  {kind.name:<10} {what}: {result['errors']} of {result['requests']}   closings announced "
                  f"{result['announced']}, retried {result['retried']}   {note}")
        if kind is targets.Wye and rows["wye"]["kept connections"]["announced"] < count:
            aims.fault("reload: the workers were not replaced under the load")
    return rows


def lines_in(path):
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def access_log(backend, aims, options):
    """Two instances, with and without; short turns, because the difference is small."""
    rounds, requests = (5, 10000) if options.quick else (21, 20000)
    with targets.started((targets.Wye, targets.WyeLogging), backend.port) as subjects:
        turns = measure(subjects, KEEPALIVE, requests, rounds)
        subjects[1].router.stop()                     # with it, the last lines are written
        missing = sum(turn["requests"] for turn in turns["wye+log"]) - lines_in(subjects[1].router.access_log_path)
    if missing > 0:
        aims.fault(f"log: {missing} requests have no line")
    value, lower, upper = ratio(turns["wye+log"], turns["wye"])
    print(f"\nlog: {middle(turns['wye+log']):.2f} us with the access log, {middle(turns['wye']):.2f} us without")
    print(f"  with / without          {value:5.2f} ({lower:.2f}-{upper:.2f})   "
          f"{aims.note('log', 'with / without access log', value, 1.05)}")
    return {"ratio": value, "us": {name: middle(list_of) for name, list_of in turns.items()}}
