"""How it is measured: load from build/bench/load, CPU time, turns in rounds, ratios, and the aims.

Everything is compared within one run.  A ratio is the median over rounds of the ratio within a round:
whatever disturbed a round, disturbed both.  Beside it stand its quartiles, which say how far to trust it.
"""
import json
import random
import statistics
import subprocess

from harness.waiting import spawn
from targets import HOST, bench_program

TURN_LIMIT_S = 120


def command(port, extra):
    return [bench_program("load"), "-p", str(port), "-H", HOST, *extra]


class Load:
    """A load that runs beside something else until it is finished."""

    def __init__(self, port, extra):
        self.process = spawn(command(port, extra), stdout=subprocess.PIPE, text=True)

    def result(self):
        """The next object that it prints."""
        line = self.process.stdout.readline()
        assert line, f"load ended with {self.process.wait(5)} and no result"
        return json.loads(line)

    def finish(self):
        """No further requests; the result."""
        self.process.terminate()
        result = self.result()
        self.process.wait(TURN_LIMIT_S)
        return result

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def load(port, extra, requests):
    """So many requests, waited for."""
    done = subprocess.run(command(port, [*extra, "-n", str(requests)]), capture_output=True, text=True,
                          check=True, timeout=TURN_LIMIT_S)
    return json.loads(done.stdout)


def turn(target, extra, requests):
    before = target.cpu_ns()
    result = load(target.port, extra, requests)
    return {"requests": requests, "us": (target.cpu_ns() - before) / 1000 / requests, "p50_us": result["p50_us"],
            "p99_us": result["p99_us"], "per_s": requests / result["seconds"],
            "errors": result["errors"] + result["retried"]}


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


def ratio(ours, theirs):
    """(median, lower quartile, upper quartile) of the ratios within the rounds."""
    ratios = [a["us"] / b["us"] for a, b in zip(ours, theirs)]
    lower, _, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return statistics.median(ratios), lower, upper


class Aims:
    """What the numbers are held against.  Printed where they arise and again at the end."""

    def __init__(self):
        self.rows, self.faults = [], []

    def note(self, scenario, what, value, most):
        """Records the aim; returns the words for the line that shows the value."""
        self.rows.append({"scenario": scenario, "what": what, "value": value, "aim": most, "met": value <= most})
        return f"aim {most:<5g} {'ok' if value <= most else 'MISSED'}"

    def fault(self, text):
        """Something that must not happen on any machine, however noisy."""
        self.faults.append(text)
        print(f"  FAULT: {text}")

    def print(self):
        if self.rows:
            print("\naims")
        for row in self.rows:
            print(f"  {row['scenario']:<16} {row['what']:<34} {row['value']:8.2f}   aim {row['aim']:<5g} "
                  f"{'ok' if row['met'] else 'MISSED'}")
        for text in self.faults:
            print(f"  FAULT: {text}")
