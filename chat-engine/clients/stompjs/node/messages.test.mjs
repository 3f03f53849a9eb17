import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import { connect, Inbox, receipt, SIDE_BY_SIDE, subscribe, topic } from '../broker.mjs';

const VERSIONS = ['1.0', '1.1', '1.2'];

describe('messages', SIDE_BY_SIDE, () => {
  test('what one says the others hear, and oneself', async (t) => {
    const [one, two] = await Promise.all([connect(t), connect(t)]);
    const destination = topic();
    const [mine, theirs] = await Promise.all([subscribe(one, destination), subscribe(two, destination)]);
    one.publish({ destination, body: 'Hello', headers: { 'content-type': 'text/plain' } });
    for (const inbox of [mine, theirs]) {
      const { body, headers } = await inbox.take();
      assert.equal(body, 'Hello');
      assert.equal(headers.destination, destination);
      assert.equal(headers.subscription, inbox.subscription.id);
      assert.equal(headers['content-type'], 'text/plain');
      assert.equal(headers['content-length'], '5');
      assert.notEqual(headers['message-id'] ?? '', '');
      assert.equal(headers.ack, undefined, 'nothing to acknowledge');
    }
  });

  test('every version hears every other', async (t) => {
    const destination = topic();
    const clients = await Promise.all(
      VERSIONS.map((version) => connect(t, { stompVersions: new Versions([version]) })),
    );
    const inboxes = await Promise.all(clients.map((client) => subscribe(client, destination)));
    for (const [index, client] of clients.entries()) {
      const body = `from ${VERSIONS[index]}: 안녕`;
      client.publish({ destination, body, headers: { from: VERSIONS[index] } });
      for (const inbox of inboxes) {
        const message = await inbox.take();
        assert.equal(message.body, body);
        assert.equal(message.headers.from, VERSIONS[index]);
      }
    }
  });

  test('texts in all scripts, an empty one, and one with NULs', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    for (const body of [
      '안녕하세요 👋🏽 ﷽ \u{10FFFF}',
      '',
      'a\0b\0\0c\0',
      '\n\n',
      '\r\n:\\',
      'e\u0301'.repeat(100),
    ]) {
      stomp.publish({ destination, body });
      assert.equal((await inbox.take()).body, body);
    }
  });

  test('a body without content-length', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    stomp.publish({ destination, body: 'up to the NUL, 모두', skipContentLengthHeader: true });
    assert.equal((await inbox.take()).body, 'up to the NUL, 모두');
  });

  test('headers of one’s own, with whatever needs escaping', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    const own = {
      colons: 'a:b::c',
      newline: 'two\nlines',
      'carriage-return': 'one\rtwo\r\nthree',
      // The library itself takes `\\` followed by c, n or r for an escape when it reads.
      backslash: 'D:\\data\\\\x\\',
      unicode: '모이자 🎲',
      'reply-to': '/topic/elsewhere',
      priority: '9',
      모임: 'a name',
      empty: '',
    };
    stomp.publish({ destination, body: 'x', headers: own });
    const { headers } = await inbox.take();
    for (const [name, value] of Object.entries(own)) assert.equal(headers[name], value, name);
  });

  test('headers that are the broker’s cannot be forged', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    const forged = {
      subscription: 'forged',
      'message-id': 'forged',
      ack: 'forged',
      seq: 'forged',
      unread: 'forged',
      'user-name': 'forged',
      history: 'forged',
      session: 'forged',
      server: 'forged',
      'receipt-id': 'forged',
    };
    stomp.publish({ destination, body: 'x', headers: forged });
    const { headers } = await inbox.take();
    assert.equal(Object.values(headers).includes('forged'), false, JSON.stringify(headers));
  });

  test('messages of one sender come in their order', async (t) => {
    const [one, two] = await Promise.all([connect(t), connect(t)]);
    const destination = topic();
    const inbox = await subscribe(two, destination);
    const COUNT = 100;
    for (let number = 0; number < COUNT; number++) one.publish({ destination, body: String(number) });
    const bodies = (await inbox.takeAll(COUNT)).map(({ body }) => Number(body));
    assert.deepEqual(bodies, [...Array(COUNT).keys()]);
  });

  test('message ids are not given twice', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inbox = await subscribe(stomp, destination);
    for (let number = 0; number < 20; number++) stomp.publish({ destination, body: 'x' });
    const ids = (await inbox.takeAll(20)).map(({ headers }) => headers['message-id']);
    assert.equal(new Set(ids).size, 20);
  });
});

describe('subscriptions', SIDE_BY_SIDE, () => {
  test('200 on one connection', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const inboxes = await Promise.all(
      Array.from({ length: 200 }, (_, index) => subscribe(stomp, `${destination}-${index}`)),
    );
    const order = [...inboxes.keys()].reverse();
    for (const index of order.filter((index) => index % 10 === 0)) {
      stomp.publish({ destination: `${destination}-${index}`, body: String(index) });
      const { body, headers } = await inboxes[index].take();
      assert.equal(body, String(index));
      assert.equal(headers.subscription, inboxes[index].subscription.id);
    }
    assert.ok(inboxes.every((inbox) => inbox.isEmpty));
  });

  test('the same destination twice: each gets its copy, until it ends', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const [one, two] = await Promise.all([
      subscribe(stomp, destination),
      subscribe(stomp, destination, { id: 'mine: own\\id' }),
    ]);
    stomp.publish({ destination, body: 'first' });
    assert.equal((await one.take()).headers.subscription, one.subscription.id);
    assert.equal((await two.take()).headers.subscription, 'mine: own\\id');

    await receipt(stomp, (headers) => one.subscription.unsubscribe(headers));
    stomp.publish({ destination, body: 'second' });
    assert.equal((await two.take()).body, 'second');
    assert.ok(one.isEmpty);
  });

  test('nothing comes after UNSUBSCRIBE, and the id is free again', async (t) => {
    const stomp = await connect(t);
    const destination = topic();
    const stray = new Inbox();
    stomp.onUnhandledMessage = stray.put;
    const first = await subscribe(stomp, destination, { id: 'a' });
    first.subscription.unsubscribe();
    stomp.publish({ destination, body: 'to nobody' });
    const again = await subscribe(stomp, destination, { id: 'a' });
    stomp.publish({ destination, body: 'to somebody' });
    assert.equal((await again.take()).body, 'to somebody');
    assert.ok(stray.isEmpty);
  });

  test('two subscriptions, two destinations, one id each', async (t) => {
    const stomp = await connect(t);
    const [here, there] = [topic('here'), topic('there')];
    const [a, b] = await Promise.all([subscribe(stomp, here), subscribe(stomp, there)]);
    stomp.publish({ destination: there, body: 'there' });
    stomp.publish({ destination: here, body: 'here' });
    assert.equal((await a.take()).body, 'here');
    assert.equal((await b.take()).body, 'there');
  });
});

describe('receipts', SIDE_BY_SIDE, () => {
  for (const version of VERSIONS) {
    test(`for every verb, in ${version}`, async (t) => {
      const stomp = await connect(t, { stompVersions: new Versions([version]) });
      const destination = topic();
      const inbox = await subscribe(stomp, destination);
      const sent = await receipt(stomp, (headers) => stomp.publish({ destination, body: 'x', headers }));
      assert.equal(sent.command, 'RECEIPT');
      assert.equal((await inbox.take()).headers.receipt, undefined);
      await receipt(stomp, (headers) => inbox.subscription.unsubscribe(headers));
    });
  }

  test('with ids that need escaping', async (t) => {
    const stomp = await connect(t);
    const id = 'a:b\\ c\nd\re 모';
    const got = new Promise((done) => stomp.watchForReceipt(id, done));
    stomp.publish({ destination: topic(), body: 'x', headers: { receipt: id } });
    assert.equal((await got).headers['receipt-id'], id);
  });
});
