"""Before anything is measured: each proxy does the same duties, and the load generator sees what is wrong."""
import contextlib

from harness import Backend, Client
from harness.backend import close_without_answer, partial_body, too_much_body
from measure import load
from targets import HOST

BEFORE = "192.0.2.7"


def duties(kind, aims):
    """Two requests on one connection through `kind`, and what of them reaches a backend that records."""
    with contextlib.closing(Backend()) as backend, contextlib.closing(kind(backend.port)) as target:
        seen = len(backend.requests)
        with Client(target.port) as client:
            answers = [client.get(HOST, "/", [("X-Forwarded-For", BEFORE)]) for _ in range(2)]
        requests = backend.requests[seen:]
    ids = {request.header("X-Vcap-Request-Id") for request in requests}
    wanted = {
        "answers both": [answer.status for answer in answers] == [200, 200] and len(requests) == 2,
        "appends to X-Forwarded-For":
            all(", ".join(request.all("X-Forwarded-For")) == f"{BEFORE}, 127.0.0.1" for request in requests),
        "gives each request an id": len(ids) == 2 and all(ids),
        "tells the client the id": {answer.header("X-Vcap-Request-Id") for answer in answers} == ids,
        "keeps its connection to the backend": len({request.connection for request in requests}) == 1,
    }
    failed = [duty for duty, is_done in wanted.items() if not is_done]
    for duty in failed:
        aims.fault(f"{kind.name} is not comparable, it should be one that {duty}")
    return not failed


def not_found(exchange, request):
    exchange.respond(404, b"four")


def reset_in_body(exchange, request):
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfo")
    exchange.reset()


def control(aims):
    """Answers that are wrong in one way each: the load generator must call every one an error."""
    wrong = (not_found, reset_in_body, too_much_body, partial_body, close_without_answer)
    for answer in wrong:
        with contextlib.closing(Backend(answer)) as backend:
            result = load(backend.port, ["-c", "2", "-l", "4"], 20)
        if result["errors"] != 20:
            aims.fault(f"load found {result['errors']} errors in 20 answers of {answer.__name__}")


def run(kinds, aims):
    control(aims)
    good = [kind.name for kind in kinds if duties(kind, aims)]
    print(f"same duties: {', '.join(good)}; the load generator finds wrong answers")
