"""TCP relays between members, which a test cuts and heals.

One relay stands on each directed way (who dials, who is dialled), on one thread for all. A cut way
is silent: connections stay open, bytes are kept and nothing arrives, as with a cable that is
pulled. Healing either lets the kept bytes through, late, or drops the connections.
"""
import selectors
import socket
import threading


class Way:
    """One listener and its connections."""

    def __init__(self, target):
        self.target = target
        self.cut = False
        self.pairs = []  # [near socket, far socket]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]


class Relay:
    def __init__(self):
        self.ways = {}
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.running = True
        self.thread = threading.Thread(target=self.turn, daemon=True)

    def add(self, key, target):
        way = Way(target)
        self.ways[key] = way
        self.selector.register(way.listener, selectors.EVENT_READ, (self.accept, way, None))
        return way.port

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.running = False
        self.thread.join(5)
        for way in self.ways.values():
            way.listener.close()
            for pair in way.pairs:
                for end in pair:
                    end.close()

    def cut(self, isolated):
        """Nothing passes between `isolated` and the others, in either direction."""
        with self.lock:
            for (one, other), way in self.ways.items():
                if (one in isolated) != (other in isolated):
                    way.cut = True

    def heal(self, drop):
        with self.lock:
            for way in self.ways.values():
                if way.cut and drop:
                    for pair in list(way.pairs):
                        self.close(way, pair)
                way.cut = False

    def turn(self):
        while self.running:
            for key, _ in self.selector.select(0.02):
                action, way, pair = key.data
                with self.lock:
                    if not way.cut and (pair is None or pair in way.pairs):
                        action(way, pair, key.fileobj)
            with self.lock:
                cut = any(way.cut for way in self.ways.values())
            if cut:
                threading.Event().wait(0.005)  # readable but cut: do not spin on it

    def accept(self, way, _pair, listener):
        near, _ = listener.accept()
        far = socket.socket()
        try:
            far.connect(("127.0.0.1", way.target))
        except OSError:
            near.close()
            far.close()
            return
        pair = [near, far]
        way.pairs.append(pair)
        for end in pair:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(end, selectors.EVENT_READ, (self.carry, way, pair))

    def carry(self, way, pair, end):
        other = pair[1] if end is pair[0] else pair[0]
        try:
            data = end.recv(65536)
            if data:
                other.settimeout(1.0)
                other.sendall(data)
                return
        except OSError:
            pass
        self.close(way, pair)

    def close(self, way, pair):
        way.pairs.remove(pair)
        for end in pair:
            self.selector.unregister(end)
            end.close()
