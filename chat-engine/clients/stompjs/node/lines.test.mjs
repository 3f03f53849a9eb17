// Lines that break or fall silent, and a broker that restarts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Instance } from '../../instance.mjs';
import { Line } from '../../line.mjs';
import {
  bearer,
  client,
  connect,
  connected,
  event,
  heartBeat,
  Inbox,
  receipt,
  SIDE_BY_SIDE,
  subscribe,
  topic,
  url,
} from '../broker.mjs';

/** A client whose line the test can cut. */
async function overLine(t, options = {}) {
  const line = await Line.to(new URL(url).port);
  t.after(() => line.close());
  const brokerURL = `ws://127.0.0.1:${line.port}/ws`;
  return { line, stomp: await connect(t, { brokerURL, reconnectDelay: 50, ...options }) };
}

/** As applications do it: subscribes at every connect. */
function follow(stomp, destination) {
  const inbox = new Inbox();
  const connects = new Inbox();
  stomp.onConnect = async (frame) => {
    await receipt(stomp, (headers) => stomp.subscribe(destination, inbox.put, headers));
    connects.put(frame);
  };
  return { inbox, connects };
}

const beats = { heartbeatIncoming: heartBeat, heartbeatOutgoing: heartBeat };

describe('reconnecting', SIDE_BY_SIDE, () => {
  test('after the line was cut, and for as long as it stays cut', async (t) => {
    const { line, stomp } = await overLine(t);
    const destination = topic();
    const { inbox, connects } = follow(stomp, destination);
    line.cut();
    // A few attempts that come to nothing.
    for (let attempt = 0; attempt < 3; attempt++) await event(stomp, 'onWebSocketClose');
    await line.restore();
    await connects.take();
    stomp.publish({ destination, body: 'back' });
    assert.equal((await inbox.take()).body, 'back');
  });

  test('forceDisconnect is followed by a new connection', async (t) => {
    const stomp = await connect(t, { reconnectDelay: 50 });
    const again = event(stomp, 'onConnect');
    stomp.forceDisconnect();
    assert.equal((await again).command, 'CONNECTED');
  });

  test('what the cut client had followed costs the others nothing', async (t) => {
    const { line, stomp } = await overLine(t, { reconnectDelay: 0 });
    const other = await connect(t);
    const destination = topic();
    const [, inbox] = await Promise.all([subscribe(stomp, destination), subscribe(other, destination)]);
    line.cut();
    for (let number = 0; number < 50; number++) other.publish({ destination, body: String(number) });
    const got = (await inbox.takeAll(50)).map(({ body }) => Number(body));
    assert.deepEqual(got, [...Array(50).keys()]);
  });
});

describe('a broker that restarts', { timeout: 120_000 }, () => {
  test('is found again, with the same token', async (t) => {
    const own = await Instance.create();
    t.after(() => own.remove());
    await own.start();
    const [token] = readFileSync(`${await own.seed(2, 1)}/tokens.txt`, 'utf8').split('\n');
    const stomp = client(t, { brokerURL: own.url, connectHeaders: bearer(token), reconnectDelay: 50 });
    await connected(stomp);
    const destination = topic();
    const { inbox, connects } = follow(stomp, destination);
    const closed = event(stomp, 'onWebSocketClose');
    const said = event(stomp, 'onStompError');
    assert.equal(await own.stop(), undefined);
    // 1012: come back.
    assert.equal((await closed).code, 1012);
    assert.match((await said).headers.message, /reconnect/);
    stomp.onStompError = () => {};
    await own.start();
    await connects.take();
    stomp.publish({ destination, body: 'back' });
    assert.equal((await inbox.take()).body, 'back');
  });
});

describe('heart-beats', SIDE_BY_SIDE, () => {
  test('in both directions, on a connection where nothing is said', async (t) => {
    const { line, stomp } = await overLine(t, beats);
    const before = { ...line.passed };
    const received = new Inbox();
    stomp.onHeartbeatReceived = () => received.put('beat');
    // Longer than the broker would wait for a client that is silent.
    await received.takeAll(4);
    assert.ok(line.passed.upPieces - before.upPieces >= 3, 'the client beats too');
    assert.equal(line.passed.connections, 1);
    assert.ok(stomp.connected);
  });

  test('the broker closes a client that has fallen silent, and it comes back', async (t) => {
    const { line, stomp } = await overLine(t, beats);
    const closed = event(stomp, 'onWebSocketClose');
    const again = event(stomp, 'onConnect');
    stomp.onStompError = () => {};
    line.hold('up');
    // What the client answers to the close frame has to pass again for a clean end.
    stomp.onStompError = () => line.restore();
    const { code } = await closed;
    assert.equal(code, 1013);
    await again;
  });

  test('the client notices a broker that has fallen silent, and comes back', async (t) => {
    const { line, stomp } = await overLine(t, { ...beats, discardWebsocketOnCommFailure: true });
    const lost = event(stomp, 'onHeartbeatLost');
    const again = event(stomp, 'onConnect');
    line.hold('down');
    await lost;
    await line.restore();
    assert.equal((await again).command, 'CONNECTED');
  });

  test('a client that wants none and promises none is left in peace', async (t) => {
    const { line, stomp } = await overLine(t, { heartbeatIncoming: 0, heartbeatOutgoing: 0 });
    // Somebody else's beats tell the time.
    const clock = await connect(t, beats);
    const ticks = new Inbox();
    clock.onHeartbeatReceived = () => ticks.put('tick');
    const before = { ...line.passed };
    await ticks.takeAll(4);
    assert.deepEqual(line.passed, before);
    await receipt(stomp, (headers) => stomp.publish({ destination: topic(), body: 'x', headers }));
  });
});
