"""What a router says of its feed, and settings that make a feed quick."""
import json

from .waiting import wait_until

# Of registrar.nats: ten times as fast as in life.
QUICK_NATS = {"probe_interval": "200ms", "ping_interval": "500ms", "source_quiet": "4s", "source_degraded": "6s",
              "down_after": "200ms", "start_interval": "3s", "start_jitter": "0s", "connect_timeout": "1s"}


def sources(router):
    answer = router.table.run("--sources", "--json", check=False)
    return json.loads(answer.stdout) if answer.returncode == 0 else {"islands": 0, "sources": []}


def source_states(router):
    return [source["state"] for source in sources(router)["sources"]]


def wait_source_states(router, *wanted, timeout_s=None):
    wait_until(lambda: source_states(router) == list(wanted),
               lambda: f"states are {wanted}: {sources(router)}; log:\n{router.log_text()[-3000:]}", timeout_s)


def entry_states(router):
    """{state: entries} of shm-dump --table."""
    lines = router.table.run("--table").stdout.splitlines()
    column = lines[0].split().index("STATE")
    found = {}
    for line in lines[1:]:
        state = line.split()[column]
        found[state] = found.get(state, 0) + 1
    return found
