// The chat itself, by a client that is not the web page.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bearer, connect, receipt, roommates, SIDE_BY_SIDE, subscribe } from '../broker.mjs';

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
});
