"""What the tests share: the broker under test, people, connections, and frames as things to wait for."""

import itertools
import json
import os
import queue
import random
import urllib.request
import uuid
from urllib.parse import urlsplit

import pytest
import stomp
from stomp.adapter.ws import WSTransport
from stomp.connect import BaseConnection, StompConnection10, StompConnection11
from stomp.protocol import Protocol10, Protocol11

# How long anything may take, in seconds; a promise that is kept takes a fraction of one.
PATIENCE = 30

BROKER = urlsplit(os.environ["BROKER_URL"])
HEART_BEAT = int(os.environ["BROKER_HEART_BEAT"])
LINES = os.environ["BROKER_LINES"]

with open(os.environ["BROKER_TOKENS"], encoding="ascii") as file:
    TOKENS = file.read().split()
with open(os.environ["BROKER_ROOMS"], encoding="ascii") as file:
    ROOMS = file.read().split()

# Suites run side by side: each begins with somebody else.
_people = itertools.count(random.randrange(len(TOKENS)))


def person():
    """Somebody's access token, and the room whose member they are."""
    index = next(_people) % len(TOKENS)
    return TOKENS[index], ROOMS[index % len(ROOMS)]


def roommates():
    """The access tokens of two members of a room, and the room."""
    index = next(_people) % len(TOKENS)
    other = (index + len(ROOMS)) % len(TOKENS)
    return TOKENS[index], TOKENS[other], ROOMS[index % len(ROOMS)]


def topic():
    """A destination that no other test knows."""
    return f"/topic/python-{uuid.uuid4()}"


class Connection11(StompConnection11):
    """stomp.py has a WebSocket connection for 1.2 only; its transport carries its other protocols as well."""

    def __init__(self, hosts, ws_path, heartbeats=(0, 0), **options):
        transport = WSTransport(hosts, ws_path=ws_path, **options)
        BaseConnection.__init__(self, transport)
        Protocol11.__init__(self, transport, heartbeats)


class Connection10(StompConnection10):
    """The same for 1.0."""

    def __init__(self, hosts, ws_path, **options):
        transport = WSTransport(hosts, ws_path=ws_path, **options)
        BaseConnection.__init__(self, transport)
        Protocol10.__init__(self, transport)


CLASSES = {"1.0": Connection10, "1.1": Connection11, "1.2": stomp.WSConnection}


class Frames(stomp.ConnectionListener):
    """What has come, by kind, and not been looked at."""

    def __init__(self):
        self.connected = queue.Queue()
        self.messages = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.heartbeats = queue.Queue()
        self.ends = queue.Queue()

    def on_connected(self, frame):
        self.connected.put(frame)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat(self):
        self.heartbeats.put("beat")

    def on_heartbeat_timeout(self):
        self.ends.put("heart-beat timeout")

    def on_disconnected(self):
        self.ends.put("disconnected")

    def message(self):
        return self.messages.get(timeout=PATIENCE)

    def receipt(self, wanted):
        """Waits for this receipt, and gives it; those before it are passed over."""
        while True:
            frame = self.receipts.get(timeout=PATIENCE)
            if frame.headers["receipt-id"] == wanted:
                return frame


class Line:
    """A TCP line to the broker that a test can cut or hold."""

    def __init__(self):
        self.port = self._post("")["port"]

    def _post(self, path):
        request = urllib.request.Request(f"{LINES}/{path}", method="POST")
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def __getattr__(self, verb):
        return lambda: self._post(f"{self.port}/{verb.replace('_', '-')}")

    def passed(self):
        with urllib.request.urlopen(f"{LINES}/{self.port}") as response:
            return json.load(response)


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


@pytest.fixture
def connect():
    """Makes connections that end with the test: `connection, frames = connect(version="1.1", …)`."""
    made = []

    def connect(version="1.2", port=BROKER.port, token=None, wait=True, **options):
        connection = CLASSES[version]([("127.0.0.1", port)], ws_path=BROKER.path, **options)
        frames = Frames()
        connection.set_listener("frames", frames)
        made.append(connection)
        token = token or person()[0]
        connection.connect(headers={"Authorization": f"Bearer {token}"}, wait=wait)
        return connection, frames

    yield connect
    for connection in made:
        connection.transport.disconnect_socket()


def subscribe(connection, frames, destination, id="1", **headers):
    """Subscribes; returns when the broker has it."""
    receipt = str(uuid.uuid4())
    connection.subscribe(destination, id=id, receipt=receipt, **headers)
    frames.receipt(receipt)
