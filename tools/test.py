#!/usr/bin/env python3
"""Runs every test and counts what they say.

A test program is either build/tests/<stem>_test, built from tests/*/<stem>_test.c, or an
executable script tests/*/<name>.test.sh or .test.py. Both speak TAP: `ok`, `not ok`, a
`# SKIP reason`, a plan `1..N` (several plans add up). The runner trusts nobody: a program that
dies, exits nonzero without a failing line, keeps less than its plan, prints no test at all, takes
too long or leaves processes behind counts as one failure.

Marks, each on a comment line of its own among the first 80 lines of a script or of the C source:
    serial          run alone, after all others
    timeout: N      seconds allowed (300 without a mark; more with a sanitizer)
    build: plain    skipped when the build directory is a sanitized one

A program gets TN_SOURCE_DIR, TN_BUILD_DIR (both absolute), a TMPDIR of its own that is removed
afterwards, no stdin, and a process group of its own. Its working directory is the source tree.

The last line is `N passed, N failed, N skipped`; status 1 if any failed or none ran.
"""
import argparse
import dataclasses
import fnmatch
import os
import pathlib
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT_SECONDS = 300
SANITIZED_SLOWNESS = 4
MARKED_LINES = 80
SHOWN_BYTES_MAX = 400_000
LEFT_BEHIND_GRACE_SECONDS = 2.0
# Of the make that called us: a test that builds something is no part of that build.
MAKE_VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")

MARK = re.compile(r"^\s*(?:#|/\*|//|\*)\s*(serial|timeout:\s*\d+|build:\s*plain)\s*(?:\*/)?\s*$")
RESULT = re.compile(r"^(ok|not ok)\b[ \t]*(\d+)?[ \t]*(.*)$")
SKIP = re.compile(r"#\s*skip\b:?[ \t]*(.*)$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)(.*)$")


@dataclasses.dataclass
class Program:
    """One thing to run: what it is called, how to start it, and its marks."""
    name: str
    path: pathlib.Path
    serial: bool = False
    plain: bool = False
    timeout: int = TIMEOUT_SECONDS

    def read_marks(self, text_path):
        with open(text_path, errors="replace") as text:
            for _, line in zip(range(MARKED_LINES), text):
                mark = MARK.match(line)
                if not mark:
                    continue
                if mark[1] == "serial":
                    self.serial = True
                elif mark[1].startswith("build"):
                    self.plain = True
                else:
                    self.timeout = int(mark[1].split(":")[1])


@dataclasses.dataclass
class Verdict:
    """What one run of one program amounted to."""
    passed: int = 0
    failed: int = 0
    planned: int = 0
    skips: list = dataclasses.field(default_factory=list)
    problem: str = ""

    def conclude(self):
        """A problem that no failing line stands for is a failure of its own."""
        told = self.passed + self.failed + len(self.skips)
        if not self.problem and told == 0:
            self.problem = "printed no test"
        if not self.problem and told < self.planned:
            self.problem = f"planned {self.planned} tests, reported {told}"
        if self.problem and self.failed == 0:
            self.failed = 1


def read_tap(text):
    """Counts the TAP lines of an output. cmocka writes a skip as `not ok N # SKIP name` and its
    reason, if any, as a plain line before it."""
    verdict = Verdict()
    said = ""
    for line in text.splitlines():
        plan = PLAN.match(line)
        result = RESULT.match(line)
        skip = SKIP.search(line) if plan or result else None
        if plan and plan[1] == "0":
            if skip:
                verdict.skips.append(skip[1] or "no reason given")
        elif plan:
            verdict.planned += int(plan[1])
        elif result and skip:
            name = result[3][: SKIP.search(result[3]).start()].strip(" -")
            parts = [name, skip[1].strip(), said if not name else ""]
            verdict.skips.append(": ".join(p for p in parts if p) or "no reason given")
        elif result and result[1] == "ok":
            verdict.passed += 1
        elif result:
            verdict.failed += 1
        said = line.strip() if not plan and not result else ""
    return verdict


def discover(source, build):
    """The programs of a tree, and the built ones whose source is gone."""
    programs, stale = [], []
    sources = {path.stem: path for path in sorted(source.glob("tests/*/*_test.c"))}
    for path in sorted(build.glob("tests/*_test")):
        if not os.access(path, os.X_OK) or path.is_dir():
            continue
        if path.name not in sources:
            stale.append(path)
            continue
        text = sources[path.name]
        program = Program(f"{text.parent.name}/{path.name}", path)
        program.read_marks(text)
        programs.append(program)
    for pattern in ("tests/*/*.test.sh", "tests/*/*.test.py"):
        for path in sorted(source.glob(pattern)):
            program = Program(f"{path.parent.name}/{path.name}", path)
            program.read_marks(path)
            programs.append(program)
    return programs, stale


def is_sanitized(build):
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        return False
    return re.search(r"^TN_SANITIZE:\w+=(.+)$", cache.read_text(), re.MULTILINE) is not None


def alive_in_group(group):
    """The commands of the processes of a group that still run; zombies do not."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(errors="replace")
        except OSError:
            continue
        command = text[text.index("(") + 1:text.rindex(")")]
        state, _, pgrp = text[text.rindex(")") + 2:].split()[:3]
        if int(pgrp) == group and state not in "ZX":
            found.append(command)
    return found


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_of(process, timeout):
    """Waits for a program; returns what was wrong with its end, or nothing."""
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()
        return f"took longer than {timeout} s"
    patience = time.monotonic() + LEFT_BEHIND_GRACE_SECONDS
    while (left := alive_in_group(process.pid)) and time.monotonic() < patience:
        time.sleep(0.05)
    if left:
        kill_group(process.pid)
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    if status > 0:
        return f"exited with status {status}"
    if left:
        return f"left processes behind: {' '.join(sorted(left))}"
    return ""


class Runner:
    """Runs programs on a few threads and keeps the totals; all printing is under one lock."""

    def __init__(self, source, build):
        self.source = source
        self.build = build
        self.lock = threading.Lock()
        self.running = set()
        self.stopping = False
        self.threads = []
        self.slowness = SANITIZED_SLOWNESS if is_sanitized(self.build) else 1
        self.passed = self.failed = self.skipped = 0

    def run(self, program):
        scratch = tempfile.mkdtemp(prefix="tn-")
        environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", TMPDIR=scratch,
                           TN_SOURCE_DIR=str(self.source), TN_BUILD_DIR=str(self.build))
        environment.setdefault("TSAN_OPTIONS",
                               f"suppressions={self.source / 'tools' / 'tsan.supp'}")
        for name in MAKE_VARIABLES:
            environment.pop(name, None)
        started = time.monotonic()
        try:
            with tempfile.TemporaryFile() as output:
                problem = self.run_into(program, environment, output)
                output.seek(0)
                text = output.read().decode(errors="replace")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        verdict = read_tap(text)
        verdict.problem = problem
        verdict.conclude()
        self.report(program, verdict, text, time.monotonic() - started)

    def run_into(self, program, environment, output):
        with self.lock:
            if self.stopping:
                return "interrupted"
            try:
                process = subprocess.Popen(
                    [str(program.path)], stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, cwd=self.source, env=environment,
                    start_new_session=True)
            except OSError as error:
                return f"cannot be started: {error.strerror}"
            self.running.add(process.pid)
        problem = end_of(process, program.timeout * self.slowness)
        self.running.discard(process.pid)
        return problem

    def report(self, program, verdict, text, seconds):
        skips = len(verdict.skips)
        with self.lock:
            self.passed += verdict.passed
            self.failed += verdict.failed
            self.skipped += skips
            word = "FAILED" if verdict.failed else "ok"
            counts = f"{verdict.passed} passed"
            counts += f", {verdict.failed} failed" if verdict.failed else ""
            counts += f", {skips} skipped" if skips else ""
            print(f"{word:6} {program.name:44} {seconds:7.2f} s  {counts}")
            for reason in verdict.skips:
                print(f"       skipped: {reason}")
            if verdict.failed:
                self.show(program, verdict.problem, text)
            sys.stdout.flush()

    def show(self, program, problem, text):
        print(f"---- output of {program.path}")
        if len(text) > SHOWN_BYTES_MAX:
            print(f"(the last {SHOWN_BYTES_MAX} of {len(text)} characters)")
            text = text[-SHOWN_BYTES_MAX:]
        print(text.rstrip("\n"))
        print(f"---- end of {program.name}{': ' + problem if problem else ''}")

    def stop(self):
        """Ends what runs and lets nothing else start."""
        with self.lock:
            self.stopping = True
            for group in self.running:
                kill_group(group)
        for thread in self.threads:
            thread.join(LEFT_BEHIND_GRACE_SECONDS)

    def skip(self, program, reason):
        with self.lock:
            self.skipped += 1
            print(f"{'skip':6} {program.name:44} {reason}")

    def run_all(self, programs, jobs):
        """The serial programs last and alone; the others `jobs` at a time, those that may take
        long first, so that none of them is left for the end."""
        waiting = queue.SimpleQueue()
        for program in sorted((p for p in programs if not p.serial), key=lambda p: -p.timeout):
            waiting.put(program)

        def work():
            while not self.stopping:
                try:
                    self.run(waiting.get_nowait())
                except queue.Empty:
                    return

        self.threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        for program in programs:
            if program.serial:
                self.run(program)


def selected(name, pattern):
    if not pattern:
        return True
    return fnmatch.fnmatch(name, pattern) if "*" in pattern else pattern in name


def parse_arguments():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Run the tests of tenure.")
    parser.add_argument("--build", type=pathlib.Path, default=here / "build", metavar="DIR")
    parser.add_argument("--source", type=pathlib.Path, default=here, metavar="DIR")
    parser.add_argument("--only", metavar="PATTERN",
                        help="part of a program's name, or a pattern with *")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    return parser.parse_args()


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    runner = Runner(arguments.source.resolve(), arguments.build.resolve())
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    programs, stale = discover(runner.source, runner.build)
    for path in stale:
        print(f"stale: {path} has no source any more; not run")
    programs = [p for p in programs if selected(p.name, arguments.only)]
    if is_sanitized(runner.build):
        for program in programs:
            if program.plain:
                runner.skip(program, "only for a build without sanitizers")
        programs = [p for p in programs if not p.plain]
    try:
        runner.run_all(programs * arguments.repeat, max(1, arguments.jobs))
    except KeyboardInterrupt:
        runner.stop()
        print("interrupted")
        runner.failed += 1
    if runner.passed + runner.failed == 0:
        print("no test ran")
    print(f"{runner.passed} passed, {runner.failed} failed, {runner.skipped} skipped", flush=True)
    return 1 if runner.failed or runner.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
