import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import {
  bearer,
  client,
  connect,
  connected,
  event,
  heartBeat,
  person,
  refusal,
  SIDE_BY_SIDE,
  url,
  WebSocket,
} from '../broker.mjs';

/** Opens the WebSocket without offering a sub-protocol. */
const unnamed = { webSocketFactory: () => new WebSocket(url) };

describe('connecting', SIDE_BY_SIDE, () => {
  for (const version of ['1.2', '1.1', '1.0']) {
    const stompVersions = new Versions([version]);

    test(`version ${version}, as a sub-protocol`, async (t) => {
      const stomp = await connect(t, { stompVersions });
      assert.equal(stomp.connectedVersion, version);
      assert.equal(stomp.webSocket.protocol, `v${version.replace('.', '')}.stomp`);
    });

    test(`version ${version}, by accept-version alone`, async (t) => {
      const stomp = await connect(t, { stompVersions, ...unnamed });
      assert.equal(stomp.connectedVersion, version);
      assert.equal(stomp.webSocket.protocol, '');
    });
  }

  test('the newest version that is offered, however the list is ordered', async (t) => {
    const stomp = await connect(t, { stompVersions: new Versions(['1.0', '1.1', '1.2']) });
    assert.equal(stomp.connectedVersion, '1.2');
    assert.equal(stomp.webSocket.protocol, 'v12.stomp');
  });

  test('CONNECTED says what STOMP 1.2 wants', async (t) => {
    const stomp = client(t);
    const { headers } = await connected(stomp);
    assert.equal(headers.version, '1.2');
    assert.match(headers.server, /^\S+\/\S+/);
    assert.notEqual(headers.session ?? '', '');
    assert.match(headers['user-name'], /^\d+$/);
    assert.equal(headers['heart-beat'], `${heartBeat},${heartBeat}`);
  });

  test('two connections have two sessions', async (t) => {
    const [one, two] = await Promise.all([connected(client(t)), connected(client(t))]);
    assert.notEqual(one.headers.session, two.headers.session);
  });

  test('the token as passcode', async (t) => {
    const { token } = person();
    await connect(t, { connectHeaders: { login: 'anybody', passcode: token } });
  });

  test('a token fetched before each attempt', async (t) => {
    const stomp = await connect(t, {
      connectHeaders: {},
      beforeConnect: async (client) => {
        client.connectHeaders = bearer();
      },
    });
    assert.ok(stomp.connected);
  });

  test('the address that earlier clients know', async (t) => {
    await connect(t, { brokerURL: url.replace(/\/ws$/, '/chat/connect') });
  });

  for (const [name, connectHeaders] of [
    ['no token', {}],
    ['a token that means nothing', { Authorization: 'Bearer nothing' }],
  ]) {
    test(`${name} is refused by an ERROR and a close that says not to come back`, async (t) => {
      const stomp = client(t, { connectHeaders });
      const refused = refusal(stomp);
      stomp.activate();
      const { frame, close } = await refused;
      assert.notEqual(frame.headers.message ?? '', '');
      assert.match(frame.headers['content-type'], /^text\/plain/);
      assert.notEqual(frame.body, '');
      assert.equal(close.code, 1008);
      assert.equal(close.wasClean, true);
    });
  }

  test('no version in common: ERROR with the versions there are', async (t) => {
    const stomp = client(t, { stompVersions: new Versions(['2.7']), ...unnamed });
    const refused = refusal(stomp);
    stomp.activate();
    const { frame, close } = await refused;
    assert.deepEqual(frame.headers.version.split(',').sort(), ['1.0', '1.1', '1.2']);
    assert.match(frame.headers['content-type'], /^text\/plain/);
    assert.equal(close.wasClean, true);
  });

  test('a sub-protocol that is not known: the handshake is refused', async (t) => {
    const stomp = client(t, { stompVersions: new Versions(['2.7']) });
    const failure = event(stomp, 'onWebSocketError');
    stomp.activate();
    assert.match((await failure).message, /400/);
  });

  test('deactivate: a RECEIPT for DISCONNECT, and a clean close', async (t) => {
    const stomp = await connect(t);
    const disconnected = event(stomp, 'onDisconnect');
    const closed = event(stomp, 'onWebSocketClose');
    await stomp.deactivate();
    assert.equal((await disconnected).command, 'RECEIPT');
    const { code, wasClean } = await closed;
    assert.deepEqual({ code, wasClean }, { code: 1000, wasClean: true });
  });

  test('deactivate by force, and activate again', async (t) => {
    const stomp = await connect(t);
    await stomp.deactivate({ force: true });
    assert.equal(stomp.connected, false);
    await connected(stomp);
    assert.equal(stomp.connected, true);
  });

  test('compression is agreed on where it is offered, and only there', async (t) => {
    const offered = await connect(t);
    assert.match(offered.webSocket.extensions, /permessage-deflate/);
    const plain = await connect(t, {
      webSocketFactory: () => new WebSocket(url, ['v12.stomp'], { perMessageDeflate: false }),
    });
    assert.equal(plain.webSocket.extensions, '');
  });
});
