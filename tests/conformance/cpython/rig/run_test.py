#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""That the runner fails where it should: run_test.py"""
import importlib.machinery
import importlib.util
import sys
import tempfile
import types
import unittest
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "run"
loader = importlib.machinery.SourceFileLoader("run", str(RUN))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
sys.dont_write_bytecode = True
loader.exec_module(run)

sys.path.insert(0, str(RUN.parent / "rig"))
import worker  # noqa: E402

ID = "test_x.Tests.test_y"


class VerdictTest(unittest.TestCase):
    def verdict(self, expected=None, **test):
        return run.verdict(ID, test, {ID: dict(expected, reason="because")} if expected else {})

    def test_a_failure_is_wrong_unless_it_is_expected(self):
        self.assertIn("no", self.verdict(outcome="failed", detail="no"))
        self.assertIsNone(self.verdict({"outcome": "fails"}, outcome="failed"))

    def test_an_unexpected_pass_is_wrong(self):
        self.assertIn("because", self.verdict({"outcome": "fails"}, outcome="passed"))
        self.assertIsNone(self.verdict(outcome="passed"))

    def test_a_complaint_to_the_exception_handler_is_wrong_unless_it_is_expected(self):
        self.assertIn("lost", self.verdict(outcome="passed", complaints=["lost"]))
        self.assertIsNone(self.verdict({"handler": ["lo"]}, outcome="passed", complaints=["lost"]))
        self.assertIn("more", self.verdict({"handler": ["lo"]}, outcome="passed", complaints=["lost", "more"]))

    def test_an_expected_complaint_that_does_not_come_is_wrong(self):
        self.assertIn("nothing", self.verdict({"handler": ["lo"]}, outcome="passed", complaints=[]))


class LeftOutTest(unittest.TestCase):
    def left(self, *patterns):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(FloorsTest)
        return worker.without(suite, set(patterns)).countTestCases()

    def test_what_is_left_out_is_named_by_its_id_or_by_its_class(self):
        name = f"{__name__}.FloorsTest"
        self.assertEqual(self.left(f"{name}.test_fewer_than_the_floor_are_wrong"), 0)
        self.assertEqual(self.left(f"{name}.*"), 0)
        self.assertEqual(self.left(f"{name}.test_other", f"{name}Other.*"), 1)


class FloorsTest(unittest.TestCase):
    def test_fewer_than_the_floor_are_wrong(self):
        rows = {"test_x": {"passed": 9, "executed": 5}}
        self.assertEqual(len(list(run.below_floors(rows, {"test_x": {"passed": 10, "executed": 5}}))), 1)
        self.assertEqual(list(run.below_floors(rows, {"test_x": {"passed": 9}, "test_other": {"passed": 1}})), [])


class WorkerTest(unittest.TestCase):
    """With a program instead of Python that writes what the worker would."""

    def work(self, script, left_out=()):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            program = folder / "python"
            program.write_text("#!/bin/sh\nresult=$5\nshift 5\n" + script)
            program.chmod(0o755)
            options = types.SimpleNamespace(tier="T1", stack="caller", build=folder, python=str(program), patience=0.3)
            return run.Worker(options, "test_x", folder, left_out).run().tests

    def test_a_test_that_hangs_is_named_and_the_others_run(self):
        tests = self.work(f"""
            [ $# -gt 0 ] && {{ echo '{{"begin": "b"}}\n{{"end": "b", "outcome": "passed"}}\n{{"done": 1}}' >$result; exit; }}
            trap '' USR2
            echo '{{"begin": "{run.PREFIX}{ID}"}}' >$result
            sleep 60""")
        self.assertIn("took more", tests[ID]["detail"])
        self.assertEqual(tests["b"]["outcome"], "passed")

    def test_a_test_that_is_left_out_is_not_run(self):
        tests = self.work(f"""
            [ "$1" = {run.PREFIX}{ID} ] || exit 1
            echo '{{"begin": "b"}}\n{{"end": "b", "outcome": "passed"}}\n{{"done": 1}}' >$result""", [ID])
        self.assertEqual(list(tests), ["b"])

    def test_a_test_that_ends_the_process_is_named(self):
        tests = self.work(f"""
            [ $# -gt 0 ] && {{ echo '{{"done": 1}}' >$result; exit; }}
            echo '{{"begin": "{run.PREFIX}{ID}"}}' >$result
            exit 7""")
        self.assertEqual(tests[ID]["outcome"], "failed")
        self.assertIn("ended the process (7)", tests[ID]["detail"])

    def test_a_process_that_does_not_begin_is_wrong(self):
        self.assertEqual(self.work("echo broken; exit 1")["test_x.?"]["outcome"], "failed")


if __name__ == "__main__":
    unittest.main()
