import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import { connect, receipt, refusal, SIDE_BY_SIDE, subscribe, topic } from '../broker.mjs';

const VERSIONS = ['1.2', '1.1', '1.0'];

/** Messages that wait for an acknowledgement. */
async function delivered(t, version, ack, count) {
  const stomp = await connect(t, { stompVersions: new Versions([version]) });
  const destination = topic();
  const inbox = await subscribe(stomp, destination, { ack });
  for (let number = 0; number < count; number++) stomp.publish({ destination, body: String(number) });
  return { stomp, destination, inbox, messages: await inbox.takeAll(count) };
}

describe('acknowledgements', SIDE_BY_SIDE, () => {
  for (const version of VERSIONS) {
    const modes = version === '1.0' ? ['client'] : ['client', 'client-individual'];
    for (const ack of modes) {
      test(`ack: ${ack}, each one, in ${version}`, async (t) => {
        const { stomp, destination, inbox, messages } = await delivered(t, version, ack, 5);
        for (const message of messages) {
          assert.equal('ack' in message.headers, version === '1.2');
          await receipt(stomp, (headers) => message.ack(headers));
        }
        stomp.publish({ destination, body: 'on' });
        assert.equal((await inbox.take()).body, 'on');
      });
    }

    test(`ack: client is cumulative, and a repeated ACK harmless, in ${version}`, async (t) => {
      const { stomp, messages } = await delivered(t, version, 'client', 5);
      await receipt(stomp, (headers) => messages[3].ack(headers));
      for (const message of messages.slice(0, 4)) await receipt(stomp, (headers) => message.ack(headers));
      await receipt(stomp, (headers) => messages[4].ack(headers));
    });

    test(`an ACK in a transaction, in ${version}`, async (t) => {
      const { stomp, messages } = await delivered(t, version, 'client', 2);
      const first = stomp.begin();
      await receipt(stomp, (headers) => messages[0].ack({ ...headers, transaction: first.id }));
      first.abort();
      const second = stomp.begin();
      messages[1].ack({ transaction: second.id });
      second.commit();
      await receipt(stomp, (headers) => stomp.publish({ destination: topic(), headers }));
      assert.ok(stomp.connected);
    });
  }

  for (const version of ['1.2', '1.1']) {
    test(`NACK: the message does not come again, the next does, in ${version}`, async (t) => {
      const { stomp, destination, inbox, messages } = await delivered(t, version, 'client-individual', 2);
      await receipt(stomp, (headers) => messages[0].nack(headers));
      await receipt(stomp, (headers) => messages[1].ack(headers));
      stomp.publish({ destination, body: 'next' });
      assert.equal((await inbox.take()).body, 'next');
    });
  }

  for (const verb of ['ack', 'nack']) {
    test(`${verb.toUpperCase()} of what was never delivered is an ERROR`, async (t) => {
      const stomp = await connect(t);
      const inbox = await subscribe(stomp, topic(), { ack: 'client' });
      const refused = refusal(stomp);
      stomp[verb]('never-delivered', inbox.subscription.id, { receipt: 'r-1' });
      const { frame, close } = await refused;
      assert.equal(frame.headers['receipt-id'], 'r-1');
      assert.equal(close.code, 1008);
    });
  }

  test('messages that nobody acknowledges do not stop the next ones', async (t) => {
    const { stomp, destination, inbox } = await delivered(t, '1.2', 'client-individual', 50);
    stomp.publish({ destination, body: 'still' });
    assert.equal((await inbox.take()).body, 'still');
  });
});
