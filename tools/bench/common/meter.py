# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How the Python subjects measure: the same protocol and the same rules as common/meter.h."""

import json
import os
import random
import statistics
import sys
import time

WARM_UPS = 3


class Meter:
    def __init__(self, subject, work, seconds):
        self.subject = subject
        self.work = work
        self.budget = seconds * 1e9
        self.began = 0
        self.warm_ups = 0
        self.samples = []
        self.walls = []
        self.unit = "ns"
        self.notes = {}

    async def run(self, batch, operations_per_count=1):
        """Measures `await batch(n)`, n counts of something, as Meter::run does."""
        counts = 1
        while await self._too_short(batch, counts) or await self._too_short(batch, counts):
            counts *= 2
        while self.more():
            start = moment()
            await batch(counts)
            self.add(start, counts * operations_per_count)

    async def _too_short(self, batch, counts):
        start = time.process_time_ns()
        await batch(counts)
        return time.process_time_ns() - start < self.budget / 20

    def more(self):
        if not self.samples:
            self.began = time.process_time_ns()
        return len(self.samples) < 5 or time.process_time_ns() - self.began < self.budget

    def add(self, start, operations):
        """`operations` were done from `start`, a moment(), until now."""
        processor, wall = moment()
        self.warm_ups += 1
        if self.warm_ups <= WARM_UPS:
            return
        self.samples.append((processor - start[0]) / operations)
        self.walls.append((wall - start[1]) / operations)

    def set_memory(self, before, tasks):
        self.samples = [(resident_bytes() - before) / tasks]
        self.unit = "bytes"
        self.notes["tasks"] = tasks

    def finish(self):
        """Prints the row and ends the process: tearing down what is parked is nobody's measurement."""
        if self.walls:
            self.notes["wall"] = statistics.median(self.walls)
        row = {"work": self.work, "subject": self.subject, "value": statistics.median(self.samples)}
        print(json.dumps(row | {"unit": self.unit, "batches": len(self.samples)} | self.notes), flush=True)
        os._exit(0)


def moment():
    """The processor's time that this process has used, and the wall's."""
    return time.process_time_ns(), time.perf_counter_ns()


def resident_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def deadlines():
    """Seconds between one minute and one hour, in no order: see common/deadlines.h."""
    source = random.Random(1)
    while True:
        yield 60 + 3540 * source.random()


def subject_main(subject, works, run):
    """`run(work_function, meter)` starts the library and runs one work in it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    if wanted == "--works":
        print("\n".join(works))
    elif wanted in works:
        meter = Meter(subject, wanted, float(sys.argv[2]) if len(sys.argv) > 2 else 0.5)

        async def main():
            await works[wanted](meter)
            meter.finish()

        run(main)
    else:
        sys.exit(f"usage: {sys.argv[0]} WORK [SECONDS] | --works")
