import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import { connect, receipt, refusal, SIDE_BY_SIDE, subscribe, topic } from '../broker.mjs';

/** A listener of its own connection, and somebody who sends to it. */
async function pair(t, options) {
  const destination = topic();
  const [sender, listener] = await Promise.all([connect(t, options), connect(t, options)]);
  return { destination, sender, listener, inbox: await subscribe(listener, destination) };
}

/** Something sent outside of any transaction: what comes before it had been let through. */
async function marker(sender, destination) {
  await receipt(sender, (headers) => sender.publish({ destination, body: 'marker', headers }));
}

describe('transactions', SIDE_BY_SIDE, () => {
  for (const version of ['1.2', '1.1', '1.0']) {
    test(`COMMIT sends all, in order, in ${version}`, async (t) => {
      const { destination, sender, inbox } = await pair(t, { stompVersions: new Versions([version]) });
      const { id, commit } = sender.begin();
      for (const body of ['one', 'two', 'three']) {
        const held = await receipt(sender, (headers) =>
          sender.publish({ destination, body, headers: { ...headers, transaction: id } }),
        );
        assert.equal(held.command, 'RECEIPT');
      }
      await marker(sender, destination);
      assert.equal((await inbox.take()).body, 'marker', 'nothing before COMMIT');
      commit();
      const got = await inbox.takeAll(3);
      assert.deepEqual(
        got.map(({ body }) => body),
        ['one', 'two', 'three'],
      );
      assert.ok(got.every(({ headers }) => headers.transaction === undefined));
    });

    test(`ABORT sends nothing, in ${version}`, async (t) => {
      const { destination, sender, inbox } = await pair(t, { stompVersions: new Versions([version]) });
      const transaction = sender.begin('mine');
      sender.publish({ destination, body: 'never', headers: { transaction: transaction.id } });
      transaction.abort();
      await marker(sender, destination);
      assert.equal((await inbox.take()).body, 'marker');
      // The name is free again.
      const again = sender.begin('mine');
      sender.publish({ destination, body: 'now', headers: { transaction: again.id } });
      again.commit();
      assert.equal((await inbox.take()).body, 'now');
    });
  }

  test('two at a time do not mix', async (t) => {
    const { destination, sender, inbox } = await pair(t);
    const [one, two] = [sender.begin(), sender.begin()];
    for (const { id } of [one, two, one, two]) {
      sender.publish({ destination, body: id, headers: { transaction: id } });
    }
    two.commit();
    one.commit();
    const got = (await inbox.takeAll(4)).map(({ body }) => body);
    assert.deepEqual(got, [two.id, two.id, one.id, one.id]);
  });

  test('DISCONNECT aborts what is open', async (t) => {
    const { destination, sender, listener, inbox } = await pair(t);
    const { id } = sender.begin();
    sender.publish({ destination, body: 'never', headers: { transaction: id } });
    await sender.deactivate();
    await marker(listener, destination);
    assert.equal((await inbox.take()).body, 'marker');
  });

  for (const [name, act] of [
    ['COMMIT of what was not begun', (stomp) => stomp.commit('unknown')],
    ['ABORT of what was not begun', (stomp) => stomp.abort('unknown')],
    [
      'BEGIN of what was begun',
      (stomp) => {
        stomp.begin('twice');
        stomp.begin('twice');
      },
    ],
    [
      'SEND in what was not begun',
      (stomp) => stomp.publish({ destination: topic(), body: 'x', headers: { transaction: 'unknown' } }),
    ],
  ]) {
    test(`${name} is an ERROR`, async (t) => {
      const stomp = await connect(t);
      const refused = refusal(stomp);
      act(stomp);
      const { frame, close } = await refused;
      assert.match(`${frame.headers.message} ${frame.body}`, /transaction/i);
      assert.equal(close.code, 1008);
      assert.equal(close.wasClean, true);
    });
  }
});
