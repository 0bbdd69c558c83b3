"""TLS of tests: contexts for clients and backends, and the four ways to combine plain and TLS."""
import ssl

from .client import Client
from .waiting import free_port


def client_context(*authorities, **options):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for trusted in authorities:
        made.load_verify_locations(trusted.path)
    for name, value in options.items():
        setattr(made, name, value)
    return made


def server_context(made, client_authority=None, **options):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.chain, made.key)
    if client_authority:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(client_authority.path)
    for name, value in options.items():
        setattr(tls, name, value)
    return tls


def rows(*certificates):
    """Certificates as worker.tls.certificates lists them."""
    return tuple({"cert_chain": made.chain, "private_key": made.key} for made in certificates)


def add_tls(router, certificates, authority, **settings):
    """Gives a router that is not started a listener with TLS, on router.tls_port."""
    taken = {router.port, router.status_port}
    router.tls_port = next(port for port in iter(free_port, None) if port not in taken)
    listeners = (*router.settings["master"]["listeners"],
                 {"kind": "https", "address": f"127.0.0.1:{router.tls_port}"})
    router.write_config(master={"listeners": listeners}, worker={
        "tls": {"certificates": rows(*certificates)}, "upstream": {"tls": {"ca_certs": (authority.path,)}}})
    router.write_config(**settings)
    return router


class Sides:
    """The client's side x the endpoint's side, each "plain" or "tls": a test takes its routers, backends and
    clients from here and does not know which."""

    NAME = "instance-1"                       # in the certificates of backends

    def __init__(self, front, back, make_router, make_backend, authority, certificate):
        self.front, self.back = front, back
        self.make_router, self.make_backend = make_router, make_backend
        self.authority, self.certificate = authority, certificate

    def router(self, **settings):
        return add_tls(self.make_router(start=False), [self.certificate], self.authority, **settings).start()

    def backend(self, *arguments, **options):
        if self.back == "tls":
            options.setdefault("tls", server_context(self.authority.issue(self.NAME)))
        return self.make_backend(*arguments, **options)

    def fields(self, port, **fields):
        """What a registration of this side says."""
        tls = {"tls_port": port, "server_cert_domain_san": self.NAME} if self.back == "tls" else {}
        return {**tls, **fields}

    def register(self, router, host, backend, **fields):
        router.register(host, backend, **self.fields(getattr(backend, "port", None) or backend[1], **fields))

    def client(self, router, timeout_s=15):
        if self.front == "plain":
            return router.client(timeout_s)
        tls = client_context(self.authority, check_hostname=False)
        return Client(router.tls_port, timeout_s=timeout_s, tls=tls)

    def get(self, router, host, target="/"):
        with self.client(router) as client:
            return client.get(host, target, [("Connection", "close")])
