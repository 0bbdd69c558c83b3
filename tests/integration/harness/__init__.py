"""The nouns of the integration tests: start a router, a bus and backends, be a client, look at the table.

Real binaries only.  Everything waits for a condition with a deadline, takes
free ports and a unique instance name, and so may run beside any other test.
"""
from .backend import Backend, NodeBackend, PythonBackend
from .bus import Bus
from .certificates import Authority
from .cluster import Cluster, Relay
from .client import Client, Response
from .emitter import Emitter, Traffic
from .fake_nats import FakeNats
from .message_relay import MessageRelay
from .refusal_loop import RefusalLoop
from .router import Router
from .table import Table
from .waiting import free_port, wait_until

__all__ = ["Authority", "Backend", "Bus", "Client", "Cluster", "Emitter", "FakeNats", "MessageRelay", "NodeBackend",
           "PythonBackend", "RefusalLoop", "Response", "Relay", "Router", "Table", "Traffic",
           "free_port", "wait_until"]
