"""The nouns of the integration tests: start a router, a bus and backends, be a client, look at the table.

Real binaries only.  Everything waits for a condition with a deadline, takes
free ports and a unique instance name, and so may run beside any other test.
"""
from .backend import Backend, NodeBackend, PythonBackend
from .bus import Bus
from .certificates import Authority
from .cluster import Cluster, Relay
from .client import Client, Response
from .fake_nats import FakeNats
from .router import Router
from .table import Table
from .waiting import free_port, wait_until

__all__ = ["Authority", "Backend", "Bus", "Client", "Cluster", "FakeNats", "NodeBackend", "PythonBackend",
           "Response", "Relay", "Router", "Table",
           "free_port", "wait_until"]
