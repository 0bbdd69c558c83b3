#!/usr/bin/env python3
"""make bench: Wye beside nginx, haproxy and a bare relay, in one run, and the table's own numbers.

The machine may be noisy and shared: all targets are up at once and take turns in rounds of shuffled
order; what counts is CPU time per request of all processes of a target, and the ratios within this run.
After some rounds all are started anew: where memory came to lie makes a process faster or slower for life.
Scenarios may be named:  make bench BENCH="keepalive-64 posts"  or  make bench BENCH=--quick
A missed aim is printed; only a request that failed, or targets that are not comparable, fail the run.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "integration")]

# name: (options of load, requests of one turn, aims: {peer: most})
COMPARISONS = {
    "keepalive-64": (["-c", "64", "-u", "/1024", "-l", "1024"], 40000, {"haproxy": 0.88, "relay": 1.25}),
    "keepalive-1000": (["-c", "1000", "-u", "/1024", "-l", "1024"], 40000, {"nginx": 0.90}),
    "close": (["-c", "64", "-u", "/1024", "-l", "1024", "-x"], 10000, {"nginx": 1.0, "haproxy": 1.0}),
    "bodies": (["-c", "16", "-u", "/1048576", "-l", "1048576"], 1500, {"nginx": 1.0}),
    "posts": (["-c", "64", "-u", "/0", "-l", "0", "-b", "65536"], 8000, {"nginx": 0.9}),
}
OTHERS = ("syscalls", "tls", "log", "idle", "start", "reload", "table", "feed", "hosts", "updates",
          "union", "quota", "saved")
SETS, ROUNDS = 3, 4            # so many times all are started anew, for so many rounds each
TABLE_RUNS = 3
TRACED_REQUESTS = 20000
# Of the rows of table_bench, at this many routes: what, field, in units of, most.
TABLE_ROUTES = 100000
TABLE_AIMS = (("lookup exact", "find_in_accesses", "memory accesses", 1, 1.5), ("refresh", "ns", "us", 1000, 1),
              ("new route", "ns", "us", 1000, 4), ("memory", "kib_per_route", "KiB a route", 1, 0.75))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the folder with the programs")
    parser.add_argument("--quick", action="store_true", help="three rounds of a quarter of the requests")
    parser.add_argument("scenarios", nargs="*", help=" ".join((*COMPARISONS, *OTHERS)))
    options = parser.parse_args()
    unknown = set(options.scenarios) - {*COMPARISONS, *OTHERS}
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {' '.join((*COMPARISONS, *OTHERS))}")
    return options


options = arguments()
os.environ["WYE_BUILD"] = options.build

import checks  # noqa: E402
import feed  # noqa: E402
import lifecycle  # noqa: E402
import saved  # noqa: E402
import tls  # noqa: E402
import union  # noqa: E402
import targets  # noqa: E402
from harness.waiting import build_dir, end_process, spawn, wait_until  # noqa: E402
from measure import Aims, load, measure, middle, ratio  # noqa: E402

KINDS = (targets.Wye, targets.Nginx, targets.Haproxy, targets.Relay)


def is_wanted(*names):
    return not options.scenarios or any(name in options.scenarios for name in names)


def print_turns(turns):
    for name, list_of in turns.items():
        print(f"  {name:<10} {middle(list_of):9.2f} us   p50 {middle(list_of, 'p50_us'):7.0f} us   "
              f"p99 {middle(list_of, 'p99_us'):7.0f} us   {middle(list_of, 'per_s'):8.0f}/s")


def take_turns(backend, name):
    """{target: [turns]} and the requests of a turn."""
    extra, requests, _ = COMPARISONS[name]
    sets, rounds, requests = (1, 3, requests // 4) if options.quick else (SETS, ROUNDS, requests)
    turns = {kind.name: [] for kind in KINDS}
    for _ in range(sets):
        with targets.started(KINDS, backend.port) as subjects:
            for subject, list_of in measure(subjects, extra, requests, rounds).items():
                turns[subject] += list_of
    return turns, requests


def compare(name, backend, aims):
    turns, requests = take_turns(backend, name)
    rounds, wanted = len(turns["wye"]), COMPARISONS[name][2]
    print(f"\n{name}: CPU per request, median of {rounds} rounds of {requests}")
    print_turns(turns)
    rows = {}
    for peer in ("nginx", "haproxy", "relay"):
        value, lower, upper = ratio(turns["wye"], turns[peer])
        note = aims.note(name, f"wye / {peer}", value, wanted[peer]) if peer in wanted else ""
        print(f"  wye / {peer:<10} {value:11.2f} ({lower:.2f}-{upper:.2f})   {note}")
        rows[peer] = {"ratio": value, "quartiles": [lower, upper]}
    for subject, list_of in turns.items():
        errors = sum(turn["errors"] for turn in list_of)
        if errors:
            aims.fault(f"{name}: {errors} requests failed at {subject}")
    return {"rounds": rounds, "requests": requests, "wye_over": rows,
            "targets": {subject: {key: middle(list_of, key) for key in ("us", "p50_us", "p99_us", "per_s")}
                        for subject, list_of in turns.items()}}


def traced(subject):
    """{system call: times per keep-alive request}."""
    output = os.path.join(subject.folder, "strace")
    pids = [word for pid in subject.traffic_pids() for word in ("-p", str(pid))]
    tracer = spawn(["strace", "-c", "-f", "-o", output, *pids])
    try:
        wait_until(lambda: all(is_traced(pid) for pid in subject.traffic_pids()), f"strace holds {subject.name}")
        load(subject.port, COMPARISONS["keepalive-64"][0], TRACED_REQUESTS)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
    finally:
        end_process(tracer)
    calls = {}
    with open(output) as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 5 and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
                calls[fields[-1]] = int(fields[3]) / TRACED_REQUESTS
    return calls


def is_traced(pid):
    with open(f"/proc/{pid}/status") as status:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status)


def system_calls(backend):
    print("\nsyscalls: system calls per keep-alive request (64 connections; their opening included), by strace")
    with targets.started(KINDS, backend.port) as subjects:
        rows = {subject.name: traced(subject) for subject in subjects}
    for name, calls in rows.items():
        most = sorted(calls.items(), key=lambda row: -row[1])[:6]
        print(f"  {name:<10} {sum(calls.values()):5.2f}   " + "  ".join(f"{call} {n:.2f}" for call, n in most))
    return rows


def table_rows():
    """What build/torture/table_bench prints, each number the median of several runs."""
    runs = []
    for _ in range(1 if options.quick else TABLE_RUNS):
        done = subprocess.run([str(build_dir() / "torture" / "table_bench")], capture_output=True, text=True,
                              timeout=300, check=True)
        runs.append([json.loads(line) for line in done.stdout.splitlines()])
    return [{key: value if key == "what" else statistics.median(row[key] for row in same)
             for key, value in same[0].items()} for same in zip(*runs)]


def table(_backend, aims, _options):
    """The price of a dependent memory access is measured beside the rows: it is the currency."""
    rows = table_rows()
    print("\ntable: operations on the shared table, one core")
    for row in rows:
        numbers = "   ".join(f"{key} {value}" for key, value in row.items() if key not in ("what", "routes"))
        print(f"  {row['routes']:>7} routes   {row['what']:<16} {numbers}")
    for what, field, unit, divisor, most in TABLE_AIMS:
        for row in rows:
            if row["what"] == what and row["routes"] == TABLE_ROUTES:
                aims.note("table", f"{what} ({unit})", row[field] / divisor, most)
    return rows


def machine():
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(),
            "kernel": os.uname().release, "version": version.stdout.strip(),
            "load_average": [round(load, 2) for load in os.getloadavg()]}


def run(backend, report, aims):
    if is_wanted(*COMPARISONS):
        checks.run((targets.Wye, targets.Nginx, targets.Haproxy), aims)
    for name in COMPARISONS:
        if is_wanted(name):
            report[name] = compare(name, backend, aims)
    if is_wanted("syscalls"):
        report["syscalls"] = system_calls(backend)
    for name, scenario in (("tls", tls.tls), ("log", lifecycle.access_log), ("idle", lifecycle.idle),
                           ("start", lifecycle.start), ("reload", lifecycle.reloads), ("table", table),
                           ("feed", feed.feed), ("hosts", feed.hosts), ("updates", feed.updates),
                           ("union", union.union), ("quota", union.quota), ("saved", saved.saved)):
        if is_wanted(name):
            report[name] = scenario(backend, aims, options)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))           # so that everything is ended
    sys.stdout.reconfigure(line_buffering=True)
    report, aims = {"machine": machine()}, Aims()
    print("   ".join(f"{key} {value}" for key, value in report["machine"].items()))
    backend = targets.BenchBackend()
    try:
        run(backend, report, aims)
    finally:
        backend.close()
    aims.print()
    report["aims"], report["faults"] = aims.rows, aims.faults
    path = build_dir() / "bench" / "report.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten to {os.path.relpath(path)}")
    return 1 if aims.faults else 0


if __name__ == "__main__":
    sys.exit(main())
