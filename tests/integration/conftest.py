"""Fixtures of the integration tests: a bus, and makers of routers and backends that end with the test."""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import Authority, Backend, Bus, Router  # noqa: E402
from harness.tls import Sides, add_tls  # noqa: E402
from harness.waiting import build_dir  # noqa: E402


# These bring children of their own or need none.
SELF_CONTAINED = {"test_master.py", "test_table_torture.py"}


def pytest_collection_modifyitems(items):
    missing = [p for p in ("wye-worker", "wye-registrar") if not (build_dir() / p).exists()]
    for item in items:
        if missing and item.path.name not in SELF_CONTAINED:
            item.add_marker(pytest.mark.skip(reason=f"not built: {', '.join(missing)}"))


@pytest.fixture
def bus():
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def make_router(bus):
    """make_router(**settings): a router on this test's bus (bus=None: none that answers), ready to serve;
    with start=False only its configuration is written."""
    routers = []

    def make(start=True, **settings):
        router = Router(settings.pop("bus", bus), start=False, **settings)
        routers.append(router)
        return router.start() if start else router

    yield make
    faults = []
    for router in routers:
        try:
            router.close()
        except AssertionError as fault:
            faults.append(str(fault))
    assert not faults, faults


@pytest.fixture
def router(make_router):
    """A router with the default settings."""
    return make_router()


@pytest.fixture
def closing():
    """closing(thing): the thing, closed at the end, last first."""
    things = []

    def close_later(thing):
        things.append(thing)
        return thing

    yield close_later
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def make_backend():
    """make_backend(answer, ...): a scripted backend; or make_backend(kind=NodeBackend)."""
    backends = []

    def make(*arguments, kind=Backend, **options):
        backend = kind(*arguments, **options)
        backends.append(backend)
        return backend

    yield make
    for backend in backends:
        backend.close()
    faults = [fault for backend in backends for fault in getattr(backend, "faults", [])]
    assert not faults, faults


@pytest.fixture(scope="session")
def authority():
    made = Authority()
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture(scope="session")
def stranger():
    made = Authority("Stranger")
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture(scope="session")
def front(authority):
    """What the router shows to clients: one certificate with an EC key, one with RSA."""
    return authority.issue("app.example", "*.apps.example"), authority.issue("rsa.example", key="rsa")


@pytest.fixture
def make_tls_router(make_router, front, authority):
    """A router that also listens with TLS, on router.tls_port; settings of worker.tls as keywords."""
    def make(tls=(), upstream=(), worker=(), start=True, **settings):
        router = add_tls(make_router(start=False, **settings), front, authority, worker={
            "tls": dict(tls), "upstream": {"tls": dict(upstream)}, **dict(worker)})
        return router.start() if start else router

    return make


@pytest.fixture(params=[(f, b) for f in ("plain", "tls") for b in ("plain", "tls")], ids="-".join)
def sides(request, make_router, make_backend, authority, front):
    """Client's side x endpoint's side."""
    return Sides(*request.param, make_router, make_backend, authority, front[0])


@pytest.fixture(autouse=True)
def _is_isolated(monkeypatch):
    """Proxies of the environment must not catch what is meant for 127.0.0.1."""
    for name in list(os.environ):
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
