#!/usr/bin/env python3
"""Three real members of a replicated store of registers, and everything that hurts a log.

log_member.c runs the clients inside the members and journals every call, every return and every
execution, on the clock that all processes of the machine share. Meanwhile members are killed,
stopped and cut off; their disks become slow, full, and lose power, each disk being a small ext4 on
a loop device, if the machine allows such. Power is cut with the file system's shutdown ioctl:
what was not synced by then is gone. log_judge.c judges the journals: the same operation in the
same slot at every member, what was told (committed, not chosen) true, and the whole history
linearizable, by the log's order and by a search.
No duration is asserted; that operations return again after each fault is. The seed is printed;
SEED=n repeats its choices, ROUNDS=n makes it longer.
"""
# serial
# build: plain
# timeout: 170
import fcntl
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

MEMBERS = 3
RECOVERY_SECONDS = 20.0
EXT4_SHUTDOWN = 0x8004587d  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = (2).to_bytes(4, sys.byteorder)

SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="log-"))
SEED = int(os.environ.get("SEED") or int.from_bytes(os.urandom(3), "little"))
ROUNDS = int(os.environ.get("ROUNDS") or 0)
DISK_BYTES = (192 + 8 * ROUNDS) << 20
choose = random.Random(SEED)
suite = tap.Suite()

# Stands before the C library's calls; slow while the file of SLOW_FILE exists. With NO_RING the
# kernel seems to have none, so that a thread writes the log, by those calls.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static void dawdle(void)
{
    struct timespec time = {0, 20000000L};
    const char *path = getenv("SLOW_FILE");
    if (path != NULL && access(path, F_OK) == 0) {
        nanosleep(&time, NULL);
    }
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    dawdle();
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset)
{
    return pwrite(fd, bytes, count, offset);
}
int fdatasync(int fd)
{
    dawdle();
    return (int)syscall(SYS_fdatasync, fd);
}
struct io_uring;
int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int (*real)(unsigned, struct io_uring *, unsigned) =
        getenv("NO_RING") != NULL ? NULL : dlsym(RTLD_NEXT, "io_uring_queue_init");
    return real != NULL ? real(entries, ring, flags) : -ENOSYS;
}
"""


class Disk:
    """The disk of one member: an ext4 of its own, or, where that is not allowed, a folder."""

    def __init__(self, index):
        self.image = SCRATCH / f"disk{index}.img"
        self.folder = SCRATCH / f"disk{index}"
        self.folder.mkdir()
        self.mounted = False

    def make(self):
        with open(self.image, "wb") as image:
            image.truncate(DISK_BYTES)
        made = cell.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)])[0] == 0
        self.mounted = made and self.mount()
        return self.mounted

    def mount(self):
        return cell.run(["mount", "-o", "loop", str(self.image), str(self.folder)])[0] == 0

    def cut_power(self):
        """From now on nothing reaches the disk, and nothing that waits for it ever will."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(descriptor)

    def restore_power(self):
        if not cell.wait_for(lambda: cell.run(["umount", str(self.folder)])[0] == 0, 10):
            raise RuntimeError(f"{self.folder} cannot be unmounted")
        if not self.mount():
            raise RuntimeError(f"{self.folder} cannot be mounted again")

    def remove(self):
        if self.mounted:
            cell.wait_for(lambda: cell.run(["umount", str(self.folder)])[0] == 0, 5)


class World:
    def __init__(self):
        self.ports = cell.free_ports(MEMBERS)
        self.relay = relay.Relay()
        self.reached = [[port for port in self.ports] for _ in range(MEMBERS)]
        for one in range(MEMBERS):
            for other in range(MEMBERS):
                if one != other:
                    self.reached[one][other] = self.relay.add((one, other), self.ports[other])
        self.relay.start()
        self.disks = [Disk(index) for index in range(MEMBERS)]
        self.has_disks = all(disk.make() for disk in self.disks)
        self.members = {}
        self.begun = set()
        self.shim = self.build_shim()

    def build_shim(self):
        source, shim = SCRATCH / "shim.c", SCRATCH / "shim.so"
        source.write_text(SHIM)
        built = shutil.which("gcc") and cell.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source)])[0] == 0
        return str(shim) if built else None

    def journal(self, index):
        return SCRATCH / f"journal{index}"

    def slow_file(self, index):
        return SCRATCH / f"slow{index}"

    def start(self, index):
        peers = ",".join(f"127.0.0.1:{port}" for port in self.reached[index])
        more = {"LD_PRELOAD": self.shim, "SLOW_FILE": str(self.slow_file(index))} \
            if self.shim else {}
        if index != 0:
            more["NO_RING"] = "1"
        with open(SCRATCH / f"log{index}", "a", encoding="utf-8") as log:
            self.members[index] = cell.start(
                [str(cell.BUILD / "tests" / "log_member"), str(index + 1), peers,
                 str(self.disks[index].folder / "data"), str(self.journal(index)),
                 "0" if index in self.begun else "1"],
                stdout=log, stderr=log, env=cell.environment(**more))
        self.begun.add(index)

    def kill(self, index):
        self.members[index].kill()
        self.members[index].wait()

    def returns(self, index):
        """How many bytes of journal, and whether anything returned since `index`'s last look."""
        path = self.journal(index)
        return path.read_text().count("\nr ") if path.exists() else 0

    def settle(self):
        """Until operations return at every member."""
        before = [self.returns(index) for index in range(MEMBERS)]
        return cell.wait_for(lambda: all(self.returns(index) > before[index] + 20
                                         for index in range(MEMBERS)), RECOVERY_SECONDS)

    def logs(self):
        return "\n".join((SCRATCH / f"log{index}").read_text()[-1500:] for index in range(MEMBERS))


def pause(least, most):
    until = cell.now() + choose.uniform(least, most)
    cell.wait_for(lambda: cell.now() >= until, most + 1)


def kill_one(world, victim):
    world.kill(victim)
    pause(0.2, 2.0)
    world.start(victim)


def kill_two(world, victim):
    for index in range(MEMBERS):
        if index != victim:
            world.kill(index)
    pause(0.1, 1.0)
    for index in range(MEMBERS):
        if index != victim:
            world.start(index)


def kill_all(world, _victim):
    for index in range(MEMBERS):
        world.kill(index)
    for index in range(MEMBERS):
        world.start(index)


def stop_one(world, victim):
    world.members[victim].send_signal(signal.SIGSTOP)
    pause(0.5, 3.0)
    world.members[victim].send_signal(signal.SIGCONT)


def cut_one(world, victim):
    world.relay.cut({victim})
    pause(0.5, 3.0)
    world.relay.heal(drop=choose.random() < 0.5)


def cut_all(world, _victim):
    world.relay.cut({0})
    world.relay.cut({1})
    pause(0.5, 1.5)
    world.relay.heal(drop=choose.random() < 0.5)


def slow_one(world, victim):
    world.slow_file(victim).touch()
    pause(1.0, 2.0)
    world.slow_file(victim).unlink()


def slow_all(world, _victim):
    for index in range(MEMBERS):
        world.slow_file(index).touch()
    pause(1.0, 2.0)
    for index in range(MEMBERS):
        world.slow_file(index).unlink()


def fill_disk(world, victim):
    """Until the member says that it accepts nothing more, and then some."""
    filler = world.disks[victim].folder / "filler"
    log = SCRATCH / f"log{victim}"
    said = log.read_text().count("no space left")
    with open(filler, "wb") as file:
        try:
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
        except OSError:
            pass
    full = cell.wait_for(lambda: log.read_text().count("no space left") > said, 10)
    print("# the log is full" if full else "# the log did not need more space in time")
    pause(0.2, 1.5)
    os.unlink(filler)


def cut_power_of_one(world, victim):
    world.disks[victim].cut_power()
    world.kill(victim)
    world.disks[victim].restore_power()
    world.start(victim)


def cut_power(world, _victim):
    for disk in world.disks:
        disk.cut_power()
    for index in range(MEMBERS):
        world.kill(index)
    for index in range(MEMBERS):
        world.disks[index].restore_power()
        world.start(index)


PROCESS_FAULTS = [kill_one, kill_two, kill_all, stop_one, cut_one, cut_all]
SLOW_FAULTS = [slow_one, slow_all]
DISK_FAULTS = [fill_disk, cut_power_of_one, cut_power]


def judge(journals):
    return cell.run([str(cell.BUILD / "tests" / "log_judge"), *map(str, journals)], seconds=100)


def judge_the_judge():
    """It is seen to accept what is right, and to complain of each kind of wrong."""
    good = ["c 71 2 1 0 4 100", "e 1 71", "r 71 1 1 200", "c 72 1 1 0 4 300", "r 72 71 1 400"]
    cases = {
        "accepts_what_is_right": (good, 0),
        "sees_a_stale_read": (good[:4] + ["r 72 0 1 400"], 1),
        "sees_a_lost_write": (good[:1] + good[2:], 1),
        "sees_two_values_in_a_slot": (good + ["c 73 2 1 0 4 500", "e 1 73"], 1),
        "sees_an_operation_twice": (good + ["e 2 71"], 1),
        "sees_a_refused_write_executed": (["c 71 2 1 0 4 100", "f 71", "e 1 71"], 1),
    }
    for name, (lines, wanted) in cases.items():
        path = SCRATCH / "case"
        path.write_text("\n".join(lines) + "\n")
        status, out, _ = judge([path])
        suite.check(f"the_judge_{name}", status == wanted, out)


def run_faults(world):
    faults = PROCESS_FAULTS + (SLOW_FAULTS if world.shim else []) + \
        (DISK_FAULTS if world.has_disks else [])
    if not world.shim:
        suite.skip("slow_disks", "no compiler for the shim")
    if not world.has_disks:
        suite.skip("full_disks_and_power_cuts", "no loop devices with ext4 here")
    plan = faults + [choose.choice(faults) for _ in range(max(0, ROUNDS - len(faults)))]
    choose.shuffle(plan)
    for fault in plan:
        victim = choose.randrange(MEMBERS)
        print(f"# {fault.__name__} at n{victim + 1}", flush=True)
        fault(world, victim)
        if not world.settle():
            suite.check("operations_return_after_each_fault", False,
                        f"{fault.__name__} at n{victim + 1}\n{world.logs()}")
            return len(plan)
    suite.check("operations_return_after_each_fault", True)
    return len(plan)


def main():
    print(f"# seed {SEED}")
    judge_the_judge()
    world = World()
    try:
        for index in range(MEMBERS):
            world.start(index)
        suite.check("operations_return", world.settle(), world.logs())
        run_faults(world)
    finally:
        cell.stop_all()
        world.relay.stop()
        for disk in world.disks:
            disk.remove()
    status, out, _ = judge([world.journal(index) for index in range(MEMBERS)])
    print(f"# {out.strip().splitlines()[-1] if out.strip() else 'no summary'}")
    suite.check("journals_agree_and_are_linearizable", status == 0, out)
    done = sum(world.returns(index) for index in range(MEMBERS))
    suite.check("enough_happened_to_judge", done > 500, done)


try:
    main()
finally:
    cell.stop_all()
    shutil.rmtree(SCRATCH, ignore_errors=True)
sys.exit(suite.finish())
