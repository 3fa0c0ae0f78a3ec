#!/usr/bin/env python3
"""What a program's --help says, its manual page and its completion say too, and nothing else."""
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "house"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cell  # noqa: E402
import tap  # noqa: E402

PROGRAMS = {
    "tenured": ("man/tenured.8", [[]]),
    "tenure": ("man/tenure.1",
               [[]] + [[c] for c in "status leases who watch acquire release hand-over hold top log"
                       .split()]),
    "tenure-sim": ("man/tenure-sim.1", [["explore"], ["run"], ["play"]]),
}
suite = tap.Suite()


def options_of_help(program, commands):
    """The options that stand at the start of a line of any --help, and how they are used."""
    found = {}
    for command in commands:
        status, out, _ = cell.run([str(cell.BUILD / "bin" / program), *command, "--help"])
        if status != 0:
            suite.check(f"{program} {' '.join(command)} --help", False, f"status {status}")
        for option, argument in re.findall(r"^ {2}--([a-z-]+) ?(\S*)", out, re.MULTILINE):
            found.setdefault(option, argument)
    return found


def completed(program, words):
    """What bash offers behind these words."""
    script = (f"source {cell.SOURCE}/packaging/completion/{program}.bash; "
              f"COMP_WORDS=({' '.join([program, *words])} --); COMP_CWORD={len(words) + 1}; "
              f"_{program.replace('-', '_')}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return set(re.findall(r"^--([a-z-]+)$", cell.run(["bash", "-c", script])[1], re.MULTILINE))


for name, (page, every) in PROGRAMS.items():
    if not (cell.BUILD / "bin" / name).exists():
        suite.skip(f"{name}_manual", "not built")
        continue
    helped = options_of_help(name, every)
    text = (cell.SOURCE / page).read_text()
    paged = dict(re.findall(r"^\.It Fl Fl ([a-z-]+)(?: Ar (\S+))?", text, re.MULTILINE))
    ours = set(helped) | {"help", "version"}
    suite.check(f"{name}: the page has each option of --help", not ours - set(paged),
                f"missing: {sorted(ours - set(paged))}")
    suite.check(f"{name}: the page has no other", not set(paged) - ours,
                f"unknown: {sorted(set(paged) - ours)}")
    if name != "tenure-sim":  # there one name means different things to different commands
        differing = sorted(o for o in set(helped) & set(paged) if helped[o] != paged[o])
        suite.check(f"{name}: the values are called the same", not differing, differing)
    for one in every:
        offered = completed(name, one)
        helped_here = set(options_of_help(name, [one])) | ({"help", "version"} & offered)
        suite.check(f"{name} {' '.join(one)}: completion offers what --help says"
                    .replace("  ", " "), offered >= helped_here if not one and name == "tenure"
                    else offered == helped_here,
                    f"completion only: {sorted(offered - helped_here)}; "
                    f"help only: {sorted(helped_here - offered)}")
    if shutil.which("mandoc"):
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(cell.SOURCE / page)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        suite.check(f"{page} is clean mdoc", lint.returncode == 0, lint.stdout)
    else:
        suite.skip(f"{page} is clean mdoc", "no mandoc here")

sys.exit(suite.finish())
