"""make lint: what a machine can see of STYLE.md, then cppcheck and gcc's analyzer."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 100
FOLDERS = ["master", "worker", "shm", "registrar", "tests"]


def source_files(*suffixes):
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and "corpus" not in path.parts:
                yield path


def layout_faults(path):
    name = path.relative_to(ROOT)
    text = path.read_text()
    if text and not text.endswith("\n"):
        yield f"{name}: no newline at the end"
    if path.suffix in (".c", ".h") and not text.lstrip().startswith("/*"):
        yield f"{name}:1: a file opens with a comment: what it is and who uses it"
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield f"{name}:{number}: trailing blank"
        if len(line.expandtabs(8)) > WIDTH + 20 or (path.suffix == ".h" and len(line.expandtabs(8)) > WIDTH + 4):
            yield f"{name}:{number}: wider than {WIDTH} columns"
        if path.suffix in (".c", ".h") and re.match(r"^ {4,}\S", line):
            yield f"{name}:{number}: indented with blanks; use tabs"


def cppcheck():
    command = ["cppcheck", "--quiet", "--error-exitcode=1", "--enable=warning,portability",
               "--inline-suppr", "--library=tests/cppcheck.cfg",
               "--suppress=missingIncludeSystem", "--suppress=*:tests/fuzz/*",
               "--library=posix", "-D_GNU_SOURCE", "-DWYE_VERSION=\"lint\"", "-Ishm", "-Iworker", "-I.", "-j2",
               "master", "worker", "shm", "registrar"]
    return subprocess.run(command, cwd=ROOT).returncode


def main():
    faults = [f for p in source_files(".c", ".h", ".py") for f in layout_faults(p)]
    print("\n".join(faults[:100]) or "lint: layout is as STYLE.md wants it")
    failed = bool(faults) | bool(cppcheck())
    print("lint: " + ("failed" if failed else "passed"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
