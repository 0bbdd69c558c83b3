"""The master with children that misbehave on cue (tests/torture/fake_child.c): what it does about each."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness.router import Router
from harness.waiting import ROOT, build_dir, free_port, is_listening, wait_until

FAKE = build_dir() / "torture" / "fake_child"


class FakeRouter(Router):
    """A router whose workers and registrar are fakes; `behave` tells them how."""

    def __init__(self, **settings):
        super().__init__(None, start=False, **settings)
        self.programs = os.path.join(self.folder, "programs")
        os.mkdir(self.programs)
        for name in ("wye-worker", "wye-registrar"):
            os.symlink(FAKE, os.path.join(self.programs, name))
        self.pid_file = os.path.join(self.folder, "wye.pid")
        self.write_config(table={"size": "4M", "worker_slots": 8}, registrar=None,
                          master={"programs": self.programs, "pid_file": self.pid_file})

    def behave(self, kind, how=""):
        with open(os.path.join(self.folder, kind), "w") as file:
            file.write(how)

    def begin(self, *options, wait=True):
        os.environ["FAKE_DIR"] = self.folder
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(*options), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        if wait:
            self.wait_for_log("gorouter.started")
        return self

    def events(self, having=""):
        try:
            with open(os.path.join(self.folder, "events")) as file:
                return [line for line in file.read().splitlines() if having in line]
        except FileNotFoundError:
            return []

    def ask(self):
        """(pid, generation) of the worker that answered one connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = b""
            while part := connection.recv(4096):
                answer += part
        pid, generation = answer.split(b"\r\n\r\n")[1].split()
        return int(pid), int(generation)


@pytest.fixture
def make_fake():
    made = []

    def make(begin=True, **settings):
        router = FakeRouter(**settings)
        made.append(router)
        return router.begin() if begin else router

    yield make
    for router in made:
        router.close()


# --- start


def test_children_inherit_exactly_the_descriptors_of_the_contract(make_fake):
    router = make_fake()
    workers = router.events("start slot")
    wait_until(lambda: len(router.events("start slot")) == 3, "all have started")
    workers = [line for line in router.events("worker") if "start" in line]
    registrar = router.events("registrar")[0]
    assert all(line.endswith("fds=0,1,2,3,4,5,6,7,8,9,10") for line in workers), workers
    assert registrar.endswith("fds=0,1,2,3,4,5,6")
    assert all(("user=1" in line) == (os.geteuid() == 0) for line in workers)


def test_the_pid_file_names_a_ready_master_and_is_removed(make_fake):
    router = make_fake()
    with open(router.pid_file) as file:
        assert int(file.read()) == router.process.pid
    assert router.stop() == 0
    assert not os.path.exists(router.pid_file)
    assert router.objects() == []


def test_a_second_master_is_refused_while_the_first_lives(make_fake):
    router = make_fake()
    second = subprocess.run(router.command(), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert f"held by a running master, pid {router.process.pid}" in second.stderr
    assert router.ask()


def test_an_instance_has_one_master_even_without_a_pid_file(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"pid_file": ""})
    router.begin()
    second = subprocess.run(router.command(), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another master runs this instance" in second.stderr
    assert router.ask()


def test_a_start_that_fails_does_not_give_up_the_table_it_took_over(make_fake):
    router = make_fake()
    router.kill_all()
    router.behave("worker", "exit1")
    assert router.begin(wait=False).wait_exit() == 1
    assert len(router.objects()) == 2
    router.behave("worker")
    router.begin(wait=False)
    wait_until(lambda: len(router.log_lines("gorouter.started")) == 2, "it is up again")
    assert router.log_lines("gorouter.started")[1]["data"]["table"] == "taken over"


def test_a_kept_table_outlives_a_stop(make_fake):
    router = make_fake(begin=False)
    router.write_config(table={"keep": True})
    router.begin()
    assert router.stop() == 0
    assert len(router.objects()) == 2


def test_a_log_file_that_cannot_be_opened_is_named(make_fake):
    router = make_fake(begin=False)
    router.write_config(access_log={"file": "/no/such/folder/access.log"})
    assert router.begin(wait=False).wait_exit() == 1
    assert "/no/such/folder/access.log cannot be opened: No such file" in router.log_text()


def test_a_stale_pid_file_does_not_stop_a_start(make_fake):
    router = make_fake(begin=False)
    with open(router.pid_file, "w") as file:
        file.write(f"{os.getpid()}\n")        # alive, but nobody holds the lock
    router.begin()
    assert router.stop() == 0


def test_a_program_that_refuses_the_configuration_stops_the_start(make_fake):
    router = make_fake(begin=False)
    router.behave("registrar", "refuse")
    assert router.begin(wait=False).wait_exit() == 1
    assert f"{router.config_path}:7: unknown setting \"registrar.fake\"" in router.log_text()
    assert router.objects() == []


@pytest.mark.parametrize("worker, registrar", [("exit1", ""), ("late", "exit1")])
def test_a_child_that_refuses_its_configuration_at_the_first_start_ends_it(make_fake, worker, registrar):
    router = make_fake(begin=False)
    router.behave("worker", worker)
    router.behave("registrar", registrar)
    assert router.begin(wait=False).wait_exit() == 1
    assert router.log_lines("start-failed")
    assert not os.path.exists(router.pid_file)


def test_a_daemon_returns_when_it_is_ready(make_fake):
    router = make_fake(begin=False)
    router.behave("worker", "late")
    router.write_config(log={"file": router.log_path})
    os.environ["FAKE_DIR"] = router.folder
    begun = time.monotonic()
    result = subprocess.run(router.command("-d"), capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - begun >= 0.3
    with open(router.pid_file) as file:
        pid = int(file.read())
    assert router.ask()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not router.processes(), "the daemon is gone")


def test_a_daemon_that_cannot_start_says_why(make_fake):
    router = make_fake(begin=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", router.port))
        other.listen()
        router.write_config(log={"file": router.log_path})
        result = subprocess.run(router.command("-d"), capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{router.port}: Address already in use" in result.stderr
    assert re.search(r"wye\.conf:\d+: cannot listen", result.stderr)


INITIALIZING, HEALTHY, DEGRADED = range(3)


def test_health_waits_for_routes_only_if_the_table_is_new(make_fake):
    router = make_fake(master={"start_delay": "600ms"})
    assert router.ask()                       # traffic is served at once
    assert router.table.facts()["health"] == INITIALIZING
    wait_until(lambda: router.table.facts()["health"] == HEALTHY, "the delay is over")
    router.kill_all()
    router.write_config(master={"start_delay": "1m"})
    router.begin(wait=False)
    wait_until(lambda: router.table.facts()["health"] == HEALTHY, "nobody waits with a table that was taken over")


# --- deaths


def test_a_killed_worker_is_replaced_and_its_lines_and_counts_are_kept(make_fake):
    router = make_fake()
    victim = router.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(router.worker_pids()) == 2 and victim not in router.worker_pids(), "a new worker runs")
    wait_until(lambda: len(router.log_lines("child-ready")) == 4, "it is ready")
    assert router.log_lines("child-died")[0]["data"]["signal"] == 9
    router.wait_for_access_line(f"unwritten line of {victim}")
    assert router.table.counter("requests") == 3            # each counted one: two first, one new
    assert router.table.counter("worker_restarts") == 1
    router.stop()
    lines = router.access_lines()
    assert len(lines) == len(set(lines)) == 3


def test_a_killed_registrar_is_replaced(make_fake):
    router = make_fake()
    victim = router.registrar_pid()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: router.registrar_pid() not in (None, victim), "a new registrar runs")
    assert len(router.worker_pids()) == 2


def test_a_crash_loop_is_slowed_down_and_leaves_the_others_alone(make_fake):
    router = make_fake(master={"restart_delay_min": "50ms", "restart_delay_max": "400ms"})
    router.behave("registrar", "crash")
    os.kill(router.registrar_pid(), signal.SIGKILL)
    time.sleep(2)
    starts = len(router.events("registrar")) - 1
    assert 4 <= starts <= 9, starts           # 50, 100, 200, 400, 400, ... ms
    assert router.ask()
    router.behave("registrar")
    wait_until(router.registrar_pid, "it runs again")


def test_a_stuck_worker_is_logged_and_replaced(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"worker_stuck_timeout": "2s"})
    router.behave("worker", "stuck")
    router.begin()
    router.behave("worker")
    line = router.wait_for_log("child-stuck")
    assert line["data"]["age_ms"] >= 2000
    wait_until(lambda: router.log_lines("child-died"), "it was killed")
    wait_until(lambda: len(router.worker_pids()) == 2, "it is replaced")
    assert router.ask()


def test_a_stopped_worker_is_killed_as_well(make_fake):
    router = make_fake(master={"worker_stuck_timeout": "2s"})
    victim = router.worker_pids()[0]
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: victim not in router.worker_pids(), "the stopped worker is gone")
    wait_until(lambda: len(router.worker_pids()) == 2, "it is replaced")


def test_workers_drain_when_the_master_is_killed_and_the_next_master_takes_the_table_over(make_fake):
    router = make_fake()
    router.process.kill()
    router.process.wait()
    router.begin(wait=False)
    wait_until(lambda: len(router.log_lines("gorouter.started")) == 2, "the second master is up")
    assert router.log_lines("gorouter.started")[1]["data"]["table"] == "taken over"
    assert len(router.events("master-gone")) == 3
    assert router.ask()[1] == 2               # generations go on counting


def test_lines_of_workers_that_died_with_their_master_are_saved(make_fake):
    router = make_fake()
    workers = router.worker_pids()
    router.kill_all()
    router.begin(wait=False)
    for pid in workers:
        router.wait_for_access_line(f"unwritten line of {pid}")


# --- reload


def test_a_reload_replaces_all_children_and_refuses_no_connection(make_fake):
    router = make_fake()
    faults, done = [], threading.Event()

    def knock():
        while not done.is_set():
            try:
                router.ask()
            except (OSError, ValueError, IndexError) as fault:
                faults.append(fault)

    thread = threading.Thread(target=knock)
    thread.start()
    registrar = router.registrar_pid()
    for _ in range(3):
        router.reload()
    done.set()
    thread.join()
    assert not faults
    assert router.ask()[1] == 4
    wait_until(lambda: router.registrar_pid() not in (None, registrar), "the registrar was replaced")


@pytest.mark.parametrize("change, reason", [
    ({"master": {"wokers": 2}}, "unknown setting \"master.wokers\"; did you mean \"workers\"?"),
    ({"master": {"drain_wait": "2h"}}, "out of range"),
    ({"table": {"size": "8M"}}, "\"table.size\" cannot change in a reload"),
    ({"master": {"user": "no-such-user"}}, "there is no user \"no-such-user\""),
])
def test_a_bad_file_changes_nothing(make_fake, change, reason):
    router = make_fake()
    before = router.worker_pids()
    router.write_config(**change)
    router.signal(signal.SIGHUP)
    line = router.wait_for_log("reload-refused")
    assert reason in line["data"]["reason"]
    assert line["data"]["reason"].startswith(router.config_path)
    assert router.worker_pids() == before and router.ask()[1] == 1


def test_a_file_that_only_a_worker_understands_is_refused_with_its_reason(make_fake):
    router = make_fake()
    router.behave("worker", "refuse")
    router.signal(signal.SIGHUP)
    assert ":7: unknown setting \"worker.fake\"" in router.wait_for_log("reload-refused")["data"]["reason"]
    assert router.ask()[1] == 1


@pytest.mark.parametrize("how", ["never", "exit1"])
def test_a_next_generation_that_does_not_come_up_is_given_up(make_fake, how):
    router = make_fake(master={"start_timeout": "700ms"})
    before = router.worker_pids()
    router.behave("worker", how)
    router.signal(signal.SIGHUP)
    router.wait_for_log("reload-failed")
    wait_until(lambda: router.worker_pids() == before, "only the old workers run")
    assert router.ask()[1] == 1
    router.behave("worker")
    router.reload()                           # and the next reload works


def test_listeners_come_and_go_with_a_reload(make_fake):
    router = make_fake()
    old, new = router.port, free_port()
    router.write_config(master={"listeners": ({"address": f"127.0.0.1:{old}"}, {"address": f"127.0.0.1:{new}"})})
    router.reload()
    router.port = new
    assert router.ask()
    router.write_config(master={"listeners": ({"address": f"127.0.0.1:{new}"},)})
    router.reload()
    assert router.ask()
    wait_until(lambda: not is_listening(old), "the last old worker has closed it")


def test_a_reload_during_a_reload_is_done_afterwards(make_fake):
    router = make_fake()
    router.behave("worker", "late")
    router.signal(signal.SIGHUP)
    router.wait_for_log("reload-started")
    router.signal(signal.SIGHUP)
    wait_until(lambda: router.ask()[1] == 3, "the second reload is done")


def test_a_reload_waits_for_slots_that_long_drains_still_hold(make_fake):
    router = make_fake(begin=False)
    router.write_config(table={"worker_slots": 4}, master={"drain_timeout": "1s"})
    router.behave("worker", "stubborn")
    router.begin()
    router.behave("worker")
    router.signal(signal.SIGHUP)
    wait_until(lambda: router.ask()[1] == 2, "the first reload is done")
    router.signal(signal.SIGHUP)
    assert router.wait_for_log("reload-waiting")["data"] == {"free_slots": 0, "needed": 2}
    wait_until(lambda: router.ask()[1] == 3, "the second reload is done")


def test_workers_that_do_not_drain_in_time_are_killed(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"drain_timeout": "300ms"})
    router.behave("worker", "stubborn")
    router.begin()
    router.behave("worker")
    router.signal(signal.SIGHUP)
    router.wait_for_log("router.drain.timed-out", generation=1, workers=2)
    router.wait_for_log("generation-gone", generation=1)
    assert router.ask()[1] == 2


# --- signals


def test_logs_are_reopened_by_all(make_fake):
    router = make_fake(begin=False)
    router.write_config(log={"file": router.log_path})
    router.begin()
    os.rename(router.log_path, router.log_path + ".1")
    os.rename(router.access_log_path, router.access_log_path + ".1")
    router.signal(signal.SIGUSR2)
    wait_until(lambda: len(router.events("reopened")) == 3, "all children have the new files")
    wait_until(lambda: os.path.exists(router.log_path) and router.log_lines("logs-reopened"), "the new log is used")
    assert os.stat(router.access_log_path).st_mode & 0o777 == 0o640
    router.stop()
    assert len(router.access_lines("unwritten line")) == 2


def test_logs_that_cannot_be_reopened_stay_as_they_are(make_fake):
    router = make_fake(begin=False)
    os.mkdir(os.path.join(router.folder, "logs"))
    router.write_config(access_log={"file": os.path.join(router.folder, "logs", "access.log")})
    router.begin()
    os.rename(os.path.join(router.folder, "logs"), os.path.join(router.folder, "moved"))
    router.signal(signal.SIGUSR2)
    assert "No such file" in router.wait_for_log("log-not-reopened")["data"]["reason"]
    router.stop()
    with open(os.path.join(router.folder, "moved", "access.log")) as log:
        assert len(log.readlines()) == 2


def test_a_drain_serves_on_while_it_waits_then_ends_with_0(make_fake):
    router = make_fake(master={"drain_wait": "800ms"})
    for _ in range(5):
        router.signal(signal.SIGUSR1)
        time.sleep(0.05)
    assert router.ask()
    assert router.table.facts()["health"] == DEGRADED
    assert router.wait_exit() == 0
    assert len(router.log_lines("gorouter-draining")) == 1
    assert len(router.events("drain")) >= 2
    assert router.log_lines("gorouter.stopped") and not router.processes()


def test_a_drain_ends_in_time_even_if_a_worker_does_not(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"drain_timeout": "300ms"})
    router.behave("worker", "stubborn")
    router.begin()
    router.signal(signal.SIGUSR1)
    assert router.wait_exit() == 0
    assert router.log_lines("router.drain.timed-out")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_prompt_during_a_drain(make_fake, number):
    router = make_fake(master={"drain_wait": "1m"})
    router.signal(signal.SIGUSR1)
    router.wait_for_log("gorouter-draining")
    begun = time.monotonic()
    router.signal(number)
    assert router.wait_exit() == 0
    assert time.monotonic() - begun < 2


def test_a_stop_is_prompt_while_nothing_is_ready_yet(make_fake):
    router = make_fake(begin=False)
    router.behave("worker", "never")
    router.begin(wait=False)
    wait_until(lambda: len(router.events("start slot")) == 3, "children have started")
    router.signal(signal.SIGTERM)
    assert router.wait_exit() == 0


def test_a_second_stop_kills_at_once(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"stop_timeout": "1m"})
    router.behave("worker", "stubborn")
    router.begin()
    router.signal(signal.SIGTERM)
    router.wait_for_log("gorouter.stopping")
    assert router.process.poll() is None
    router.signal(signal.SIGTERM)
    assert router.wait_exit() == 0
    assert not router.processes()


def test_a_worker_that_ignores_a_stop_is_killed_after_the_timeout(make_fake):
    router = make_fake(begin=False)
    router.write_config(master={"stop_timeout": "300ms"})
    router.behave("worker", "stubborn")
    router.begin()
    assert router.stop() == 0


# --- etc/


class InitScript:
    def __init__(self, router):
        self.router = router
        self.defaults = os.path.join(router.folder, "defaults")
        with open(self.defaults, "w") as file:
            file.write(f"WYE={build_dir()}/wye\nCONFIG={router.config_path}\nPIDFILE={router.pid_file}\n"
                       f"STATE_DIRECTORY={router.folder}/state\n")

    def __call__(self, action):
        environment = dict(os.environ, WYE_DEFAULTS=self.defaults, FAKE_DIR=self.router.folder)
        result = subprocess.run(["sh", str(ROOT / "etc/wye.init"), action], capture_output=True, text=True,
                                timeout=60, env=environment)
        return result.returncode, result.stdout + result.stderr


def test_the_init_script_does_what_the_lsb_says(make_fake):
    router = make_fake(begin=False)
    router.write_config(log={"file": router.log_path})
    init = InitScript(router)
    assert init("status")[0] == 3
    assert init("configtest")[0] == 0
    assert init("start")[0] == 0 and router.ask()
    assert init("start")[0] == 0              # already running
    assert init("status")[0] == 0
    assert init("reload")[0] == 0
    wait_until(lambda: router.ask()[1] == 2, "the reload is done")
    router.behave("worker", "refuse")
    code, output = init("reload")
    assert code == 1 and ":7: unknown setting" in output
    assert init("restart")[0] == 1 and router.ask()        # a bad file does not stop what runs
    router.behave("worker")
    assert init("restart")[0] == 0 and router.ask()
    assert init("stop")[0] == 0 and not router.processes()
    assert init("stop")[0] == 0
    assert init("reload")[0] == 7
    assert init("nonsense")[0] == 2
    with open(router.pid_file, "w") as file:
        file.write("1\n")
    assert init("status")[0] == 1
