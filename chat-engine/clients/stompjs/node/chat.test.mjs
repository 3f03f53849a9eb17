// The chat itself, by a client that is not the web page.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import { bearer, connect, person, receipt, roommates, SIDE_BY_SIDE, subscribe } from '../broker.mjs';

describe('a chat room', SIDE_BY_SIDE, () => {
  test('is followed and written to', async (t) => {
    const [one, two] = roommates();
    const [a, b] = await Promise.all(
      [one, two].map(({ token }) => connect(t, { connectHeaders: bearer(token) })),
    );
    const inbox = await subscribe(b, `/chat/${one.room}`);
    const content = `저녁에 봐요 ${one.token.slice(-8)}`;
    const done = await receipt(a, (headers) =>
      a.publish({ destination: `/app/chat/${one.room}`, body: JSON.stringify({ content }), headers }),
    );
    // Others use the room too.
    for (;;) {
      const { headers, body } = await inbox.take();
      const event = JSON.parse(body);
      if (event.content !== content) continue;
      assert.equal(headers.seq, done.headers.seq);
      assert.equal(headers['content-type'], 'application/json');
      assert.match(headers.unread, /^\d+$/);
      break;
    }
  });

  test('begins with what was said before', async (t) => {
    const [one, two] = roommates();
    const a = await connect(t, { connectHeaders: bearer(one.token) });
    const content = `어제 ${one.token.slice(-8)}`;
    await receipt(a, (headers) =>
      a.publish({ destination: `/app/chat/${one.room}`, body: JSON.stringify({ content }), headers }),
    );
    const b = await connect(t, { connectHeaders: bearer(two.token) });
    const inbox = await subscribe(b, `/chat/${one.room}`, { history: '50' });
    for (;;) {
      const { headers, body } = await inbox.take();
      if (JSON.parse(body).content !== content) continue;
      assert.equal(headers.history, 'true');
      break;
    }
  });

  test('is resumed where it was left, with what was changed meanwhile', async (t) => {
    const [one, two] = roommates();
    const { room } = one;
    const [a, b] = await Promise.all(
      [one, two].map(({ token }) => connect(t, { connectHeaders: bearer(token) })),
    );
    const mark = one.token.slice(-8);
    const first = await say(a, room, `하나 ${mark}`);
    const inbox = await subscribe(b, `/chat/${room}`, { history: '1' });
    const { headers } = await inbox.take();
    await b.deactivate();
    const second = await say(a, room, `둘 ${mark}`, { 'reply-to': first });
    const edited = await change(a, 'edit', room, first, JSON.stringify({ content: `셋 ${mark}` }));
    const deleted = await change(a, 'delete', room, second);

    const again = await connect(t, { connectHeaders: bearer(two.token) });
    const missed = await subscribe(again, `/chat/${room}`, { after: headers.seq });
    const seen = new Map();
    for (;;) {
      const { headers, body } = await missed.take();
      const event = JSON.parse(body);
      if (event.type === 'recovered') {
        assert.equal(event.recovered, true);
        break;
      }
      if (headers.seq !== undefined) seen.set(headers.seq, { ...event, history: headers.history });
    }
    assert.equal(seen.get(second).content, undefined);
    assert.equal(typeof seen.get(second).deleted, 'number');
    assert.deepEqual(
      [seen.get(edited).target, seen.get(edited).content, seen.get(edited).history],
      [Number(first), `셋 ${mark}`, 'true'],
    );
    assert.equal(seen.get(deleted).target, Number(second));
    // And then live.
    const live = await say(a, room, `넷 ${mark}`, { 'reply-to': first });
    for (;;) {
      const { headers, body } = await missed.take();
      if (headers.seq !== live) continue;
      assert.equal(JSON.parse(body)['reply-to'], Number(first));
      break;
    }
  });

  test('has a message once, however often it is sent', async (t) => {
    const { token, room } = person();
    const clients = [];
    for (let n = 0; n < 3; n++) clients.push(await connect(t, { connectHeaders: bearer(token) }));
    const inbox = await subscribe(clients[0], `/chat/${room}`);
    const content = `한 번만 ${token.slice(-8)}`;
    const names = { 'client-id': crypto.randomUUID() };
    const seqs = await Promise.all([...clients, ...clients].map((client) => say(client, room, content, names)));
    assert.equal(new Set(seqs).size, 1);
    const end = await say(clients[0], room, `끝 ${token.slice(-8)}`);
    let count = 0;
    for (;;) {
      const { headers, body } = await inbox.take();
      if (headers.seq === end) break;
      if (JSON.parse(body)['client-id'] === names['client-id']) count += 1;
    }
    assert.equal(count, 1);
  });

  for (const [version, ack] of [
    ['1.2', 'client'],
    ['1.2', 'client-individual'],
    ['1.1', 'client'],
    ['1.0', 'client'],
  ]) {
    test(`is read by who acknowledges whatever comes, with ack: ${ack} in ${version}`, async (t) => {
      const [one, two] = roommates();
      const { room } = one;
      const a = await connect(t, { connectHeaders: bearer(one.token) });
      const b = await connect(t, {
        connectHeaders: bearer(two.token),
        stompVersions: new Versions([version]),
      });
      const shown = new Count(await subscribe(a, `/chat/${room}`));
      const inbox = await subscribe(b, `/chat/${room}`, { ack });
      const seq = await say(a, room, `읽었니 ${one.token.slice(-8)}`);
      // Others use the room too, and who opens it has read it.
      const unread = await shown.of(seq, () => true);
      assert.ok(unread > 0);
      let message;
      do {
        message = await inbox.take();
        assert.equal('ack' in message.headers, version === '1.2');
        message.ack();
      } while (message.headers.seq !== seq);
      await shown.of(seq, (count) => count < unread);
      // What comes of that can be acknowledged as well.
      for (;;) {
        const event = await inbox.take();
        await receipt(b, (headers) => event.ack(headers));
        if (JSON.parse(event.body).type === 'read') break;
      }
      assert.ok(b.connected);
    });
  }
});

/** How many have not read a message, from what comes to a subscription. */
class Count {
  #inbox;
  #unread;

  constructor(inbox) {
    this.#inbox = inbox;
  }

  /** Waits until the count of the message at `seq` is as wanted. */
  async of(seq, wanted) {
    while (this.#unread === undefined || !wanted(this.#unread)) {
      const { headers, body } = await this.#inbox.take();
      if (headers.seq === seq) this.#unread = Number(headers.unread);
      for (const { from, to, by } of JSON.parse(body).changes ?? [])
        if (from < Number(seq) && Number(seq) <= to) this.#unread += by;
    }
    return this.#unread;
  }
}

/** Says something in a room; its seq. */
async function say(client, room, content, headers = {}) {
  const body = JSON.stringify({ content });
  const done = await receipt(client, (receipt) =>
    client.publish({ destination: `/app/chat/${room}`, body, headers: { ...headers, ...receipt } }),
  );
  return done.headers.seq;
}

/** Edits or deletes a message; the seq of that. */
async function change(client, verb, room, seq, body = '') {
  const done = await receipt(client, (receipt) =>
    client.publish({ destination: `/app/${verb}/${room}`, body, headers: { seq, ...receipt } }),
  );
  return done.headers.seq;
}
