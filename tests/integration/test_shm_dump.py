"""shm-dump on living, dead, damaged and foreign instances."""
import os
import pty
import random
import shutil
import subprocess
import threading
import time
import uuid

import pytest

from harness import Table, wait_until
from harness import backend as answers
from harness.waiting import build_dir

# The routing vectors of Gorouter's own trie, and what each lookup must find.
ROUTES = ["*.apps.example.com", "*.apps.example.com/deep", "app.apps.example.com", "app.apps.example.com/v1",
          "*.com"]
LOOKUPS = [
    ("http://APP.apps.example.com/", "app.apps.example.com"),
    ("app.apps.example.com/v1", "app.apps.example.com/v1"),
    ("app.apps.example.com/v1/", "app.apps.example.com/v1"),
    ("https://app.apps.example.com:8443/V1/x?y#z", "app.apps.example.com/v1"),
    ("app.apps.example.com/v10", "app.apps.example.com"),
    ("zzz.apps.example.com/deep/x", "*.apps.example.com/deep"),
    ("a.b.apps.example.com", "*.apps.example.com"),
    ("apps.example.com", "*.com"),
    ("foo.org", None),
    ("com", None),
    ("attacker/x.apps.example.com/deep", None),
]


@pytest.fixture
def dead(make_router):
    """An instance with a few routes whose processes have all been killed."""
    router = make_router(master={"workers": 1})
    for index in range(20):
        router.bus.register(f"app-{index}.example/v1", 20000 + index, tags={"component": "c" * 100})
    router.register("hello.example", 30000, tags={"process_id": "p", "component": "web"})
    router.kill_all()
    return router


@pytest.fixture
def forge():
    """forge(instance, change, kind): a copy of a dead instance's objects under another name, changed."""
    made = []

    def make(instance, change=None, kind="table"):
        name = f"wt-forged-{uuid.uuid4().hex[:8]}"
        made.append(name)
        for part in ("table", "board"):
            subprocess.run(["cp", "--sparse=always", f"/dev/shm/{instance}.{part}", f"/dev/shm/{name}.{part}"],
                           check=True)
        if change:
            with open(f"/dev/shm/{name}.{kind}", "r+b") as image:
                change(image)
        return Table(name)

    yield make
    for name in made:
        for part in ("table", "board"):
            try:
                os.unlink(f"/dev/shm/{name}.{part}")
            except FileNotFoundError:
                pass


def refused(table, *options):
    """Asserts exit 1 and nothing on stdout; returns the message."""
    result = table.run(*options, check=False)
    assert (result.returncode, result.stdout) == (1, ""), result
    assert result.stderr.startswith("shm-dump: "), result.stderr
    return result.stderr


def test_routes_are_shown_byte_for_byte_in_the_schema_of_gorouter(router):
    router.register("B.Example/Path/", ("10.0.0.1", 8080), tags={"z": "1", "component": "a<b>&"},
                    private_instance_id="", availability_zone="z1", stale_threshold_in_seconds=30)
    router.register("a.example", ("10.0.0.2", 80), tls_port=8443, server_cert_domain_san="san-1",
                    private_instance_id="i-1", protocol="http2", options={"loadbalancing": "least-connection"},
                    route_service_url="https://rs.example/x", isolation_segment="seg")
    assert router.table.run("--routes").stdout == (
        '{"a.example":[{"address":"10.0.0.2:8443","availability_zone":"","protocol":"http2","tls":true,"ttl":120,'
        '"route_service_url":"https://rs.example/x","tags":null,"isolation_segment":"seg",'
        '"private_instance_id":"i-1","server_cert_domain_san":"san-1",'
        '"load_balancing_algorithm":"least-connection"}],'
        '"b.example/path":[{"address":"10.0.0.1:8080","availability_zone":"z1","protocol":"http1","tls":false,'
        '"ttl":30,"tags":{"component":"a\\u003cb\\u003e\\u0026","z":"1"}}]}\n')


def test_an_empty_table_is_an_empty_object(router):
    assert router.table.run("--routes").stdout == "{}\n"


def test_the_table_shows_requests_in_flight_and_failures(router, make_backend):
    slow, broken = make_backend(answers.stall), make_backend(answers.reset_without_answer)
    router.register("slow.example", slow)
    router.register("broken.example", broken)
    with router.client() as client:
        client.send_head("GET", "/", [("Host", "slow.example")])
        wait_until(lambda: slow.requests, "the request is in flight")
        row = wait_until(lambda: [line.split() for line in router.table.run("--table").stdout.splitlines()
                                  if line.startswith("slow.example") and line.split()[4] == "1"],
                         "the table shows one request in flight")[0]
        assert row[1] == slow.address and row[2] == "no" and row[6] == "120s"
    assert router.get("broken.example").status == 502
    row = [line.split() for line in router.table.run("--table").stdout.splitlines()
           if line.startswith("broken.example")][0]
    assert row[5] != "-", "the failure mark is shown"
    assert "failed " in router.table.explain("http://broken.example/")


def test_processes_and_counters_are_those_of_now(router, make_backend):
    router.register("hello.example", make_backend())
    for _ in range(3):
        assert router.get("hello.example").status == 200
    processes = router.table.processes()
    alive = {(p["role"], p["pid"]) for p in processes if p["alive"] and p["role"] != "tool"}
    assert alive == {("master", router.process.pid), ("registrar", router.registrar_pid()),
                     *(("worker", pid) for pid in router.worker_pids())}
    assert {p["state"] for p in processes if p["role"] == "worker" and p["alive"]} == {"ready"}
    assert router.table.counter("requests") == 3
    assert router.table.counter("responses_2xx") == 3
    wait_until(lambda: router.table.json("--counters")["total_routes"] == 1, "the route is counted")
    document = router.table.json("--counters")
    assert 0 <= document["ms_since_last_registry_update"] < 60000
    assert document["facts"]["nats_connected"] == 1
    summary = router.table.run().stdout
    assert f"instance    {router.instance}, alive, healthy" in summary and "1 routes" in summary


def test_explain_names_the_keys_tried_and_the_route_that_wins(router):
    for index, uri in enumerate(ROUTES):
        router.register(uri, 20000 + index)
    for url, expected in LOOKUPS:
        text = router.table.explain(url)
        route = [line.removeprefix("route: ") for line in text.splitlines() if line.startswith("route: ")]
        assert route == ([expected] if expected else []), (url, text)
        assert ("404 unknown_route" in text) == (expected is None), (url, text)
    text = router.table.explain("http://app.apps.example.com/v10")
    assert "eligible: last seen" in text and "instance-20002" in text
    assert "not registered" in router.table.explain("http://foo.org/")


def test_explain_survives_what_is_no_url(router):
    for url in ("", "/", "http://", "?", "://", "a" * 4000, "\x1b[2J.example", "[::1]:80/x", "*"):
        result = router.table.run("--explain", url, check=False)
        assert result.returncode == 0 and "\x1b" not in result.stdout, (url, result)


def test_a_dead_instance_still_shows_everything(dead):
    table = dead.table
    assert len(table.routes()) == 21
    assert "hello.example" in table.run("--table").stdout
    assert not any(process["alive"] for process in table.processes() if process["role"] != "tool")
    assert f"{dead.instance}, dead" in table.run().stdout
    assert "route: hello.example" in table.explain("hello.example/x")
    check = table.run("--check")
    assert check.stdout == "21 routes, 0 faults\n"


def test_an_instance_that_never_was_is_refused():
    table = Table(f"wt-none-{uuid.uuid4().hex[:8]}")
    for option in ("--routes", "--check", "--processes"):
        assert refused(table, option) == f'shm-dump: there is no instance "{table.instance}"\n'


def test_foreign_and_truncated_objects_are_refused(dead, forge):
    def write(offset, data):
        def change(image):
            image.seek(offset)
            image.write(data)
        return change

    cases = [
        ("table", write(0, b"NOTWYE!!"), "not a route table"),
        ("table", write(8, (77).to_bytes(8, "little")), "layout 77"),
        ("table", lambda image: image.truncate(100), "not a route table"),
        ("table", lambda image: image.truncate(0), "not a route table"),
        ("table", lambda image: image.truncate(4 << 20), "size"),
        ("table", write(16, b"\xff" * 16), "size"),
        ("board", write(0, b"NOTWYE!!"), "board"),
        ("board", write(8, (77).to_bytes(8, "little")), "board"),
        ("board", lambda image: image.truncate(5000), "board"),
        ("board", lambda image: image.truncate(0), "board"),
    ]
    for kind, change, message in cases:
        table = forge(dead.instance, change, kind)
        for option in ("--routes", "--check", "--processes", "--counters"):
            assert message in refused(table, option)


def test_a_missing_board_is_refused(dead, forge):
    table = forge(dead.instance)
    os.unlink(f"/dev/shm/{table.instance}.board")
    assert "board" in refused(table, "--routes")


def written_bytes(path, first):
    """Offsets from `first` on of the bytes that are not zero: where damage can matter."""
    offsets = []
    with open(path, "rb") as image:
        for at in range(0, os.path.getsize(path), 4096):
            page = image.read(4096)
            if any(page):
                offsets += [at + i for i, byte in enumerate(page) if byte and at + i >= first]
    return offsets


def test_a_flipped_byte_is_found_or_harmless_but_never_a_crash(dead, forge):
    offsets = written_bytes(f"/dev/shm/{dead.instance}.table", 32)
    chooser, faulty = random.Random(2), 0
    for _ in range(40):
        flips = [(chooser.choice(offsets), chooser.randrange(1, 256)) for _ in range(chooser.choice([1, 1, 4, 64]))]

        def change(image):
            for offset, bits in flips:
                image.seek(offset)
                old = image.read(1)[0]
                image.seek(offset)
                image.write(bytes([old ^ bits]))

        table = forge(dead.instance, change)
        for options in (["--check"], ["--routes"], ["--table"], ["--explain", "app-3.example/v1/x"],
                        ["--watch", "--count", "1"], []):
            result = table.run(*options, check=False, timeout_s=30)
            assert result.returncode in (0, 1, 2), (flips, options, result)
            if result.returncode == 2:
                assert options == ["--check"] and "fault: " in result.stdout
                faulty += 1
    assert faulty > 5, "the check can find faults"


def test_damage_of_the_board_is_never_a_crash(dead, forge):
    offsets = written_bytes(f"/dev/shm/{dead.instance}.board", 64)
    chooser = random.Random(3)
    for _ in range(15):
        flips = [(chooser.choice(offsets), chooser.randrange(1, 256)) for _ in range(chooser.choice([1, 8, 64]))]

        def change(image):
            for offset, bits in flips:
                image.seek(offset)
                image.write(bytes([bits]))

        table = forge(dead.instance, change, "board")
        for options in (["--processes"], ["--counters", "--json"], ["--table"], []):
            result = table.run(*options, check=False, timeout_s=30)
            assert result.returncode in (0, 1), (flips, options, result)


def test_it_reads_a_table_that_changes_under_it(router):
    router.register("stable.example", 30000)
    is_over = threading.Event()

    def churn():
        turn = 0
        while not is_over.is_set():
            for index in range(100):
                message = router.bus.message(f"churn-{index}.example", 20000 + (turn + index) % 50, {})
                router.bus.publish("router.unregister" if (turn + index) % 3 == 0 else "router.register", message)
            router.bus.client.flush()
            turn += 1

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert "stable.example" in router.table.routes()
            assert router.table.run("--check").stdout.endswith(" 0 faults\n")
            assert "route: stable.example" in router.table.explain("stable.example")
    finally:
        is_over.set()
        writer.join()
    assert router.table.run("--check").returncode == 0


def test_watch_ends_after_its_count_without_a_terminal(router):
    result = router.table.run("--watch", "--count", "3", "--interval", "50ms")
    assert result.stdout.count("instance  ") == 3 and "\x1b" not in result.stdout
    assert result.stdout.count("per second") == 3


def watching(table, **streams):
    return subprocess.Popen([str(build_dir() / "shm-dump"), "-i", table.instance, "--watch", "--interval", "100ms"],
                            **streams)


def read_until_closed(descriptor):
    """A terminal that nobody reads would stop its writer."""
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        pass


def test_watch_ends_on_q_and_gives_the_terminal_back(router):
    master, terminal = pty.openpty()
    process = watching(router.table, stdin=terminal, stdout=terminal, stderr=terminal)
    try:
        text = b""
        while b"ROUTE" not in text:
            text += os.read(master, 65536)
        assert b"\x1b[H\x1b[2J" in text
        os.write(master, b"q")
        threading.Thread(target=read_until_closed, args=(master,), daemon=True).start()
        assert process.wait(10) == 0
        settings = subprocess.run(["stty", "-a"], stdin=terminal, capture_output=True, text=True)
        assert " icanon" in settings.stdout and " echo " in settings.stdout
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_more_tools_than_slots_are_refused_and_slots_come_back(router):
    watchers = [watching(router.table, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for watcher in watchers:
            os.read(watcher.stdout.fileno(), 1)          # it has its slot, and keeps it
        for watcher in watchers:
            threading.Thread(target=read_until_closed, args=(os.dup(watcher.stdout.fileno()),), daemon=True).start()
        assert "tool slots" in refused(router.table, "--routes")
        watchers[0].kill()
        watchers[0].wait()
        assert router.table.run("--routes").stdout == "{}\n"
        watchers[1].terminate()
        assert watchers[1].wait(10) == 0
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.wait()
            watcher.stdout.close()


def test_wrong_options_are_refused():
    for options in (["--routes", "--table"], ["--nonsense"], ["surplus"], ["--explain"], ["--watch", "--count", "0"],
                    ["--watch", "--interval", "5"], ["--table", "--json"], ["-i", "a/b"], ["-i", ""]):
        result = subprocess.run([str(build_dir() / "shm-dump"), *options], capture_output=True, text=True)
        assert result.returncode == 1 and result.stdout == "", options
        assert "shm-dump: " in result.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become another user")
def test_another_user_is_refused_clearly(router):
    result = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                             str(build_dir() / "shm-dump"), "-i", router.instance, "--routes"],
                            capture_output=True, text=True)
    if result.returncode == 127:
        pytest.skip("the build folder is not reachable for that user")
    assert result.returncode == 1 and "Permission denied" in result.stderr
