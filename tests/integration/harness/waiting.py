"""Conditions with deadlines, free ports, and child processes that end with the test."""
import ctypes
import fcntl
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
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


PORTS = range(10000, 32000)            # below those that the kernel hands to clients


class _Claims:
    """Ports that some test process of this machine was given: byte N of a file is locked for port N, until the
    process ends."""

    def __init__(self):
        path = f"{tempfile.gettempdir()}/wye-test-ports-{os.getuid()}"
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.mine = set()

    def take(self, port):
        if port in self.mine:
            return False
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self.mine.add(port)
        return True


_claims = None


def free_port():
    """A port that nobody listens on, and that neither this nor another running test was given before."""
    global _claims
    _claims = _claims or _Claims()
    for _ in range(1000):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _claims.take(port):
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
