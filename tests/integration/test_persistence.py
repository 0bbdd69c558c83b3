"""The table outlives processes, the machine and NATS; and what clients are told while it cannot be trusted."""
import os
import signal
import struct
import time
import zlib

import pytest
from harness import wait_until
from harness.router import stat_of
from harness.waiting import build_dir

HOST, TLS_HOST, PATH_ROUTE = "kept.example", "tls.example", "kept.example/deep/er"
HEAD = struct.Struct("<8sIIQQQQQII72s")          # of a file, see registrar/snapshot_format.h


class Keeper:
    """A router that keeps its table in a directory of its own."""

    def __init__(self, make_router, **settings):
        registrar = {"snapshot_interval": "100ms", "minimum_register_interval": "1s",
                     **settings.pop("registrar", {})}
        master = {"start_delay": "20s", **settings.pop("master", {})}
        self.router = make_router(start=False, registrar=registrar, master=master, **settings)
        self.directory = os.path.join(self.router.folder, "state")
        os.mkdir(self.directory, 0o700)
        self.router.write_config(registrar={"snapshot_directory": self.directory})

    def files(self):
        """(sequence, path) of the files that hold a table, newest first."""
        found = []
        for number in (0, 1):
            path = os.path.join(self.directory, f"{self.router.instance}.routes.{number}")
            try:
                with open(path, "rb") as file:
                    head = file.read(HEAD.size)
            except FileNotFoundError:
                continue
            if len(head) == HEAD.size and head.startswith(b"WYEROUTE"):
                found.append((HEAD.unpack(head)[3], path))
        return sorted(found, reverse=True)

    def newest(self):
        return self.files()[0][1]

    def wait_saved(self):
        """Until both files hold the table as it is now, but for one change, and none is being written.  A table is
        saved part by part, so one that was begun before may hold the change and not what came before it."""
        for _ in range(3):
            mark = f"change-{time.monotonic()}"
            self.router.bus.register("another.example", 1, app=mark)
            wait_until(lambda: self.has_saved(mark.encode()),
                       lambda: f"the table is saved; log:\n{self.router.log_text()[-3000:]}", 20)

    def has_saved(self, mark):
        """True if the newest file, which the registrar knows to be whole, holds this."""
        if not self.files():
            return False
        with open(self.newest(), "rb") as file:
            content = file.read()
        saved_ms = HEAD.unpack(content[:HEAD.size])[4] if len(content) > HEAD.size else 0
        return mark in content and self.router.table.facts()["snapshot_wall_ms"] == saved_ms

    def reboot(self, start=True):
        """Everything dies at once and the shared objects are gone."""
        self.router.kill_all()
        self.router.remove_objects()
        if start:
            self.router.start(wait=False)

    def wait_loaded(self, event="snapshot-loaded"):
        return self.router.wait_for_log(event, 20)

    def rewrite(self, change, path=None):
        """The newest file with its bytes changed, the other one emptied; owner and mode stay."""
        path = path or self.newest()
        for _, other in self.files():
            if other != path:
                os.truncate(other, 0)
        with open(path, "rb") as file:
            content = change(bytearray(file.read()))
        with open(path, "wb") as file:
            file.write(content)
        return path


def resealed(content, **fields):
    """The file with fields of its head changed and the checksum of the head made right again."""
    names = ["magic", "version", "byte_order", "sequence", "saved", "confirmed", "entries", "body_bytes",
             "body_sum", "head_crc", "instance"]
    head = dict(zip(names, HEAD.unpack(bytes(content[:HEAD.size]))), **fields)
    head["head_crc"] = 0
    head["head_crc"] = zlib.crc32(HEAD.pack(*head.values()))
    return bytearray(HEAD.pack(*head.values())) + content[HEAD.size:]


@pytest.fixture
def keeper(make_router):
    return Keeper(make_router)


@pytest.fixture
def saved(keeper, make_backend):
    """A router whose table was saved: a host, one with every attribute, a path."""
    backend = make_backend(name="kept")
    keeper.router.start()
    keeper.router.register([HOST, PATH_ROUTE, "*.wild.example"], backend, tags={"component": "test", "a": "b"},
                           isolation_segment="", server_cert_domain_san="san", app="app-guid",
                           availability_zone="z1", stale_threshold_in_seconds=77)
    keeper.router.register(TLS_HOST, ("10.1.2.3", 61001), tls_port=61443, protocol="http2",
                           server_cert_domain_san="instance", route_service_url="https://rs.example",
                           options={"loadbalancing": "least-connection"})
    keeper.wait_saved()
    keeper.backend = backend
    return keeper


def assert_served(keeper):
    for host, target in ((HOST, "/"), (HOST, "/deep/er/x"), ("a.wild.example", "/")):
        answer = keeper.router.get(host, target)
        assert (answer.status, answer.body) == (200, b"kept"), (host, target, answer.status)


# --- what is kept


def test_a_start_without_nats_serves_the_last_table_within_a_second(saved):
    before = saved.router.table.routes()
    saved.router.bus.stop()
    took_s = []
    while len(took_s) < 10 and min(took_s, default=1) >= 1:     # a busy machine may be late now and then
        saved.reboot(start=False)
        began = time.monotonic()
        saved.router.start(wait=False)
        wait_until(lambda: saved.router.health() == 200, "it is healthy", 30, 0.02)
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 1, took_s
    assert_served(saved)
    after = saved.router.table.routes()
    assert after == before, (before, after)
    assert saved.router.log_lines("healthy")[-1]["data"]["because"] == "registrations have converged"


def test_a_route_that_ends_in_a_dot_or_a_slash_does_not_spoil_the_file(saved):
    """Of what is registered one is stripped; what is left is no URI of the same route."""
    odd = "odd.example../a//"
    saved.router.bus.register(odd, saved.backend, app="app-guid")
    wait_until(lambda: saved.router.table.has("odd.example./a/"), "it is in the table")
    saved.wait_saved()
    saved.router.bus.stop()
    saved.reboot()
    saved.wait_loaded()
    assert_served(saved)
    assert saved.router.table.has("odd.example./a/")


def test_what_was_read_stays_while_nats_is_away_and_goes_when_nobody_repeats_it(make_router, make_backend):
    keeper = Keeper(make_router)
    router, live, dead = keeper.router, make_backend(name="live"), make_backend(name="dead")
    router.start()
    router.register("live.example", live)
    router.register("dead.example", dead)
    keeper.wait_saved()
    router.bus.stop()
    router.write_config(registrar={"droplet_stale_threshold": "1s", "prune_interval": "200ms"})
    keeper.reboot()
    wait_until(lambda: router.health() == 200, "it is healthy")
    time.sleep(2.5)
    assert router.get("dead.example").body == b"dead" and router.get("live.example").body == b"live"
    router.bus.start()
    wait_until(lambda: router.bus.register("live.example", live) or not router.table.has("dead.example"),
               "the silent one is gone", 15, 0.2)
    assert router.get("live.example").body == b"live"
    assert router.get("dead.example").status == 404


def test_an_orderly_stop_saves_what_has_changed(keeper, make_backend):
    keeper.router.write_config(registrar={"snapshot_interval": "1h"})
    router = keeper.router.start()
    router.register(HOST, make_backend(name="first"))
    wait_until(lambda: router.table.counter("snapshots_written") >= 1, "it was saved", 10)
    router.register("late.example", make_backend(name="late"))
    assert router.stop() == 0
    assert not router.objects()               # orderly: the table is gone
    router.bus.stop()
    router.start(wait=False)
    wait_until(lambda: router.health() == 200, "it is healthy")
    assert router.get("late.example").body == b"late"


def test_an_empty_table_never_replaces_one_that_is_not(saved):
    router, backend = saved.router, saved.backend
    for uri in (HOST, PATH_ROUTE, "*.wild.example"):
        router.bus.unregister(uri, backend)
    router.bus.unregister(TLS_HOST, ("10.1.2.3", 61001), tls_port=61443)
    router.bus.unregister("another.example", 1)
    wait_until(lambda: not router.table.routes(), "the table is empty")
    time.sleep(0.5)
    assert saved.files()
    saved.reboot()
    assert saved.wait_loaded()["data"]["endpoints"] > 0


def test_heartbeats_alone_write_nothing(saved):
    router = saved.router
    time.sleep(0.5)
    written = router.table.counter("snapshots_written")
    message = router.bus.message(HOST, saved.backend, {"app": "beat"})
    for _ in range(10):
        router.bus.publish("router.register", message)
        time.sleep(0.1)
    assert router.table.counter("snapshots_written") <= written + 1      # the first of them was news


def test_a_table_that_is_there_wins_over_the_file(saved, make_backend):
    router = saved.router
    router.write_config(registrar={"snapshot_interval": "1h"})
    os.kill(router.registrar_pid(), signal.SIGKILL)
    wait_until(lambda: len(router.log_lines("table-attached")) == 2, "a new registrar runs")
    wait_until(router.is_subscribed, "it listens")
    router.unregister(HOST, saved.backend)
    router.register("new.example", make_backend(name="new"))
    router.kill_all()
    router.start(wait=False)
    wait_until(lambda: router.health() == 200, "it is healthy")
    assert len(router.log_lines("snapshot-loaded")) == 0
    assert router.get("new.example").body == b"new" and not router.table.has(HOST)


def test_an_old_file_is_read_with_an_alarm(saved):
    saved.router.bus.stop()
    saved.reboot(start=False)
    long_ago = int((time.time() - 90000) * 1000)
    saved.rewrite(lambda content: resealed(content, confirmed=long_ago))
    saved.router.start(wait=False)
    line = saved.wait_loaded("snapshot-is-old")
    assert line["log_level"] == 3
    assert 89990 < line["data"]["age_s"] < 90100
    wait_until(lambda: saved.router.health() == 200, "it is healthy")
    assert_served(saved)


# --- what is refused


def flipped(content):
    content[-5] ^= 1
    return content


REFUSED = {
    "one bit of a route": (flipped, "the checksum of its routes is wrong"),
    "cut inside the routes": (lambda c: c[:-10], "bytes of routes instead of"),
    "cut inside the head": (lambda c: c[:50], "it is cut off: 50 bytes"),
    "more than it should be": (lambda c: c + b"more", "bytes of routes instead of"),
    "another file": (lambda c: bytearray(b"#!/bin/sh\n" * 100), "it is no table of routes"),
    "a changed head": (lambda c: c[:24] + b"\xff" + c[25:], "the checksum of its head is wrong"),
    "another version": (lambda c: resealed(c, version=7), "it is of version 7, this program reads 4"),
    "another byte order": (lambda c: resealed(c, byte_order=0x04030201), "machine of another byte order"),
    "another instance": (lambda c: resealed(c, instance=b"other"), 'it belongs to the instance "other"'),
    "the version before this one": (lambda c: resealed(c, version=3), "it is of version 3, this program reads 4"),
    "one route less than it says": (lambda c: resealed(c, entries=HEAD.unpack(bytes(c[:HEAD.size]))[6] + 1),
                                    "makes no sense"),
    "one route more than it says": (lambda c: resealed(c, entries=HEAD.unpack(bytes(c[:HEAD.size]))[6] - 1),
                                    "makes no sense"),
    "a count that cannot be": (lambda c: resealed(c, entries=1 << 60), "bytes of routes make no"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_good_is_refused_as_a_whole_and_does_no_harm(saved, name):
    change, reason = REFUSED[name]
    saved.reboot(start=False)
    path = saved.rewrite(change)
    saved.router.start()
    data = saved.wait_loaded("snapshot-refused")["data"]
    assert data["file"] == path and reason in data["reason"], data
    assert data["kept_as"] == os.path.basename(path) + ".refused" and os.path.exists(path + ".refused")
    assert not saved.router.log_lines("snapshot-loaded") and not saved.router.table.has(HOST)
    saved.router.register(HOST, saved.backend)                  # life goes on
    assert saved.router.get(HOST).body == b"kept"
    saved.wait_saved()


def test_the_older_file_is_read_if_the_newer_one_is_not_good(saved):
    assert len(saved.files()) == 2
    saved.reboot(start=False)
    newest, older = [path for _, path in saved.files()]
    with open(newest, "r+b") as file:
        file.seek(HEAD.size + 20)
        file.write(b"\xff\xff\xff")
    saved.router.start(wait=False)
    assert saved.wait_loaded("snapshot-refused")["data"]["file"] == newest
    assert saved.wait_loaded()["data"]["file"] == older
    wait_until(lambda: saved.router.health() == 200, "it is healthy")
    assert_served(saved)


# --- what kills its reader

MANY = [f"many-{number}.example" for number in range(60_000)]


def save_many(keeper):
    """So much that reading it takes a while, in both files."""
    for first in range(0, len(MANY), 200):
        keeper.router.bus.register(MANY[first:first + 200], ("10.1.2.4", 80))
    wait_until(lambda: keeper.router.table.facts()["routes"] >= len(MANY), "all are in the table", 20)
    keeper.wait_saved()


def maps(pid, path):
    try:
        with open(f"/proc/{pid}/maps") as file:
            return path in file.read()
    except OSError:
        return False


REGISTRAR = """#!/bin/sh
if [ "$1" != -t ] && mkdir "$0.began" 2>/dev/null; then echo $$ > "$0.pid"; kill -STOP $$; fi
exec "{program}" "$@"
"""


def has_stopped(pid):
    return all(stat_of(f"{pid}/task/{thread}")[1] == "T" for thread in os.listdir(f"/proc/{pid}/task"))


def stop_reader(saved, folder, path):
    """Starts with a registrar that is stopped while it reads this file: its pid."""
    program = folder / "wye-registrar"
    programs = programs_of_our_own(folder)
    program.unlink()
    program.write_text(REGISTRAR.format(program=build_dir() / program.name))
    program.chmod(0o755)
    saved.router.write_config(master={"programs": str(programs), "restart_delay_min": "10ms"})
    saved.router.start(wait=False)
    pid = int(wait_until(lambda: os.path.exists(f"{program}.pid") and open(f"{program}.pid").read(),
                         "the registrar begins", 20))
    wait_until(lambda: stat_of(pid)[1] == "T", "it waits for us", 20)
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
    os.setpriority(os.PRIO_PROCESS, pid, 19)                    # so that it does not outrun us
    for _ in range(20_000):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.0003)
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: has_stopped(pid), "all of its threads have stopped", 20, 0.0001)
        if maps(pid, path):
            return pid
    raise AssertionError(f"it never read {path}; log:\n{saved.router.log_text()[-3000:]}")


def test_a_file_whose_pages_the_disk_cannot_give_is_read_once_only_and_then_the_other_one(saved, tmp_path, monkeypatch):
    """What is cut off below a mapping is a SIGBUS, as a sector that cannot be read is."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":handle_sigbus=0")
    save_many(saved)
    saved.router.bus.stop()
    newest, older = [path for _, path in saved.files()]
    saved.reboot(start=False)
    pid = stop_reader(saved, tmp_path, newest)
    os.truncate(newest, 4096)
    os.kill(pid, signal.SIGCONT)
    assert saved.router.wait_for_log("child-died", 20)["data"]["signal"] == signal.SIGBUS
    refused = saved.wait_loaded("snapshot-refused")
    assert refused["log_level"] == 3 and refused["data"]["file"] == newest
    assert "a registrar died while it read this file" in refused["data"]["reason"]
    assert saved.wait_loaded()["data"]["file"] == older
    wait_until(lambda: saved.router.health() == 200, "it is healthy")
    assert_served(saved)
    assert saved.router.table.has(MANY[-1])
    assert len(saved.router.log_lines("child-died")) == 1
    kill_registrar(saved)                                       # a table that is there is never lost
    saved.router.wait_for_log("table-attached", 20, routes=len(MANY) + 5)
    assert_served(saved)


def test_a_registrar_that_is_killed_by_its_only_file_comes_up_without_one(saved, tmp_path):
    save_many(saved)
    newest, older = [path for _, path in saved.files()]
    saved.reboot(start=False)
    os.unlink(older)
    os.kill(stop_reader(saved, tmp_path, newest), signal.SIGKILL)
    assert saved.wait_loaded("snapshot-refused")["data"]["file"] == newest
    saved.router.wait_ready()
    assert not saved.router.log_lines("snapshot-loaded") and len(saved.router.log_lines("child-died")) == 1
    saved.router.register(HOST, saved.backend)                  # life goes on
    assert saved.router.get(HOST).body == b"kept"
    saved.wait_saved()


def make_writable_by_others(path):
    os.chmod(path, 0o666)


def make_a_link(path):
    os.rename(path, path + ".elsewhere")
    os.symlink(path + ".elsewhere", path)


def make_a_second_name(path):
    os.link(path, path + ".also")


def make_a_pipe(path):
    os.unlink(path)
    os.mkfifo(path, 0o600)


def give_away(path):
    os.chown(path, 12345, -1)


SUSPICIOUS = {
    "writable by others": (make_writable_by_others, "others may write it (mode 666)"),
    "a symbolic link": (make_a_link, "it is a symbolic link"),
    "a hard link": (make_a_second_name, "it has 2 names"),
    "a pipe": (make_a_pipe, "it is no plain file"),
    "another owner": (give_away, "it belongs to the user 12345"),
}


@pytest.mark.parametrize("name", SUSPICIOUS)
def test_a_file_that_somebody_else_could_have_written_is_refused(saved, name):
    spoil, reason = SUSPICIOUS[name]
    if spoil is give_away and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    saved.reboot(start=False)
    path = saved.rewrite(lambda content: content)
    spoil(path)
    saved.router.start()
    data = saved.wait_loaded("snapshot-refused")["data"]
    assert data["file"] == path and reason in data["reason"], data
    assert os.path.lexists(path + ".refused")
    assert not saved.router.log_lines("snapshot-loaded")
    assert os.path.isfile(path) and not os.path.islink(path) and os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["missing", "writable by all", "a file"])
def test_without_a_good_directory_nothing_is_kept_and_that_is_said(keeper, make_backend, name):
    if name == "missing":
        os.rmdir(keeper.directory)
    elif name == "a file":
        os.rmdir(keeper.directory)
        open(keeper.directory, "w").close()
    else:
        os.chmod(keeper.directory, 0o777)
    keeper.router.start()
    assert keeper.directory in keeper.wait_loaded("snapshot-off")["data"]["reason"]
    keeper.router.register(HOST, make_backend(name="kept"))
    assert keeper.router.get(HOST).body == b"kept"


# --- scene 5: all servers are gone for long, and everything of ours dies in every order


def everything_is_served(keeper):
    try:
        assert_served(keeper)
        return keeper.router.health() == 200
    except (OSError, AssertionError):
        return False


def kill_registrar(keeper):
    victim = wait_until(keeper.router.registrar_pid, "there is a registrar")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: keeper.router.registrar_pid() not in (None, victim), "a new registrar runs")


def kill_workers(keeper):
    victims = keeper.router.worker_pids()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(keeper.router.ready_workers() - set(victims)) == len(victims), "new workers are ready")


def kill_master(keeper):
    orphans = keeper.router.processes()
    keeper.router.kill_master()
    keeper.router.wait_gone(set(orphans) - {keeper.router.process.pid})
    keeper.router.start(wait=False)


def reboot(keeper):
    keeper.reboot()


@pytest.mark.parametrize("order", [
    (kill_registrar, kill_workers, kill_master), (kill_registrar, kill_master, kill_workers),
    (kill_workers, kill_registrar, kill_master), (kill_workers, kill_master, kill_registrar),
    (kill_master, kill_registrar, kill_workers), (kill_master, kill_workers, kill_registrar),
    (reboot, kill_registrar, kill_master), (kill_master, reboot, reboot)],
    ids=lambda order: "-".join(step.__name__.removeprefix("kill_") for step in order))
def test_without_nats_every_order_of_deaths_leaves_the_same_answers(saved, order):
    """A lifetime of 1 s and a sweep each 200 ms: every pause is as 24 hours are to two minutes."""
    router = saved.router
    router.write_config(registrar={"droplet_stale_threshold": "1s", "prune_interval": "200ms"},
                        master={"restart_delay_min": "10ms"},
                        worker={"proxy": {"registry_untrusted_after": "1s"}})
    before = router.table.routes()
    router.bus.stop()
    reboot(saved)
    wait_until(lambda: everything_is_served(saved), "all is served without NATS", 20)
    for step in order:
        step(saved)
        wait_until(lambda: everything_is_served(saved),
                   lambda: f"all is served after {step.__name__}; log:\n{router.log_text()[-3000:]}", 20)
        assert {key: [endpoint["address"] for endpoint in endpoints]
                for key, endpoints in router.table.routes().items()} == \
            {key: [endpoint["address"] for endpoint in endpoints] for key, endpoints in before.items()}
    time.sleep(1.5)
    assert_served(saved)
    assert_untrusted(router.get("nobody.example"))
    assert router.health() == 200


# --- 503 instead of a 404 that may be wrong


def assert_untrusted(answer):
    assert answer.status == 503, answer
    assert answer.header("x-cf-routererror") == "registry_untrusted"
    assert int(answer.header("retry-after")) > 0
    assert answer.header("cache-control") == "no-cache, no-store"
    assert answer.body.startswith(b"503 Service Unavailable: Requested route ('nobody.example')")


def test_an_unknown_host_is_503_while_no_server_can_be_trusted_and_404_again_after(make_router, make_backend):
    router = make_router(worker={"proxy": {"registry_untrusted_after": "700ms", "proxy_status": True}})
    backend = make_backend(name="known")
    router.register("known.example", backend)
    assert router.get("nobody.example").status == 404
    router.bus.stop()
    wait_until(lambda: router.table.facts()["feed_lost_ms"], "the loss was noticed")
    assert router.get("nobody.example").status == 404           # not for so short a time
    wait_until(lambda: router.get("nobody.example").status == 503, "404 is not said any more")
    answer = router.get("nobody.example")
    assert_untrusted(answer)
    assert answer.header("proxy-status") == 'wye; error=destination_unavailable; details="NR:registry_untrusted"'
    router.wait_for_access_line("nobody.example", " 503 ", 'x_cf_routererror:"registry_untrusted"')
    assert router.get("known.example").body == b"known" and router.health() == 200
    assert router.table.counter("registry_untrusted_refusals") >= 2
    router.bus.start()
    wait_until(lambda: router.get("nobody.example").status == 404, "the feed is back", 15)
    assert router.get("nobody.example").header("retry-after") is None


def feed_ages(router):
    """(since the last registration of any server, of the first server, since when nobody vouches for the table)"""
    counters = router.table.json("--counters")
    source = router.table.json("--sources")["sources"][0]
    return counters["ms_since_last_registry_update"], source["last_message_ms"], counters["facts"]["feed_lost_ms"]


def programs_of_our_own(folder):
    """Links to all programs, so that one of them can be taken away."""
    for program in build_dir().glob("wye*"):
        if program.is_file():
            os.symlink(program, f"{folder}/{program.name}")
    return folder


def take_registrar_away(router, programs):
    os.unlink(f"{programs}/wye-registrar")
    os.symlink("/bin/false", f"{programs}/wye-registrar")
    os.kill(router.registrar_pid(), signal.SIGKILL)


def give_registrar_back(router, programs):
    os.unlink(f"{programs}/wye-registrar")
    os.symlink(build_dir() / "wye-registrar", f"{programs}/wye-registrar")


def freeze_registrar(router, programs):
    os.kill(router.registrar_pid(), signal.SIGSTOP)


def thaw_registrar(router, programs):
    os.kill(router.registrar_pid(), signal.SIGCONT)


@pytest.mark.parametrize("end, mend", [(freeze_registrar, thaw_registrar),
                                       (take_registrar_away, give_registrar_back)])
def test_a_feed_whose_registrar_is_silent_is_lost_too(make_router, make_backend, tmp_path, end, mend):
    os.chmod(tmp_path, 0o755)
    programs = programs_of_our_own(str(tmp_path))
    router = make_router(master={"worker_stuck_timeout": "10m", "programs": programs},
                         worker={"proxy": {"registry_untrusted_after": "4s"}})
    router.register("known.example", make_backend(name="known"))
    assert router.get("nobody.example").status == 404
    wait_until(lambda: feed_ages(router)[1] >= 0 and feed_ages(router)[2] == 0, "all is shown")
    end(router, programs)
    before = feed_ages(router)
    wait_until(lambda: router.get("nobody.example").status == 503, "404 is not said any more", 30)
    assert_untrusted(router.get("nobody.example"))
    assert router.get("known.example").body == b"known" and router.health() == 200
    after = feed_ages(router)
    assert after[0] >= before[0] + 2000 and after[1] >= before[1] + 2000 and after[2] > 1, (before, after)
    assert "the registrar is silent" in router.table.run("--sources").stdout
    mend(router, programs)
    wait_until(lambda: router.get("nobody.example").status == 404, "the feed is back", 30)
    assert feed_ages(router)[2] == 0 and "silent" not in router.table.run("--sources").stdout


def test_a_registrar_that_is_replaced_flips_nothing(make_router, make_backend):
    router = make_router(worker={"proxy": {"registry_untrusted_after": "10s"}})
    router.register("known.example", make_backend(name="known"))
    for _ in range(3):
        before = router.registrar_pid()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: router.registrar_pid() not in (None, before)     # noqa: B023
                   or router.get("nobody.example").status != 404, "it is replaced")
        wait_until(lambda: router.get("nobody.example").status != 404 or feed_ages(router)[2] == 0, "it is trusted")
        assert router.get("nobody.example").status == 404 and router.get("known.example").body == b"known"


def test_it_can_be_switched_off(make_router):
    router = make_router(bus=None, worker={"proxy": {"registry_untrusted_after": "0s"}})
    answer = router.get("nobody.example")
    assert answer.status == 404 and answer.header("x-cf-routererror") == "unknown_route"


def test_a_table_that_nobody_ever_filled_calls_no_host_unknown(make_router):
    router = make_router(bus=None)
    wait_until(lambda: router.table.facts()["feed_lost_ms"] == 1, "the registrar says so")
    assert_untrusted(router.get("nobody.example"))


# --- readiness


def test_without_a_table_health_waits_until_registrations_have_converged(make_router, make_backend):
    router = make_router(start=False, master={"start_delay": "60s"},
                         registrar={"minimum_register_interval": "16s"})
    began = time.monotonic()
    router.start(wait=False)
    wait_until(lambda: router.table.run("--counters", check=False).returncode == 0 and router.is_subscribed(),
               "it listens")
    router.register(HOST, make_backend(name="early"))
    assert router.get(HOST).body == b"early"            # traffic is served at once
    assert router.health() == 503
    assert_untrusted(router.get("nobody.example"))
    wait_until(lambda: router.health() == 200, "it is healthy", 40)
    assert 4 <= time.monotonic() - began < 16           # a window of 4 s in which nothing came
    assert router.get("nobody.example").status == 404
    assert router.log_lines("registrations-converged")[0]["data"]["endpoints"] == 1


def test_with_no_routes_at_all_it_waits_for_one_interval(make_router):
    router = make_router(start=False, master={"start_delay": "60s"},
                         registrar={"minimum_register_interval": "2s"})
    began = time.monotonic()
    router.start()
    assert 2 <= time.monotonic() - began < 30           # not the 60 s of start_delay
    assert router.get("nobody.example").status == 404


def test_without_nats_and_without_a_table_it_waits_for_the_deadline(make_router):
    router = make_router(start=False, bus=None, master={"start_delay": "1500ms"})
    began = time.monotonic()
    router.start()
    assert 1.5 <= time.monotonic() - began
    assert router.log_lines("healthy")[0]["data"]["because"] == "start_delay is over"


def test_a_crash_before_the_start_was_over_does_not_make_an_empty_table_healthy(make_router):
    router = make_router(start=False, bus=None, master={"start_delay": "60s"})
    router.start(wait=False)
    wait_until(lambda: router.health() == 503, "it runs")
    router.kill_all()
    router.start(wait=False)
    wait_until(lambda: router.health() is not None, "it runs again")
    time.sleep(0.5)
    assert router.health() == 503
