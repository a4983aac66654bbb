# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "weft_python": asyncio on weft's loop for Python (tools/docs/python.md), where the loop makes a difference."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFORMANCE = "tests/conformance/cpython"
sys.dont_write_bytecode = True
sys.path += [str(ROOT / "build/release" / CONFORMANCE / "python"), str(ROOT / CONFORMANCE)]
import asyncio_bench  # noqa: E402
import uvloop_bench  # noqa: E402
import weft  # noqa: E402


def run(main):
    with asyncio.Runner(loop_factory=weft.new_event_loop) as runner:
        runner.run(main())


WORKS = {name: asyncio_bench.WORKS[name] for name in uvloop_bench.WORKS}

if __name__ == "__main__":
    asyncio_bench.subject_main("weft_python", WORKS, run)
