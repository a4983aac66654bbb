# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tasks of weft in gdb, of a live process and of a core dump.

    (gdb) source tools/gdb/weft.py
    (gdb) weft tasks           the tree: names, numbers, states, what they wait for
    (gdb) weft bt 7            where task 7 is; or: weft bt NAME, weft bt all
    (gdb) weft ps              asyncio's tasks, of every loop: names, states, where they are, who awaits them
    (gdb) weft pstree          the same as a tree of who awaits whom

The program needs its debug information; it may be optimised. Stacks of waiting tasks are read on x86-64 only.
Nothing is called in the program, and nothing of it is changed.
"""
import gdb
import gdb.unwinder

DETAIL = "weft::fibers::detail::"
STATES = ["ready", "running", "waiting", "done"]  # weft::fibers::TaskState
# What a switch pushes on the stack that it leaves (fibers/core/context.h), from the saved stack pointer upwards: where
# to go on, rbx, rbp, then 128 bytes of red zone.
WORD = 8
RED_ZONE = 128


def word_at(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def c_string(value):
    return value.string(errors="replace") if int(value) else ""


def site_of(site):
    """(file, line, function) of a std::source_location."""
    impl = site["_M_impl"]
    if not int(impl):
        return "", 0, ""
    impl = impl.dereference()
    return c_string(impl["_M_file_name"]).rsplit("/", 1)[-1], int(impl["_M_line"]), c_string(impl["_M_function_name"])


class Task:
    def __init__(self, block):
        self.block = block  # A TaskBlock*.
        self.number = int(block["number"])
        self.state = STATES[int(block["state"])]
        if self.state == "ready" and int(block["scheduler"]["running_"]) == int(block):
            self.state = "running"
        self.file, self.line, function = site_of(block["site"])
        text = block["task_name"]
        size = int(text["_M_len"])
        self.name = text["_M_str"].string(length=size, errors="replace") if size else function

    def waits_for(self):
        info = self.block["wait_info"]
        number = int(info["number"])
        return c_string(info["what"]) + (f" {number}" if number >= 0 else "")

    def describe(self):
        state = f"waiting for {self.waits_for()}" if self.state == "waiting" else self.state
        cancelled = ", cancelled" if bool(self.block["cancel_status"]["effectively_cancelled"]) else ""
        return f"{self.name} #{self.number}  {state}{cancelled}  started at {self.file}:{self.line}"

    def nurseries(self):
        """Oldest first."""
        found = []
        nursery = self.block["innermost_nursery"]
        while int(nursery):
            found.append(nursery)
            nursery = nursery["next_of_parent_"]
        return found[::-1]


def tasks_of(nursery):
    """Oldest first."""
    found = []
    child = nursery["first_child_"]
    while int(child):
        found.append(Task(child))
        child = child["next_in_nursery"]
    return found[::-1]


def schedulers():
    """(thread, Scheduler) of every run. Selects the threads in turn, and at the end the one from before."""
    before, language = gdb.selected_thread(), gdb.parameter("language")
    found = []
    try:
        gdb.execute("set language c++")  # The thread may stand in a function written in C.
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            try:
                pointer = gdb.parse_and_eval(DETAIL + "tls_scheduler")
                if int(pointer):
                    found.append((thread, pointer.dereference()))
            except gdb.error as error:
                if "symbol" in str(error) or "No type" in str(error):
                    raise gdb.GdbError("weft: this program has no weft in it, or no debug information") from error
    finally:
        gdb.execute(f"set language {language}")
        if before is not None:
            before.switch()
    return found


def lines_of_tree(root):
    """Each task with its indented line, parents first; the task is None for a nursery's line."""
    todo = [("", "", root)]
    while todo:
        lead, indent, item = todo.pop()
        if isinstance(item, Task):
            yield item, lead + item.describe()
            children = item.nurseries()
        else:
            file, line, _ = site_of(item["site_"])
            yield None, f"{lead}nursery at {file}:{line}"
            children = tasks_of(item)
        for child in reversed(children):
            last = child is children[-1]
            todo.append((indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "), child))


def roots():
    found = []
    for thread, scheduler in schedulers():
        if int(scheduler["root_task"]):
            found.append((thread, scheduler, Task(scheduler["root_task"])))
    if not found:
        raise gdb.GdbError("weft: no run here")
    return found


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While a task is set, its frames follow below the innermost one of the thread."""

    def __init__(self):
        super().__init__("weft parked task")
        self.enabled = False
        self.point = None

    def __call__(self, pending):
        if self.point is None:
            return None
        point, self.point = self.point, None  # For the innermost frame only.
        here = int(pending.read_register("rsp"))
        info = pending.create_unwind_info(FrameId(here, int(pending.read_register("rip"))))
        above = point + 3 * WORD + RED_ZONE
        for register, value in [("rip", word_at(point)), ("rbx", word_at(point + WORD)),
                                ("rbp", word_at(point + 2 * WORD)), ("rsp", above)]:
            kind = pending.read_register(register).type
            info.add_saved_register(register, gdb.Value(value).cast(kind))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def own_frames():
    """How many lines of a backtrace the thread's innermost frame takes: also the functions inlined in it."""
    frame, count = gdb.newest_frame(), 1
    while frame.type() == gdb.INLINE_FRAME:
        frame, count = frame.older(), count + 1
    return count


def parked_backtrace(task):
    """gdb's own backtrace, with the frames of the parked task for those of the thread."""
    gdb.newest_frame().select()
    skip = own_frames()
    UNWINDER.point, UNWINDER.enabled = int(task.block["context"]["point"]), True
    gdb.invalidate_cached_frames()
    try:
        text = gdb.execute("backtrace", to_string=True)
    finally:
        UNWINDER.point, UNWINDER.enabled = None, False
        gdb.invalidate_cached_frames()
    out, shown = [], False
    for line in text.splitlines():
        if line.startswith("#"):
            number, _, rest = line[1:].partition(" ")
            shown = int(number) >= skip
            line = f"#{int(number) - skip:<3}{rest}"
        if shown:
            out.append(line)
    return "\n".join(out) + "\n"


def print_backtrace(thread, task):
    gdb.write(task.describe() + "\n")
    thread.switch()
    if task.state == "running":
        gdb.execute("backtrace")
    elif task.state == "done":
        gdb.write("it has ended\n")
    elif "weft_context_begin" in (gdb.execute(f"info symbol {word_at(int(task.block['context']['point'])):#x}",
                                              to_string=True)):
        gdb.write("it has not begun to run\n")
    else:
        gdb.write(parked_backtrace(task))


# --- Tasks of weft::loop. ---

LOOP = "weft::loop::detail::"
# The callbacks of futures that stand for another future, by the type of the callable; and where that is: its members
# in turn, a pointer being followed. (NodeOps::awaited_for in C++.)
STANDS_FOR = [
    ("GatheringCore::Link", ["outer_", "core_"]),
    ("ShieldLink", ["outer_", "core_"]),
    ("TaskGroupCore::Link", ["group_", "_M_ptr", "parent_", "core_"]),
    ("(anonymous namespace)::Wait::Link", ["wait", "waiter_", "core_"]),
    ("StackGeneratorState::TaskEnd", ["state_", "_M_ptr", "answer_", "core_"]),
    ("(anonymous namespace)::AwaitedByEdge", ["waiter", "core_"]),
]


def loop_type(name):
    return gdb.lookup_type(LOOP + name)


class LoopTask:
    def __init__(self, core):
        self.core = core  # A TaskCore.
        self.future = int(core["future_"].address)
        name = core["name_"]
        size = int(name["_M_string_length"])
        self.name = name["_M_dataplus"]["_M_p"].string(length=size, errors="replace") if size else f"Task-{int(core['number_'])}"
        self.title = f"(T) {self.name}"
        # By the table of virtual functions: gdb does not find types with lambdas in their names.
        self.kind = gdb.execute(f"info symbol {word_at(int(core.address)):#x}", to_string=True)
        self.waiters, self.awaits = [], []

    def is_kind(self, name):
        return self.kind.startswith(f"vtable for {LOOP}{name}<")

    def as_type(self, name):
        return self.core.address.cast(loop_type(name).pointer()).dereference()

    def fiber(self):
        """Null outside of its life; None if the code is no function with a stack."""
        return self.as_type("FiberTaskCore")["fiber_"] if self.is_kind("FiberTask") else None

    def at_rest(self):
        queued = int(self.core["node_"]["phase"]) == 1  # NodePhase::kQueued
        return not int(self.core["blocked_on_"]) and (bool(int(self.core["awaiting_"])) or queued)

    def state(self, tasks):
        if int(self.core["awaiting_"]) and self.at_rest():
            awaited = tasks.get(int(self.core["awaiting_"]))
            return f"awaits {awaited.name}" if awaited else "awaits a future"
        if self.at_rest():
            return "ready"
        if self.fiber() is not None and int(self.fiber()):
            return f"waits for {task_of_fiber(self.fiber()).waits_for()}"
        return "in a step"

    def frames(self):
        """Innermost first: the coroutines that await each other; of a function with a stack, where to look."""
        if self.fiber() is not None:
            return [f"on the stack of #{task_of_fiber(self.fiber()).number}"] if int(self.fiber()) else []
        found = []
        coroutine = self.is_kind("CoroTask") or self.is_kind("CoroFunctionTask")
        if not coroutine or not self.at_rest():
            return found
        frame = int(self.as_type("CoroTaskCore")["driver_"]["next_"]["_M_fr_ptr"])
        while frame:
            promise = gdb.Value(frame + 2 * WORD).cast(loop_type("PromiseBase").pointer()).dereference()
            file, line, function = site_of(promise["where_"])
            function = without_result(function)
            if not function.startswith(LOOP):
                found.append(f"{function} at {file}:{line}")
            frame = int(promise["awaiter_"]["_M_fr_ptr"])
        return found


class LoopFiber:
    """A task of fibers that awaits something of a loop."""

    def __init__(self, task):
        self.name, self.title = f"{task.name} #{task.number}", f"(F) {task.name} #{task.number}"
        self.waiters, self.awaits = [], []

    def frames(self):
        return []


def task_of_fiber(pointer):
    return Task(pointer.cast(gdb.lookup_type(DETAIL + "TaskBlock").pointer()))


def without_result(signature):
    """'weft::loop::Coro<int> fetch(int)' without the type that it returns."""
    depth = begin = 0
    for i, c in enumerate(signature):
        if c == "(":
            break
        depth += (c == "<") - (c == ">")
        if c == " " and depth == 0:
            begin = i + 1
    return signature[begin:]


def stands_for(node):
    """The FutureCore that goes on when this callback runs, or 0."""
    if not int(node["ops"]):
        return 0
    symbol = gdb.execute(f"info symbol {int(node['ops']):#x}", to_string=True)
    for name, path in STANDS_FOR:
        if f"NodeCallable<{LOOP}{name}," not in symbol:
            continue
        storage = node.cast(loop_type("CallbackNode").pointer())["storage"].address
        value = storage.cast(loop_type(name).pointer()).dereference()
        for member in path:
            value = value[member]
            if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
                if not int(value):
                    return 0
                value = value.dereference()
        return int(value.address)
    return 0


def awaiters(future, tasks, fibers, seen):
    """Tasks and fibers that wait for the FutureCore at this address. Futures that are no tasks pass it on."""
    core = gdb.Value(future).cast(loop_type("FutureCore").pointer()).dereference()
    node = core["first_callback_"]
    while int(node):
        kind = int(node["kind"])
        if kind == 1:  # NodeKind::kTask
            task = node.cast(loop_type("TaskNode").pointer())["task"]
            by = int(task["future_"].address)
        else:
            by = stands_for(node) if kind == 5 else 0  # NodeKind::kFuture
        if by in tasks:
            yield tasks[by]
        elif by and by not in seen:
            yield from awaiters(by, tasks, fibers, seen | {by})
        node = node["next"]
    waiter = core["first_waiter_"]
    while int(waiter):
        task = task_of_fiber(waiter["task"])
        yield fibers.setdefault(task.number, LoopFiber(task))
        waiter = waiter["next"]


def tasks_of_loop(core):
    """Tasks, the oldest first, then fibers; with who awaits whom."""
    found, pointer = [], core["living_"]["tasks_"]
    while int(pointer):
        found.append(LoopTask(pointer.dereference()))
        pointer = pointer["next_"]
    found.reverse()
    tasks, fibers = {task.future: task for task in found}, {}
    for task in found:
        for by in awaiters(task.future, tasks, fibers, {task.future}):
            if by not in task.waiters:
                task.waiters.append(by)
                by.awaits.append(task)
    return tasks, list(fibers.values())


def loops():
    """(number, LoopCore) of every loop, of every thread; the oldest of each first."""
    before, language = gdb.selected_thread(), gdb.parameter("language")
    found = []
    try:
        gdb.execute("set language c++")
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            of_thread = []
            try:
                pointer = gdb.parse_and_eval(LOOP + "loops_here")
            except gdb.error as error:
                if "symbol" in str(error) or "No type" in str(error):
                    raise gdb.GdbError("weft: this program has no loop of weft in it, or no debug information") from error
                continue
            while int(pointer):
                of_thread.append((thread, pointer["loop_"].referenced_value()))
                pointer = pointer["next_"]
            found += of_thread[::-1]
    finally:
        gdb.execute(f"set language {language}")
        if before is not None:
            before.switch()
    if not found:
        raise gdb.GdbError("weft: no loop here")
    return found


def cycles_of(members):
    """Lists of members that await each other in a circle; each is found once."""
    found, seen = [], set()

    def look(member, path):
        if member in path:
            found.append(path[path.index(member):] + [member])
        elif member not in seen:
            seen.add(member)
            for other in member.awaits:
                look(other, path + [member])

    for member in members:
        look(member, [])
    return found


def lines_of_awaits(members, lead="", path=()):
    for member in members:
        last, again = member is members[-1], member in path
        yield lead + ("└── " if last else "├── ") + member.title + (" again" if again else "")
        if again:
            continue
        below = lead + ("    " if last else "│   ")
        for frame in reversed(member.frames()):
            yield f"{below}└──  {frame}"
            below += "    "
        yield from lines_of_awaits(member.awaits, below, path + (member,))


class WeftPs(gdb.Command):
    """The tasks of every loop of weft: names, states, where they are, and who awaits them."""

    def __init__(self):
        super().__init__("weft ps", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for number, (thread, core) in enumerate(loops(), 1):
            tasks, _ = tasks_of_loop(core)
            rows = [("task name", "state", "coroutine stack", "awaited by")]
            for task in tasks.values():
                rows.append((task.name, task.state(tasks), " <- ".join(task.frames()),
                             ", ".join(by.name for by in task.waiters)))
            widths = [max(len(row[i]) for row in rows) for i in range(4)]
            gdb.write(f"loop {number} of thread {thread.num}, {len(tasks)} tasks\n")
            for row in rows:
                gdb.write("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() + "\n")


class WeftPstree(gdb.Command):
    """The tasks of every loop of weft as a tree: below each what it awaits."""

    def __init__(self):
        super().__init__("weft pstree", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for number, (thread, core) in enumerate(loops(), 1):
            tasks, fibers = tasks_of_loop(core)
            members = list(tasks.values()) + fibers
            gdb.write(f"loop {number} of thread {thread.num}, {len(tasks)} tasks\n")
            for cycle in cycles_of(members):
                gdb.write("cycle: " + " -> ".join(member.title for member in cycle) + "\n")
            for line in lines_of_awaits([member for member in members if not member.waiters]):
                gdb.write(line + "\n")


class Weft(gdb.Command):
    """Tasks of weft: weft tasks, weft bt NUMBER|NAME|all, weft ps, weft pstree."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class WeftTasks(gdb.Command):
    """The tree of tasks and nurseries of every run of the process."""

    def __init__(self):
        super().__init__("weft tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for thread, scheduler, root in roots():
            gdb.write(f"run of thread {thread.num}, {int(scheduler['living_'])} tasks\n")
            for _, line in lines_of_tree(root):
                gdb.write(line + "\n")


class WeftBt(gdb.Command):
    """weft bt NUMBER|NAME|all: where these tasks are, whether they run or wait."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        if not wanted:
            raise gdb.GdbError("weft bt: which task? Give a number or a name of `weft tasks`, or: all")
        before, found = gdb.selected_thread(), 0
        try:
            for thread, _, root in roots():
                for task, _ in lines_of_tree(root):
                    if task is not None and wanted in ("all", str(task.number), f"#{task.number}", task.name):
                        print_backtrace(thread, task)
                        found += 1
        finally:
            before.switch()
        if not found:
            raise gdb.GdbError(f"weft bt: there is no task '{wanted}'; see `weft tasks`")


Weft()
WeftTasks()
WeftBt()
WeftPs()
WeftPstree()
