"""make model: the grace period's design holds, and each of seven mutants is caught.

Needs spin and gcc.  Each run is exhaustive unless it says otherwise.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parent / "epoch.pml"
MEMORY_MB = 6000

# name, definitions, whether an assertion must be violated
RUNS = [
    ("one reader", "READERS=1 UPDATES=3", False),
    ("one reader, killed", "READERS=1 UPDATES=2 RKILLS=1", False),
    ("one reader, two writer kills", "READERS=1 UPDATES=1 WKILLS=2", False),
    ("two readers, turn-long sections", "READERS=2 UPDATES=2 TURNS=1", False),
    ("mutant 1: no barrier after entering", "READERS=1 UPDATES=3 MUTANT=1", True),
    ("mutant 2: recovery does not wait", "READERS=1 UPDATES=1 WKILLS=2 MUTANT=2", True),
    ("mutant 3: slot cleared before death", "READERS=1 UPDATES=3 RKILLS=1 MUTANT=3", True),
    ("mutant 4: no barrier from unlinking to the scan", "READERS=1 UPDATES=3 SECTIONS=3 MUTANT=4", True),
    ("mutant 5: frees tag <= m", "READERS=1 UPDATES=3 MUTANT=5", True),
    ("mutant 6: scan loads a slot twice", "READERS=2 UPDATES=3 TURNS=1 MUTANT=6", True),
    ("mutant 7: DRAINING after the flip", "READERS=1 UPDATES=1 WKILLS=2 MUTANT=7", True),
]


def check(folder, definitions):
    """Whether an assertion can be violated, whether the search was complete, its states."""
    flags = ["-D" + d for d in definitions.split()]
    subprocess.run(["spin", *flags, "-a", MODEL], cwd=folder, check=True, capture_output=True)
    subprocess.run(["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"],
                   cwd=folder, check=True)
    out = subprocess.run(["./pan", "-E", "-m2000000"], cwd=folder, capture_output=True, text=True).stdout
    states = re.search(r"([\d.e+]+) states, stored", out)
    violated = "assertion violated" in out
    complete = not re.search(r"Search not completed|max search depth too small", out) or violated
    return violated, complete, states.group(1) if states else "?"


def main():
    failed = 0
    for name, definitions, must_fail in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            violated, complete, states = check(folder, definitions)
        good = violated == must_fail and complete
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {'violated' if violated else 'holds'}, {states} states"
              f"{'' if complete else ', NOT complete'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
