import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, event, receipt, refusal, SIDE_BY_SIDE, subscribe, topic } from '../broker.mjs';

describe('errors', SIDE_BY_SIDE, () => {
  for (const [name, act] of [
    [
      'SEND to a destination that there is not',
      (stomp) => stomp.publish({ destination: '/nowhere', body: 'x', headers: { receipt: 'r-1' } }),
    ],
    [
      'SUBSCRIBE to a destination that there is not',
      (stomp) => stomp.subscribe('/nowhere', () => {}, { receipt: 'r-1' }),
    ],
    [
      'a subscription id that is taken',
      (stomp) => {
        stomp.subscribe(topic(), () => {}, { id: 'same' });
        stomp.subscribe(topic(), () => {}, { id: 'same', receipt: 'r-1' });
      },
    ],
    [
      'an ack mode that there is not',
      (stomp) => stomp.subscribe(topic(), () => {}, { ack: 'maybe', receipt: 'r-1' }),
    ],
    ['UNSUBSCRIBE of what was not subscribed', (stomp) => stomp.unsubscribe('unknown', { receipt: 'r-1' })],
  ]) {
    test(`${name}: ERROR names the frame, then the connection closes`, async (t) => {
      const stomp = await connect(t);
      const refused = refusal(stomp);
      act(stomp);
      const { frame, close } = await refused;
      assert.notEqual(frame.headers.message ?? '', '');
      assert.equal(frame.headers['receipt-id'], 'r-1');
      assert.match(frame.headers['content-type'], /^text\/plain/);
      assert.notEqual(frame.body, '');
      assert.equal(close.code, 1008);
      assert.equal(close.wasClean, true);
      assert.notEqual(close.reason, '');
    });
  }

  test('a client that comes back after an ERROR can go on', async (t) => {
    const stomp = await connect(t, { reconnectDelay: 50 });
    const refused = event(stomp, 'onStompError');
    const again = event(stomp, 'onConnect');
    stomp.publish({ destination: '/nowhere', body: 'x' });
    await refused;
    await again;
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    stomp.publish({ destination, body: 'well' });
    assert.equal((await inbox.take()).body, 'well');
  });

  test('who subscribes to /user/queue/errors hears of refusals there, and lives on', async (t) => {
    const stomp = await connect(t);
    const errors = await subscribe(stomp, '/user/queue/errors');
    // Somebody else's room.
    stomp.publish({ destination: '/app/chat/999999', body: '{"content":"x"}', headers: { receipt: 'r-1' } });
    const { headers, body } = await errors.take();
    assert.equal(headers['receipt-id'], 'r-1');
    assert.notEqual(headers.message ?? '', '');
    assert.notEqual(body, '');
    await receipt(stomp, (headers) => stomp.publish({ destination: topic(), body: 'x', headers }));
  });

  test('one client’s ERROR is nobody else’s', async (t) => {
    const [one, two] = await Promise.all([connect(t), connect(t)]);
    const destination = topic();
    const inbox = await subscribe(two, destination);
    await subscribe(one, destination);
    const refused = refusal(one);
    one.publish({ destination, body: 'before' });
    one.publish({ destination: '/nowhere', body: 'x' });
    await refused;
    const three = await connect(t);
    three.publish({ destination, body: 'after' });
    assert.deepEqual([(await inbox.take()).body, (await inbox.take()).body], ['before', 'after']);
  });
});
