"""Rounds, and the table they end in."""

import re
import statistics
import subprocess
import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class Table:
    """Rows of figures: ratios of two sides, or one side alone."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.rows: list[dict] = []

    def compare(self, name: str, unit: str, ours: Callable[[], float], rival: Callable[[], float], *, aim: float, more_is_better: bool, rounds: int = 0) -> None:
        """Measures both sides in each round; a ratio above 1 means that ours is better."""
        figures: list[tuple[float, float]] = []
        for number in range(rounds or self.rounds):
            if number % 2 == 0:
                mine, theirs = ours(), rival()
            else:
                theirs, mine = rival(), ours()
            figures.append((mine, theirs))
        ratios = [m / t if more_is_better else t / m for m, t in figures]
        self._add(name, unit, [m for m, _ in figures], [t for _, t in figures], ratios, f">= {aim:g}x", statistics.median(ratios) >= aim)

    def alone(self, name: str, unit: str, figures: list[float], *, aim: str, reached: bool) -> None:
        """One side, with no rival."""
        self._add(name, unit, figures, None, None, aim, reached)

    def _add(self, name: str, unit: str, ours: list[float], rival: list[float] | None, ratios: list[float] | None, aim: str, reached: bool) -> None:
        row = {"name": name, "unit": unit, "ours": spread(ours), "rival": rival and spread(rival), "ratio": ratios and spread(ratios), "aim": aim, "reached": reached}
        self.rows.append(row)
        print(line(row), flush=True)

    def text(self) -> str:
        """The whole table."""
        head = f"{'':34} {'ours':>22} {'rival':>22} {'ratio (min..max)':>20} {'aim':>12}"
        return "\n".join([head, "-" * len(head), *map(line, self.rows)])


def spread(figures: list[float]) -> dict:
    """Minimum, median and maximum."""
    return {"min": min(figures), "median": statistics.median(figures), "max": max(figures), "rounds": len(figures)}


def line(row: dict) -> str:
    """One row for people."""

    def side(figures: dict | None) -> str:
        return f"{figures['median']:,.5g} {row['unit']}" if figures else "-"

    ratio = "-"
    if row["ratio"]:
        ratio = f"{row['ratio']['median']:.2f} ({row['ratio']['min']:.2f}..{row['ratio']['max']:.2f})"
    elif row["ours"]["rounds"] > 1:
        ratio = f"({row['ours']['min']:,.4g}..{row['ours']['max']:,.4g})"
    return f"{row['name']:34} {side(row['ours']):>22} {side(row['rival']):>22} {ratio:>20} {row['aim']:>12} {'yes' if row['reached'] else 'NO'}"


def wrk(url: str, *, connections: int, seconds: float, headers: dict[str, str] | None = None, script: str | None = None) -> float:
    """Requests a second; any answer but 2xx is an error of the benchmark."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if script:
        command += ["-s", script]
    text = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or (bad := re.search(r"Socket errors: connect ([1-9]\d*)", text)):
        raise RuntimeError(f"{url}: {text}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not found:
        raise RuntimeError(f"{url}: {text}")
    return float(found.group(1))
