"""Markers shared by all pytest folders."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: minutes long; run by `make torture` only")
