"""stomp.py over its WebSocket transport."""

import json
import uuid

import pytest
import stomp
from conftest import HEART_BEAT, PATIENCE, person, roommates, subscribe, topic

VERSIONS = ["1.0", "1.1", "1.2"]
# The longest frame that the broker takes by default, and more than command and headers need, in bytes.
FRAME, HEAD = 65_536, 512


@pytest.mark.parametrize("version", VERSIONS)
def test_connects_subscribes_sends(connect, version):
    connection, frames = connect(version)
    connected = frames.connected.get(timeout=PATIENCE)
    assert connected.headers["version"] == version
    assert connected.headers["user-name"].isdigit()
    destination = topic()
    subscribe(connection, frames, destination, id="1")
    connection.send(destination, "안녕하세요 👋", content_type="text/plain;charset=utf-8")
    message = frames.message()
    assert message.body == "안녕하세요 👋"
    assert message.headers["destination"] == destination
    assert message.headers["subscription"] == "1"
    assert message.headers["content-type"] == "text/plain;charset=utf-8"
    assert message.headers["message-id"]


def test_in_1_0_a_subscription_needs_no_id(connect):
    connection, frames = connect("1.0")
    destination = topic()
    connection.subscribe(destination, receipt="on")
    frames.receipt("on")
    connection.send(destination, "one")
    message = frames.message()
    assert message.body == "one"
    assert "subscription" not in message.headers
    connection.unsubscribe(destination, receipt="off")
    frames.receipt("off")
    connection.send(destination, "two", receipt="sent")
    frames.receipt("sent")
    assert frames.messages.empty()


@pytest.mark.parametrize("by", ["STOMP", "CONNECT"])
def test_passcode_and_both_first_commands(connect, by):
    connection, frames = connect(wait=False)
    # The connection of the fixture is one thing; this is how the library's users give a password.
    other = stomp.WSConnection(
        [connection.transport.current_host_and_port], ws_path=connection.transport.ws_path
    )
    other.connect("anybody", person()[0], wait=True, with_connect_command=by == "CONNECT")
    assert other.is_connected()
    other.disconnect()


def test_a_sub_protocol_may_be_asked_for(connect):
    connection, _ = connect(header={"Sec-WebSocket-Protocol": "v12.stomp"})
    assert connection.is_connected()


def test_binary_websocket_messages(connect):
    connection, frames = connect(binary_mode=True, auto_decode=False)
    destination = topic()
    subscribe(connection, frames, destination)
    for body in [bytes(range(256)), bytes(1000), b"\x00", b"\xff\xfe" * 5000]:
        connection.send(destination, body, content_type="application/octet-stream")
        message = frames.message()
        assert message.body == body
        assert message.headers["content-length"] == str(len(body))


def test_a_text_with_nuls(connect):
    connection, frames = connect()
    destination = topic()
    subscribe(connection, frames, destination)
    connection.send(destination, "a\0b\0")
    assert frames.message().body == "a\0b\0"


def test_no_content_length(connect):
    connection, frames = connect(auto_content_length=False)
    destination = topic()
    subscribe(connection, frames, destination)
    connection.send(destination, "up to the NUL, 모두")
    assert frames.message().body == "up to the NUL, 모두"


def test_as_large_as_a_frame_may_be(connect):
    connection, frames = connect()
    destination = topic()
    subscribe(connection, frames, destination)
    body = "x" * (FRAME - HEAD)
    connection.send(destination, body)
    assert frames.message().body == body


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_headers_with_what_needs_escaping(connect, version):
    connection, frames = connect(version)
    destination = topic()
    subscribe(connection, frames, destination)
    own = {
        "colon": "a:b::c",
        "newline": "two\nlines",
        "backslash": "D:\\new\\\\case\\",
        "unicode": "모이자 🎲",
        "spaces": " kept ",
    }
    if version == "1.2":
        own["return"] = "a\r\nb"
    connection.send(destination, "x", headers=dict(own))
    headers = frames.message().headers
    assert {name: headers.get(name) for name in own} == own


def test_receipts_for_every_verb(connect):
    connection, frames = connect()
    destination = topic()
    connection.subscribe(destination, id="1", ack="client", receipt="subscribe")
    connection.send(destination, "x", receipt="send")
    message = frames.message()
    connection.begin("t", receipt="begin")
    connection.ack(message.headers["ack"], transaction="t", receipt="ack")
    connection.commit("t", receipt="commit")
    connection.unsubscribe("1", receipt="unsubscribe")
    expected = ["subscribe", "send", "begin", "ack", "commit", "unsubscribe"]
    receipts = [frames.receipts.get(timeout=PATIENCE) for _ in expected]
    assert [frame.headers["receipt-id"] for frame in receipts] == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_transactions(connect, version):
    connection, frames = connect(version)
    destination = topic()
    subscribe(connection, frames, destination)
    dropped = connection.begin()
    kept = connection.begin()
    connection.send(destination, "dropped", transaction=dropped)
    connection.send(destination, "kept 1", transaction=kept)
    connection.send(destination, "outside")
    connection.send(destination, "kept 2", transaction=kept)
    connection.abort(dropped)
    connection.commit(kept)
    assert [frames.message().body for _ in range(3)] == ["outside", "kept 1", "kept 2"]


def ack(version, connection, message, verb="ack", **headers):
    """Each version names a message in its own way."""
    if version == "1.2":
        getattr(connection, verb)(message.headers["ack"], **headers)
    elif version == "1.1":
        getattr(connection, verb)(message.headers["message-id"], message.headers["subscription"], **headers)
    else:
        getattr(connection, verb)(message.headers["message-id"], **headers)


@pytest.mark.parametrize("version", VERSIONS)
def test_ack(connect, version):
    connection, frames = connect(version)
    destination = topic()
    subscribe(connection, frames, destination, ack="client")
    for body in "abc":
        connection.send(destination, body)
    messages = [frames.message() for _ in range(3)]
    for number in [1, 1, 0, 2]:
        ack(version, connection, messages[number], receipt=f"ack {number}")
        frames.receipt(f"ack {number}")
    assert connection.is_connected()


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_nack(connect, version):
    connection, frames = connect(version)
    destination = topic()
    subscribe(connection, frames, destination, ack="client-individual")
    connection.send(destination, "refused")
    ack(version, connection, frames.message(), "nack", receipt="nack")
    frames.receipt("nack")
    connection.send(destination, "next")
    assert frames.message().body == "next"


def test_two_connections_and_two_subscriptions(connect):
    (one, mine), (other, theirs) = connect(), connect()
    destination = topic()
    subscribe(one, mine, destination, id="a")
    subscribe(one, mine, destination, id="b")
    subscribe(other, theirs, destination, id="a")
    one.send(destination, "all")
    assert {mine.message().headers["subscription"], mine.message().headers["subscription"]} == {"a", "b"}
    assert theirs.message().body == "all"
    one.unsubscribe("a", receipt="off")
    mine.receipt("off")
    one.send(destination, "fewer")
    assert mine.message().headers["subscription"] == "b"
    assert mine.messages.empty()


def test_many_messages_in_order(connect):
    (sender, _), (listener, frames) = connect(), connect()
    destination = topic()
    subscribe(listener, frames, destination)
    for number in range(100):
        sender.send(destination, str(number))
    assert [int(frames.message().body) for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("version", VERSIONS)
def test_disconnect_with_receipt(connect, version):
    connection, frames = connect(version)
    connection.disconnect("bye")
    frames.receipt("bye")
    assert frames.ends.get(timeout=PATIENCE) == "disconnected"
    assert not connection.is_connected()


def test_as_a_context(connect):
    connection, frames = connect()
    with connection:
        connection.send(topic(), "x", receipt="sent")
        frames.receipt("sent")
    assert not connection.is_connected()


def test_error_listener(connect):
    connection, frames = connect()
    connection.send("/nowhere", "x", receipt="r-1")
    error = frames.errors.get(timeout=PATIENCE)
    assert error.headers["message"]
    assert error.headers["receipt-id"] == "r-1"
    assert error.headers["content-type"].startswith("text/plain")
    assert error.body
    assert frames.ends.get(timeout=PATIENCE) == "disconnected"


def test_a_wrong_token_fails_the_connect(connect):
    with pytest.raises(stomp.exception.ConnectFailedException):
        connect(token="nothing")


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_heart_beats_in_both_directions(connect, line, version):
    connection, frames = connect(version, port=line.port, heartbeats=(HEART_BEAT, HEART_BEAT))
    connected = frames.connected.get(timeout=PATIENCE)
    assert connected.headers["heart-beat"] == f"{HEART_BEAT},{HEART_BEAT}"
    before = line.passed()
    for _ in range(4):
        frames.heartbeats.get(timeout=PATIENCE)
    assert line.passed()["upPieces"] - before["upPieces"] >= 3
    assert connection.is_connected()


def test_a_silent_broker_is_noticed(connect, line):
    _, frames = connect(port=line.port, heartbeats=(0, HEART_BEAT))
    line.hold_down()
    ends = {frames.ends.get(timeout=PATIENCE), frames.ends.get(timeout=PATIENCE)}
    assert "heart-beat timeout" in ends


def test_a_silent_client_is_closed(connect, line):
    _, frames = connect(port=line.port, heartbeats=(HEART_BEAT, 0))
    line.hold_up()
    assert "heart-beat" in frames.errors.get(timeout=PATIENCE).body
    # What the client answers to the close frame has to pass again for a clean end.
    line.restore()
    assert frames.ends.get(timeout=PATIENCE) == "disconnected"


def test_reconnects_as_its_documentation_says(connect, line):
    token, _ = person()
    connection, frames = connect(port=line.port, token=token)
    line.drop()
    assert frames.ends.get(timeout=PATIENCE) == "disconnected"
    connection.connect(headers={"Authorization": f"Bearer {token}"}, wait=True)
    destination = topic()
    subscribe(connection, frames, destination)
    connection.send(destination, "back")
    assert frames.message().body == "back"


def test_a_chat_room(connect):
    token, room = person()
    connection, frames = connect(token=token)
    subscribe(connection, frames, f"/chat/{room}")
    content = f"목요일에 봐요 {uuid.uuid4()}"
    connection.send(f"/app/chat/{room}", json.dumps({"content": content}), receipt="said")
    frames.receipt("said")
    while json.loads(frames.message().body).get("content") != content:
        pass


def say(connection, frames, verb, room, content=None, **headers):
    """Says or changes something; the seq that the RECEIPT has."""
    receipt = str(uuid.uuid4())
    body = "" if content is None else json.dumps({"content": content})
    connection.send(f"/app/{verb}/{room}", body, headers=headers, receipt=receipt)
    return frames.receipt(receipt).headers["seq"]


def up_to(frames, wanted):
    """Messages up to the first one like this, with it; others use the room too."""
    messages = []
    while True:
        frame = frames.message()
        headers = {name: frame.headers.get(name) for name in ("seq", "history", "unread")}
        messages.append(json.loads(frame.body) | headers)
        if wanted(messages[-1]):
            return messages


def test_a_message_that_is_sent_again_is_there_once(connect):
    token, room = person()
    (connection, frames), (again, its) = connect(token=token), connect(token=token)
    subscribe(connection, frames, f"/chat/{room}")
    name = {"client-id": str(uuid.uuid4())}
    first = say(connection, frames, "chat", room, "한 번만", **name)
    # On another connection, as after one that was lost before its RECEIPT.
    assert say(again, its, "chat", room, "한 번만", **name) == first
    end = say(connection, frames, "chat", room, "끝")
    messages = up_to(frames, lambda message: message["seq"] == end)
    assert [message["seq"] for message in messages if message.get("client-id") == name["client-id"]] == [first]


def test_a_chat_room_is_changed_and_resumed(connect):
    token, room = person()
    connection, frames = connect(token=token)
    mark = str(uuid.uuid4())
    first = say(connection, frames, "chat", room, f"하나 {mark}")
    away, seen = connect(token=token)
    subscribe(away, seen, f"/chat/{room}", history=1)
    assert up_to(seen, lambda message: message["seq"])[0]["history"] == "true"
    away.disconnect()

    second = say(connection, frames, "chat", room, f"둘 {mark}", **{"reply-to": first})
    third = say(connection, frames, "chat", room, f"셋 {mark}", **{"reply-to": first})
    edited = say(connection, frames, "edit", room, f"넷 {mark}", seq=first)
    deleted = say(connection, frames, "delete", room, seq=second)

    back, missed = connect(token=token)
    subscribe(back, missed, f"/chat/{room}", after=first)
    messages = up_to(missed, lambda message: message["type"] == "recovered")
    assert messages[-1]["recovered"] is True
    records = {message["seq"]: message for message in messages if message["seq"]}
    assert [seq for seq in records if seq in (second, third, edited, deleted)] == [second, third, edited, deleted]
    assert all(message["history"] == "true" and int(seq) > int(first) for seq, message in records.items())
    assert "content" not in records[second] and records[second]["deleted"] > 0
    assert (records[third]["content"], records[third]["reply-to"]) == (f"셋 {mark}", int(first))
    assert (records[edited]["target"], records[edited]["content"]) == (int(first), f"넷 {mark}")
    assert records[deleted]["target"] == int(second)

    # And then live.
    live = say(connection, frames, "chat", room, f"다섯 {mark}")
    message = up_to(missed, lambda message: message["seq"] == live)[-1]
    assert (message["content"], message["history"]) == (f"다섯 {mark}", None)
    assert message["unread"].isdigit()


@pytest.mark.parametrize(("version", "mode"), [*((v, "client") for v in VERSIONS), ("1.2", "client-individual")])
def test_a_chat_room_is_read_by_who_acknowledges_whatever_comes(connect, version, mode):
    one, two, room = roommates()
    (sender, witness), (reader, inbox) = connect(token=one), connect(version, token=two)
    subscribe(sender, witness, f"/chat/{room}")
    subscribe(reader, inbox, f"/chat/{room}", ack=mode)
    seq = say(sender, witness, "chat", room, f"읽었니 {uuid.uuid4()}")
    # Others use the room too, and who opens it has read it.
    unread = first = int(up_to(witness, lambda message: message["seq"] == seq)[-1]["unread"])
    assert first > 0
    answered = None
    while answered != seq:
        message = inbox.message()
        ack(version, reader, message)
        answered = message.headers.get("seq")
    while unread >= first:
        changes = up_to(witness, lambda message: message["type"] == "read")[-1].get("changes", [])
        unread += sum(change["by"] for change in changes if change["from"] < int(seq) <= change["to"])
    # What comes of that can be acknowledged as well.
    event = inbox.message()
    while json.loads(event.body)["type"] != "read":
        event = inbox.message()
    ack(version, reader, event, receipt="answered")
    inbox.receipt("answered")
    assert reader.is_connected()
