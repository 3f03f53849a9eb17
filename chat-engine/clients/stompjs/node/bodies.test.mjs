import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import { connect, refusal, SIDE_BY_SIDE, subscribe, topic, url, WebSocket } from '../broker.mjs';

/** The longest frame that the broker takes by default, in bytes. */
const FRAME = 65_536;
/** More than a frame's command and headers need here, in bytes. */
const HEAD = 512;

const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);

function pseudoRandom(length) {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state & 0xff;
  });
}

describe('bodies', SIDE_BY_SIDE, () => {
  for (const version of ['1.2', '1.1', '1.0']) {
    test(`every byte, in ${version}`, async (t) => {
      const stomp = await connect(t, { stompVersions: new Versions([version]) });
      const destination = topic();
      const inbox = await subscribe(stomp, destination);
      for (const binaryBody of [everyByte, everyByte.toReversed(), new Uint8Array(1000), Uint8Array.of(0)]) {
        stomp.publish({
          destination,
          binaryBody,
          headers: { 'content-type': 'application/octet-stream' },
        });
        const message = await inbox.take();
        assert.deepEqual(message.binaryBody, binaryBody);
        assert.equal(message.headers['content-type'], 'application/octet-stream');
        assert.equal(message.headers['content-length'], String(binaryBody.length));
      }
    });
  }

  test('text in binary WebSocket messages', async (t) => {
    const stomp = await connect(t, { forceBinaryWSFrames: true });
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    stomp.publish({ destination, body: '글자도 바이트다' });
    assert.equal((await inbox.take()).body, '글자도 바이트다');
  });

  for (const perMessageDeflate of [true, false]) {
    const options = {
      webSocketFactory: () => new WebSocket(url, ['v12.stomp'], { perMessageDeflate }),
    };
    const how = perMessageDeflate ? 'compressed' : 'plain';

    test(`as large as a frame may be, ${how}`, async (t) => {
      const stomp = await connect(t, options);
      const destination = topic();
      const inbox = await subscribe(stomp, destination);
      const body = 'x'.repeat(FRAME - HEAD);
      stomp.publish({ destination, body });
      assert.equal((await inbox.take()).body, body);
      const binaryBody = pseudoRandom(FRAME - HEAD);
      stomp.publish({ destination, binaryBody });
      assert.deepEqual((await inbox.take()).binaryBody, binaryBody);
    });

    test(`too large a frame: a clean refusal, ${how}`, async (t) => {
      const stomp = await connect(t, options);
      const refused = refusal(stomp);
      stomp.publish({ destination: topic(), body: 'x'.repeat(2 * FRAME) });
      const { frame, close } = await refused;
      assert.match(`${frame.headers.message} ${frame.body}`, /65,?536|64 ?KiB/, 'names the limit');
      assert.equal(close.wasClean, true);
      assert.ok([1008, 1009].includes(close.code), `closed with ${close.code}`);
    });
  }

  for (const maxWebSocketChunkSize of [8 * 1024, 1000, 17]) {
    test(`split over WebSocket messages of ${maxWebSocketChunkSize}`, async (t) => {
      const stomp = await connect(t, { splitLargeFrames: true, maxWebSocketChunkSize });
      const destination = topic();
      const inbox = await subscribe(stomp, destination);
      const body = '모이자, '.repeat(maxWebSocketChunkSize < 100 ? 50 : 4000);
      stomp.publish({ destination, body, headers: { long: 'header '.repeat(20).trim() } });
      assert.equal((await inbox.take()).body, body);
    });
  }

  test('many large ones to many', async (t) => {
    const destination = topic();
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(t)));
    const inboxes = await Promise.all(clients.map((client) => subscribe(client, destination)));
    const bodies = Array.from({ length: 10 }, (_, index) => `${index} `.repeat(10_000));
    for (const body of bodies) clients[0].publish({ destination, body });
    for (const inbox of inboxes) {
      const got = (await inbox.takeAll(bodies.length)).map(({ body }) => body);
      assert.deepEqual(got, bodies);
    }
  });
});
