"""The service as a process: it answers, and ends on SIGTERM."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from service.app import greet


@pytest.fixture
def process():
    env = {**os.environ, "PORT": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-m", "service"], env=env, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_answers_and_stops(process):
    port = re.search(r":(\d+)$", process.stdout.readline().strip()).group(1)
    base = f"http://127.0.0.1:{port}"

    with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
        assert json.load(answer) == {"status": "ok"}
    with urllib.request.urlopen(f"{base}/?name=Ada", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.load(answer) == {"message": greet("Ada")}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{base}/nowhere", timeout=5)

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert process.stdout.read().strip() == "stopped"
