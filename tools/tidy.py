#!/usr/bin/env python3
"""Checks the rules of the house (CONTRIBUTING.md) that a machine can check.

Every rule is a function from the tree to complaints (path, line, what to do), entered in RULES
under a name; what a rule needs to know stands as data at the top of this file. The output is TAP:
one line a rule, its complaints below it as `# path:line: what to do`. Status 1 if any complained.

    tools/tidy.py [--build DIR] [--root DIR] [--only RULE] [--list]

Without --build the rules that look at built objects are left out.
tests/house/tidy_canary.test.py shows each rule a tree that breaks it.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

# ---- who may include whom: a folder may include every folder of a lower level, and itself

LEVELS = {
    "base": 0,
    "paxos": 1, "wire": 1, "store": 1, "http": 1,
    "net": 2, "os": 2, "check": 2,
    "node": 3, "sim": 3,
    "cmd": 4,
}
# Single headers allowed across a level.
ALSO = {"wire": {"paxos/message.h"}}
PURE = ("base", "paxos", "wire", "store", "http")

# ---- which headers from outside a folder may use

VALUE_HEADERS = set("""assert.h inttypes.h limits.h stdalign.h stdarg.h stdbool.h stddef.h stdint.h
    stdio.h string.h""".split())
SYSTEM_HEADERS = VALUE_HEADERS | set("""
    arpa/inet.h ctype.h dirent.h errno.h fcntl.h getopt.h grp.h ifaddrs.h malloc.h math.h
    net/if.h netdb.h netinet/in.h netinet/tcp.h poll.h pthread.h pwd.h sched.h semaphore.h
    signal.h spawn.h stdatomic.h stdlib.h strings.h sys/epoll.h sys/eventfd.h sys/file.h
    sys/ioctl.h sys/mman.h sys/prctl.h sys/random.h sys/resource.h sys/signalfd.h
    sys/socket.h sys/stat.h sys/statvfs.h sys/syscall.h sys/sysmacros.h sys/time.h
    sys/timerfd.h sys/types.h sys/uio.h sys/un.h sys/utsname.h sys/wait.h termios.h
    threads.h time.h unistd.h""".split())
PUBLIC_HEADERS = set("stdarg.h stdbool.h stddef.h stdint.h".split())
OUTSIDE = {
    "base": VALUE_HEADERS | {"xxhash.h"},
    "paxos": VALUE_HEADERS | {"xxhash.h"},
    "wire": VALUE_HEADERS,
    "store": VALUE_HEADERS,
    "http": VALUE_HEADERS | {"http_parser.h"},
    "os": SYSTEM_HEADERS | {"liburing.h"},
    "net": SYSTEM_HEADERS | {"uv.h", "openssl/"},
    "check": VALUE_HEADERS | {"errno.h", "math.h", "pthread.h", "sched.h", "stdatomic.h",
                              "stdlib.h", "sys/mman.h", "time.h", "unistd.h", "xxhash.h"},
    "node": SYSTEM_HEADERS | {"uv.h", "openssl/", "jansson.h"},
    "sim": VALUE_HEADERS | {"errno.h", "math.h", "stdlib.h", "xxhash.h"},
    "cmd": SYSTEM_HEADERS | {"uv.h", "openssl/", "jansson.h", "yaml.h"},
}

# ---- sizes

FUNCTION_LINES_MAX = 69
FILE_LINES_MAX = 699
COLUMNS_MAX = 100   # what clang-format lets stand

# ---- words and calls (written in two parts, so that this file does not complain of itself)

LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|^\s*#\s*if\s+0\b")
FOREIGN_PATHS = re.compile(r"(?<![\w.])/(wor" r"k|hom" r"e|roo" r"t)/")
BANNED_CALLS = {
    "strcpy": "copy with a bound", "strcat": "append with a bound",
    "sprintf": "use snprintf", "vsprintf": "use vsnprintf", "gets": "read with a bound",
    "rand": "take randomness as a value", "srand": "take randomness as a value",
    "time": "elapsed time only: use the clock of src/os",
    "gettimeofday": "elapsed time only: use the clock of src/os",
    "strtok": "parse without hidden state", "atoi": "parse with a check",
    "alloca": "take a bounded array",
}
BANNED_IN_SOURCES = {"assert": "use tn_assert, which stays on"}
BANNED_IN_PURE = {call: "a pure folder takes values and gives values" for call in """malloc calloc
    realloc free aligned_alloc clock clock_gettime nanosleep pthread_create pthread_mutex_lock
    pthread_mutex_unlock thrd_create mtx_lock open read write close fopen printf fprintf puts
    getenv exit""".split()}

# ---- purity of the built objects

ALLOWED_UNDEFINED = re.compile(
    r"(mem|str)\w+|v?snprintf|abort|__stack_chk_fail|__\w+_chk|_GLOBAL_OFFSET_TABLE_"
    r"|__(u?div|u?mod|mul|cmp|ashl|lshr|ashr|ctz|clz|popcount|bswap|parity)\w*[sdt]i\d"
    r"|__cpu_(model|features2|indicator_init)"
    r"|http_parser_\w+|http_(method|errno|status|should|body)_\w+|tn__assert_failed")

# ---- rules of the lease protocol: each is named where it is kept and where it is tested

LEASE_RULES = """P1 P2 P3 P4 P5 P6 A1 A2 A3 A4 L1 H1 H2 H3 T1 T2 T3 F1 F2 F3 F4 M1""".split()

# ---- sources that no test program names or includes, each with the reason

UNTESTED = {
    "src/cmd/tenured.c": "main(): run by the tests of the programs",
    "src/cmd/tenure.c": "main(): run by the tests of the programs",
    "src/cmd/tenure_sim.c": "main(): run by the tests of the programs",
    "src/cmd/cmd_tls.c": "secure connections of the tool: run by the tests of the programs",
    "src/cmd/daemon_config.c": "the flags of tenured: run by the tests of the programs",
    **{f"src/cmd/tool_{part}.c": "a command of tenure: run by the tests of the programs"
       for part in "acquire calls hold keeper options screen show top".split()},
    "src/os/assert.c": "aborts: any failing assertion shows it",
}

CODE_SUFFIXES = {".c", ".h", ".py", ".sh", ".cmake"}
CODE_NAMES = {"CMakeLists.txt", "Makefile"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".yaml", ".yml", ".json", ".in", ".service", ".1", ".3",
                                 ".8"}


class Tree:
    """The files of a source tree, read once; build directories and dot folders are no part."""

    def __init__(self, root, build):
        self.root = root
        self.build = build
        self.texts = {}
        self.bare_texts = {}
        self.files = sorted(p for p in self.walk(root))

    def walk(self, folder):
        for path in folder.iterdir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if path.is_symlink() or hidden or path.name == "__pycache__":
                continue
            if path.is_dir():
                if not (folder == self.root and path.name.startswith("build")):
                    yield from self.walk(path)
            else:
                yield path.relative_to(self.root)

    def below(self, *folders, suffixes=(".c", ".h")):
        return [p for p in self.files if p.parts[0] in folders and p.suffix in suffixes]

    def text(self, path):
        if path not in self.texts:
            self.texts[path] = (self.root / path).read_text(errors="replace")
        return self.texts[path]

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)

    def bare_lines(self, path):
        """The lines of a C file with comments and the insides of literals blanked."""
        if path not in self.bare_texts:
            self.bare_texts[path] = bare(self.text(path))
        return enumerate(self.bare_texts[path].splitlines(), 1)

    def code(self):
        return [p for p in self.files if p.suffix in CODE_SUFFIXES or p.name in CODE_NAMES]


def bare(text):
    token = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)

    def blank(match):
        kept = match[0][0] if match[0][0] in "\"'" else ""
        return kept + re.sub(r"[^\n]", " ", match[0][len(kept):len(match[0]) - len(kept)]) + kept

    return token.sub(blank, text)


INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]")


def includes(tree, path):
    for number, line in tree.lines(path):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


def allowed_outside(allowed, header):
    return header in allowed or any(a.endswith("/") and header.startswith(a) for a in allowed)


def check_include_direction(tree):
    for path in tree.below("src"):
        folder = path.parts[1]
        if folder not in LEVELS:
            yield path, 1, f"folder {folder} has no level: enter it in LEVELS"
            continue
        for number, quote, header in includes(tree, path):
            target = header.split("/")[0]
            if quote == "<" or target == folder or header in ALSO.get(folder, ()):
                continue
            if target not in LEVELS or "/" not in header:
                yield path, number, f'write "folder/header.h", not "{header}"'
            elif LEVELS[target] >= LEVELS[folder]:
                yield path, number, f"{folder} may not include {target}: includes only point down"


def check_outside_headers(tree):
    for path in tree.below("src"):
        allowed = OUTSIDE.get(path.parts[1], set())
        for number, quote, header in includes(tree, path):
            if quote == "<" and not header.startswith("tenure/"):
                if not allowed_outside(allowed, header):
                    yield path, number, f"{path.parts[1]} may not use <{header}>"
    for path in tree.below("include"):
        for number, quote, header in includes(tree, path):
            if quote != "<":
                yield path, number, "a public header includes public ones, as <tenure/name.h>"
            elif not header.startswith("tenure/") and header not in PUBLIC_HEADERS:
                yield path, number, f"a public header does not need <{header}>"
    for path in tree.below("examples"):
        for number, quote, header in includes(tree, path):
            if quote != "<":
                yield path, number, f'an example uses what is installed, not "{header}"'


FUNCTION_NAME = re.compile(r"(\w+)\s*\(")


def functions(tree, path):
    """(name, first line, number of lines), the signature included. A function opens with a brace
    in column 0, or ending a line that starts there, and closes with one in column 0."""
    lines = [line for _, line in tree.bare_lines(path)]
    start = None
    for index, line in enumerate(lines):
        if start is None and (line.rstrip() == "{" or re.match(r"\w.*\)\s*\{\s*$", line)):
            start = index
            while start > 0 and re.match(r"[\w\s]", lines[start - 1]) and \
                    lines[start - 1].strip() and not lines[start - 1].rstrip().endswith((";", "}")):
                start -= 1
        elif start is not None and line.startswith("}"):
            name = FUNCTION_NAME.search(" ".join(lines[start:index]))
            if name:
                yield name[1], start + 1, index - start + 1
            start = None


def check_function_length(tree):
    for path in tree.below("src", "include", "tests", "bench", "examples"):
        for name, number, count in functions(tree, path):
            if count > FUNCTION_LINES_MAX:
                yield path, number, f"{name} has {count} lines: cut it below 70"


def check_file_length(tree):
    for path in tree.code():
        count = tree.text(path).count("\n")
        if count > FILE_LINES_MAX:
            yield path, count, f"{count} lines: cut the file below 700"


def check_columns(tree):
    for path in tree.code():
        for number, line in tree.lines(path):
            if len(line) > COLUMNS_MAX:
                yield path, number, f"{len(line)} columns: at most {COLUMNS_MAX}"


def check_whitespace(tree):
    for path in tree.code():
        text = tree.text(path)
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "end the file with a newline"
        for number, line in tree.lines(path):
            if line != line.rstrip():
                yield path, number, "remove the white space at the end of the line"
            elif "\t" in line and path.name != "Makefile":
                yield path, number, "indent with spaces; write a tab as \\t"


def check_leftovers(tree):
    for path in tree.files:
        if path.suffix in TEXT_SUFFIXES or path.name in CODE_NAMES:
            for number, line in tree.lines(path):
                if LEFTOVERS.search(line):
                    yield path, number, "what is not done is not in the tree: finish or remove"
                if FOREIGN_PATHS.search(line):
                    yield path, number, "a path of one machine: the project does not know it"


def calls(tree, path, banned):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
    for number, line in tree.bare_lines(path):
        for match in pattern.finditer(line):
            yield path, number, f"{match[1]}(): {banned[match[1]]}"


def check_banned_calls(tree):
    for path in tree.below("src", "include", "tests", "bench", "examples"):
        yield from calls(tree, path, BANNED_CALLS)
        if path.parts[0] == "src":
            yield from calls(tree, path, BANNED_IN_SOURCES)
            if path.parts[1] in PURE:
                yield from calls(tree, path, BANNED_IN_PURE)


def output_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout


def check_purity(tree):
    """The pure folders, linked together: what they need from outside and what they may write."""
    objects = {}
    for path in tree.below(*["src"], suffixes=(".c",)):
        if path.parts[1] in PURE:
            built = tree.build / f"CMakeFiles/tn_{path.parts[1]}.dir/{path}.o"
            if built.exists():
                objects[path] = built
            else:
                yield path, 1, f"not built: {built} is missing"
    if not objects:
        return
    with tempfile.TemporaryDirectory() as scratch:
        linked = f"{scratch}/pure.o"
        status, said = output_of("ld", "-r", "-o", linked, *map(str, objects.values()))
        if status != 0:
            yield pathlib.Path("src"), 1, f"ld -r fails: {said}"
            return
        unwanted = {s for s in undefined_symbols(linked) if not ALLOWED_UNDEFINED.fullmatch(s)}
    for path, built in objects.items():
        for symbol in sorted(undefined_symbols(str(built)) & unwanted):
            yield path, 1, f"needs {symbol}, which is not on the list of a pure folder"
        for symbol, section in writable_symbols(str(built)):
            yield path, 1, f"{symbol} is writable static data ({section}): make it const or a value"


def undefined_symbols(built):
    _, said = output_of("nm", "--undefined-only", "--format=posix", built)
    return {line.split()[0] for line in said.splitlines() if line.split()}


def writable_symbols(built):
    """Symbols in a section that is writable when the program runs. Constant tables of pointers
    lie in .data.rel.ro, which the dynamic linker seals, and do not count."""
    _, said = output_of("objdump", "--syms", built)
    for line in said.splitlines():
        match = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+ (.*)$", line)
        if not match or match[1].endswith("d ") or match[3] == match[2]:
            continue
        section = match[2]
        writable = re.match(r"\.(data|bss|tdata|tbss)\b|\*COM\*", section)
        if writable and not section.startswith(".data.rel.ro"):
            yield match[3].split()[-1], section


def mentions(tree, paths, rule):
    pattern = re.compile(rf"(?<![A-Za-z0-9]){rule}(?![A-Za-z0-9])")
    return any(pattern.search(tree.text(path)) for path in paths)


def check_rule_mention(tree):
    core = [p for p in tree.below("src") if p.parts[1] == "paxos"]
    tests = [p for p in tree.files if p.parts[0] == "tests" and p.parts[1] != "house"]
    for rule in LEASE_RULES:
        if not mentions(tree, core, rule):
            yield pathlib.Path("src/paxos"), 1, f"rule {rule} is not named where it is kept"
        if not mentions(tree, tests, rule):
            yield pathlib.Path("tests"), 1, f"rule {rule} is named by no test"


def prose_lines(tree, path):
    """The lines of a Markdown file outside fenced blocks."""
    fenced = False
    for number, line in tree.lines(path):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def links(tree, path):
    for number, line in prose_lines(tree, path):
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            if "://" not in match[1] and not match[1].startswith("mailto:"):
                yield number, match[1]


def check_documents(tree):
    documents = [p for p in tree.files if p.suffix == ".md"]
    linked = set()
    for path in documents:
        titles = [number for number, line in prose_lines(tree, path) if line.startswith("# ")]
        if len(titles) != 1:
            yield path, (titles + [1, 1])[1], f"{len(titles)} titles: a document has one"
        for number, target in links(tree, path):
            if not (tree.root / path.parent / target).exists():
                yield path, number, f"the link to {target} leads nowhere"
            elif path.name == "README.md":
                linked.add((tree.root / path.parent / target).resolve())
    if (tree.root / "docs/README.md").exists():
        for path in documents:
            if path.parts[0] == "docs" and path.name != "README.md" and \
                    (tree.root / path).resolve() not in linked:
                yield path, 1, "link it from docs/README.md"


def names_to_test_under(tree, path):
    """A source is tested under its own name; one without a header of its own (lease_dump.c, a
    part of lease.h) under the name of the whole too."""
    names = [path.stem]
    if not (tree.root / path.with_suffix(".h")).exists():
        words = path.stem.split("_")
        names += ["_".join(words[:count]) for count in range(len(words) - 1, 0, -1)]
    return names


def check_source_has_test(tree):
    tests = [p for p in tree.files if p.parts[0] == "tests"]
    stems = {p.stem for p in tests if p.suffix == ".c"}
    included = {header for p in tests if p.suffix in (".c", ".h")
                for _, _, header in includes(tree, p)}
    for path in tree.below("src", suffixes=(".c",)):
        tested = any(f"{name}_test" in stems or f"{path.parts[1]}/{name}.h" in included
                     or f"tenure/{name}.h" in included
                     for name in names_to_test_under(tree, path))
        if not tested and str(path) not in UNTESTED:
            yield path, 1, (f"no tests/*/{path.stem}_test.c, and no test includes "
                            f"{path.parts[1]}/{path.stem}.h")
    for name in UNTESTED:
        if tree.below("src") and pathlib.Path(name).stem + "_test" in stems:
            yield pathlib.Path("tools/tidy.py"), 1, f"{name} has a test now: take it off UNTESTED"


def check_headers_alone(tree):
    """Every header compiles alone as C17, the public ones as C++ too."""
    flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{tree.root}/include",
             f"-I{tree.root}/src"]
    # Sources of the outer folders ask for the system's extensions before they include anything.
    ways = [("include", ["gcc", "-std=c17", "-Wstrict-prototypes"], "c"),
            ("include", ["g++", "-std=c++17"], "c++"),
            ("src", ["gcc", "-std=c17", "-D_GNU_SOURCE"], "c")]
    for folder, compiler, language in ways:
        for path in tree.below(folder, suffixes=(".h",)):
            with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
                file.write(f'#include "{tree.root / path}"\nextern int tidy_is_not_empty;\n')
                file.flush()
                status, said = output_of(*compiler, *flags, "-x", language, file.name)
            if status != 0:
                first = next((x for x in said.splitlines() if "error" in x), said.strip())
                yield path, 1, f"does not compile alone as {language}: {first}"


def check_private_names(tree):
    """TN_EXPORT belongs to include/tenure; no shared name lacks its prefix."""
    for path in tree.below("src"):
        for number, line in tree.bare_lines(path):
            if re.search(r"\bTN_EXPORT\b", line):
                yield path, number, "what is exported is declared in include/tenure, only there"
    for path in tree.below("include", suffixes=(".h",)):
        for number, line in tree.bare_lines(path):
            match = re.match(r"TN_EXPORT\b[^(]*?(\w+)\s*\(", line)
            if match and not re.match(r"tn_[a-z0-9]", match[1]):
                yield path, number, f"{match[1]}: a public name starts with tn_ and a noun"


RULES = {
    "include_direction": (check_include_direction, "includes only point down"),
    "outside_headers": (check_outside_headers, "each folder uses only the outside it may"),
    "function_length": (check_function_length, "functions are under 70 lines"),
    "file_length": (check_file_length, "files are under 700 lines"),
    "columns": (check_columns, "lines keep within the columns"),
    "whitespace": (check_whitespace, "white space is clean"),
    "leftovers": (check_leftovers, "nothing unfinished is in the tree"),
    "banned_calls": (check_banned_calls, "calls that are unsafe or impure are not made"),
    "purity": (check_purity, "the pure folders need nothing and write nothing static"),
    "rule_mention": (check_rule_mention, "each lease rule is named in the core and in a test"),
    "documents": (check_documents, "documents have one title, are linked, and link to what is"),
    "source_has_test": (check_source_has_test, "each source has a test"),
    "headers_alone": (check_headers_alone, "headers compile alone, public ones as C++ too"),
    "private_names": (check_private_names, "what is exported is declared in include/tenure"),
}
NEEDS_BUILD = {"purity"}


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Check the rules of the house.")
    parser.add_argument("--root", type=pathlib.Path, default=here, metavar="DIR")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--only", choices=sorted(RULES), metavar="RULE")
    parser.add_argument("--list", action="store_true", help="print the names of the rules")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(RULES))
        return 0
    tree = Tree(arguments.root.resolve(), arguments.build and arguments.build.resolve())
    names = [arguments.only] if arguments.only else list(RULES)
    failed = 0
    for number, name in enumerate(names, 1):
        check, sentence = RULES[name]
        if name in NEEDS_BUILD and not tree.build:
            print(f"ok {number} - tidy_{name}: {sentence} # SKIP no build directory was given")
            continue
        complaints = list(check(tree))
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - tidy_{name}: {sentence}")
        for path, line, what in complaints:
            print(f"# {path}:{line}: {what}")
    print(f"1..{len(names)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
