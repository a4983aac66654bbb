# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the tests of one file, in a process of its own: worker.py <tier> <stack> <file> <result> [only=<test>...] [<test to leave out>...]

Writes a line of JSON when a test begins and one when it has ended.
"""
import faulthandler
import fnmatch
import gc
import json
import os
import signal
import sys
import time
import unittest


EXTRA = ["mixins"]  # Files of our own, which give CPython's tests other types.


class Result(unittest.TextTestResult):
    """Notes each test's outcome, and what weft's loop had to do with it."""

    def __init__(self, out, complaints, counts):
        super().__init__(sys.stderr, False, 0)
        self.out = out
        self.complaints = complaints
        self.counts = counts
        self.outcome = None

    def write(self, **line):
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.begin(test)

    def begin(self, test):
        self.outcome = "passed"
        self.detail = ""
        self.started = time.monotonic()
        self.before = self.counts()
        self.complaints.clear()
        self.write(begin=test.id())

    def stopTest(self, test):
        gc.collect()  # What a test has left behind is not to be told of in the next one.
        if self.outcome is not None:  # 3.12.1 stops tests that it has skipped without a start.
            self.end(test)
        super().stopTest(test)

    def end(self, test):
        self.write(end=test.id(), outcome=self.outcome, detail=self.detail, complaints=list(self.complaints),
                   counts={name: n - self.before[name] for name, n in self.counts().items()}, seconds=round(time.monotonic() - self.started, 3))
        self.outcome = None

    def note(self, test, outcome, detail):
        if self.outcome is None:  # Of a class or a module: there is no test. (3.12 skips classes in this way.)
            self.begin(test)
            self.outcome, self.detail = outcome, detail
            return self.end(test)
        if self.outcome != "failed":
            self.outcome, self.detail = outcome, detail

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "failed", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failed", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note(test, "skipped", "the suite expects it to fail")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "failed", "the suite expects it to fail")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, "failed", self._exc_info_to_string(err, test))


def select(suite, keep):
    kept = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(select(test, keep))
        elif keep(test.id()):
            kept.addTest(test)
    return kept


def without(suite, ids):
    return select(suite, lambda name: not any(fnmatch.fnmatchcase(name, each) for each in ids))


def chosen_of(suite, arguments):
    only = {each.removeprefix("only=") for each in arguments if each.startswith("only=")}
    if only:
        suite = select(suite, only.__contains__)
    return without(suite, {each for each in arguments if not each.startswith("only=")})


def main():
    tier, stack, name, result, *choice = sys.argv[1:]
    faulthandler.register(signal.SIGUSR2, all_threads=True, chain=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job has it ignored.
    out = os.fdopen(os.open(result, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC), "w")
    import inject
    import weft
    counts = weft.counts
    if tier == "stock":
        counts = lambda: {"callbacks": 0}
    else:
        inject.install(tier, stack)
    try:
        suite = unittest.defaultTestLoader.loadTestsFromName(name if name in EXTRA else f"test.test_asyncio.{name}")
    except unittest.SkipTest:  # For another system.
        suite = unittest.TestSuite()
    tests = Result(out, inject.complaints, counts)
    gc.collect()
    gc.freeze()
    chosen_of(suite, choice).run(tests)
    tests.write(done=name)


if __name__ == "__main__":
    main()
