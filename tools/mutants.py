#!/usr/bin/env python3
"""Build each mutant of the cells of leases and logs and show that exploration catches it.

A mutant is a patch, tests/explore/mutants/NAME.patch, that weakens a rule, alone or together
with the rule that hides it. Its first lines say which rule, where that shows and how:

    # rule: A2                       the rule of the specification
    # config: base                   a configuration of tenure-sim explore
    # invariant: inv.L1              judge by this one alone (optional)
    # reduction: no                  merge no states: it undoes what merging relies on (optional)
    # expect: violation inv.L1 25    what it breaks, and the states of the shortest trace
                                     (optional); or: exhausted (another rule suffices)
    # why: ...

Each is applied to a copy of the sources in build/mutants/NAME/ and built into an explorer of its
own. A patch that no longer applies fails, and so does a mutant that survives.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "explore" / "mutants"
SOURCES = ["src/paxos/lease_acceptor.c", "src/paxos/lease_proposer.c", "src/paxos/ceiling.c",
           "src/paxos/configuration.c", "src/paxos/log_acceptor.c", "src/paxos/log_proposer.c",
           "src/paxos/log_learner.c", "src/paxos/log_configuration.c", "src/check/log_rows.c",
           "src/base/text.c", "src/check/lease_rows.c", "src/cmd/simulate_search.c",
           "tests/explore/mutants/explorer.c"]
FOLDERS = ["include", "src/base", "src/paxos", "src/check"]
FILES = ["src/cmd/simulate_search.c", "src/cmd/simulate_search.h",
         "tests/explore/mutants/explorer.c"]
FLAGS = ["-std=c17", "-O2", "-Wall", "-Wno-unused-function", "-Wno-unused-parameter"]
SECONDS_MAX = 1800


class Mutant:
    """A patch and what its first lines say."""

    def __init__(self, path):
        self.name = path.stem
        self.path = path
        heads = dict(re.findall(r"^# (\w+): (.*)$", path.read_text(), re.M))
        for key in ("rule", "config", "expect", "why"):
            if key not in heads:
                sys.exit(f"{path}: a line \"# {key}: ...\" is missing")
        self.rule, self.config, self.why = heads["rule"], heads["config"], heads["why"]
        self.invariant = heads.get("invariant", "")
        self.reduced = heads.get("reduction", "yes") != "no"
        expect = heads["expect"]
        self.survives = expect == "exhausted"
        match = re.fullmatch(r"violation (.+?)(?: (\d+))?", expect)
        if not self.survives and match is None:
            sys.exit(f"{path}: cannot read \"# expect: {expect}\"")
        self.violated = "" if self.survives else match.group(1)
        self.length = 0 if self.survives or match.group(2) is None else int(match.group(2))


def sources():
    found = (ROOT / "src/check").glob("explore*.c")
    explore = sorted(p.relative_to(ROOT).as_posix() for p in found)
    return SOURCES + explore


def compile_command(tree, source, object_path, mutant):
    command = [os.environ.get("CC", "gcc"), *FLAGS, "-I", str(tree / "include"), "-I",
               str(tree / "src"), "-c", str(tree / source), "-o", str(object_path)]
    if source.endswith("explorer.c"):
        command += [f'-DTN_MUTANT_NAME="{mutant.name}"', f'-DTN_MUTANT_CONFIG="{mutant.config}"',
                    f'-DTN_MUTANT_INVARIANT="{mutant.invariant}"',
                    f"-DTN_MUTANT_REDUCED={'true' if mutant.reduced else 'false'}"]
    return command


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def object_name(source):
    return source.replace("/", "_") + ".o"


def build_objects(tree, names, out, mutant):
    for source in names:
        done = run(compile_command(tree, source, out / object_name(source), mutant))
        if done.returncode != 0:
            return f"{source} does not compile:\n{done.stderr}"
    return None


def copy_tree(tree):
    shutil.rmtree(tree, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder)
    for name in FILES:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)


def build_common(out):
    """The objects of the sources as they are: a mutant compiles only what its patch touches."""
    tree = out / ".common"
    copy_tree(tree)
    names = [s for s in sources() if not s.endswith("explorer.c")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        trouble = list(pool.map(lambda s: build_objects(tree, [s], tree, None), names))
    for what in trouble:
        if what is not None:
            sys.exit(what)
    return tree


def build(mutant, out, common):
    """The error text, or None once build/mutants/NAME/explore is there."""
    tree = out / mutant.name
    copy_tree(tree)
    applied = run(["patch", "-p1", "--batch", "--forward", "-i", str(mutant.path)], cwd=tree)
    if applied.returncode != 0:
        return "the patch no longer applies:\n" + applied.stdout
    patched = re.findall(r"^\+\+\+ b/(\S+)", mutant.path.read_text(), re.M)
    touched = set(sources()) if any(p.endswith(".h") for p in patched) else set(patched)
    touched.add("tests/explore/mutants/explorer.c")
    what = build_objects(tree, sorted(touched), tree, mutant)
    if what is not None:
        return what
    objects = [str((tree if s in touched else common) / object_name(s)) for s in sources()]
    linked = run([os.environ.get("CC", "gcc"), "-o", str(tree / "explore"), *objects, "-lpthread"])
    return None if linked.returncode == 0 else linked.stderr


def explore(mutant, out, arguments):
    """The last line's object and the seconds; an object with "error" if there is none."""
    command = [str(out / mutant.name / "explore"), str(arguments.threads),
               str(arguments.memory_gib), "", "", "", str(out / mutant.name / "trace.txt"), "",
               "json"]
    begin = time.monotonic()
    try:
        done = run(command, timeout=SECONDS_MAX)
        lines = done.stdout.strip().splitlines()
        result = json.loads(lines[-1]) if lines else {"error": done.stderr.strip() or "no output"}
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as trouble:
        result = {"error": str(trouble)}
    return result, time.monotonic() - begin


def judge(mutant, result):
    """What is wrong, or None."""
    if "error" in result:
        return result["error"]
    if mutant.survives:
        return None if result["verdict"] == "exhausted" else \
            f"should exhaust, but {result['verdict']} {result['violated']}"
    if result["verdict"] != "violation":
        return f"SURVIVES: {result['verdict']}"
    if result["violated"] != mutant.violated:
        return f"breaks {result['violated']}, not {mutant.violated}"
    if mutant.length not in (0, result["trace_states"]):
        return f"trace of {result['trace_states']} states, not {mutant.length}"
    return None


def check_list(mutants):
    """The names that tenure-sim lists are the patches that there are."""
    table = (ROOT / "src/check/explore_mutants.c").read_text()
    listed = re.findall(r'^\s+"([^"]+)",$', table, re.M)
    if sorted(listed) != sorted(m.name for m in mutants):
        difference = set(listed) ^ {m.name for m in mutants}
        sys.exit("src/check/explore_mutants.c and tests/explore/mutants differ: "
                 f"{sorted(difference)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(ROOT / "build"), help="the build directory")
    parser.add_argument("--only", default="", help="only those whose names match this expression")
    parser.add_argument("--quick", action="store_true", help="only those found in seconds")
    parser.add_argument("--no-run", action="store_true", help="build them only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=int, default=12)
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.build).resolve() / "mutants"
    mutants = [Mutant(p) for p in sorted(PATCHES.glob("*.patch"))]
    check_list(mutants)
    mutants = [m for m in mutants if re.search(arguments.only, m.name)]
    if arguments.quick:
        slow = set(QUICK_LEAVES_OUT)
        mutants = [m for m in mutants if m.name not in slow]
    common = build_common(out)
    failed = 0
    print(f"{'mutant':<34} {'rule':<18} {'configuration':<22} {'seconds':>8}  verdict")
    for mutant in mutants:
        wrong = build(mutant, out, common)
        result, seconds = {}, 0.0
        if wrong is None and not arguments.no_run:
            result, seconds = explore(mutant, out, arguments)
            wrong = judge(mutant, result)
        verdict = wrong or ("built" if arguments.no_run else "exhausted, as it should"
                            if mutant.survives else f"caught: {result['violated']}"
                            f", {result['trace_states']} states"
                            f", {result.get('states', 0)} searched")
        failed += wrong is not None
        print(f"{mutant.name:<34} {mutant.rule:<18} {mutant.config:<22} {seconds:8.1f}  {verdict}",
              flush=True)
    print(f"{len(mutants) - failed} of {len(mutants)} mutants as they should be")
    return 1 if failed else 0


# What takes longer than ten seconds on one core.
QUICK_LEAVES_OUT = ["accept-below-promise", "ceiling-after-answer", "ceiling-not-durable",
                    "floor-not-after-restart", "late-timer-3", "late-timer-refused",
                    "log_change-early", "log_change-late", "log_learned-overwritten",
                    "log_no-repeated-prepare", "log_quorum-of-old", "log_window-ignored",
                    "old-answers-count", "overwrite-release", "overwrite-renewal",
                    "own-lease-open", "own-lease-open-refused", "version-jump-no-wait",
                    "version-jump-wait-short", "version-steps-no-wait"]

if __name__ == "__main__":
    sys.exit(main())
