#!/usr/bin/env python3
"""Each rule of tools/tidy.py is shown trees that break it, and must complain at the right line;
and a small tree that breaks none, of which it must not complain."""
import pathlib
import re
import subprocess
import sys
import tempfile

import tap

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
TIDY = SOURCE / "tools" / "tidy.py"

RULE_NAMES = "P1 P2 P3 P4 P5 P6 A1 A2 A3 A4 L1 H1 H2 H3 T1 T2 T3 F1 F2 F3 F4 M1"
GOOD = {
    "include/tenure/thing.h": "#include <stdint.h>\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                              "#define TN_EXPORT\nTN_EXPORT int tn_thing_size(void);\n"
                              "#ifdef __cplusplus\n}\n#endif\n",
    "src/base/text.h": "#include <stddef.h>\nsize_t tn__text_length(const char *text);\n",
    "src/base/text.c": "#include \"base/text.h\"\n#include <string.h>\n#include <stdio.h>\n"
                       "static const char *const names[] = {\"a\", \"b\"};\n"
                       "size_t tn__text_length(const char *text)\n{\n"
                       "    return strlen(text) + strlen(names[text[0] & 1]); /* strcpy(x) */\n}\n",
    "src/base/text_part.c": "int tn__part(void);\nint tn__part(void)\n{\n    return 1;\n}\n",
    "src/paxos/lease.h": f"/* {RULE_NAMES} */\n#include \"base/text.h\"\n",
    "src/wire/codec.h": "#include \"paxos/message.h\"\n",
    "src/paxos/message.h": "#include <stdbool.h>\n",
    "tests/unit/text_test.c": "/* " + RULE_NAMES.replace(" ", "_x\n") + "_x */\n",
    "examples/hello.c": "#include <tenure/thing.h>\n#include <stdio.h>\n",
    "README.md": "# One title\n\n```\n# not a title\n```\n[docs](docs/README.md)\n",
    "docs/README.md": "# Documents\n\n- [a](a.md)\n- [b](deep/b.md#part)\n",
    "docs/a.md": "# A\n",
    "docs/deep/b.md": "# B\n",
}
LONG = "int f(void)\n{\n" + "    ;\n" * 67 + "}\n"

# rule, name of the case, {file: text} laid over the good tree (None removes), complaint wanted
CASES = [
    ("include_direction", "upward", {"src/base/up.h": "\n#include \"paxos/lease.h\"\n"},
     "src/base/up.h:2: base may not include paxos"),
    ("include_direction", "neighbour", {"src/store/side.h": "#include \"paxos/message.h\"\n"},
     "src/store/side.h:1: store may not include paxos"),
    ("include_direction", "other_header_of_a_neighbour",
     {"src/wire/side.h": "#include \"paxos/lease.h\"\n"}, "src/wire/side.h:1: wire may not"),
    ("include_direction", "without_folder", {"src/base/near.h": "#include \"text.h\"\n"},
     "src/base/near.h:1: write \"folder/header.h\""),
    ("include_direction", "unknown_folder", {"src/misc/x.h": "\n"}, "src/misc/x.h:1: folder misc"),
    ("outside_headers", "threads_in_a_pure_folder", {"src/paxos/t.h": "#include <pthread.h>\n"},
     "src/paxos/t.h:1: paxos may not use <pthread.h>"),
    ("outside_headers", "clock_in_the_simulator", {"src/sim/t.c": "#include <time.h>\n"},
     "src/sim/t.c:1: sim may not use <time.h>"),
    ("outside_headers", "library_in_a_wrong_folder", {"src/os/t.c": "#include <openssl/ssl.h>\n"},
     "src/os/t.c:1: os may not use <openssl/ssl.h>"),
    ("outside_headers", "private_header_in_a_public_one",
     {"include/tenure/p.h": "#include \"base/text.h\"\n"}, "include/tenure/p.h:1: a public header"),
    ("outside_headers", "library_in_a_public_header", {"include/tenure/p.h": "#include <uv.h>\n"},
     "include/tenure/p.h:1: a public header does not need <uv.h>"),
    ("outside_headers", "private_header_in_an_example",
     {"examples/e.c": "#include \"base/text.h\"\n"}, "examples/e.c:1: an example uses"),
    ("function_length", "seventy_lines", {"src/base/long.c": LONG},
     "src/base/long.c:1: f has 70 lines"),
    ("function_length", "signature_on_two_lines",
     {"src/base/long.c": "/* f */\n" + LONG.replace("f(void)", "g(int a,\n      int b)")},
     "src/base/long.c:2: g has 71 lines"),
    ("function_length", "brace_on_the_same_line",
     {"tests/unit/l_test.c": LONG.replace(")\n{", ") {\n;")}, "tests/unit/l_test.c:1: f has 70"),
    ("file_length", "seven_hundred", {"tools/long.py": "\n" * 700}, "tools/long.py:700: 700 lines"),
    ("columns", "too_wide", {"src/base/wide.c": "/*" + "x" * 97 + "*/\n"},
     "src/base/wide.c:1: 101 columns"),
    ("whitespace", "trailing", {"src/base/w.c": "int a; \n"}, "src/base/w.c:1: remove"),
    ("whitespace", "tab", {"src/base/w.c": "\tint a;\n"}, "src/base/w.c:1: indent"),
    ("whitespace", "no_newline", {"src/base/w.c": "int a;"}, "src/base/w.c:1: end the file"),
    ("leftovers", "word", {"src/base/l.c": "\n/* TO" "DO later */\n"}, "src/base/l.c:2: what is"),
    ("leftovers", "word_in_a_document", {"docs/a.md": "# A\nFIX" "ME\n"}, "docs/a.md:2: what is"),
    ("leftovers", "code_switched_off", {"src/base/l.c": "#if " "0\n#endif\n"}, "src/base/l.c:1:"),
    ("leftovers", "path_of_a_machine", {"docs/a.md": "# A\nsee /ho" "me/anna/x\n"},
     "docs/a.md:2: a path of one machine"),
    ("banned_calls", "unbounded_copy", {"tests/unit/b.c": "\nvoid f(){strcpy (a, b);}\n"},
     "tests/unit/b.c:2: strcpy(): copy with a bound"),
    ("banned_calls", "wall_clock", {"src/os/b.c": "long t = time(0);\n"}, "src/os/b.c:1: time()"),
    ("banned_calls", "plain_assertion", {"src/os/b.c": "assert(x);\n"}, "src/os/b.c:1: assert()"),
    ("banned_calls", "memory_in_a_pure_folder", {"src/wire/b.c": "void *p = malloc(1);\n"},
     "src/wire/b.c:1: malloc(): a pure folder"),
    ("purity", "undefined_symbol", {"src/base/text.c": "int getpid(void);\nint f(void);\n"
                                    "int f(void)\n{\n    return getpid();\n}\n"},
     "src/base/text.c:1: needs getpid"),
    ("purity", "writable_data", {"src/base/text.c": "int counter = 7;\n"},
     "src/base/text.c:1: counter is writable static data (.data"),
    ("purity", "writable_zero", {"src/base/text.c": "int f(void);\nint f(void)\n{\n"
                                 "    static int seen;\n    return ++seen;\n}\n"},
     "src/base/text.c:1: seen"),
    ("purity", "thread_local", {"src/base/text.c": "_Thread_local int mine;\n"},
     "src/base/text.c:1: mine is writable static data (.tbss"),
    ("purity", "not_built", {"src/http/new.c": "int x;\n", "unbuilt:": "src/http/new.c"},
     "src/http/new.c:1: not built"),
    ("rule_mention", "not_in_the_core",
     {"src/paxos/lease.h": "/* " + RULE_NAMES.replace("A2 ", "A22 xA2 ") + " */\n"},
     "src/paxos:1: rule A2 is not named"),
    ("rule_mention", "in_no_test", {"tests/unit/text_test.c": "/* P1 */\n"},
     "tests:1: rule M1 is named by no test"),
    ("rule_mention", "tests_of_the_house_do_not_count",
     {"tests/unit/text_test.c": None, "tests/house/x.c": f"/* {RULE_NAMES} */\n"},
     "tests:1: rule P1 is named by no test"),
    ("documents", "two_titles", {"docs/a.md": "# A\n\n# B\n"}, "docs/a.md:3: 2 titles"),
    ("documents", "no_title", {"docs/a.md": "text\n"}, "docs/a.md:1: 0 titles"),
    ("documents", "not_linked", {"docs/deep/c.md": "# C\n"}, "docs/deep/c.md:1: link it from"),
    ("documents", "broken_link", {"README.md": "# R\n[x](nowhere.md)\n"},
     "README.md:2: the link to nowhere.md"),
    ("source_has_test", "none", {"src/base/lonely.c": "int x;\n"},
     "src/base/lonely.c:1: no tests/*/lonely_test.c"),
    ("source_has_test", "name_of_a_whole_that_is_not_its_own",
     {"src/base/text_more.c": "int x;\n", "src/base/text_more.h": "int f(void);\n"},
     "src/base/text_more.c:1: no tests/*/text_more_test.c"),
    ("source_has_test", "exception_that_is_none_any_more", {"tests/unit/assert_test.c": "\n"},
     "tools/tidy.py:1: src/os/assert.c has a test now"),
    ("headers_alone", "needs_another", {"include/tenure/n.h": "size_t f(void);\n"},
     "include/tenure/n.h:1: does not compile alone as c:"),
    ("headers_alone", "not_for_cplusplus", {"include/tenure/n.h": "int f(int *restrict new);\n"},
     "include/tenure/n.h:1: does not compile alone as c++:"),
    ("headers_alone", "private_one", {"src/base/n.h": "uint8_t f(void);\n"},
     "src/base/n.h:1: does not compile alone as c:"),
    ("private_names", "exported_from_a_source", {"src/base/e.h": "TN_EXPORT int tn_x_y(void);\n"},
     "src/base/e.h:1: what is exported"),
    ("private_names", "without_prefix", {"include/tenure/e.h": "TN_EXPORT int size(void);\n"},
     "include/tenure/e.h:1: size: a public name"),
]


def plant(root, files):
    """Writes a tree, and compiles its pure sources to where a build leaves their objects."""
    for name, text in files.items():
        if text is not None and not name.endswith(":"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for source in root.glob("src/*/*.c"):
        name = source.relative_to(root)
        if str(name) != files.get("unbuilt:"):
            built = root / "build" / f"CMakeFiles/tn_{name.parts[1]}.dir" / f"{name}.o"
            built.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["gcc", "-O2", "-fPIC", "-w", f"-I{root}/src", "-c", str(source), "-o",
                            str(built)], check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


def tidy(files, *arguments):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        plant(root, files)
        return subprocess.run([sys.executable, str(TIDY), "--root", str(root), "--build",
                               str(root / "build"), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)


def main():
    suite = tap.Suite()
    listed = subprocess.run([sys.executable, str(TIDY), "--list"], stdout=subprocess.PIPE,
                            text=True, check=True).stdout.split()
    for rule in listed:
        suite.check(f"tidy_{rule}_has_a_canary", any(case[0] == rule for case in CASES))
    good = tidy(GOOD)
    suite.check("tidy_finds_nothing_in_a_good_tree",
                good.returncode == 0 and "not ok" not in good.stdout, good.stdout)
    for rule, name, files, wanted in CASES:
        done = tidy({**GOOD, **files}, "--only", rule)
        holds = done.returncode == 1 and re.search("^# " + re.escape(wanted), done.stdout,
                                                   re.MULTILINE)
        suite.check(f"tidy_{rule}_complains_of_{name}", bool(holds),
                    f"wanted {wanted}\n{done.stdout}")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
