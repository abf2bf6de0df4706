"""What a careful person fears, tried: each line says what was done, what came of it, and what has to.

    python benchmarks/torture.py [--json FILE] [--quick] [--minutes 30] [--only TRIAL ...]

The whole takes about an hour and a half (half an hour of it trains) and 5 GB of disk; --quick takes a few minutes and
tries less of each. Needs Linux (/proc, file-size limits), and pytest and Hypothesis for the damage and the arguments.
"""
import argparse
import tempfile
from pathlib import Path

from _harness import machine, report, say
from _torture import (arguments, copies, damage, disk, displays, environments, kernel_cache, kills, memory, processes,
                      stacks)

TRIALS = {                          # name: trial(folder, in full or quickly, minutes)
    "kills": lambda folder, full, _: kills.run(folder, 200 if full else 8),
    "damage": lambda folder, full, _: damage.run(folder, 20_000 if full else 500),
    "copies": lambda folder, full, _: copies.run(2_000 if full else 100),
    "disk": lambda folder, full, _: disk.run(folder, 2_000 if full else 100),
    "displays": lambda folder, *_: displays.run(folder),
    "environments": lambda folder, full, _: environments.run(folder, full),
    "stacks": lambda *_: stacks.run(),
    "kernels": lambda folder, full, _: kernel_cache.run(folder, 2_000 if full else 200, 10 if full else 1),
    "cache": lambda folder, full, _: processes.run(folder, 8 if full else 2),
    "folder": lambda folder, full, _: processes.run_one_folder(folder, 8 if full else 3),
    "large": lambda folder, full, _: memory.run_large(folder, *((4,) if full else (0.4, 3, 30))),
    "arguments": lambda folder, full, _: arguments.run(folder, 500 if full else 20),
    "long": lambda folder, full, minutes: memory.run_long(folder, minutes if full else 0.5),
}


def main():
    """Run the trials; leave with status 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--quick", action="store_true", help="a little of each")
    parser.add_argument("--minutes", type=float, default=30, help="of the long training; default: 30")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="TRIAL",
                        help=f"some of {', '.join(TRIALS)}")
    options = parser.parse_args()
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    verdicts = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            verdict = TRIALS[name](Path(folder), not options.quick, options.minutes)
        verdicts.append(verdict)
        say(f"{'ok  ' if verdict.ok else 'FAIL'} {verdict.trial}: {verdict.result}  [wanted: {verdict.wanted}]")
    rows = [{**verdict._asdict(), "quick": options.quick} for verdict in verdicts]
    report(rows, {verdict.trial: verdict.result for verdict in verdicts}, options.json)
    raise SystemExit(0 if all(verdict.ok for verdict in verdicts) else 1)


if __name__ == "__main__":
    main()
