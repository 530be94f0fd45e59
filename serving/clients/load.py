#!/usr/bin/env python3
"""Puts load on a model server: requests a second, and how long they take.

    python load.py --url http://127.0.0.1:8501/v1/models/digits --clients 1 8 32 cat.jpg

Each client sends its next request when the last is answered, for `--seconds`, after a second that
doesn't count. FILE is an image or a request as JSON, as for client.py, which lies beside.
"""

import argparse
import json
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable

if __package__:
    from keras_attn.serving.clients import client
else:  # a kit's copy, beside client.py
    import client  # type: ignore[no-redef]


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code, 1 where a request failed."""
    parser = argparse.ArgumentParser(description="Puts load on a model server.")
    parser.add_argument("--url", required=True, help="http://host:port/v1/models/name")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("file", metavar="FILE", help="an image, or a request as JSON")
    options = parser.parse_args(arguments)
    try:
        request = client.read_request(options.file)
        client.send(options.url, request)  # fails now rather than in each thread
    except (client.ServerError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = len(json.dumps(request))
    print(f"{options.url}, {size:,} bytes a request, {options.seconds:g} seconds each")
    print(
        f"{'clients':>8} {'requests/s':>11} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'errors':>7}"
    )
    failed = 0
    for clients in options.clients:
        times, errors = run(lambda: client.send(options.url, request), clients, options.seconds)
        failed += len(errors)
        rate = len(times) / options.seconds
        marks = " ".join(f"{1000 * seconds:8.1f}" for seconds in percentiles(times))
        print(f"{clients:8} {rate:11.1f} {marks} {len(errors):7}", flush=True)
        for reason in sorted(set(errors))[:3]:
            print(f"         {reason}", file=sys.stderr)
    return 1 if failed else 0


def run(
    send: Callable[[], object], clients: int, seconds: float, warmup: float = 1.0
) -> tuple[list[float], list[str]]:
    """Seconds of each request that began after the warm-up, and what went wrong."""
    times: list[float] = []
    errors: list[str] = []
    begin = time.perf_counter() + warmup
    end = begin + seconds

    def work() -> None:
        while (start := time.perf_counter()) < end:
            try:
                send()
            except (client.ServerError, OSError) as error:
                errors.append(str(error))
                continue
            if start >= begin:
                times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors


def percentiles(values: list[float]) -> list[float]:
    """The 50th, the 95th and the 99th; NaN of none."""
    if len(values) < 2:
        return 3 * (values or [math.nan])
    all_99 = statistics.quantiles(values, n=100, method="inclusive")
    return [all_99[percent - 1] for percent in (50, 95, 99)]


if __name__ == "__main__":
    sys.exit(main())
