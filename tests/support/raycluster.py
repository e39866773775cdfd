"""A Ray cluster of this machine for a whole test module, since one is slow to start: run it, and it prints its address.

It ends when its stdin does. Whoever joins it gives `ENVIRONMENT` along.
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
    """Run one with two CPUs; give its address."""
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
    """Run the cluster."""
    import ray

    store = 100 * 1024 * 1024
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=store)
    print(ray.get_runtime_context().gcs_address, file=os.fdopen(os.dup(1), "w"), flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
