#!/usr/bin/env python3
"""The test runner, tested with programs that behave and programs that do not.

Each case is a small tree of its own with fake test programs (shell scripts, where a built one is
needed too), and tells what the runner must print as its last line, its status, and perhaps a
text that must appear.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import tap

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
RUNNER = SOURCE / "tools" / "test.py"

GOOD = "echo 1..2; echo 'ok 1 - a'; echo 'ok 2 - b'"
CMOCKA_SKIP = "echo 1..2; echo 'ok 1 - a'; echo 'no loop devices'; echo 'not ok 2 # SKIP b'"

# name, {file: body}, runner's arguments, last line, status, text that must appear
CASES = [
    ("counts_every_line_of_a_good_program", {"a.test.sh": GOOD}, [],
     "2 passed, 0 failed, 0 skipped", 0, "unit/a.test.sh"),
    ("counts_built_programs_too", {"good_test": GOOD, "b.test.sh": GOOD}, [],
     "4 passed, 0 failed, 0 skipped", 0, "unit/good_test"),
    ("counts_each_failing_line_and_shows_the_output",
     {"a.test.sh": "echo 1..2; echo 'not ok 1 - a'; echo '# seen 7'; echo 'not ok 2 - b'; exit 2"},
     [], "0 passed, 2 failed, 0 skipped", 1, "# seen 7"),
    ("counts_a_failing_line_of_a_program_that_exits_with_0",
     {"a.test.sh": "echo 1..1; echo 'not ok 1 - a'"}, [], "0 passed, 1 failed, 0 skipped", 1, ""),
    ("counts_a_death_by_signal", {"a.test.sh": "echo 'ok 1 - a'; kill -SEGV $$"}, [],
     "1 passed, 1 failed, 0 skipped", 1, "died of SIGSEGV"),
    ("counts_a_status_without_a_failing_line", {"a.test.sh": GOOD + "; exit 3"}, [],
     "2 passed, 1 failed, 0 skipped", 1, "exited with status 3"),
    ("counts_a_program_that_prints_no_test", {"a.test.sh": "echo hello"}, [],
     "0 passed, 1 failed, 0 skipped", 1, "printed no test"),
    ("counts_a_plan_that_is_not_kept", {"a.test.sh": "echo 1..3; echo 'ok 1 - a'"}, [],
     "1 passed, 1 failed, 0 skipped", 1, "planned 3 tests, reported 1"),
    ("adds_up_several_plans", {"a.test.sh": GOOD + "; " + GOOD}, [],
     "4 passed, 0 failed, 0 skipped", 0, ""),
    ("does_not_take_a_summary_comment_for_a_test",
     {"a.test.sh": GOOD + "; echo '# not ok - group'; echo okay; echo ' ok 3 - indented'"}, [],
     "2 passed, 0 failed, 0 skipped", 0, ""),
    ("counts_a_skip_apart_and_tells_its_reason", {"a.test.sh": CMOCKA_SKIP}, [],
     "1 passed, 0 failed, 1 skipped", 0, "skipped: b: no loop devices"),
    ("counts_a_skip_of_a_script",
     {"a.test.sh": "echo 'ok 1 - a'; echo 'ok 2 - b # SKIP no namespaces'; echo 1..2"}, [],
     "1 passed, 0 failed, 1 skipped", 0, "skipped: b: no namespaces"),
    ("does_not_pass_when_all_is_skipped", {"a.test.sh": "echo '1..0 # SKIP no compiler'"}, [],
     "0 passed, 0 failed, 1 skipped", 1, "skipped: no compiler"),
    ("fails_when_nothing_runs", {}, [], "0 passed, 0 failed, 0 skipped", 1, "no test ran"),
    ("fails_when_the_pattern_matches_nothing", {"a.test.sh": GOOD}, ["--only", "zebra"],
     "0 passed, 0 failed, 0 skipped", 1, "no test ran"),
    ("runs_only_what_the_pattern_matches", {"a.test.sh": GOOD, "b.test.sh": "exit 9"},
     ["--only", "unit/a*"], "2 passed, 0 failed, 0 skipped", 0, ""),
    ("repeats", {"a.test.sh": GOOD}, ["--repeat", "3"], "6 passed, 0 failed, 0 skipped", 0, ""),
    ("ends_a_program_that_takes_too_long", {"a.test.sh": "# timeout: 1\necho 'ok 1 - a'; sleep 60"},
     [], "1 passed, 1 failed, 0 skipped", 1, "took longer than 1 s"),
    ("finds_processes_left_behind", {"a.test.sh": GOOD + "; sleep 60 &"}, [],
     "2 passed, 1 failed, 0 skipped", 1, "left processes behind: sleep"),
    ("runs_serial_programs_alone",
     {name: f"# serial\necho 1..1\nmkdir {{root}}/alone && echo 'ok 1 - {name}'\n"
            "sleep 0.2; rmdir {root}/alone" for name in ("a.test.sh", "b.test.sh", "c.test.sh")},
     [], "3 passed, 0 failed, 0 skipped", 0, ""),
    ("gives_no_stdin_and_a_scratch_directory",
     {"a.test.sh": "read line; echo ok 1 - a; test -z \"$line\" && test -d \"$TMPDIR\" && "
                   "test -d \"$TN_SOURCE_DIR\" && echo ok 2 - b; echo 1..2"}, [],
     "2 passed, 0 failed, 0 skipped", 0, ""),
    ("tells_a_script_that_cannot_be_started", {"plain:a.test.sh": GOOD}, [],
     "0 passed, 1 failed, 0 skipped", 1, "cannot be started"),
    ("names_a_built_program_whose_source_is_gone", {"stale:old_test": GOOD, "a.test.sh": GOOD},
     [], "2 passed, 0 failed, 0 skipped", 0, "stale: "),
    ("skips_plain_programs_in_a_sanitized_build",
     {"a.test.sh": "# build: plain\n" + GOOD, "b.test.sh": GOOD,
      "cache:": "TN_SANITIZE:STRING=thread"},
     [], "2 passed, 0 failed, 1 skipped", 0, "only for a build without sanitizers"),
    ("survives_output_that_is_not_text", {"a.test.sh": "printf '\\377\\000\\n'; " + GOOD}, [],
     "2 passed, 0 failed, 0 skipped", 0, ""),
]


def plant(root, files):
    """Writes a case's tree: scripts below tests/unit, "built" programs below build/tests."""
    (root / "tests" / "unit").mkdir(parents=True)
    (root / "build" / "tests").mkdir(parents=True)
    for name, body in files.items():
        body = body.replace("{root}", str(root))
        kind, _, name = name.rpartition(":")
        if kind == "cache":
            (root / "build" / "CMakeCache.txt").write_text(body + "\n")
            continue
        built = name.endswith("_test")
        path = root / ("build/tests" if built else "tests/unit") / name
        path.write_text("#!/bin/sh\n" + body + "\n")
        path.chmod(0o644 if kind == "plain" else 0o755)
        if built and kind != "stale":
            (root / "tests" / "unit" / (name + ".c")).write_text("/* source */\n")


def run_case(suite, case):
    name, files, arguments, last, status, text = case
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        plant(root, files)
        done = subprocess.run(
            [sys.executable, str(RUNNER), "--source", str(root), "--build", str(root / "build")]
            + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=60, env=dict(os.environ), check=False)
    lines = done.stdout.splitlines()
    holds = bool(lines) and lines[-1] == last and done.returncode == status and text in done.stdout
    suite.check(f"runner_{name}", holds,
                f"status {done.returncode}, wanted {status}, {last!r}, {text!r}\n{done.stdout}")


def check_interruption(suite):
    """Ended itself, the runner ends what it started, tells so, and starts nothing more."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        slow = f"echo $$ >>{root}/pids; echo 'ok 1 - a'; exec sleep 60"
        plant(root, {f"{name}.test.sh": slow for name in "abcd"})
        with subprocess.Popen([sys.executable, str(RUNNER), "--source", str(root), "--build",
                               str(root / "build")], stdout=subprocess.PIPE, text=True) as runner:
            for _ in range(200):
                if (root / "pids").exists() and len((root / "pids").read_text().split()) == 2:
                    break
                time.sleep(0.05)
            runner.terminate()
            said = runner.communicate(timeout=30)[0].splitlines()
        time.sleep(0.2)
        pids = (root / "pids").read_text().split()
        alive = [pid for pid in pids if pathlib.Path(f"/proc/{pid}/exe").exists()]
    suite.check("runner_ends_what_it_started_when_it_is_ended",
                len(pids) == 2 and not alive and runner.returncode == 1 and "interrupted" in said
                and said[-1].endswith("failed, 0 skipped"), f"{pids} {alive} {said}")


def main():
    suite = tap.Suite()
    for case in CASES:
        run_case(suite, case)
    check_interruption(suite)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
