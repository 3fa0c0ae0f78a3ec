"""A few lines of TAP for tests written in Python.

    suite = tap.Suite()
    suite.check("adds_up", 1 + 1 == 2, "what was seen instead")
    sys.exit(suite.finish())
"""


class Suite:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, name, holds, seen=""):
        self.count += 1
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.count} - {name}", flush=True)
        if not holds and seen:
            for line in str(seen).splitlines():
                print(f"# {line}", flush=True)
        return holds

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0
