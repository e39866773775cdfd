"""Run a local Ray cluster, which one test module shares because it is slow to start.

`python -m tests.support.raycluster` prints the cluster's address, and ends when its stdin is closed. Processes that
connect to it need the variables in `ENVIRONMENT`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cli import ROOT, clean_environment
from tests.support.loopback import end

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}


@contextmanager
def cluster() -> Iterator[str]:
    """Run a cluster with two CPUs; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.raycluster"],
        cwd=ROOT, env=clean_environment() | ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().decode().strip()
        process.communicate(timeout=30)
    finally:
        end(process)


def main() -> None:
    """Start the cluster, print its address, and shut it down when stdin is closed."""
    import ray

    store_bytes = 100 * 1024 * 1024
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=store_bytes)
    print(ray.get_runtime_context().gcs_address, file=os.fdopen(os.dup(1), "w"), flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
