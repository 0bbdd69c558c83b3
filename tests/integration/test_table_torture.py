"""The shared table while registrars and workers are killed and stopped at random."""
import json
import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("WYE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))


def torture(*arguments, timeout=60):
    """The exit code and what the run counted."""
    program = BUILD / "torture" / "table_torture"
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def assert_clean(code, facts):
    assert code == 0, facts
    for fault in ("wrong", "misses", "damaged", "faults", "in_flight_left", "deferred_left", "strange_deaths"):
        assert facts[fault] == 0, facts


def test_a_thousand_kills_leave_every_lookup_whole():
    code, facts = torture("--events", 1000, "--workers", 3, "--pause-us", 8000)
    assert_clean(code, facts)
    assert facts["worker_kills"] > 200 and facts["registrar_kills"] > 200
    assert facts["verified"] > 10000 and facts["recoveries"] > 10


def test_without_the_grace_period_the_same_run_finds_damage():
    """The positive control: a test that cannot fail proves nothing."""
    code, facts = torture("--events", 200, "--workers", 3, "--pause-us", 8000, "--no-grace")
    assert code == 1
    assert facts["wrong"] + facts["strange_deaths"] > 0, facts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_long_kill_runs_leave_every_lookup_whole(seed):
    code, facts = torture("--events", 4000, "--workers", 2 + seed % 4 * 2, "--seed", seed, timeout=300)
    assert_clean(code, facts)


@pytest.mark.slow
def test_bursts_of_kills_hit_recovery_itself():
    code, facts = torture("--events", 8000, "--workers", 4, "--pause-us", 800, timeout=300)
    assert_clean(code, facts)
