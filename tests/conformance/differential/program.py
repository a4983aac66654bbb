# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Random asyncio programs as data: how they are drawn, written and made smaller.

A program is a list: how many futures, the sizes of the queues, how many locks and events, and the bodies of its tasks.
A body is a list of operations, an operation a list that begins with its name. Durations are whole units of a clock that
nobody waits for. Written, it is one line of words and parentheses, which differential.cc reads too.

What is not drawn, because weft documents that it differs, or CPython's versions differ among themselves:
  - semaphores and conditions: who gets in first has changed with 3.11.3 and 3.13;
  - two timers that fall due together: asyncio leaves their order open (in_python.py notices them, and the program is
    not counted);
  - a cancellation that reaches a task with a task group in it: weft cancels the group's tasks at once and asyncio an
    iteration later (loop/README.md), and 3.11 loses count of the cancellations, which 3.13 does not. So nobody cancels
    such a task, or waits for one in a way that would;
  - messages of cancellations: gather, shield and timeout pass them on differently from version to version.
"""
import random

FUTURES, LOCKS, EVENTS = 4, 2, 2
QUEUES = (0, 1)
END = 50_000


class Drawing:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tasks = self.random.randint(2, 7)
        self.has_group = set()
        self.group_allowed = True

    def program(self):
        bodies = [self.ops(task, 0, group=False) for task in range(self.tasks)]
        for task in range(1, self.tasks):  # Whatever else spawns it: once it has begun, that does nothing.
            if self.random.random() < 0.7:
                bodies[0].insert(self.random.randint(0, len(bodies[0])), ["spawn", str(task)])
        for body in bodies:
            self.spare_groups(body)
        return [list(map(str, [FUTURES, LOCKS, EVENTS])), list(map(str, QUEUES)), bodies]

    def spare_groups(self, ops):
        grouped = {f"t{task}" for task in self.has_group}
        for op in ops:
            if op[0] in ("await", "gather"):
                op[1:] = [word for word in op[1:] if word not in grouped]
        ops[:] = [op for op in ops if not (op[0] in ("cancel", "group_spawn") and f"t{op[1]}" in grouped) and op != ["await"]]
        for op in ops:
            for part in op:
                if isinstance(part, list):
                    self.spare_groups(part)

    def delay(self):
        return str(self.random.randint(1, 4000))

    def task(self):
        return str(self.random.randrange(1, self.tasks))

    def target(self):
        return f"t{self.task()}" if self.random.random() < 0.6 else f"f{self.random.randrange(FUTURES)}"

    def targets(self):
        wanted = {self.target() for _ in range(self.random.randint(1, 3))}
        return sorted(wanted)

    def ops(self, task, depth, group):
        length = self.random.randint(1, 6 if depth == 0 else 3)
        return [self.op(task, depth, group) for _ in range(length)]

    def op(self, task, depth, group):
        draw = self.random
        simple = {
            "sleep": lambda: [self.delay()], "yield": lambda: [], "raise": lambda: [str(draw.randint(0, 9))],
            "set": lambda: [str(draw.randrange(FUTURES)), str(draw.randint(0, 9))],
            "fail": lambda: [str(draw.randrange(FUTURES)), str(draw.randint(0, 9))],
            "cancel_future": lambda: [str(draw.randrange(FUTURES))],
            "await": lambda: [self.target()], "shield": lambda: [self.target()], "spawn": lambda: [self.task()],
            "cancel": lambda: [self.task()], "cancelling": lambda: [],
            "gather": lambda: [str(draw.randint(0, 1)), *self.targets()],
            "wait": lambda: [draw.choice(["first", "error", "all"]), draw.choice(["-", self.delay()]), *self.targets()],
            "put": lambda: [str(draw.randrange(len(QUEUES))), str(draw.randint(0, 9))],
            "get": lambda: [str(draw.randrange(len(QUEUES)))],
            "get_nowait": lambda: [str(draw.randrange(len(QUEUES)))],
            "event_set": lambda: [str(draw.randrange(EVENTS))], "event_clear": lambda: [str(draw.randrange(EVENTS))],
            "event_wait": lambda: [str(draw.randrange(EVENTS))],
        }
        weights = {"group": 3, "sleep": 5, "yield": 3, "await": 4, "spawn": 5, "set": 3, "gather": 3, "wait": 2, "cancel": 4, "raise": 1,
                   "shield": 2}
        if group:
            simple["group_spawn"] = lambda: [self.task()]
            weights["group_spawn"] = 8
        if depth < 3:
            inside = lambda: self.ops(task, depth + 1, group)
            limited = lambda: self.without_groups(inside)
            simple.update({
                "try": lambda: [draw.choice(["swallow", "raise"]), inside(), inside()],
                "timeout": lambda: [self.delay(), limited()],
                "wait_for": lambda: [self.delay(), limited()],
                "lock": lambda: [str(draw.randrange(LOCKS)), inside()],
            })
            if self.group_allowed:
                simple["group"] = lambda: [self.group(task, depth)]
            weights.update({"try": 6, "timeout": 4, "wait_for": 3, "lock": 4})
        names = list(simple)
        name = draw.choices(names, [weights.get(n, 1) for n in names])[0]
        return [name, *simple[name]()]

    def without_groups(self, draw):
        before, self.group_allowed = self.group_allowed, False
        ops = draw()
        self.group_allowed = before
        return ops

    def group(self, task, depth):
        self.has_group.add(task)
        return self.without_groups(lambda: self.ops(task, depth + 1, group=True))


def draw_program(seed):
    return Drawing(seed).program()


def written(program):
    if isinstance(program, str):
        return program
    return "(" + " ".join(map(written, program)) + ")"


def has_group(ops):
    return any(op[0] == "group" or any(has_group(part) for part in op if isinstance(part, list)) for op in ops)


def pretty(program):
    (counts, queues, bodies) = program
    lines = [f"futures, locks, events: {' '.join(counts)}; queues: {' '.join(queues)}"]

    def add(ops, indent):
        for op in ops:
            lines.append(" " * indent + " ".join(part for part in op if isinstance(part, str)))
            for part in op:
                if isinstance(part, list):
                    add(part, indent + 4)
                    lines.append(" " * (indent + 2) + "--")

    for task, body in enumerate(bodies):
        lines.append(f"task {task}:")
        add(body, 4)
    return "\n".join(lines)


def smaller(program):
    """Yields programs with one operation less, or with a block's operations in the place of the block."""
    counts, queues, bodies = program

    def variants(ops):
        for i, op in enumerate(ops):
            yield ops[:i] + ops[i + 1:]
            for k, part in enumerate(op):
                if isinstance(part, list):
                    yield ops[:i] + part + ops[i + 1:]
                    for variant in variants(part):
                        yield ops[:i] + [op[:k] + [variant] + op[k + 1:]] + ops[i + 1:]

    for task, body in enumerate(bodies):
        for variant in variants(body):
            yield [counts, queues, bodies[:task] + [variant] + bodies[task + 1:]]
