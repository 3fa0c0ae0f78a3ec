#!/usr/bin/env python3
"""Three real members, one name, and everything that takes its owner away.

At each member a program runs under `tenure hold` and journals that it acts, with its fencing token,
on the clock that all processes of the machine share (CLOCK_BOOTTIME). Meanwhile the owner is
killed, stopped around the end of its lease, cut off by relays between the members, and the holding
program's own processes are killed and stopped. The journals are judged:
  inv.L1   no two programs act at once,
  inv.L11  a later tenure has a larger token.
No duration is asserted; how much happened is, so that a run in which nothing moved is no success.
The seed is printed; SEED=n repeats its choices.
"""
# serial
# timeout: 150
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "house"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cell  # noqa: E402
import relay  # noqa: E402
import tap  # noqa: E402

ROUNDS = 10
RECOVERY_SECONDS = 12.0
LEASE_SECONDS = 1.0
MEMBERS = 3

SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="failover-"))
SEED = int(os.environ.get("SEED") or int.from_bytes(os.urandom(3), "little"))
choose = random.Random(SEED)
suite = tap.Suite()


class World:
    """The cell behind its relays, and a held program at each member."""

    def __init__(self):
        self.cell = cell.Cell(MEMBERS, lease="1s", scratch=SCRATCH)
        self.relay = relay.Relay()
        for one in range(MEMBERS):
            for other in range(MEMBERS):
                if one != other:
                    self.cell.peers_of[one][other] = self.relay.add(
                        (one, other), self.cell.peer_ports[other])
        self.relay.start()
        self.holds = {}
        self.statuses = []

    def journal(self, index):
        return SCRATCH / f"journal.{index}"

    def tend(self):
        """A hold that has ended, as it does when it loses the name, is started again."""
        for index in range(MEMBERS):
            hold = self.holds.get(index)
            if hold is None or hold.poll() is not None:
                if hold is not None:
                    self.statuses.append(hold.returncode)
                self.holds[index] = cell.start(
                    [cell.TENURE, "hold", "demo", "--endpoints", self.cell.endpoint(index), "--",
                     sys.executable, str(pathlib.Path(__file__).with_name("holder.py")),
                     str(self.journal(index))], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)

    def last_beats(self):
        """The last line of each journal: (clock, index, token), the newest last."""
        beats = []
        for index in range(MEMBERS):
            path = self.journal(index)
            if path.exists() and path.stat().st_size > 0:
                with open(path, "rb") as file:
                    file.seek(max(0, path.stat().st_size - 200))
                    words = file.read().decode().splitlines()[-1].split()
                if len(words) == 3:
                    beats.append((float(words[0]), index, int(words[1])))
        return sorted(beats)

    def acting(self):
        beats = self.last_beats()
        return beats[-1] if beats and beats[-1][0] > cell.now() - 0.2 else None

    def settle(self, since=None):
        """Until somebody acts, under another token than `since`."""
        def somebody():
            self.tend()
            beat = self.acting()
            return beat if beat and (since is None or beat[2] != since) else None
        return cell.wait_for(somebody, RECOVERY_SECONDS)

    def pause(self, seconds):
        until = cell.now() + seconds
        cell.wait_for(lambda: self.tend() or cell.now() >= until, seconds + 1)


def kill_member(world, owner):
    world.cell.members[owner].kill()
    world.cell.members[owner].wait()
    world.pause(choose.uniform(0.2, 2.5))
    world.cell.start(owner)


def stop_member(world, owner):
    """Stopped around the end of its lease: it wakes as a former owner, or almost one."""
    world.cell.members[owner].send_signal(signal.SIGSTOP)
    world.pause(LEASE_SECONDS * choose.uniform(0.6, 2.0))
    world.cell.members[owner].send_signal(signal.SIGCONT)


def cut_member(world, owner):
    world.relay.cut({owner})
    world.pause(LEASE_SECONDS * choose.uniform(0.5, 3.0))
    world.relay.heal(drop=choose.random() < 0.5)


def cut_everybody(world, _owner):
    world.relay.cut({0})
    world.relay.cut({1})
    world.pause(LEASE_SECONDS * choose.uniform(0.5, 2.0))
    world.relay.heal(drop=choose.random() < 0.5)


def kill_hold(world, owner):
    world.holds[owner].kill()


def stop_hold(world, owner):
    hold = world.holds[owner]
    hold.send_signal(signal.SIGSTOP)
    world.pause(LEASE_SECONDS * choose.uniform(0.8, 2.0))
    hold.send_signal(signal.SIGCONT)


def stop_both(world, owner):
    """The node and the holding program freeze together, as with a frozen machine."""
    hold = world.holds[owner]
    hold.send_signal(signal.SIGSTOP)
    stop_member(world, owner)
    hold.send_signal(signal.SIGCONT)


def leave(world, owner):
    world.cell.members[owner].terminate()
    world.cell.members[owner].wait(cell.PATIENCE)
    world.cell.start(owner)


FAULTS = [kill_member, stop_member, cut_member, kill_hold, stop_hold, cut_everybody, stop_both,
          leave]


def read_tenures(world):
    """Runs of one process under one token: [begin, end, index, token], by begin."""
    runs = {}
    for index in range(MEMBERS):
        if not world.journal(index).exists():
            continue
        for line in world.journal(index).read_text().splitlines():
            words = line.split()
            if len(words) != 3:
                continue
            clock, token, pid = float(words[0]), int(words[1]), int(words[2])
            run = runs.setdefault((index, pid, token), [clock, clock, index, token])
            run[0] = min(run[0], clock)
            run[1] = max(run[1], clock)
    return sorted(runs.values())


def overlaps(tenures):
    return [f"{one} and {two}" for one, two in zip(tenures, tenures[1:]) if two[0] <= one[1]]


def falls(tenures):
    return [f"{one} then {two}" for one, two in zip(tenures, tenures[1:]) if two[3] <= one[3]]


def judge_the_judges():
    """Both checks are seen to complain."""
    good = [[1.0, 2.0, 0, 5], [2.1, 3.0, 1, 6]]
    suite.check("the_judges_accept_what_is_right", not overlaps(good) and not falls(good))
    suite.check("the_judges_see_an_overlap", overlaps([[1.0, 2.2, 0, 5], [2.1, 3.0, 1, 6]]))
    suite.check("the_judges_see_a_token_that_falls", falls([[1.0, 2.0, 0, 6], [2.1, 3.0, 1, 6]]))


def main():
    print(f"# seed {SEED}")
    judge_the_judges()
    world = World()
    try:
        world.cell.start_all().wait_ready()
        beat = world.settle()
        suite.check("somebody_acts", beat is not None)
        recovered = beat is not None
        plan = FAULTS + [choose.choice(FAULTS) for _ in range(ROUNDS - len(FAULTS))]
        choose.shuffle(plan)
        for fault in plan:
            if beat is None:
                break
            world.pause(choose.uniform(0.0, 0.8))
            print(f"# {fault.__name__} of n{beat[1] + 1}, token {beat[2]}", flush=True)
            fault(world, beat[1])
            beat = world.settle()
            recovered = recovered and beat is not None
        suite.check("after_each_fault_somebody_acts_again", recovered,
                    "\n".join(world.cell.log(i)[-1500:] for i in range(MEMBERS)))
    finally:
        cell.stop_all()
        world.relay.stop()
    tenures = read_tenures(world)
    print(f"# {len(tenures)} tenures at {len({t[2] for t in tenures})} members; "
          f"holds ended with {sorted(set(world.statuses))}")
    suite.check("inv.L1 no two act at once", not overlaps(tenures), "\n".join(overlaps(tenures)))
    suite.check("inv.L11 tokens never fall", not falls(tenures), "\n".join(falls(tenures)))
    suite.check("enough_happened_to_judge",
                len(tenures) >= len(FAULTS) // 2 and len({t[2] for t in tenures}) >= 2, tenures)


try:
    main()
finally:
    cell.stop_all()
    shutil.rmtree(SCRATCH, ignore_errors=True)
sys.exit(suite.finish())
