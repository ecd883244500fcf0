"""The routes, without a socket."""

import pytest

from service.__main__ import PORT, port_from
from service.app import GREETING, MAX_NAME, greet, route


@pytest.mark.parametrize(
    ("name", "want"),
    [("", "world"), ("  ", "world"), ("Ada", "Ada"), (" Grace ", "Grace")],
)
def test_greet(name, want):
    assert greet(name) == f"{GREETING}, {want}!"


@pytest.mark.parametrize(
    ("method", "target", "status", "body"),
    [
        ("GET", "/", 200, {"message": greet("")}),
        ("GET", "/?name=Zo%C3%AB+K", 200, {"message": greet("Zoë K")}),
        ("GET", "/?name=" + "x" * (MAX_NAME + 1), 400, {"error": "name is too long"}),
        ("GET", "/health", 200, {"status": "ok"}),
        ("GET", "/nowhere", 404, {"error": "not found"}),
        ("POST", "/", 405, {"error": "method not allowed"}),
    ],
    ids=["nobody", "somebody", "too long", "health", "unknown path", "wrong method"],
)
def test_route(method, target, status, body):
    answer = route(method, target)
    assert (answer.status, answer.body) == (status, body)


def test_port():
    assert port_from(None) == PORT
    assert port_from("9999") == 9999
    for text in ("many", "70000", "-1"):
        with pytest.raises(SystemExit, match="not a port number"):
            port_from(text)
