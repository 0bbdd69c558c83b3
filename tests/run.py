"""Runs every kind of test and ends with one line: N passed, N failed.

Kinds: unit (cmocka programs), threads (some of them under the thread sanitizer, named by
the Makefile in THREAD_TESTS), fuzz (seeds replayed), integration (pytest on the real
programs), torture (the long kill tests; only when asked for by name).
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFAULT_KINDS = ["unit", "threads", "fuzz", "integration"]
PYTEST_PROCESSES = os.environ.get("WYE_TEST_PROCESSES", str(min(2 * (os.cpu_count() or 1), 8)))
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="abort_on_error=1:detect_leaks=1",
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                   TSAN_OPTIONS="halt_on_error=1:suppressions=" + str(ROOT / "tests/tsan.supp"))


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def note(self, name, passed, failed, output=""):
        self.passed += passed
        self.failed += failed
        mark = "ok  " if not failed else "FAIL"
        print(f"{mark} {name} ({passed} passed, {failed} failed)", flush=True)
        if failed and output:
            print(output, flush=True)


def run_cmocka(kind, programs, build, tally):
    """A cmocka program that dies counts as one failure more than it reported."""
    environment = dict(ENVIRONMENT, CMOCKA_MESSAGE_OUTPUT="TAP", WYE_BUILD=str(build))
    for program in programs:
        try:
            result = subprocess.run([program], capture_output=True, text=True, errors="replace",
                                    timeout=300, env=environment, cwd=ROOT)
            output, code = result.stdout + result.stderr, result.returncode
        except subprocess.TimeoutExpired as late:
            output, code = f"timed out: {late}", -1
        passed = len(re.findall(r"^ok \d+", output, re.M))
        failed = len(re.findall(r"^not ok \d+", output, re.M))
        if code != 0 and not failed:
            failed = 1
        if passed + failed == 0:
            failed, output = 1, "reported no test\n" + output
        tally.note(f"{kind} {program.parent.name}/{program.name}", passed, failed, output[-4000:])


def run_unit(build, tally):
    programs = sorted((build / "unit").glob("*/test_*"))
    run_cmocka("unit", [program for program in programs if not program.suffix and os.access(program, os.X_OK)],
               build, tally)


def run_threads(build, tally):
    run_cmocka("threads", [ROOT / name for name in os.environ.get("THREAD_TESTS", "").split()], build, tally)


def run_fuzz(build, tally):
    for program in sorted((build / "fuzz").glob("fuzz_*")):
        if program.suffix:
            continue
        seeds = sorted((ROOT / "tests/fuzz/corpus" / program.name[len("fuzz_"):]).glob("*"))
        if not seeds:
            tally.note(f"fuzz {program.name}", 0, 1, "no seeds in tests/fuzz/corpus")
            continue
        result = subprocess.run([program, *seeds], capture_output=True, text=True, errors="replace",
                                timeout=300, env=ENVIRONMENT)
        bad = result.returncode != 0
        tally.note(f"fuzz {program.name}: {len(seeds)} seeds", int(not bad), int(bad),
                   (result.stdout + result.stderr)[-4000:])


def run_pytest(build, tally, name, *selection):
    """Most of what these tests do is wait: several files run at once."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=10",
                   "-n", PYTEST_PROCESSES, "--dist", "loadfile",
                   f"--junitxml={report.name}", *selection]
        code = subprocess.run(command, cwd=ROOT, env=dict(ENVIRONMENT, WYE_BUILD=str(build))).returncode
        passed = failed = 0
        try:
            suite = xml.etree.ElementTree.parse(report.name).getroot().find("testsuite")
            failed = int(suite.get("failures")) + int(suite.get("errors"))
            passed = int(suite.get("tests")) - failed - int(suite.get("skipped"))
        except (xml.etree.ElementTree.ParseError, AttributeError):
            failed = 1
        if code not in (0, 1) and not failed:
            failed = 1
        tally.note(name, passed, failed)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("kinds", nargs="*", default=DEFAULT_KINDS)
    options = parser.parse_args()
    build = (ROOT / options.build).resolve()
    tally = Tally()
    kinds = {
        "unit": lambda: run_unit(build, tally),
        "threads": lambda: run_threads(build, tally),
        "fuzz": lambda: run_fuzz(build, tally),
        "integration": lambda: run_pytest(build, tally, "integration", "-m", "not slow", "tests/integration"),
        "torture": lambda: run_pytest(build, tally, "torture", "-m", "slow", "tests/integration", "tests/torture"),
    }
    for kind in options.kinds or DEFAULT_KINDS:
        kinds[kind]()
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
