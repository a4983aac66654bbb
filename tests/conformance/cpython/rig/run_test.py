#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""That the runner fails where it should: run_test.py"""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
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


class ChosenTest(unittest.TestCase):
    def test_only_what_is_named_runs_and_not_what_is_left_out(self):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(VerdictTest)
        prefix = f"{__name__}.VerdictTest."
        one, other = f"{prefix}test_an_unexpected_pass_is_wrong", f"{prefix}test_an_expected_complaint_that_does_not_come_is_wrong"
        ids = lambda *arguments: sorted(test.id() for each in [worker.chosen_of(suite, arguments)] for test in each)
        self.assertEqual(ids(f"only={one}"), [one])
        self.assertEqual(ids(f"only={one}", f"only={other}", other), [one])
        self.assertEqual(len(ids(one)), suite.countTestCases() - 1)


class AgainTest(unittest.TestCase):
    """Whose second try, alone, counts."""

    LATE = "AssertionError: 0.3 not less than 0.1"
    EXPECTED = {ID: {"late": r"AssertionError: [0-9.]+ not less than 0\.1", "reason": "because"}}

    def again(self, first, second=None, complaints=()):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            program = folder / "python"
            program.write_text(f"""#!/bin/sh
                begin='{{"begin": "{run.PREFIX}{ID}"}}'
                end='{json.dumps(dict(second, end=run.PREFIX + ID)) if second else ''}'
                [ "$6" = only={run.PREFIX}{ID} ] || exit 1
                [ $# = 6 ] || {{ echo '{{"done": 1}}' >$5; exit; }}
                echo "$begin" >$5
                [ "$end" ] && echo "$end\\n{{\\"done\\": 1}}" >>$5""")
            program.chmod(0o755)
            options = types.SimpleNamespace(tier="T1", stack="caller", build=folder, python=str(program), patience=5)
            ran = types.SimpleNamespace(tests={ID: {"outcome": "failed", "detail": first, "complaints": complaints}, "other": {"outcome": "passed"}})
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                run.try_again(options, {"test_x": ran}, self.EXPECTED, folder)
            return ran.tests[ID], said.getvalue()

    def test_one_that_was_late_and_passes_alone_has_passed_and_that_is_said(self):
        test, said = self.again(f"Traceback\n{self.LATE}\n", {"outcome": "passed"})
        self.assertEqual(test["outcome"], "passed")
        self.assertIn(f"{ID} failed by the clock ({self.LATE}); alone it has passed", said)

    def test_one_that_fails_again_has_failed(self):
        test, said = self.again(self.LATE, {"outcome": "failed", "detail": self.LATE})
        self.assertEqual(test["outcome"], "failed")
        self.assertIn("alone it has failed", said)

    def test_what_the_second_try_complains_of_counts(self):
        test, _ = self.again(self.LATE, {"outcome": "passed", "complaints": ["lost"]})
        self.assertIn("lost", run.verdict(ID, test, self.EXPECTED))

    def test_a_second_try_that_does_not_end_has_failed(self):
        test, _ = self.again(self.LATE)
        self.assertEqual(test["outcome"], "failed")
        self.assertIn("ended the process", test["detail"])

    def test_another_failure_has_no_second_try(self):
        for first in ["AssertionError: True != False", f"{self.LATE}\nRuntimeError: no", f"{self.LATE} and more", ""]:
            test, said = self.again(first, {"outcome": "passed"})
            self.assertEqual((test["outcome"], said), ("failed", ""))
        test, said = self.again(self.LATE, {"outcome": "passed"}, ["lost"])
        self.assertEqual((test["outcome"], said), ("failed", ""))

    def test_one_that_is_not_named_has_no_second_try(self):
        self.assertFalse(run.failed_by_the_clock("test_x.Tests.test_z", {"outcome": "failed", "detail": self.LATE}, self.EXPECTED))


class FloorsTest(unittest.TestCase):
    def test_fewer_than_the_floor_are_wrong(self):
        rows = {"test_x": {"passed": 9, "executed": 5}}
        self.assertEqual(len(list(run.below_floors(rows, {"test_x": {"passed": 10, "executed": 5}}, {"test_x": {}}))), 1)
        self.assertEqual(list(run.below_floors(rows, {"test_x": {"passed": 9}, "test_other": {"passed": 1}}, {"test_x": {}})), [])


class SparedTest(unittest.TestCase):
    def test_what_a_test_is_without_by_chance_is_spared(self):
        def worker(primitives, outcome="passed", name="test_x.Tests" + run.BY_CHANCE):
            return types.SimpleNamespace(tests={name: {"outcome": outcome, "counts": {"callbacks": 1, "primitives": primitives}}})
        self.assertEqual({spared: run.spared(worker(0))[spared] for spared in ("executed", "primitives")}, {"executed": 0, "primitives": 1})
        self.assertEqual([run.spared(w)["primitives"] for w in (worker(2), worker(0, "failed"), worker(0, name="test_x.Tests.other"))], [0, 0, 0])
        floors, rows = {"test_x": {"primitives": 85}}, {"test_x": {"primitives": 84}}
        self.assertEqual(list(run.below_floors(rows, floors, {"test_x": {"primitives": 1}})), [])
        self.assertEqual(len(list(run.below_floors(rows, floors, {"test_x": {"primitives": 0}}))), 1)


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
