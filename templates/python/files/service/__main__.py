"""Starts the service, and stops it on SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from http.server import ThreadingHTTPServer

from .app import Handler

#: Where the service listens when the environment does not say.
PORT = {{ port }}


def port_from(text: str | None) -> int:
    """Read a port number from the environment's text."""
    if not text:
        return PORT
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise SystemExit(f"PORT is not a port number: {text}")
    return port


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    server = ThreadingHTTPServer(("", port_from(os.environ.get("PORT"))), Handler)

    def stop(_signal: int, _frame: object) -> None:
        # shutdown waits for the loop to end, so it may not run on the loop's own thread
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"listening on {server.server_address[0]}:{server.server_address[1]}")
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    print("stopped")


if __name__ == "__main__":
    sys.exit(main())
