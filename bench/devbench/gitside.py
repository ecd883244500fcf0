"""git over HTTP: the service against nginx + fcgiwrap + git http-backend."""

import base64
import os
import pathlib
import shutil
import statistics
import subprocess
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from .measure import Table, seconds, wrk
from .parts import HttpBackend, Machine, Service


def git(*args: object, cwd: pathlib.Path | None = None, feed: bytes | None = None, token: str | None = None) -> None:
    """Runs git without the user's configuration."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "HOME": "/nonexistent"}
    env |= {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.invalid"))}
    options: list[str] = []
    if token:
        basic = base64.b64encode(f"token:{token}".encode()).decode()
        options = ["-c", f"http.extraHeader=Authorization: Basic {basic}"]
    done = subprocess.run(["git", *options, *map(str, args)], cwd=cwd, env=env, input=feed, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"git {args[0]}: {done.stderr.decode(errors='replace')[-800:]}")


def small(at: pathlib.Path) -> None:
    """200 files in one commit."""
    git("init", "--quiet", "--initial-branch=main", at)
    for n in range(200):
        path = at / f"src/part{n % 10}/file{n}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {i} of file {n}\n" for i in range(60)))
    git("add", ".", cwd=at)
    git("commit", "--quiet", "-m", "all", cwd=at)


def large(at: pathlib.Path, objects: int) -> None:
    """A history of that many objects: each commit changes one file of a flat directory."""
    git("init", "--quiet", "--bare", "--initial-branch=main", at)
    feed: list[str] = []
    for n in range(objects // 3):
        text = f"version {n}\n" + f"text {n * 7919 % 1000003}\n" * 8
        feed.append(
            f"commit refs/heads/main\ncommitter Bench <bench@example.invalid> {1_700_000_000 + n} +0000\n"
            f"data {len(str(n))}\n{n}\nM 100644 inline f{n % 97}\ndata {len(text)}\n{text}\n"
        )
    git("fast-import", "--quiet", cwd=at, feed="".join(feed).encode())
    git("repack", "-q", "-a", "-d", "--write-bitmap-index", cwd=at)


class Pair:
    """One repository on both sides."""

    def __init__(self, service: Service, backend: HttpBackend, name: str, source: pathlib.Path) -> None:
        path = service.project(name)["path"]
        self.ours = f"{service.url}/{path}.git"
        self.rival = backend.repository(name)
        git("push", "--quiet", self.ours, "main", cwd=source, token=service.token)
        git("push", "--quiet", self.rival, "main", cwd=source)


def clones(machine: Machine, address: str, number: int, *options: str) -> float:
    """Seconds for one clone, the fastest of several: what else runs on the machine only ever adds."""
    target = machine.clients / "clone"
    took: list[float] = []
    for _ in range(number):
        took.append(seconds(lambda: git("clone", "--quiet", *options, address, target)))
        shutil.rmtree(target)
    return min(took)


def packet(text: str) -> str:
    """One line of git's protocol."""
    return f"{len(text) + 5:04x}{text}\n"


def conversation(machine: Machine, name: str, address: str, commit: str) -> pathlib.Path:
    """A script for wrk: the three requests of `git clone`, in version 2 of the protocol, again and again."""
    path = urlsplit(address).path
    client = packet("agent=git/2.39.5") + packet("object-format=sha1")
    lines = ["peel", "symrefs", "unborn", "ref-prefix refs/heads/", "ref-prefix refs/tags/", "ref-prefix HEAD"]
    list_refs = packet("command=ls-refs") + client + "0001" + "".join(map(packet, lines)) + "0000"
    lines = ["thin-pack", "no-progress", "include-tag", "ofs-delta", f"want {commit}", "done"]
    fetch = packet("command=fetch") + client + "0001" + "".join(map(packet, lines)) + "0000"
    headers = {"Git-Protocol": "version=2", "Content-Type": "application/x-git-upload-pack-request"}
    with urlopen(Request(f"{address}/git-upload-pack", fetch.encode(), headers), timeout=60) as answer:
        if b"PACK" not in answer.read(4096):
            raise RuntimeError(f"{address} does not answer with a pack")
    script = machine.work / f"{name}.lua"
    script.write_text(f"""
local get = {{ ["Git-Protocol"] = "version=2" }}
local post = {{ ["Git-Protocol"] = "version=2", ["Content-Type"] = "application/x-git-upload-pack-request" }}
local bodies = {{ [==[{list_refs}]==], [==[{fetch}]==] }}
local n = 0
function request()
  n = n + 1
  if n % 3 == 1 then
    return wrk.format("GET", "{path}/info/refs?service=git-upload-pack", get)
  end
  return wrk.format("POST", "{path}/git-upload-pack", post, bodies[n % 3 == 2 and 1 or 2])
end
""")
    return script


class Pusher:
    """A working copy that pushes one small commit after another."""

    def __init__(self, machine: Machine, name: str, address: str, token: str | None) -> None:
        self.at, self.token, self.count = machine.clients / name, token, 0
        git("clone", "--quiet", address, self.at)

    def push(self, number: int) -> float:
        """Seconds for one push, the median of several; making the commit does not count."""
        took: list[float] = []
        for _ in range(number):
            self.count += 1
            (self.at / "changing.txt").write_text(f"{self.count}\n")
            git("add", "changing.txt", cwd=self.at)
            git("commit", "--quiet", "-m", str(self.count), cwd=self.at)
            took.append(seconds(lambda: git("push", "--quiet", "origin", "main", cwd=self.at, token=self.token)))
        return statistics.median(took)


def run(machine: Machine, service: Service, table: Table, *, quick: bool) -> None:
    """All of it."""
    print("\ngit", flush=True)
    backend = HttpBackend(machine)
    small(machine.work / "small")
    pair = Pair(service, backend, "small", machine.work / "small")
    refs = "/info/refs?service=git-upload-pack"
    duration = 1 if quick else 3
    table.compare(
        "info/refs, 8 connections",
        "/s",
        lambda: wrk(pair.ours + refs, connections=8, seconds=duration),
        lambda: wrk(pair.rival + refs, connections=8, seconds=duration),
        aim=15,
        more_is_better=True,
    )
    # without a working tree, whose files are the client's work; many short rounds, since a clone is short
    table.compare(
        "small clone (200 files), bare",
        "ms",
        lambda: 1000 * clones(machine, pair.ours, 5, "--bare"),
        lambda: 1000 * clones(machine, pair.rival, 5, "--bare"),
        aim=2,
        more_is_better=False,
        rounds=5 if quick else 15,
    )
    commit = subprocess.run(["git", "rev-parse", "main"], cwd=machine.work / "small", check=True, capture_output=True, text=True).stdout.strip()
    ours_script = conversation(machine, "clone-ours", pair.ours, commit)
    rival_script = conversation(machine, "clone-rival", pair.rival, commit)
    table.compare(
        "small clone, served, 8 at once",
        "/s",
        lambda: wrk(pair.ours, connections=8, seconds=duration, script=str(ours_script)) / 3,
        lambda: wrk(pair.rival, connections=8, seconds=duration, script=str(rival_script)) / 3,
        aim=2,
        more_is_better=True,
    )
    ours = Pusher(machine, "push-ours", pair.ours, service.token)
    rival = Pusher(machine, "push-rival", pair.rival, None)
    table.compare(
        "push of one commit, durable",
        "ms",
        lambda: 1000 * ours.push(5),
        lambda: 1000 * rival.push(5),
        aim=1,
        more_is_better=False,
        rounds=3 if quick else 15,
    )

    objects = 12_000 if quick else 100_000
    large(machine.work / "large.git", objects)
    big = Pair(service, backend, "large", machine.work / "large.git")
    table.compare(
        f"clone of {objects:,} objects, bare",
        "s",
        lambda: clones(machine, big.ours, 1, "--bare"),
        lambda: clones(machine, big.rival, 1, "--bare"),
        aim=1,
        more_is_better=False,
        rounds=3 if quick else 5,
    )
