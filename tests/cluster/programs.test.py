#!/usr/bin/env python3
"""The programs as people and scripts use them: real processes on loopback.

Statuses, --json, wrong usage, and what `hold` promises about its command whoever is killed.
Only states and their order are asserted, never how long something took; "before the lease runs out"
is read off the shared clock.
"""
# timeout: 200
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "house"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cell  # noqa: E402
import tap  # noqa: E402
from cell import TENURE, TENURED, last_object, run, wait_for  # noqa: E402

SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="programs-"))
COMMANDS = "status leases who watch acquire release hand-over hold top log".split()
suite = tap.Suite()


def expect(name, arguments, status, *, out="", err="", env=None):
    """Runs a program; its status and a part of what it says must be as given."""
    got, said, complained = run(arguments, env=env or cell.environment(), cwd=SCRATCH)
    suite.check(name, got == status and out in said and err in complained,
                f"status {got}, not {status}\nstdout: {said}\nstderr: {complained}")
    return said


def helps_and_versions():
    for program in (TENURED, TENURE):
        name = pathlib.Path(program).name
        expect(f"{name}_help", [program, "--help"], 0, out=f"Usage: {name}")
        expect(f"{name}_version", [program, "--version"], 0, out=f"{name} 0.")
    for command in COMMANDS:
        expect(f"help_of_{command}", [TENURE, command, "--help"], 0,
               out=f"Usage: tenure {command} [OPTION...]")


def wrong_usage():
    cases = [
        ([TENURE], "a command is missing"),
        ([TENURE, "fly"], "fly: there is no such command"),
        ([TENURE, "who"], "write tenure who NAME"),
        ([TENURE, "who", ""], "1 to 64 bytes"),
        ([TENURE, "who", "x" * 65], "1 to 64 bytes, this one has 65"),
        ([TENURE, "who", "x", "--endpoints", "localhost"], "--endpoints: \"localhost\" has no"),
        ([TENURE, "who", "x", "--timeout", "5"], "--timeout: \"5\" is not a duration"),
        ([TENURE, "who", "x", "--margin", "1s"], "tenure who has no such option"),
        ([TENURE, "hold", "x"], "write tenure hold NAME -- COMMAND"),
        ([TENURE, "hold", "x", "true"], "stands behind --"),
        ([TENURE, "hand-over", "x"], "--to MEMBER"),
        ([TENURE, "acquire", "x", "--priority", "16"], "from 0 to 15"),
        ([TENURE, "who", "x", "--cert", "f"], "--cert and --key belong together"),
        ([TENURED, "--unknown"], "--unknown: there is no such option"),
        ([TENURED, "--lease", "1"], "--lease: \"1\" is not a duration"),
        ([TENURED, "--lease", "2d"], "1ms to 1d is allowed"),
        ([TENURED, "--name", "a b"], "--name: \"a b\" is not a name"),
        ([TENURED, "--peers", "a=x:1,a=x:2", "--name", "a"], "a stands twice"),
        ([TENURED, "--peers", "a=x:1,b=x:1", "--name", "a"], "x:1 stands twice"),
        ([TENURED, "--peers", "a=x:1,b=x:2", "--name", "c"], "c is not among --peers"),
        ([TENURED, "--diskless", "--data-dir", "d"], "contradict each other"),
        ([TENURED, "--table", "a=1s", "--lease", "1s"], "write its duration there"),
        ([TENURED, "--table", "a=1s", "--table", "a=2s"], "a stands twice"),
        ([TENURED, "--peer-ca", "f"], "belong together"),
        ([TENURED, "--drift-ppm", "400000"], "from 0 to 333333"),
        ([TENURED, "--listen-client", "nowhere"], "--listen-client: \"nowhere\" has no port"),
        ([TENURED, "--want", "x" * 65], "1 to 64 bytes"),
        ([TENURED, "--table", "a=2s,1s", "--listen-client", "127.0.0.1:0"], ""),
        ([TENURED, "--listen-client", "0.0.0.0:0"], "--insecure"),
        ([TENURED, "--name", "a", "--peers", "a=192.0.2.1:1,b=192.0.2.2:1", "--bootstrap"],
         "--insecure"),
    ]
    for arguments, said in cases:
        expect(f"wrong_usage: {' '.join(arguments[1:])[:60]}", arguments, 2, err=said)
    said = expect("wrong_usage_ends_in_json_too", [TENURE, "fly", "--json"], 2)
    suite.check("and_that_object_says_why", last_object(said).get("error") == "usage", said)


def configuration():
    path = SCRATCH / "wrong.yaml"
    path.write_text("name: a\nlaese: 1s\n")
    expect("an_unknown_key_is_refused_with_its_line", [TENURED, "--config-file", str(path)], 2,
           err=f"{path}:2: laese: there is no such option")
    expect("a_wrong_variable_is_named", [TENURED], 2, err="TENURED_LEASE: \"soon\"",
           env=cell.environment(TENURED_LEASE="soon"))
    path = SCRATCH / "right.yaml"
    port = cell.free_ports(1)[0]
    path.write_text(f"name: fromfile\nlease: 300ms\nlisten-client: 127.0.0.1:{port}\n"
                    "diskless: true\nlog-format: json\n")
    log = open(SCRATCH / "right.log", "w")
    member = cell.start([TENURED, "--config-file", str(path)], stdout=log, stderr=log, cwd=SCRATCH,
                        env=cell.environment(TENURED_NAME="fromenvironment"))
    answered = wait_for(lambda: run([TENURE, "status", "--endpoints", f"127.0.0.1:{port}",
                                     "--json"])[0] == 0)
    _, out, _ = run([TENURE, "status", "--endpoints", f"127.0.0.1:{port}", "--json"])
    node = last_object(out)["nodes"][0] if answered else {}
    suite.check("file_and_environment_configure_a_member",
                node.get("name") == "fromenvironment" and node.get("fenced") is False and
                node["tables"][0]["proposer_ms"] == 300, out)
    member.terminate()
    suite.check("sigterm_ends_a_member_with_status_0", member.wait(cell.PATIENCE) == 0)
    lines = (SCRATCH / "right.log").read_text().splitlines()
    suite.check("log_lines_are_json_by_choice",
                lines and all("message" in json.loads(line) for line in lines), lines)


def refusals_of_a_member():
    one = cell.Cell(1, scratch=SCRATCH).start_all().wait_ready()
    busy = one.endpoint(0)
    other = f"127.0.0.1:{cell.free_ports(1)[0]}"
    expect("a_port_in_use_is_named", [TENURED, "--listen-client", busy, "--data-dir", "other"], 1,
           err=busy)
    expect("two_processes_do_not_share_a_directory",
           [TENURED, "--name", "n1", "--listen-client", other, "--data-dir", str(SCRATCH / "n1")],
           1, err="another")
    expect("a_file_is_no_directory", [TENURED, "--listen-client", other, "--data-dir",
                                      str(pathlib.Path(__file__))], 2, err="no directory")
    one.members[0].kill()
    one.members[0].wait()
    words = [p for p in (SCRATCH / "n1").iterdir() if p.is_file() and p.stat().st_size > 0]
    kept = {p: p.read_bytes() for p in words}
    for path in words:
        path.write_bytes(b"\x00" * len(kept[path]))
    expect("damaged_words_are_refused",
           [TENURED, "--name", "n1", "--listen-client", other, "--data-dir", str(SCRATCH / "n1")],
           1, err="n1")
    for path in words:
        path.write_bytes(kept[path])
    expect("a_member_of_several_does_not_vote_from_an_empty_directory",
           [TENURED, "--name", "a", "--peers", "a=127.0.0.1:1,b=127.0.0.1:2", "--listen-client",
            other, "--listen-peer", "127.0.0.1:0", "--data-dir", "fresh"], 1, err="bootstrap")
    disk_refusals(other)


def disk_refusals(other):
    """A full and a read-only disk, on a tmpfs in a mount namespace, where that can be made."""
    for name, option, said in (("full", "size=4k", "space"),
                               ("read_only", "ro", "cannot be written")):
        title = f"a_{name}_disk_is_refused"
        place = SCRATCH / f"disk-{name}"
        place.mkdir()
        fill = f"dd if=/dev/zero of={place}/fill bs=4k count=2 2>/dev/null;"
        fill = fill if name == "full" else ""
        script = (f"mount -t tmpfs -o {option} none {place} || exit 77; {fill}"
                  f"exec {TENURED} --listen-client {other} --data-dir {place}/data")
        status, _, err = run(["unshare", "-m", "sh", "-c", script])
        if status == 77 or "unshare" in err:
            suite.skip(title, "no mount namespace here")
        else:
            suite.check(title, status == 1 and said in err, f"status {status}: {err}")


def looking_and_holding(one):
    at = ["--endpoints", one.endpoint(0)]
    expect("status_names_the_node", [TENURE, "status", *at], 0, out="n1 of cell tenure")
    expect("a_free_name_is_free", [TENURE, "who", "a", *at], 0, out="a is free")
    out = expect("acquire_prints_the_holding", [TENURE, "acquire", "a", "--ttl", "60s", "--json",
                                                "--label", "me", *at], 0)
    grant = last_object(out)
    suite.check("a_grant_has_holding_and_token",
                bool(grant.get("holding")) and grant.get("token", 0) > 0, out)
    out = expect("who_shows_owner_and_holder", [TENURE, "who", "a", "--json", *at], 0)
    suite.check("the_holder_is_labelled",
                last_object(out).get("holder", {}).get("label") == "me", out)
    expect("leases_lists_it", [TENURE, "leases", *at], 0, out="a ")
    out = expect("leases_as_json", [TENURE, "leases", "--json", *at], 0)
    suite.check("the_list_has_the_name",
                "a" in [x["name"] for x in last_object(out).get("leases", [])], out)
    out = expect("a_held_name_is_status_3", [TENURE, "acquire", "a", "--json", *at], 3,
                 err="held")
    suite.check("and_the_object_says_held", last_object(out).get("error") == "held", out)
    expect("a_wait_that_ends_is_status_124", [TENURE, "acquire", "a", "--wait", "200ms", *at], 124)
    expect("hold_that_tries_once_is_status_3", [TENURE, "hold", "a", "--wait", "0", *at, "--",
                                                "true"], 3)
    expect("hold_that_waits_too_long_is_status_124",
           [TENURE, "hold", "a", "--wait", "200ms", *at, "--", "true"], 124)
    expect("an_unknown_holding_is_status_1", [TENURE, "release", "f" * 16, *at], 1)
    expect("release_frees_it", [TENURE, "release", grant.get("holding", "x"), *at], 0,
           out="released")
    expect("an_unknown_table_is_status_1", [TENURE, "who", "a", "--table", "nope", *at], 1)
    expect("handing_over_to_a_stranger_is_status_1",
           [TENURE, "hand-over", "a", "--to", "stranger", *at], 1)
    nobody = f"127.0.0.1:{cell.free_ports(1)[0]}"
    expect("an_unreachable_node_is_status_1", [TENURE, "who", "a", "--endpoints", nobody], 1,
           err="cannot be reached")
    expect("the_next_endpoint_is_tried", [TENURE, "who", "a", "--endpoints",
                                          f"{nobody},{one.endpoint(0)}"], 0)
    out = expect("status_of_several_tells_who_is_missing",
                 [TENURE, "status", "--json", "--endpoints", f"{nobody},{one.endpoint(0)}"], 1)
    suite.check("and_still_shows_the_other", last_object(out)["nodes"][1].get("name") == "n1", out)
    out = expect("watch_ends_with_status_0",
                 [TENURE, "watch", "--duration", "300ms", "--json", *at], 0)
    suite.check("watch_ends_in_an_object", last_object(out).get("event") == "end", out)
    out = expect("top_without_a_terminal_prints_lines",
                 [TENURE, "top", "a", "--duration", "500ms", *at], 0, out="n1 is up")
    keep_until_interrupted(one)


def keep_until_interrupted(one):
    at = ["--endpoints", one.endpoint(0)]
    keeper = cell.start([TENURE, "acquire", "kept", "--keep", *at], stdout=subprocess.PIPE)
    first = keeper.stdout.readline()
    suite.check("keep_says_what_it_holds", first.startswith("holding "), first)
    expect("a_kept_name_is_held", [TENURE, "acquire", "kept", *at], 3)
    keeper.send_signal(signal.SIGINT)
    out, _ = keeper.communicate(timeout=cell.PATIENCE)
    suite.check("an_interrupt_releases_it", keeper.returncode == 0 and "released" in out, out)
    expect("and_it_is_free_again", [TENURE, "acquire", "kept", "--ttl", "10ms", *at], 0)


def hold_results(one):
    at = ["--endpoints", one.endpoint(0)]
    out = expect("hold_passes_name_token_table_and_endpoint",
                 [TENURE, "hold", "h", *at, "--", "sh", "-c",
                  "echo $TENURE_NAME $TENURE_TOKEN $TENURE_ENDPOINT"], 0)
    name, token, endpoint = (out.split() + ["", "", ""])[:3]
    suite.check("and_they_are_right", name == "h" and token.isdigit() and int(token) > 0 and
                endpoint == one.endpoint(0), out)
    later = expect("a_later_holder_gets_a_larger_token",
                   [TENURE, "hold", "h", *at, "--", "sh", "-c", "echo $TENURE_TOKEN"], 0)
    suite.check("tokens_rise", later.strip().isdigit() and int(later) > int(token or 0),
                f"{token} then {later}")
    expect("hold_returns_the_status", [TENURE, "hold", "h", *at, "--", "sh", "-c", "exit 42"], 42)
    expect("hold_returns_128_and_the_signal",
           [TENURE, "hold", "h", *at, "--", "sh", "-c", "kill -KILL $$"], 137)
    expect("a_missing_command_is_127", [TENURE, "hold", "h", *at, "--", "/nonexistent"], 127,
           err="/nonexistent")
    out = expect("hold_ends_in_an_object",
                 [TENURE, "hold", "h", "--json", *at, "--", "sh", "-c", "exit 3"], 3)
    suite.check("with_status_and_token", last_object(out).get("status") == 3 and
                last_object(out).get("token", 0) > 0, out)
    expect("a_margin_beyond_the_lease_is_wrong_usage",
           [TENURE, "hold", "h", "--margin", "5s", *at, "--", "true"], 2, err="--margin")
    expect("a_ttl_beyond_the_lease_gives_no_margin_beyond_it",
           [TENURE, "hold", "h", "--ttl", "60s", *at, "--", "sh", "-c", "exit 7"], 7)
    expect("and_the_name_is_free_after_that",
           [TENURE, "acquire", "h", "--ttl", "10ms", "--wait", "5s", *at], 0)


class Held:
    """A running `hold`, whose command has written its number and lives until it is ended. The
    command and a child outside its group and session ignore SIGTERM if `deaf`."""

    def __init__(self, where, name, deaf=False, flags=()):
        self.file = SCRATCH / f"held-{name}"
        for path in (self.file, pathlib.Path(f"{self.file}.out")):
            path.unlink(missing_ok=True)
        trap = "trap '' TERM;" if deaf else ""
        inner = f"{trap} echo $$ > {self.file}.out; while :; do sleep 0.05; done"
        script = (f"{trap} setsid sh -c '{inner.replace(chr(39), chr(34))}' & "
                  f"while ! test -s {self.file}.out; do sleep 0.02; done; "
                  f"echo $$ > {self.file}; while :; do sleep 0.05; done")
        self.process = cell.start([TENURE, "hold", name, "--endpoints", where, *flags, "--", "sh",
                                   "-c", script], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        running = wait_for(lambda: self.file.exists() and self.file.read_text().strip())
        self.pids = [int(running or 0), int(pathlib.Path(f"{self.file}.out").read_text() or 0)]

    def alive(self):
        return [pid for pid in self.pids if cell.is_alive(pid)]

    def guardian(self):
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
            except OSError:
                continue
            if int(text[text.rindex(")") + 2:].split()[1]) == self.process.pid:
                return int(stat.parent.name)
        return 0

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def hold_under_signals(one):
    where = one.endpoint(0)
    held = Held(where, "s1")
    suite.check("the_command_runs", len(held.alive()) == 2)
    held.process.send_signal(signal.SIGTERM)
    status = held.process.wait(cell.PATIENCE)
    suite.check("sigterm_is_forwarded_and_nothing_is_left", status == 143 and not held.alive(),
                f"status {status}, alive {held.alive()}")
    held.end()
    for name, deaf, number in (("s2", False, signal.SIGKILL), ("s3", True, signal.SIGKILL),
                               ("s4", True, signal.SIGSTOP)):
        held = Held(where, name, deaf)
        held.process.send_signal(number)
        gone = wait_for(lambda held=held: not held.alive())
        suite.check(f"{name}: {number.name} to hold ends {'a deaf' if deaf else 'the'} command",
                    gone, f"alive: {held.alive()}")
        held.end()
    held = Held(where, "s5", True)
    os.kill(held.guardian(), signal.SIGKILL)
    status = held.process.wait(cell.PATIENCE)
    suite.check("a_killed_guardian_ends_the_command", status == 1 and not held.alive(),
                f"status {status}, alive {held.alive()}")
    held.end()
    held = Held(where, "s6", True)
    guardian = held.guardian()
    os.kill(guardian, signal.SIGSTOP)
    one.members[0].send_signal(signal.SIGSTOP)
    gone = wait_for(lambda: not cell.is_alive(held.pids[0]))
    one.members[0].send_signal(signal.SIGCONT)
    os.kill(guardian, signal.SIGCONT)
    suite.check("a_stopped_guardian_is_no_escape", gone)
    held.process.wait(cell.PATIENCE)
    suite.check("and_all_is_gone_when_it_goes_on", not held.alive())
    held.end()


def hold_loses(one):
    """The node dies: the command is gone, and before the time that the node had granted."""
    where = one.endpoint(0)
    held = Held(where, "lost", deaf=True)
    killed = cell.now()
    one.members[0].kill()
    one.members[0].wait()
    wait_for(lambda: not held.alive())
    gone = cell.now()
    status = held.process.wait(cell.PATIENCE)
    complaint = held.process.stderr.read()
    suite.check("a_lost_node_is_status_4", status == 4 and "renewed in time" in complaint,
                f"status {status}: {complaint}")
    # What was granted last was granted before the kill, for a lease of 1 s at most.
    suite.check("the_command_is_gone_before_the_lease_has_run_out", gone - killed < 1.0,
                f"{gone - killed:.3f} s after the kill")
    held.end()
    one.start(0)


def on_a_terminal(one, script, typed):
    """Runs `hold` as the foreground of a terminal of its own, types when it says "ready"; its
    status and what was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(TENURE, [TENURE, "hold", "tty", "--endpoints", one.endpoint(0), "--", "sh", "-c",
                           script], cell.environment())
    shown = b""
    until = cell.now() + cell.PATIENCE
    while cell.now() < until:
        try:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 4096)
        except OSError:  # the terminal's other side is closed: all have ended
            break
        if typed and b"ready" in shown:
            os.write(terminal, typed)
            typed = b""
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def hold_on_a_terminal(one):
    status, shown = on_a_terminal(one, "echo ready; read line; echo got $line", b"hello\n")
    suite.check("the_command_reads_from_the_terminal", status == 0 and "got hello" in shown,
                f"status {status}: {shown}")
    status, shown = on_a_terminal(
        one, "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done", b"\x03")
    suite.check("ctrl_c_reaches_the_command", status == 9, f"status {status}: {shown}")
    status, shown = on_a_terminal(one, "echo ready; while :; do sleep 0.05; done", b"\x03")
    suite.check("an_interrupted_command_is_status_130", status == 130, f"status {status}: {shown}")


def hand_over_and_leave():
    three = cell.Cell(3, scratch=tempfile.mkdtemp(prefix="three-", dir=SCRATCH))
    three.start_all("--want", "demo").wait_ready()
    elected = wait_for(lambda: (three.owner("demo"),) if three.owner("demo") is not None else None)
    suite.check("three_members_elect", elected is not None)
    owner = elected[0] if elected else 0
    expect("a_reserved_name_is_status_3",
           [TENURE, "acquire", "demo", "--endpoints", three.endpoint(owner)], 3)
    at = ["--endpoints", three.endpoints]
    expect("acquire_works_through_any_node",
           [TENURE, "acquire", "x", "--ttl", "60s", "--wait", "5s", "--endpoints",
            three.endpoint((owner + 1) % 3)], 0)
    expect("who_works_at_any_node", [TENURE, "who", "x", *at], 0)
    three.members[owner].terminate()
    suite.check("a_member_leaves_with_status_0", three.members[owner].wait(cell.PATIENCE) == 0)
    others = [i for i in range(3) if i != owner]
    suite.check("another_owns_what_it_had",
                wait_for(lambda: three.owner("demo", others) is not None))
    three.start(owner)
    held = cell.start([TENURE, "acquire", "moving", "--ttl", "1s", "--endpoints",
                       three.endpoint(others[0])], stdout=subprocess.DEVNULL)
    held.wait(cell.PATIENCE)
    expect("hand_over_asks_the_owner", [TENURE, "hand-over", "moving", "--to",
                                        three.names[others[1]], *at], 0, out="hand")
    for member in three.members.values():
        if member.poll() is None:
            member.terminate()
            member.wait(cell.PATIENCE)


def certify(folder):
    """A certificate authority, a node's certificate for 127.0.0.1 and ::1, a client's, and a
    stranger's authority. False where openssl is missing."""
    commands = []
    for authority in ("ca", "stranger"):
        commands.append(f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                        f"-nodes -days 2 -subj /CN={authority} -keyout {authority}.key "
                        f"-out {authority}.pem")
    for one in ("node", "client"):
        commands += [f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                     f"-subj /CN={one} -keyout {one}.key -out {one}.csr "
                     f"-addext subjectAltName=IP:127.0.0.1,IP:::1",
                     f"openssl x509 -req -in {one}.csr -CA ca.pem -CAkey ca.key -days 2 "
                     f"-copy_extensions copy -out {one}.pem"]
    return all(run(command.split(), cwd=folder)[0] == 0 for command in commands)


def secure_clients():
    folder = SCRATCH / "tls"
    folder.mkdir()
    if not certify(folder):
        suite.skip("secure_clients", "no openssl that makes certificates here")
        return
    port = cell.free_ports(1)[0]
    files = [f"--client-{kind}={folder}/{name}" for kind, name in
             (("ca", "ca.pem"), ("cert", "node.pem"), ("key", "node.key"))]
    log = open(folder / "log", "w")
    member = cell.start([TENURED, "--listen-client", f"[::1]:{port}", "--diskless", "--lease",
                         "300ms", *files], stdout=log, stderr=log, cwd=folder)
    own = ["--ca", f"{folder}/ca.pem", "--cert", f"{folder}/client.pem", "--key",
           f"{folder}/client.key"]
    at = ["--endpoints", f"[::1]:{port}"]
    ready = wait_for(lambda: run([TENURE, "status", *at, *own])[0] == 0)
    suite.check("certificates_on_both_sides_are_accepted", ready, (folder / "log").read_text())
    expect("a_command_is_held_over_tls", [TENURE, "hold", "x", *at, *own, "--", "true"], 0)
    expect("an_authority_that_does_not_vouch_is_named",
           [TENURE, "status", *at, "--ca", f"{folder}/stranger.pem", *own[2:]], 1,
           err="certificate")
    expect("a_client_without_certificate_is_refused", [TENURE, "status", *at, *own[:2]], 1)
    expect("a_plain_client_is_refused", [TENURE, "status", *at], 1)
    expect("a_file_that_is_none_is_named",
           [TENURE, "status", *at, "--ca", f"{folder}/missing.pem"], 1, err="missing.pem")
    expect("a_member_names_the_file_it_cannot_use",
           [TENURED, "--listen-client", "127.0.0.1:0", "--diskless", files[0],
            f"--client-cert={folder}/missing.pem", files[2]], 1, err="missing.pem")
    member.terminate()
    member.wait(cell.PATIENCE)


def make_run():
    status, out, err = run(["tools/run.sh"], 60, cwd=cell.SOURCE,
                           env=cell.environment(DURATION="6", BIN=str(cell.BUILD / "bin")))
    owners = [line for line in out.splitlines() if " owns demo, token" in line]
    tokens = [int(line.split("token ")[1].split(",")[0]) for line in owners]
    suite.check("run_shows_an_owner_a_kill_and_the_next_owner",
                status == 0 and "kill -9" in out and len(owners) >= 2 and
                owners[0].split()[2] != owners[-1].split()[2], f"status {status}\n{out}{err}")
    suite.check("and_its_tokens_rise", tokens == sorted(set(tokens)), tokens)


def main():
    # Whoever runs the tests in the background may have SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    helps_and_versions()
    wrong_usage()
    configuration()
    refusals_of_a_member()
    one = cell.Cell(1, scratch=tempfile.mkdtemp(prefix="one-", dir=SCRATCH))
    one.start_all().wait_ready()
    looking_and_holding(one)
    hold_results(one)
    hold_under_signals(one)
    hold_on_a_terminal(one)
    hold_loses(one)
    hand_over_and_leave()
    secure_clients()
    make_run()


try:
    main()
finally:
    cell.stop_all()
    shutil.rmtree(SCRATCH, ignore_errors=True)
sys.exit(suite.finish())
