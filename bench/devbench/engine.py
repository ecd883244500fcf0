"""The pipeline engine: the queue, the log, plans and expressions.

Jobs are carried out by runners of this file, which speak the runner protocol and do nothing: what is measured is the
server. They share the machine with it.
"""

import asyncio
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import subprocess
import threading
import time
import uuid

from .alone import first_steps
from .measure import Table
from .parts import Machine, Service

STEP = "runs-on: [idle]\n    steps:\n      - run: 'true'\n"
#: 250 combinations a matrix, as many as the dialect allows with some to spare
CELLS = 250


def workflow(jobs: int, label: str = "idle") -> str:
    """A workflow with that many jobs, in matrices of 250."""
    text = "on: [push, workflow_dispatch]\njobs:\n"
    for number in range(0, jobs, CELLS):
        values = ", ".join(map(str, range(min(CELLS, jobs - number))))
        text += f"  j{number // CELLS}:\n    strategy: {{matrix: {{n: [{values}]}}}}\n    {STEP}".replace("[idle]", f"[{label}]")
    return text


class Wire:
    """One kept connection."""

    def __init__(self, service: Service, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
        self.headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: object = None) -> dict:
        """Asks once; anything but success is an error of the benchmark."""
        headers = dict(self.headers)
        if isinstance(body, bytes):
            data = body
        else:
            data = b"" if body is None else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text) if text else {}


class Runner:
    """A registered runner with one connection to claim on."""

    def __init__(self, service: Service, label: str, capacity: int) -> None:
        self.service = service
        invitation = service.api("POST", "/runners/tokens")["token"]
        wanted = {
            "registration_token": invitation,
            "name": f"bench-{uuid.uuid4().hex[:8]}",
            "labels": [label],
            "capacity": capacity,
            "version": "0",
            "os": "linux",
            "arch": "x86_64",
        }
        self.token = service.api("POST", "/runner/register", wanted)["token"]
        self.wire = Wire(service, self.token)

    def claim(self, free: int) -> list[dict]:
        """Jobs; empty when there was none for half a minute."""
        return self.wire.ask("POST", "/runner/claim", {"free": free})["jobs"]


def project_with(service: Service, name: str, files: dict[str, str]) -> dict:
    """A project whose default branch holds these files."""
    project = service.project(name)
    changes = [{"action": "create", "path": p, "content": t} for p, t in files.items()]
    service.api("POST", f"/projects/{project['id']}/commits", {"branch": "main", "message": "files", "actions": changes})
    return project


def wait_for_runs(service: Service, project: str, *, state: str, number: int) -> list[dict]:
    """Until that many runs of a project have a state."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        runs = service.api("GET", f"/projects/{project}/runs?limit=100")["items"]
        if sum(r["state"] == state for r in runs) >= number:
            return runs
        time.sleep(0.02)
    raise RuntimeError(f"{number} runs did not become {state}: {[(r['state'], r['jobs_total']) for r in runs][:5]}")


def carry_out(service: Service, jobs: list[dict], token: str, workers: int) -> None:
    """Ends jobs well, on several connections, as runners do: the state of their step, then the end."""
    local = threading.local()

    def end(job: dict) -> None:
        if not hasattr(local, "wire"):
            local.wire = Wire(service, token)
        local.wire.ask("POST", f"/runner/jobs/{job['job_id']}/complete", {"epoch": job["epoch"], "conclusion": "success", "outputs": {}, "log_length": 0})

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(end, jobs))


def transitions(service: Service, name: str, runs: int, jobs: int) -> float:
    """Transitions a second from queued to running to completed, of that many runs with that many jobs each."""
    label = f"t-{name}"
    runner = Runner(service, label, 64)
    project = project_with(service, f"transitions-{name}", {".github/workflows/ci.yml": workflow(jobs, label)})
    for _ in range(runs - 1):
        service.api("POST", f"/projects/{project['id']}/build", {"ref": "main"})
    wait_for_queue(service, project["id"], runs, jobs)
    begun = time.perf_counter()
    left = runs * jobs
    while left:
        taken = runner.claim(min(64, left))
        carry_out(service, taken, runner.token, 8)
        left -= len(taken)
    took = time.perf_counter() - begun
    wait_for_runs(service, project["id"], state="completed", number=runs)
    return 2 * runs * jobs / took


def wait_for_queue(service: Service, project: str, runs: int, jobs: int) -> None:
    """Until all jobs of all runs are there."""
    until = time.monotonic() + 120
    found: list[dict] = []
    while time.monotonic() < until:
        found = service.api("GET", f"/projects/{project}/runs?limit=100")["items"]
        if len(found) == runs and all(r["jobs_total"] == jobs for r in found):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the jobs are not there: {[(r['state'], r['jobs_total']) for r in found][:5]}")


def log_text(seed: int) -> bytes:
    """A MiB of lines as a build writes them: few words, many numbers, digests and durations that do not repeat."""
    dice = random.Random(seed)
    words = ["compiling", "linking", "test", "ok", "warning: unused import", "downloaded", "running", "finished", "src/lib.rs", "in the crate"]
    text = bytearray()
    while len(text) < 1 << 20:
        what, where = dice.choice(words), dice.choice(words)
        digest = f" {dice.getrandbits(64):016x}" if dice.random() < 0.25 else ""
        text += f"{dice.random() * 1000:.3f}s {what} {where} v{dice.randrange(9)}.{dice.randrange(99)} line {dice.randrange(5000)}{digest}\n".encode()
    return bytes(text[: 1 << 20])


def log_ingest(service: Service, megabytes: int, senders: int) -> tuple[float, list[float]]:
    """Megabytes a second of log from several jobs at once, and how late (ms) a viewer of one more job sees its lines."""
    label = "logs"
    project = project_with(service, "logs", {".github/workflows/ci.yml": workflow(senders + 1, label)})
    runner = Runner(service, label, senders + 1)
    jobs: list[dict] = []
    while len(jobs) <= senders:
        jobs += runner.claim(senders + 1 - len(jobs))
    watched, *loud = jobs
    chunks = [log_text(seed) for seed in range(8)]
    each = megabytes // senders

    def send(job: dict) -> None:
        wire = Wire(service, runner.token)
        for n in range(each):
            wire.ask("POST", f"/runner/jobs/{job['job_id']}/log?epoch={job['epoch']}&offset={n << 20}", chunks[n % len(chunks)])

    over = threading.Event()
    late: list[float] = []

    def speak() -> None:
        wire, at = Wire(service, runner.token), 0
        while not over.is_set():
            text = f"{time.monotonic():.6f}\n".encode()
            wire.ask("POST", f"/runner/jobs/{watched['job_id']}/log?epoch={watched['epoch']}&offset={at}", text)
            at += len(text)
            time.sleep(0.05)

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("GET", f"/jobs/{watched['job_id']}/log/stream", headers={"Authorization": f"Bearer {service.token}"})
        answer = connection.getresponse()
        while not over.is_set():
            text = answer.readline()
            if text.startswith(b"data:") and b'"text"' in text:
                now = time.monotonic()
                for piece in json.loads(text[5:])["text"].split():
                    late.append(1000 * (now - float(piece)))

    helpers = [threading.Thread(target=t, daemon=True) for t in (look, speak)]
    for helper in helpers:
        helper.start()
    time.sleep(0.3)
    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, loud))
    took = time.perf_counter() - begun
    over.set()
    for helper in helpers:
        helper.join(10)
    for job in loud:
        end = {"epoch": job["epoch"], "conclusion": "success", "outputs": {}, "log_length": each << 20}
        runner.wire.ask("POST", f"/runner/jobs/{job['job_id']}/complete", end)
    service.api("POST", f"/runs/{watched['run_id']}/cancel")
    service.api("POST", f"/projects/{project['id']}/archive")
    return each * senders * 1.048576 / took, late


def processor_seconds(service: Service) -> float:
    """What the server has used so far."""
    fields = pathlib.Path(f"/proc/{service.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_runners(service: Service, number: int, seconds: int) -> tuple[float, float]:
    """Kilobytes of the server's memory for each idle runner, and percent of a processor for all of them."""
    before = service.resident()
    tokens = [Runner(service, "lonely", 1).token for _ in range(number)]

    async def hold(token: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        body = b'{"free":1}'
        head = f"POST /runner/claim HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            while True:
                writer.write(head.encode() + body)
                status = await reader.readline()
                if b" 200 " not in status:
                    raise RuntimeError(f"a claim was answered {status!r}")
                length = 0
                while (field := await reader.readline()) not in (b"\r\n", b""):
                    if field.lower().startswith(b"content-length:"):
                        length = int(field.split(b":")[1])
                await reader.readexactly(length)
        finally:
            writer.close()

    async def all_of_them() -> tuple[float, float]:
        claims = [asyncio.create_task(hold(t)) for t in tokens]
        # the claims of a round end together if they begin together: spread, as runners of a fleet are
        await asyncio.sleep(10)
        grown = service.resident()
        at = processor_seconds(service)
        await asyncio.sleep(seconds)
        used = processor_seconds(service) - at
        for claim in claims:
            if claim.done():
                claim.result()
            claim.cancel()
        await asyncio.gather(*claims, return_exceptions=True)
        return (grown - before) / 1024 / number, 100 * used / seconds

    return asyncio.run(all_of_them())


def big_plan(machine: Machine, binary: str, jobs: int) -> float:
    """Seconds of the whole command that plans a workflow with that many jobs."""
    path = machine.work / "big.yml"
    path.write_text(workflow(jobs))
    begun = time.perf_counter()
    done = subprocess.run([binary, "pipeline", "plan", str(path), "--event", "push", "--ref", "refs/heads/main", "--json"], capture_output=True, text=True)
    took = time.perf_counter() - begun
    if done.returncode != 0:
        raise RuntimeError(f"pipeline plan: {done.stdout[:300]} {done.stderr[:300]}")
    return took


EXPRESSION = "github.event_name == 'push' && (startsWith(github.ref, 'refs/heads/') || contains(fromJSON('[\"a\", \"b\"]'), matrix.os)) && format('{0}-{1}', github.sha, matrix.os) != ''"


def evaluations(machine: Machine, binary: str, number: int) -> float:
    """Expressions a second through the command, JSON in and out included."""
    contexts = {"github": {"event_name": "push", "ref": "refs/heads/main", "sha": "0" * 40}, "matrix": {"os": "linux"}}
    lines = machine.work / "expressions.jsonl"
    lines.write_text((json.dumps({"expr": EXPRESSION, "contexts": contexts}) + "\n") * number)
    begun = time.perf_counter()
    with open(lines, "rb") as source:
        done = subprocess.run([binary, "pipeline", "eval", "--dialect", "github", "-"], stdin=source, capture_output=True)
    took = time.perf_counter() - begun
    answers = done.stdout.splitlines()
    if done.returncode != 0 or len(answers) != number or json.loads(answers[-1]) != {"kind": "Boolean", "value": True}:
        raise RuntimeError(f"pipeline eval: {answers[-1:]} {done.stderr[:300]!r}")
    return number / took


def run(machine: Machine, service: Service, table: Table, *, quick: bool) -> None:
    """All of it."""
    print(f"\nengine, {service.database}", flush=True)
    name = service.database.lower()
    # first, while memory has not been used for anything else
    number = 100 if quick else 1000
    memory, percent = idle_runners(service, number, 10 if quick else 60)
    table.alone("memory for an idle runner", "KB", [memory], aim="(reported)", reached=True)
    table.alone(f"processor of {number:,} idle runners", "%", [percent], aim="< 5 %", reached=percent < 5)

    waiting = 200 if quick else 1000
    busy = Runner(service, "busy", 1)
    queue = project_with(service, f"queue-{name}", {".github/workflows/ci.yml": workflow(waiting, "busy")})
    wait_for_queue(service, queue["id"], 1, waiting)
    figures = sorted(first_steps(machine, service, 20 if quick else 200, name=f"steps-{name}"))
    label = f"push to first step, {waiting:,} queued"
    median, late = figures[len(figures) // 2], figures[int(len(figures) * 0.99)]
    table.alone(label, "ms", figures, aim="< 50 ms", reached=median < 50)
    table.alone("... of a hundred the slowest", "ms", [late], aim="< 300 ms", reached=late < 300)
    for found in service.api("GET", f"/projects/{queue['id']}/runs")["items"]:
        service.api("POST", f"/runs/{found['id']}/cancel")
    del busy

    rates = [transitions(service, f"{name}-wide-{n}", 20 if quick else 50, 20) for n in range(1 if quick else 3)]
    table.alone("transitions, runs of 20 jobs", "/s", rates, aim="> 500/s", reached=sorted(rates)[len(rates) // 2] > 500)
    # a run of a thousand jobs
    rates = [transitions(service, f"{name}-deep-{n}", 1, 250 if quick else 1000) for n in range(1 if quick else 3)]
    table.alone("transitions, one big run", "/s", rates, aim="> 500/s", reached=sorted(rates)[len(rates) // 2] > 500)

    rate, late_lines = log_ingest(service, 160 if quick else 800, 8)
    table.alone("log ingest, 8 jobs", "MB/s", [rate], aim="> 200 MB/s", reached=rate > 200)
    late_lines.sort()
    p99 = late_lines[int(len(late_lines) * 0.99)]
    table.alone("... a viewer is behind, p99", "ms", [p99], aim="< 500 ms", reached=p99 < 500)



def commands(machine: Machine, binary: str, table: Table, *, quick: bool) -> None:
    """What needs no server."""
    print("\nengine, commands", flush=True)
    plans = [1000 * big_plan(machine, binary, 10_000) for _ in range(table.rounds)]
    table.alone("plan of 10,000 jobs", "ms", plans, aim="< 1,000 ms", reached=sorted(plans)[len(plans) // 2] < 1000)
    number = 20_000 if quick else 100_000
    rates = [evaluations(machine, binary, number) for _ in range(table.rounds)]
    table.alone("expressions, JSON in and out", "/s", rates, aim="(reported)", reached=True)
