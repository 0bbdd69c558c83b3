#!/usr/bin/env python3
"""make bench: Wye beside nginx, haproxy and a bare relay, in one run, and the table's own numbers.

The machine may be noisy and shared: all targets are up at once and take turns in rounds of shuffled
order; what counts is CPU time per request of all processes of a target, and the ratios within this run.
Scenarios may be named on the command line (make bench BENCH="keepalive-64 posts").
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.path.join(os.path.dirname(__file__), "..", "integration")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a quarter of the requests, three rounds")
    parser.add_argument("scenarios", nargs="*")
    return parser.parse_args()


options = arguments()
os.environ["WYE_BUILD"] = options.build

import targets  # noqa: E402
from harness.waiting import build_dir  # noqa: E402

# name: (options of load, requests of one turn, body of an answer, aims: {other: most})
SCENARIOS = {
    "keepalive-64": (["-c", "64", "-u", "/1024", "-l", "1024"], 40000,
                     {"haproxy": 0.88, "relay": 1.25, "nginx": None}),
    "keepalive-1000": (["-c", "1000", "-u", "/1024", "-l", "1024"], 40000,
                       {"nginx": 0.90, "haproxy": None, "relay": None}),
    "close": (["-c", "64", "-u", "/1024", "-l", "1024", "-x"], 10000, {"best": 1.0, "nginx": None, "haproxy": None}),
    "bodies": (["-c", "16", "-u", "/1048576", "-l", "1048576"], 1500, {"nginx": 1.0, "haproxy": None, "relay": None}),
    "posts": (["-c", "64", "-u", "/10", "-b", "65536"], 8000, {"nginx": 0.9, "haproxy": None, "relay": None}),
}
PEERS = (targets.Wye, targets.Nginx, targets.Haproxy, targets.Relay)


def load(port, extra, requests):
    command = [targets.bench_program("load"), "-p", str(port), "-H", targets.HOST, "-n", str(requests), *extra]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    if result["errors"]:
        print(f"  {result['errors']} errors: {' '.join(command)}")
    return result


def turn(target, extra, requests):
    before = target.cpu_ns()
    result = load(target.port, extra, requests)
    return {"us": (target.cpu_ns() - before) / 1000 / requests, "errors": result["errors"],
            "p99_us": result["p99_us"], "per_s": requests / result["seconds"]}


def measure(subjects, extra, requests, rounds):
    """{name: [turns]}: every round gives each subject a turn, in another order."""
    turns = {subject.name: [] for subject in subjects}
    for subject in subjects:
        turn(subject, extra, max(requests // 4, 100))         # warm
    for _ in range(rounds):
        for subject in random.sample(subjects, len(subjects)):
            turns[subject.name].append(turn(subject, extra, requests))
    return turns


def middle(turns, key="us"):
    return statistics.median(turn[key] for turn in turns)


def ratio(turns, other):
    """Median over rounds of the ratio within a round: what disturbed a round, disturbed both."""
    return statistics.median(ours["us"] / theirs["us"] for ours, theirs in zip(turns["wye"], turns[other]))


def verdict(value, most):
    return "" if most is None else ("ok" if value <= most else "MISSED")


def compare(name, turns, aims):
    print(f"\n{name}: CPU per request, median of {len(turns['wye'])} rounds")
    for subject, list_of in turns.items():
        print(f"  {subject:<10} {middle(list_of):9.2f} us   p99 {middle(list_of, 'p99_us'):8.0f} us   "
              f"{middle(list_of, 'per_s'):9.0f}/s   errors {sum(t['errors'] for t in list_of)}")
    rows = {}
    peers = [peer for peer in turns if peer not in ("wye", "relay", "wye+log")]
    for other, most in aims.items():
        against = min(peers, key=lambda peer: middle(turns[peer])) if other == "best" else other
        rows[other] = value = ratio(turns, against)
        label = f"best ({against})" if other == "best" else other
        aim = f"aim {most:.2f}" if most else ""
        print(f"  wye / {label:<16} {value:5.2f}   {aim:<9} {verdict(value, most)}")
    return {"us": {subject: middle(list_of) for subject, list_of in turns.items()}, "ratios": rows}


def idle_memory(backend):
    """In processes of their own: what others left in the allocator does not count."""
    subjects = [kind(backend.port) for kind in (targets.Wye, targets.Nginx, targets.Haproxy)]
    try:
        rows = {}
        count = 8000
        print(f"\nidle connections: memory of each of {count}")
        for subject in subjects:
            load(subject.port, ["-c", "10", "-u", "/10"], 100)
            time.sleep(0.5)
            before = sum(targets.private_kib(pid) for pid in subject.traffic_pids())
            holder = subprocess.Popen([targets.bench_program("load"), "-p", str(subject.port), "-H", targets.HOST,
                                       "-n", str(count), "-c", str(count), "-u", "/10", "-i", "4"],
                                      stdout=subprocess.PIPE, text=True)
            holder.stdout.readline()
            time.sleep(2)
            after = sum(targets.private_kib(pid) for pid in subject.traffic_pids())
            holder.wait()
            rows[subject.name] = (after - before) / count
            aim = f"aim 0.45   {verdict(rows[subject.name], 0.45)}" if subject.name == "wye" else ""
            print(f"  {subject.name:<10} {rows[subject.name]:6.2f} KiB   {aim}")
        return rows
    finally:
        for subject in subjects:
            subject.close()


def start_time(backend):
    began = time.monotonic()
    wye = targets.Wye(backend.port)
    seconds = time.monotonic() - wye.began
    wye.close()
    print(f"\nstart to first routed request: {seconds * 1000:.0f} ms (bus ready before; whole set-up "
          f"{(time.monotonic() - began) * 1000:.0f} ms)")
    return seconds


def reloads(backend, count=5):
    """Requests lost while the configuration is reloaded under keep-alive load."""
    rows = {}
    print(f"\nrequests lost over {count} reloads under load")
    for kind in (targets.Wye, targets.Nginx):
        subject, results = kind(backend.port), []
        thread = threading.Thread(target=lambda: results.append(
            load(subject.port, ["-c", "64", "-u", "/1024", "-l", "1024"], 150000)))
        thread.start()
        for _ in range(count):
            time.sleep(0.3)
            subject.reload()
        thread.join()
        subject.close()
        rows[kind.name] = results[0]["errors"]
        aim = verdict(results[0]["errors"], 0) if kind is targets.Wye else ""
        print(f"  {kind.name:<10} {results[0]['errors']} of {results[0]['requests']}   connections closed between "
              f"requests and reopened: {results[0]['reopened']}   {aim}")
    return rows


def access_log_cost(backend, rounds):
    subjects = [targets.Wye(backend.port), targets.WyeLogging(backend.port)]
    try:
        turns = measure(subjects, SCENARIOS["keepalive-64"][0], SCENARIOS["keepalive-64"][1], rounds)
    finally:
        for subject in subjects:
            subject.close()
    value = 1 / ratio(turns, "wye+log")
    print(f"\naccess log: {middle(turns['wye+log']):.2f} us with, {middle(turns['wye']):.2f} us without: "
          f"{value:.3f}   aim 1.05   {verdict(value, 1.05)}")
    return value


def system_calls(subjects):
    """System calls for each keep-alive request of 64 connections, by name."""
    rows, requests = {}, 20000
    print("\nsystem calls per keep-alive request (64 connections), counted by strace")
    for subject in subjects:
        if subject.name not in ("wye", "relay"):
            continue
        output = os.path.join(subject.folder, "strace")
        pids = [arg for pid in subject.traffic_pids() for arg in ("-p", str(pid))]
        tracer = subprocess.Popen(["strace", "-c", "-f", "-o", output, *pids], stderr=subprocess.DEVNULL)
        time.sleep(1)
        load(subject.port, SCENARIOS["keepalive-64"][0], requests)
        tracer.send_signal(2)
        tracer.wait()
        calls = {}
        with open(output) as file:
            for line in file:
                fields = line.split()
                if len(fields) >= 5 and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
                    calls[fields[-1]] = int(fields[3]) / requests
        rows[subject.name] = calls
        most = sorted(calls.items(), key=lambda row: -row[1])[:6]
        print(f"  {subject.name:<10} {sum(calls.values()):5.2f}   " + "  ".join(f"{n} {v:.2f}" for n, v in most))
    return rows


def table():
    print("\nthe table (build/torture/table_bench)")
    result = subprocess.run([str(build_dir() / "torture" / "table_bench")], capture_output=True, text=True, timeout=300)
    print("  " + result.stdout.strip().replace("\n", "\n  "))
    return result.stdout


def main():
    rounds, share = (3, 4) if options.quick else (options.rounds, 1)
    wanted = lambda name: not options.scenarios or name in options.scenarios
    report, started = {}, []
    try:
        backend = targets.BenchBackend()
        started.append(backend)
        if any(wanted(name) for name in (*SCENARIOS, "syscalls")):
            subjects = []
            for kind in PEERS:
                subjects.append(kind(backend.port))
                started.append(subjects[-1])
            for name, (extra, requests, aims) in SCENARIOS.items():
                if wanted(name):
                    report[name] = compare(name, measure(subjects, extra, requests // share, rounds), aims)
            if wanted("syscalls"):
                report["syscalls"] = system_calls(subjects)
        others = {"log": lambda: access_log_cost(backend, rounds), "idle": lambda: idle_memory(backend),
                  "start": lambda: start_time(backend), "reload": lambda: reloads(backend), "table": table}
        for name, run in others.items():
            if wanted(name):
                report[name] = run()
    finally:
        for target in reversed(started):
            target.close()
    path = build_dir() / "bench" / "report.json"
    path.write_text(json.dumps(report, indent=1))
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
