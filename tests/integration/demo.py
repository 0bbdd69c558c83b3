"""make run: nats-server, two backends and Wye on free ports, until Ctrl-C.

Prints the curl lines to try and where everything is; leaves nothing behind.
"""
import argparse
import os
import signal
import sys
import threading
import time

HEARTBEAT_S = 5
PATIENCE_S = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="the folder with the programs")
    parser.add_argument("--port", type=int, help="where Wye listens; default: a free port")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    return parser.parse_args()


options = arguments()
os.environ["WYE_BUILD"] = options.build

from harness import Bus, PythonBackend, Router, wait_until  # noqa: E402
from harness.waiting import build_dir  # noqa: E402

HOST, WILDCARD, PATH_ROUTE = "hello.example", "*.apps.example", "hello.example/only-one"


class Demo:
    def __init__(self):
        self.parts, self.is_over = [], threading.Event()
        self.is_started = False

    def keep(self, part):
        self.parts.append(part)
        return part

    def start(self):
        self.bus = self.keep(Bus())
        self.backends = [self.keep(PythonBackend(name)) for name in ("one", "two")]
        self.router = self.keep(Router(self.bus, start=False, instance=f"wye-demo-{os.getpid()}",
                                       port=options.port, log={"level": "info"}))
        self.router.write_config(registrar={"snapshot_directory": self.router.folder})
        self.router.start()
        self.register()
        wait_until(self.is_answering,
                   lambda: "a request succeeds; the log ends with\n" + self.router.log_text()[-2000:],
                   PATIENCE_S, 0.1)

    def register(self):
        """What the platform does all the time: a heartbeat for every route of every instance."""
        for index, backend in enumerate(self.backends):
            fields = {"app": "0d0e5e3a-demo", "private_instance_id": f"instance-{backend.name}",
                      "private_instance_index": str(index), "tags": {"component": "demo"}}
            uris = [HOST, WILDCARD] + ([PATH_ROUTE] if backend.name == "one" else [])
            self.bus.register(uris, backend, **fields)

    def is_answering(self):
        try:
            return self.router.get(HOST).status == 200
        except (OSError, AssertionError):
            return False

    def tell(self):
        router, dump = self.router, os.path.relpath(build_dir() / "shm-dump")
        url = f"http://127.0.0.1:{router.port}"
        print(f"""
Wye answers on 127.0.0.1:{router.port}.  Try:

  curl -H 'Host: {HOST}' {url}/                    two instances in turn
  curl -H 'Host: {HOST}' {url}/only-one/x          a longer path wins: instance "one"
  curl -H 'Host: any.name.apps.example' {url}/     a wildcard route
  curl -i -H 'Host: nobody.example' {url}/         404, X-Cf-RouterError: unknown_route
  curl -d 'some body' -H 'Host: {HOST}' {url}/     an echo

The table:
  {dump} -i {router.instance}                      summary; also --table --processes --counters --check
  {dump} -i {router.instance} --explain http://{HOST}/only-one/x
  {dump} -i {router.instance} --watch

Health:         curl http://127.0.0.1:{router.status_port}/health
Configuration:  {router.config_path}       edit it, then: kill -HUP {router.process.pid}
Log:            {router.log_path}
Access log:     {router.access_log_path}
NATS:           {self.bus.url}
Last table:     {self.router.folder}/{self.router.instance}.routes.0 and .1, for a start without NATS
Backends:       {', '.join(f'{b.name} {b.address}' for b in self.backends)}

Ctrl-C ends all of it.""", flush=True)

    def run(self):
        """Heartbeats until somebody says stop or Wye is gone."""
        deadline = time.monotonic() + options.seconds if options.seconds else None
        while not self.is_over.wait(min(HEARTBEAT_S, options.seconds or HEARTBEAT_S)):
            if self.router.process.poll() is not None:
                print(f"wye exited with {self.router.process.returncode}:\n{self.router.log_text()[-3000:]}")
                return 1
            if deadline and time.monotonic() > deadline:
                break
            self.register()
        return 0

    def stop(self):
        for part in reversed(self.parts):
            try:
                part.close()
            except (AssertionError, OSError) as fault:
                print(f"while stopping: {fault}", file=sys.stderr)


class Asked(Exception):
    """SIGINT or SIGTERM came while starting."""


def main():
    demo = Demo()

    def on_signal(*_):
        is_first = not demo.is_over.is_set()
        demo.is_over.set()
        if is_first and not demo.is_started:
            raise Asked()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        demo.start()
        demo.is_started = True
        demo.tell()
        return demo.run()
    except Asked:
        return 0
    except AssertionError as fault:
        print(f"the demo did not start: {fault}", file=sys.stderr)
        return 1
    finally:
        demo.is_started = True
        print("\nstopping", flush=True)
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
