"""The configuration file: what etc/wye.conf documents is what the programs take, and faults are named."""
import os
import re
import socket
import subprocess

import pytest
from harness.router import Router
from harness.waiting import ROOT, build_dir

CONF = (ROOT / "etc/wye.conf").read_text()
SETTING = re.compile(r"^\s*(#\s)?\s*([a-z_0-9]+) = (.*)$")
# SETTING_MS(struct s, field, "name", "default", ...) or, by a macro of the file, P(MS, field, "name", ...)
ROW = re.compile(r'(?:SETTING_|\b[A-Z]\()([A-Z]+)\s*[(,](?:[^,"]+,){0,2}\s*"(\w+)"(?:,\s*("(?:[^"]*)"|[^,)]+))?')
TABLE = re.compile(r"static const struct setting (\w+)\[\] = \{(.*?)\n\};", re.S)
READ = re.compile(r'settings_read(?:_item)?\(\w+,\s*"([\w.]+)",\s*(?:\w+,\s*)?(\w+_rows|rows),')


def documented():
    """path -> (commented out, value text) of every setting in wye.conf, examples in lists left out."""
    found, path = {}, []
    for line in CONF.splitlines():
        bare = line.strip().lstrip("# ")
        if bare in ("};", "}") and path:
            path.pop()
            continue
        match = SETTING.match(line)
        if not match:
            continue
        commented, name, value = match.groups()
        value = value.strip()
        if value == "{":
            path.append(name)
        elif re.search(r"(;|\()$", value):
            found[".".join([*path, name])] = (bool(commented), value.rstrip(";"))
    return found


def known():
    """path -> default text of every setting in the programs' tables."""
    found = {}
    for source in sorted([*ROOT.glob("shm/base/config.c"), *ROOT.glob("master/*.c"),
                          *ROOT.glob("registrar/*.c"), *ROOT.glob("worker/**/*.c")]):
        text = source.read_text()
        tables = {name: ROW.findall(rows) for name, rows in TABLE.findall(text)}
        for path, table in READ.findall(text):
            for kind, name, default in tables.get(table, []):
                if kind != "GROUP" and path != "master.listeners":
                    found[f"{path}.{name}"] = default
    return found


def everything_uncommented():
    return "".join((re.sub(r"^(\s*)#\s", r"\1", line) if SETTING.match(line) and re.search(r"[;{(]$", line) or
                    re.match(r"^\s*# \};$", line) else line) + "\n" for line in CONF.splitlines())


def check(tmp_path, text):
    path = tmp_path / "wye.conf"
    path.write_text(text)
    return subprocess.run([build_dir() / "wye", "-t", "-c", path], capture_output=True, text=True, timeout=30)


def test_every_setting_of_every_program_is_documented_with_its_default():
    documentation, faults = documented(), []
    for path, default in known().items():
        if path not in documentation:
            faults.append(f"{path} is not in wye.conf")
            continue
        commented, value = documentation[path]
        if commented and default and value.strip('" ()') != default.strip('" '):
            faults.append(f"{path}: wye.conf says {value}, the program {default}")
    assert len(known()) > 20 and not faults, faults


def test_nothing_is_documented_that_no_program_knows():
    rules = "worker.proxy.http_rewrite.responses"
    lists = {"master.listeners", f"{rules}.remove_headers", f"{rules}.add_headers_if_not_present",
             "worker.tls.certificates", "worker.tls.verify_client_certificate_metadata"}
    unknown = set(documented()) - set(known()) - lists - {"instance"}
    assert not unknown


def test_the_example_is_accepted_as_it_is_and_with_every_default_written_out(tmp_path):
    for text in (CONF, everything_uncommented()):
        result = check(tmp_path, text)
        assert (result.returncode, result.stderr) == (0, ""), result.stderr


@pytest.mark.parametrize("text, reason", [
    ("master = {\n\n  wokers = 2;\n};", ':3: unknown setting "master.wokers"; did you mean "workers"?'),
    ("wroker = { };", ':1: unknown setting "wroker"; did you mean "worker"?'),
    ('master = {\n  drain_wait = "2h";\n};', ':2: "master.drain_wait" is out of range'),
    ('master = {\n  drain_wait = 20;\n};', ':2: "master.drain_wait" must be a duration in quotes'),
    ("master = {\n  workers = 2;\n  listeners = 3;\n};", ':3: "master.listeners" must be a list'),
    ("master = {\n  workers = = 2;\n};", ":2: syntax error"),
    ('log = { level = "loud"; };', ':1: "log.level" must be one of debug|info|warn|error'),
    ('worker = { proxy = { sticky_session_cookie_names = ("ok", "a b"); }; };',
     ':1: "worker.proxy.sticky_session_cookie_names": "a b" is not a name of a cookie'),
    ('instance = "a/b";', ':1: "instance" must be 1 to 64 letters'),
    ("registrar = {\n  nats_ = { };\n};", ':2: unknown setting "registrar.nats_"'),
    ('worker = {\n  retry = { on = "5xx, conect-failure"; };\n};', ':2: "worker.retry" does not know "conect-failure"'),
    ('worker = {\n  retry = { retriable_status_codes = "429,x"; };\n};', ':2: "worker.retry" does not know "x"'),
    ("worker = {\n  no_such_thing = 1;\n};", ':2: unknown setting "worker.no_such_thing"'),
])
def test_a_fault_is_named_with_file_line_and_reason(tmp_path, text, reason):
    result = check(tmp_path, text)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{tmp_path}/wye.conf{reason}"), result.stderr
    assert result.stdout == ""


def test_a_file_that_is_not_there_or_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "none.conf", tmp_path):
        result = subprocess.run([build_dir() / "wye", "-t", "-c", path], capture_output=True, text=True, timeout=30)
        assert result.returncode == 1 and str(path) in result.stderr


def test_a_port_in_use_is_named_with_its_line():
    router = Router(start=False)
    try:
        with socket.socket() as other:
            other.bind(("127.0.0.1", router.status_port))
            other.listen()
            result = subprocess.run(router.command(), capture_output=True, text=True, timeout=30)
        assert result.returncode == 1
        assert re.search(rf"wye\.conf:\d+: cannot listen on 127\.0\.0\.1:{router.status_port}: Address already in use",
                         result.stderr)
        assert router.objects() == []
    finally:
        router.close()


def test_the_version_and_the_usage_are_told():
    version = subprocess.run([build_dir() / "wye", "-V"], capture_output=True, text=True, timeout=10)
    assert version.returncode == 0 and version.stdout.startswith("wye ")
    for arguments in (["-x"], ["stray"]):
        wrong = subprocess.run([build_dir() / "wye", *arguments], capture_output=True, text=True, timeout=10,
                               env=dict(os.environ))
        assert wrong.returncode == 1 and "usage: wye" in wrong.stderr
