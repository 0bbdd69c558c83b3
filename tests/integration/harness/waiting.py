"""Conditions with deadlines, free ports, and child processes that end with the test."""
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATIENCE_S = float(os.environ.get("WYE_TEST_PATIENCE", "15"))


def build_dir():
    return (ROOT / os.environ.get("WYE_BUILD", "build")).resolve()


def wait_until(condition, what, timeout_s=None, interval_s=0.02):
    """The first true answer of `condition`; fails with `what` after the deadline."""
    deadline = time.monotonic() + (timeout_s or PATIENCE_S)
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited too long until {what() if callable(what) else what}")
        time.sleep(interval_s)


_handed_out = set()


PORTS = range(10000, 32000)            # below those that the kernel hands to clients
SHARES = 8


def own_ports():
    """Test processes that run at once draw from shares of their own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % SHARES
    share = len(PORTS) // SHARES
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    return PORTS if alone else PORTS[number * share:(number + 1) * share]


def free_port():
    """A port that nobody listens on or was given before."""
    for _ in range(200):
        port = random.SystemRandom().choice(own_ports())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _handed_out:
            _handed_out.add(port)
            return port
    raise AssertionError("no free port found")


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def spawn(command, **options):
    """A child in a session of its own (Ctrl-C is ours alone) that is told to stop should we be killed."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    return subprocess.Popen(command, start_new_session=True,
                            preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM), **options)


def end_process(process, timeout_s=10):
    """SIGTERM, then SIGKILL; returns the exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
