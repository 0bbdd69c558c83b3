"""make layers: the laws of the house that an include line can break.

A row says which files may include which headers; every include of a project
header must be allowed by the row of the file that holds it.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder of the including file -> folders it may include from (its own is implied)
MAY_INCLUDE = {
    "shm/base": set(),
    "shm": {"shm/base"},
    "master": {"shm", "shm/base"},
    "registrar": {"shm", "shm/base"},
    "worker/net": {"worker", "shm/base"},
    "worker/http": {"worker", "worker/net", "shm/base"},
    "worker/upstream": {"worker", "worker/net", "worker/http", "shm", "shm/base"},
    "worker/proxy": {"worker", "worker/net", "worker/http", "worker/upstream", "shm", "shm/base"},
    "worker": {"worker/net", "worker/http", "worker/upstream", "worker/proxy", "shm", "shm/base"},
}
# Headers of worker/ itself that every layer may include: closed lists, no code.
WORKER_LISTS = {"worker/failure.h", "worker/metrics.h"}

# Headers that may appear in the named files only.
RESTRICTED = {
    r"nats(/.*)?\.h": re.compile(r"registrar/(batch|bus|session|session_reader|nats_tls)\.[ch]"),
    r"jansson\.h": re.compile(r"registrar/.*"),
    r"zlib\.h": re.compile(r"registrar/snapshot_format\.c"),
    r"nghttp2/.*": re.compile(r"worker/http/http2\.c"),
    r"openssl/.*": re.compile(r"worker/net/.*"),
    r"ares\.h": re.compile(r"worker/net/resolver\.c"),
    r"(.*/)?route_writer\.h": re.compile(r"(registrar|shm)/.*"),
    r"(.*/)?history_writer\.h": re.compile(r"(registrar|shm)/.*"),
    r"(.*/)?(route|history)_layout\.h": re.compile(r"shm/.*"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def resolve(including, name):
    """The file that an #include "..." means, with the compiler's search order."""
    for base in (including.parent, ROOT / "shm", ROOT / "worker", ROOT):
        candidate = (base / name).resolve()
        if candidate.exists() and ROOT in candidate.parents:
            return candidate.relative_to(ROOT).as_posix()
    return None


def faults_in(path):
    relative = path.relative_to(ROOT).as_posix()
    folder = path.parent.relative_to(ROOT).as_posix()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        for pattern, allowed in RESTRICTED.items():
            if re.fullmatch(pattern, name) and not allowed.fullmatch(relative):
                yield f"{relative}:{number}: {name} belongs in {allowed.pattern} only"
        if quote == "<":
            continue
        target = resolve(path, name)
        if target is None:
            yield f"{relative}:{number}: \"{name}\" does not exist"
            continue
        target_folder = target.rsplit("/", 1)[0]
        if target_folder == folder or (target in WORKER_LISTS and folder.startswith("worker/")):
            continue
        if target_folder not in MAY_INCLUDE[folder] or target_folder == "worker":
            yield f"{relative}:{number}: {folder} may not include {target}"


def main():
    faults, count = [], 0
    for folder in MAY_INCLUDE:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            count += 1
            faults.extend(faults_in(path))
    print("\n".join(faults) or f"layers: {count} files keep the laws")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
