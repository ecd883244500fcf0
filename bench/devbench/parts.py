"""The service and its rivals as processes, and a client for the service's API."""

import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from typing import IO


class Machine:
    """A temporary directory for servers, one for clients, and the processes."""

    def __init__(self, work: pathlib.Path, clients: pathlib.Path) -> None:
        self.work, self.clients = work, clients
        self.running: list[subprocess.Popen] = []

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running):
            self.end(process)

    def start(self, command: list[str], *, name: str, env: dict[str, str] | None = None, **more: object) -> subprocess.Popen:
        """Starts a process whose output goes to NAME.log."""
        with open(self.work / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True, **more)
        self.running.append(process)
        return process

    def end(self, process: subprocess.Popen) -> None:
        """SIGTERM, and SIGKILL after ten seconds, to the process and those it started."""
        if process in self.running:
            self.running.remove(process)
        for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            if process.poll() is None:
                try:
                    os.killpg(process.pid, number)
                    process.wait(patience)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue

    def log(self, name: str) -> str:
        """The last lines of a log."""
        return "\n".join((self.work / f"{name}.log").read_text(errors="replace").splitlines()[-15:])

    def folder(self, name: str) -> pathlib.Path:
        """A new directory."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port: int, machine: Machine, name: str) -> None:
    """Until somebody listens."""
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise RuntimeError(f"{name} did not start:\n{machine.log(name)}") from None
            time.sleep(0.02)


class Service:
    """The service, embedded, with one administrator and no rate limit to speak of."""

    def __init__(self, machine: Machine, binary: str, *, name: str = "service", database_url: str = "") -> None:
        self.machine, self.binary, self.name = machine, binary, name
        self.port = free_port()
        self.token = "dmp_" + secrets.token_hex(24)
        self.data = machine.folder(name)
        self.database_url = database_url
        self.process: subprocess.Popen | None = None
        self.group = "bench"

    @property
    def database(self) -> str:
        """Its name for people."""
        return "PostgreSQL" if self.database_url else "SQLite"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Starts it; gives the seconds until it answers."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DEVMENTOR_")}
        env = kept | {
            "DEVMENTOR_LISTEN": f"127.0.0.1:{self.port}",
            "DEVMENTOR_DATA_DIR": str(self.data),
            "DEVMENTOR_ADMIN_TOKEN": self.token,
            "DEVMENTOR_RATE_LIMIT": "4000000000",
            "DEVMENTOR_RATE_LIMIT_ANONYMOUS": "4000000000",
            "DEVMENTOR_LOG_FILTER": "warn",
        }
        if self.database_url:
            env["DEVMENTOR_DATABASE_URL"] = self.database_url
        begun = time.perf_counter()
        self.process = self.machine.start([self.binary, "serve"], name=self.name, env=env)
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/health")
                ok = connection.getresponse().status == 200
                connection.close()
                if ok:
                    return time.perf_counter() - begun
            except OSError:
                pass
            if self.process.poll() is not None or time.perf_counter() - begun > 60:
                raise RuntimeError(f"the service did not start:\n{self.machine.log(self.name)}")
            time.sleep(0.001)

    def stop(self) -> None:
        """Ends it, gracefully."""
        if self.process:
            self.machine.end(self.process)

    def resident(self) -> int:
        """Resident memory in bytes."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    def api(self, method: str, path: str, body: object = None) -> dict:
        """Asks the API; anything but success is an error of the benchmark."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:500]!r}")
        return json.loads(data) if data else {}

    def project(self, name: str) -> dict:
        """Creates a public, empty project."""
        wanted = {"name": name, "namespace": self.group, "visibility": "public", "default_branch": "main"}
        return self.api("POST", "/projects/create", wanted)


class Postgres:
    """A throw-away PostgreSQL, with the settings of its package and more connections."""

    def __init__(self, machine: Machine) -> None:
        self.port = free_port()
        home = machine.folder("postgres")
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        # the server refuses to run as root
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if user:
            shutil.chown(home, "postgres")
        subprocess.run([*user, programs / "initdb", "-D", home / "data", "-U", "bench", "-A", "trust", "-E", "UTF8"], check=True, capture_output=True)
        options = ["-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}"]
        machine.start([*user, programs / "postgres", "-D", home / "data", *options], name="postgresql")
        wait_for_port(self.port, machine, "postgresql")

    @property
    def url(self) -> str:
        return f"postgres://bench@127.0.0.1:{self.port}/postgres"


class HttpBackend:
    """nginx, fcgiwrap and git http-backend, as the manual of git describes it, with durable writes."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.port = machine, free_port()
        self.root = machine.folder("backend/repositories")
        here = machine.folder("backend")
        fcgi = here / "fcgi.sock"
        machine.start(["fcgiwrap", "-c", str(max(4, 2 * (os.cpu_count() or 1))), "-s", f"unix:{fcgi}"], name="fcgiwrap")
        core = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
        user = "user root;" if os.getuid() == 0 else ""
        (here / "nginx.conf").write_text(f"""
{user}
worker_processes auto;
daemon off;
pid {here}/nginx.pid;
error_log {here}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    fastcgi_temp_path {here}/fastcgi;
    proxy_temp_path {here}/proxy;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{self.port};
        location / {{
            fastcgi_pass unix:{fcgi};
            fastcgi_read_timeout 300s;
            fastcgi_param SCRIPT_FILENAME {core}/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT {self.root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER bench;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
        }}
    }}
}}
""")
        machine.start(["nginx", "-c", str(here / "nginx.conf"), "-e", str(here / "nginx-error.log")], name="nginx")
        wait_for_port(self.port, machine, "nginx")

    def repository(self, name: str) -> str:
        """A new bare repository; gives its address."""
        path = self.root / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
        for key, value in (("http.receivepack", "true"), ("core.fsync", "all"), ("receive.fsckObjects", "true")):
            subprocess.run(["git", "-C", path, "config", key, value], check=True)
        return f"http://127.0.0.1:{self.port}/{name}.git"


class DockerRegistry:
    """Debian's docker-registry on a directory."""

    def __init__(self, machine: Machine) -> None:
        self.port = free_port()
        config = machine.folder("registry") / "config.yml"
        config.write_text(f"""
version: 0.1
log: {{ level: error, accesslog: {{ disabled: true }} }}
storage: {{ filesystem: {{ rootdirectory: {machine.folder('registry/data')} }}, delete: {{ enabled: true }} }}
http: {{ addr: "127.0.0.1:{self.port}" }}
""")
        machine.start(["docker-registry", "serve", str(config)], name="docker-registry")
        wait_for_port(self.port, machine, "docker-registry")


def read_all(stream: IO[bytes], piece: int = 1 << 18) -> int:
    """Reads to the end; gives the number of bytes."""
    total = 0
    while data := stream.read(piece):
        total += len(data)
    return total
