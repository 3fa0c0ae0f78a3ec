"""Real members and tools on loopback, for the tests of this folder.

Everything started here is ended by its number, in stop_all() at the latest. The clock is
CLOCK_BOOTTIME, the one that the programs count by.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(os.environ.get("TN_SOURCE_DIR",
                                     pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("TN_BUILD_DIR", SOURCE / "build"))
TENURE = str(BUILD / "bin" / "tenure")
TENURED = str(BUILD / "bin" / "tenured")
PATIENCE = 30.0

started = []


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def free_ports(count):
    """Ports that were free a moment ago; taken all at once, so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment(**more):
    """Ours, without what would change the programs' options."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TENURE_", "TENURED_"))}
    return dict(kept, **more)


def wait_for(holds, seconds=PATIENCE):
    """Polls until holds() is true; its last value."""
    until = now() + seconds
    while True:
        value = holds()
        if value or now() > until:
            return value
        time.sleep(0.02)


def start(arguments, **more):
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, text=True,
                               env=more.pop("env", environment()), **more)
    started.append(process)
    return process


def stop_all():
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
    started.clear()


def run(arguments, seconds=PATIENCE, **more):
    """Runs to the end: status (negative for a signal), stdout, stderr."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=seconds, check=False,
                          env=more.pop("env", environment()), **more)
    return done.returncode, done.stdout, done.stderr


def last_object(text):
    """The JSON object that --json promises as the last line."""
    lines = text.strip().splitlines()
    value = json.loads(lines[-1]) if lines else None
    return value if isinstance(value, dict) else {}


def is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


class Cell:
    """Some members of one cell; peers may be reached through other ports than they listen on."""

    def __init__(self, count, lease="1s", flags=(), scratch=None):
        self.folder = pathlib.Path(scratch or tempfile.mkdtemp(prefix="cell-"))
        self.names = [f"n{i + 1}" for i in range(count)]
        ports = free_ports(2 * count)
        self.peer_ports = ports[:count]
        self.client_ports = ports[count:]
        self.flags = ["--lease", lease, *flags]
        self.members = {}
        self.begun = set()
        # peers_of[i]: how member i reaches the others; a test may put relays between.
        self.peers_of = [list(self.peer_ports) for _ in range(count)]

    def endpoint(self, index):
        return f"127.0.0.1:{self.client_ports[index]}"

    @property
    def endpoints(self):
        return ",".join(self.endpoint(i) for i in range(len(self.names)))

    def start(self, index, *flags):
        name = self.names[index]
        arguments = [TENURED, "--name", name, "--listen-client", self.endpoint(index),
                     "--data-dir", str(self.folder / name), *self.flags, *flags]
        if len(self.names) > 1:
            peers = [f"{other}=127.0.0.1:{port}"
                     for other, port in zip(self.names, self.peers_of[index])]
            arguments += ["--peers", ",".join(peers),
                          "--listen-peer", f"127.0.0.1:{self.peer_ports[index]}"]
            if index not in self.begun:
                arguments.append("--bootstrap")
        self.begun.add(index)
        log = open(self.folder / f"{name}.log", "a")  # pylint: disable=consider-using-with
        self.members[index] = start(arguments, stdout=log, stderr=log)
        log.close()
        return self.members[index]

    def start_all(self, *flags):
        for index in range(len(self.names)):
            self.start(index, *flags)
        return self

    def log(self, index):
        return (self.folder / f"{self.names[index]}.log").read_text()

    def wait_ready(self):
        """Until every member answers, votes and is connected to all."""
        for index in range(len(self.names)):
            if not wait_for(lambda i=index: self.is_ready(i)):
                raise RuntimeError(f"{self.names[index]} is not ready:\n{self.log(index)}")
        return self

    def is_ready(self, index):
        status, out, _ = run([TENURE, "status", "--json", "--endpoints", self.endpoint(index),
                              "--timeout", "2s"])
        if status != 0:
            return False
        node = last_object(out)["nodes"][0]
        together = all(m["self"] or m["connected"] for m in node["members"])
        return together and node["quarantine_ms"] == 0

    def owner(self, name, among=None):
        """The index of the member that says of itself that it owns the name; None: nobody."""
        for index in among if among is not None else range(len(self.names)):
            status, out, _ = run([TENURE, "who", name, "--json", "--endpoints",
                                  self.endpoint(index), "--timeout", "1s"])
            if status == 0 and last_object(out).get("state") == "owned":
                return index
        return None
