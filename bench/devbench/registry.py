"""The registry: the service against Debian's docker-registry."""

import base64
import hashlib
import http.client
import json
import os
from urllib.parse import urlsplit

from .measure import Table, seconds, wrk
from .parts import DockerRegistry, Machine, Service, read_all

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Side:
    """One registry and one repository in it, over one kept connection."""

    def __init__(self, port: int, name: str, headers: dict[str, str]) -> None:
        self.port, self.name, self.headers = port, name, headers
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        self.connection.request(method, path, body, self.headers | (headers or {}))
        answer = self.connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.read(300)!r}")
        return answer

    def push(self, data: bytes, digest: str) -> None:
        """Uploads a blob: begin, then all of it at once."""
        begun = self.ask("POST", f"/v2/{self.name}/blobs/uploads/", b"")
        begun.read()
        url = urlsplit(begun.headers["Location"])
        query = f"{url.query}&" if url.query else ""
        self.ask("PUT", f"{url.path}?{query}digest={digest}", data, {"Content-Type": "application/octet-stream"}).read()

    def pull(self, digest: str) -> int:
        """Downloads a blob; gives its size."""
        return read_all(self.ask("GET", f"/v2/{self.name}/blobs/{digest}"))

    def manifest(self, document: bytes, tag: str) -> None:
        self.ask("PUT", f"/v2/{self.name}/manifests/{tag}", document, {"Content-Type": MANIFEST}).read()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pushes(side: Side, size: int, number: int) -> float:
    """Megabytes a second of new blobs."""
    blobs = [os.urandom(size) for _ in range(number)]
    named = [(data, digest_of(data)) for data in blobs]
    took = seconds(lambda: [side.push(data, digest) for data, digest in named])
    return number * size / took / 1e6


def pulls(side: Side, digest: str, number: int) -> float:
    """Megabytes a second of one blob."""
    sizes: list[int] = []
    took = seconds(lambda: [sizes.append(side.pull(digest)) for _ in range(number)])
    return sum(sizes) / took / 1e6


def authorised(service: Service, path: str) -> dict[str, str]:
    """A token as docker gets one."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    basic = base64.b64encode(f"token:{service.token}".encode()).decode()
    connection.request("GET", "/v2/", headers={})
    challenge = connection.getresponse()
    challenge.read()
    wanted = dict(part.split("=", 1) for part in challenge.headers["WWW-Authenticate"].removeprefix("Bearer ").split(","))
    realm, name = wanted["realm"].strip('"'), wanted["service"].strip('"')
    connection.request("GET", f"{urlsplit(realm).path}?service={name}&scope=repository:{path}:pull,push", headers={"Authorization": f"Basic {basic}"})
    answer = connection.getresponse()
    data = json.loads(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"token: {answer.status} {data}")
    connection.close()
    return {"Authorization": f"Bearer {data['token']}"}


def run(machine: Machine, service: Service, table: Table, *, quick: bool) -> None:
    """All of it."""
    print("\nregistry", flush=True)
    rival_server = DockerRegistry(machine)
    path = service.project("images")["path"]
    headers = authorised(service, path)
    ours, rival = Side(service.port, path, headers), Side(rival_server.port, path, {})

    large, small = (16 << 20, 2) if quick else (64 << 20, 4), (1 << 20, 8 if quick else 32)
    for label, (size, number) in (("64 MiB" if not quick else "16 MiB", large), ("1 MiB", small)):
        table.compare(
            f"blob push, {label}",
            "MB/s",
            lambda size=size, number=number: pushes(ours, size, number),
            lambda size=size, number=number: pushes(rival, size, number),
            aim=1,
            more_is_better=True,
        )
        data = os.urandom(size)
        digest = digest_of(data)
        for side in (ours, rival):
            side.push(data, digest)
        table.compare(
            f"blob pull, {label}",
            "MB/s",
            lambda digest=digest, number=number: pulls(ours, digest, number),
            lambda digest=digest, number=number: pulls(rival, digest, number),
            aim=1,
            more_is_better=True,
        )

    config, layer = b"{}", os.urandom(1024)
    document = json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": digest_of(config)},
        "layers": [{"mediaType": LAYER, "size": len(layer), "digest": digest_of(layer)}],
    }).encode()
    for side in (ours, rival):
        side.push(config, digest_of(config))
        side.push(layer, digest_of(layer))
        side.manifest(document, "latest")
    duration = 1 if quick else 3
    target = f"/v2/{path}/manifests/latest"
    table.compare(
        "manifest get, 8 connections",
        "/s",
        lambda: wrk(service.url + target, connections=8, seconds=duration, headers=headers | {"Accept": MANIFEST}),
        lambda: wrk(f"http://127.0.0.1:{rival_server.port}{target}", connections=8, seconds=duration, headers={"Accept": MANIFEST}),
        aim=1,
        more_is_better=True,
    )
