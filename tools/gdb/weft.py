# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tasks of weft in gdb, of a live process and of a core dump.

    (gdb) source tools/gdb/weft.py
    (gdb) weft tasks           the tree: names, numbers, states, what they wait for
    (gdb) weft bt 7            where task 7 is; or: weft bt NAME, weft bt all

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


class Weft(gdb.Command):
    """Tasks of weft: weft tasks, weft bt NUMBER|NAME|all."""

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
