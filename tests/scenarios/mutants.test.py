#!/usr/bin/env python3
# timeout: 600
# build: plain
"""Plays each witness by a player whose core has one rule less: it must come out differently.

A scenario names its mutant in a line `# mutant: NAME`: a patch of tests/explore/mutants/ or, for
rules that stand outside the cells, of tests/scenarios/mutants/. The patch is applied to a copy of
the sources, what it changes is compiled and linked in front of the objects of the build, and the
player made so plays the file. `# shows: inv.L1` names the invariant that the judge must then find
broken. A patch that no longer applies fails, and so does a mutant under which nothing changes.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get("TN_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("TN_BUILD_DIR", SOURCE / "build"))
PATCHES = [SOURCE / "tests/explore/mutants", SOURCE / "tests/scenarios/mutants"]
COPIED = ["include", "src"]
COMPILE = [os.environ.get("CC", "gcc"), "-std=c17", "-O1", "-w"]
SECONDS_MAX = 120


def run(command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=SECONDS_MAX, **options)


def link_words():
    """What the build links tenure-sim from: its own objects, then libraries."""
    ninja = (BUILD / "build.ninja").read_text()
    match = re.search(r"^build bin/tenure-sim: \S+ (.*?) \| .*?$.*?^  LINK_LIBRARIES = (.*?)$",
                      ninja, re.M | re.S)
    if match is None:
        sys.exit("build.ninja does not say how tenure-sim is linked")
    # What is compiled once more for speed is left out: the libraries have it too, and yield.
    own = [word for word in match.group(1).split() if "/tn_played.dir/" not in word]
    return own, match.group(2).split()


def find_patch(name):
    for folder in PATCHES:
        if (folder / f"{name}.patch").exists():
            return folder / f"{name}.patch"
    return None


def build_player(name, tree):
    """The player with one rule less, or a complaint."""
    patch = find_patch(name)
    if patch is None:
        return None, "there is no such patch"
    for folder in COPIED:
        shutil.copytree(SOURCE / folder, tree / folder)
    applied = run(["patch", "-p1", "--no-backup-if-mismatch", "-i", patch], cwd=tree)
    if applied.returncode != 0:
        return None, "the patch does not apply: " + applied.stdout.strip()
    changed = re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.M)
    sources = [path for path in changed if path.endswith(".c") and path.startswith("src/")]
    if any(path.endswith(".h") for path in changed):
        sources = sorted(p.relative_to(tree).as_posix() for p in (tree / "src/paxos").glob("*.c"))
    objects = []
    for path in sources:
        target = tree / (path.replace("/", "_") + ".o")
        built = run([*COMPILE, "-I", tree / "include", "-I", tree / "src", "-c", tree / path, "-o",
                     target])
        if built.returncode != 0:
            return None, built.stderr
        objects.append(target)
    own, libraries = link_words()
    player = tree / "player"
    linked = run([COMPILE[0], *objects, *own, *libraries, "-lpthread", "-o", player], cwd=BUILD)
    return (player, None) if linked.returncode == 0 else (None, linked.stderr)


def judge(scenario):
    """True, or why not."""
    text = scenario.read_text()
    name = re.search(r"^# mutant: (\S+)$", text, re.M).group(1)
    shows = re.search(r"^# shows: (.*)$", text, re.M)
    with tempfile.TemporaryDirectory() as folder:
        player, why = build_player(name, pathlib.Path(folder))
        if player is None:
            return name, why
        played = run([player, "play", scenario])
    if played.returncode == 0:
        return name, "nothing changes without the rule"
    if played.returncode < 0:
        return name, None if shows is None else f"it ended by a signal: {played.stderr.strip()}"
    if shows is not None and not re.search(rf"^\+!! \d+'? {re.escape(shows.group(1))}",
                                           played.stdout, re.M):
        return name, f"{shows.group(1)} is not broken:\n{played.stdout}"
    return name, None


def replay(name, config, invariant):
    """A trace that the explorer of a mutant writes is a story: that mutant's player replays it to
    the violation, and the real one finds that it cannot happen. None, or why not."""
    with tempfile.TemporaryDirectory() as folder:
        player, why = build_player(name, pathlib.Path(folder))
        if player is None:
            return why
        trace = pathlib.Path(folder) / "trace.txt"
        found = run([player, "explore", "--config", config, "--invariant", invariant, "--trace",
                     trace])
        if found.returncode != 3:
            return f"the explorer finds nothing:\n{found.stdout}{found.stderr}"
        played = run([player, "play", "--json", trace])
        real = run([BUILD / "bin/tenure-sim", "play", "--json", trace])
    if '"failed": 0' not in played.stdout or '"violations": 1' not in played.stdout:
        return f"the trace does not replay:\n{played.stdout}{played.stderr}"
    if '"violations": 0' not in real.stdout:
        return f"the real cells do the same:\n{real.stdout}{real.stderr}"
    return None


TRACES = [("overwrite", "base", "inv.L7"), ("release-by-owner", "release-by-owner", "inv.L1")]


def main():
    if shutil.which("patch") is None:
        print("1..0 # SKIP the program patch is not installed")
        return 0
    scenarios = [path for path in sorted((SOURCE / "tests/scenarios").glob("*.txt"))
                 if re.search(r"^# mutant: [a-z0-9_-]+$", path.read_text(), re.M)]
    print(f"1..{len(scenarios) + len(TRACES)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number, (path, (name, why)) in enumerate(
                zip(scenarios, pool.map(judge, scenarios)), 1):
            verdict = "ok" if why is None else "not ok"
            print(f"{verdict} {number} {path.stem} without the rule: {name}")
            if why is not None:
                failed += 1
                print("\n".join("# " + line for line in why.splitlines()))
    for number, (name, config, invariant) in enumerate(TRACES, len(scenarios) + 1):
        why = replay(name, config, invariant)
        print(f"{'ok' if why is None else 'not ok'} {number} a trace of {name} replays as a story")
        if why is not None:
            failed += 1
            print("\n".join("# " + line for line in why.splitlines()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
