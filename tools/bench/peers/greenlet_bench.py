# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "greenlet": Python's greenlet, the model of weft's Greenlet."""

import asyncio
import sys
from pathlib import Path

import greenlet

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from meter import subject_main  # noqa: E402


async def greenlet_switch(meter):
    """There and back is two."""
    main = greenlet.getcurrent()

    def switch_back_for_ever():
        while True:
            main.switch()

    other = greenlet.greenlet(switch_back_for_ever)

    async def batch(count):
        for _ in range(count):
            other.switch()

    await meter.run(batch, 2)


# The loop is only how all Python subjects measure: nothing of it runs inside a batch.
subject_main("greenlet", {"greenlet_switch": greenlet_switch}, lambda main: asyncio.run(main()))
