"""The service alone: from a push to the job's first step, starting, resting, and reading with many projects."""

import pathlib
import sqlite3
import time
import uuid
from datetime import datetime

from .gitside import git
from .measure import Table, wrk
from .parts import Machine, Service

WORKFLOW = """\
on: push
jobs:
  only:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


def moment(text: str) -> float:
    """A time of the API in seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def first_steps(machine: Machine, service: Service, number: int, name: str = "steps") -> list[float]:
    """Milliseconds from the push's event to the start of the job's first step, by the service's clock."""
    project = service.project(name)
    at = machine.clients / name
    git("init", "--quiet", "--initial-branch=main", at)
    (at / ".github/workflows").mkdir(parents=True)
    (at / ".github/workflows/ci.yml").write_text(WORKFLOW)
    figures: list[float] = []
    # the first push also meets cold caches, and does not count
    for n in range(number + 1):
        (at / "n").write_text(str(n))
        git("add", ".", cwd=at)
        git("commit", "--quiet", "-m", str(n), cwd=at)
        git("push", "--quiet", f"{service.url}/{project['path']}.git", "main", cwd=at, token=service.token)
        commit = head(at)
        step = finished_step(service, project["id"], commit)
        pushed = next(
            a["time"] for a in service.api("GET", f"/projects/{project['id']}/activity?limit=20")["items"] if "push" in a["type"] and commit in str(a["data"])
        )
        if n > 0:
            figures.append(1000 * (moment(step) - moment(pushed)))
    return figures


def head(at: pathlib.Path) -> str:
    return (at / ".git/refs/heads/main").read_text().strip()


def finished_step(service: Service, project: str, commit: str) -> str:
    """Waits for the commit's run; gives when its first step began."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        runs = service.api("GET", f"/projects/{project}/runs?commit={commit}")["items"]
        if runs and runs[0]["state"] == "completed":
            run = service.api("GET", f"/runs/{runs[0]['id']}")
            if run["conclusion"] != "success":
                raise RuntimeError(f"the run ended with {run['conclusion']}: {run['jobs']}")
            return next(s["started_at"] for s in run["jobs"][0]["steps"] if s["started_at"])
        time.sleep(0.05)
    raise RuntimeError(f"no run of {commit} ended")


def many_projects(database: pathlib.Path, number: int) -> None:
    """Copies one project's row, as the API would write it, with other names."""
    with sqlite3.connect(database) as db:
        db.row_factory = sqlite3.Row
        model = db.execute("SELECT * FROM project LIMIT 1").fetchone()
        columns = list(model.keys())
        now = int(time.time() * 1000)

        def row(n: int) -> list[object]:
            name = f"copy-{n:06}"
            raw = bytearray(uuid.uuid4().bytes)
            raw[:6] = (now + n).to_bytes(6, "big")
            raw[6] = 0x70 | raw[6] & 0x0F
            changed = {"id": bytes(raw), "name": name, "path": f"{model['namespace']}/{name}", "created_at": now + n, "last_activity_at": now + n}
            return [changed.get(c, model[c]) for c in columns]

        marks = ", ".join("?" * len(columns))
        db.executemany(f"INSERT INTO project ({', '.join(columns)}) VALUES ({marks})", (row(n) for n in range(number)))
        db.commit()
        db.execute("ANALYZE")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def run(machine: Machine, service: Service, table: Table, *, quick: bool) -> None:
    """All of it."""
    print("\nalone", flush=True)
    figures = first_steps(machine, service, 4 if quick else 20)
    median = sorted(figures)[len(figures) // 2]
    table.alone("push to the job's first step", "ms", figures, aim="< 100 ms", reached=median < 100)

    number = 2_000 if quick else 100_000
    service.stop()
    many_projects(service.data / "devmentor.db", number)
    starts: list[float] = []
    for _ in range(table.rounds):
        starts.append(1000 * service.start())
        service.stop()
    table.alone(f"start to ready, {number:,} projects", "ms", starts, aim="< 1,000 ms", reached=max(starts) < 1000)

    service.start()
    time.sleep(3 if quick else 15)
    memory = service.resident() / 1e6
    table.alone("memory at rest", "MB", [memory], aim="< 60 MB", reached=memory < 60)

    ids = [p["id"] for p in service.api("GET", "/projects/list?limit=100")["items"]]
    script = machine.work / "ids.lua"
    script.write_text(
        "local ids = {" + ", ".join(f'"{i}"' for i in ids) + "}\nlocal n = 0\n"
        'function request()\n  n = n % #ids + 1\n  return wrk.format("GET", "/projects/" .. ids[n])\nend\n'
    )
    headers = {"Authorization": f"Bearer {service.token}"}
    duration = 1 if quick else 4
    reads = [wrk(service.url, connections=64, seconds=duration, headers=headers, script=str(script)) for _ in range(table.rounds)]
    table.alone("GET /projects/{id}, 64 connections", "/s", reads, aim="> 8,000/s", reached=sorted(reads)[len(reads) // 2] > 8000)
    lists = [wrk(f"{service.url}/projects/list", connections=64, seconds=duration, headers=headers) for _ in range(table.rounds)]
    table.alone("GET /projects/list, 64 connections", "/s", lists, aim="(reported)", reached=True)
    grown = service.resident() / 1e6
    table.alone("memory after the load", "MB", [grown], aim="(reported)", reached=True)
