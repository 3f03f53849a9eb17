// The chat itself, in a page that is not Moyiza's. Others use the rooms too: a test's own messages have its mark.

import { expect, roommates, test } from './page.mjs';

test('what was missed while the line was cut comes first, then the room is live', async ({ page, line }) => {
  const { room, one, two } = roommates();
  const cuttable = { ...two, brokerURL: `ws://127.0.0.1:${line.port}/ws`, reconnectDelay: 50 };
  await page.evaluate(
    async ([room, one, cuttable]) => {
      const destination = `/chat/${room}`;
      const [a, b] = [await open(one), await open(cuttable)];
      const inbox = await b.subscribe(destination);
      const say = (content) => a.send(`/app/chat/${room}`, content);
      const mark = crypto.randomUUID();
      const last = await say(`0 ${mark}`);
      await upTo(inbox, ({ seq }) => seq === last);
      Object.assign(globalThis, { a, b, destination, say, mark, last });
    },
    [room, one, cuttable],
  );
  line.cut();
  const missed = await page.evaluate(async () => {
    await b.closes.take();
    return [await say(`1 ${mark}`), await say(`2 ${mark}`), await say(`3 ${mark}`)];
  });
  await line.restore();
  const { replay, live } = await page.evaluate(async () => {
    await b.connected.take();
    const inbox = await b.subscribe(destination, { after: last });
    const replay = await upTo(inbox, ({ type }) => type === 'recovered');
    const seq = await say(`4 ${mark}`);
    const live = (await upTo(inbox, (message) => message.seq === seq)).at(-1);
    return { replay, live: { ...live, isLast: live.content === `4 ${mark}` } };
  });
  const last = await page.evaluate(() => last);
  const records = replay.filter(({ seq }) => seq !== undefined);
  expect(replay.at(-1)).toMatchObject({ type: 'recovered', recovered: true });
  expect(replay.at(-2)).toMatchObject({ type: 'read' });
  expect(records.every(({ history }) => history === 'true')).toBe(true);
  const seqs = records.map(({ seq }) => Number(seq));
  expect(seqs.every((seq, n) => seq > (n === 0 ? Number(last) : seqs[n - 1]))).toBe(true);
  const mark = await page.evaluate(() => mark);
  const own = records.filter(({ content }) => content?.endsWith(mark));
  expect(own.map(({ seq }) => seq)).toEqual(missed);
  expect(own.map(({ content }) => content[0])).toEqual(['1', '2', '3']);
  expect(live.isLast).toBe(true);
  expect(live.history).toBeUndefined();
  expect(live.unread).toMatch(/^\d+$/);
});

test('a place behind the end of the log is not resumed: history comes instead', async ({ page }) => {
  const { room, one } = roommates();
  const messages = await page.evaluate(
    async ([room, one]) => {
      const a = await open(one);
      const said = await a.send(`/app/chat/${room}`, 'the newest');
      const after = String(Number(said) + 2 ** 41);
      const inbox = await a.subscribe(`/chat/${room}`, { after, history: '1' });
      return upTo(inbox, ({ seq }) => seq !== undefined);
    },
    [room, one],
  );
  expect(messages[0]).toMatchObject({ type: 'recovered', recovered: false });
  expect(messages.at(-1)).toMatchObject({ type: 'message', history: 'true' });
});

test('a reply, an edit and a deletion, live and in history', async ({ page }) => {
  const { room, one, two } = roommates();
  const { live, history, paged, seqs } = await page.evaluate(
    async ([room, one, two]) => {
      const [a, b] = [await open(one), await open(two)];
      const inbox = await b.subscribe(`/chat/${room}`);
      const first = await a.send(`/app/chat/${room}`, 'first');
      const second = await b.send(`/app/chat/${room}`, 'second', { 'reply-to': first });
      const edited = await a.send(`/app/edit/${room}`, 'changed', { seq: first });
      const deleted = await b.send(`/app/delete/${room}`, undefined, { seq: second });
      const live = await upTo(inbox, ({ seq }) => seq === deleted);

      const later = await open(two);
      const end = await a.send(`/app/chat/${room}`, 'the end');
      const begins = await later.subscribe(`/chat/${room}`, { history: '200' });
      const history = await upTo(begins, ({ seq }) => seq === end);
      await later.send(`/app/history/${room}`, undefined, { around: first, limit: '3' });
      const paged = await upTo(begins, ({ seq }) => seq === first);
      return { live, history, paged, seqs: { first, second, edited, deleted } };
    },
    [room, one, two],
  );
  const at = (messages, wanted) => messages.find(({ seq }) => seq === wanted);
  const [first, second] = [Number(seqs.first), Number(seqs.second)];
  expect(at(live, seqs.second)).toMatchObject({ content: 'second', 'reply-to': first });
  expect(at(live, seqs.edited)).toMatchObject({ type: 'edited', target: first, content: 'changed' });
  expect(at(live, seqs.deleted)).toMatchObject({ type: 'deleted', target: second });
  expect(live.every(({ history }) => history === undefined)).toBe(true);

  // As they read by now; the changes themselves are no part of it.
  for (const messages of [history, paged]) {
    const changed = at(messages, seqs.first);
    expect(changed).toMatchObject({ content: 'changed', history: 'true' });
    expect(typeof changed.edited).toBe('number');
  }
  const gone = at(history, seqs.second);
  expect(gone).toMatchObject({ type: 'message', history: 'true' });
  expect(typeof gone.deleted).toBe('number');
  expect([gone.content, gone['reply-to']]).toEqual([undefined, undefined]);
  expect(at(history, seqs.edited)).toBeUndefined();
  expect(at(history, seqs.deleted)).toBeUndefined();
});

test('what cannot be changed is refused by its name, and the connection lives on', async ({ page }) => {
  const { room, one, two } = roommates();
  const titles = await page.evaluate(
    async ([room, one, two]) => {
      const [a, b] = [await open(one), await open(two)];
      const errors = await b.subscribe('/user/queue/errors');
      const title = async (destination, seq) => {
        const body = JSON.stringify({ content: 'mine now' });
        b.client.publish({ destination, body, headers: { seq, receipt: 'refused' } });
        const { headers } = await errors.take();
        return `${headers.message} (${headers['receipt-id']})`;
      };
      const seq = await a.send(`/app/chat/${room}`, 'mine');
      const titles = [await title(`/app/edit/${room}`, seq), await title(`/app/edit/${room}`, '1')];
      await a.send(`/app/delete/${room}`, undefined, { seq });
      b.client.publish({
        destination: `/app/chat/${room}`,
        body: '{"content":"to what?"}',
        headers: { 'reply-to': seq },
      });
      titles.push((await errors.take()).headers.message);
      return titles;
    },
    [room, one, two],
  );
  expect(titles).toEqual(['not your message (refused)', 'no such message (refused)', 'message deleted']);
});

test('a message that is sent again with its client-id is there once, at its first seq', async ({ page }) => {
  const { room, one } = roommates();
  const { seqs, seen, other } = await page.evaluate(
    async ([room, one]) => {
      // From another connection, as after a RECEIPT that was lost with its line.
      const [a, again] = [await open(one), await open(one)];
      const inbox = await a.subscribe(`/chat/${room}`);
      const names = { 'client-id': crypto.randomUUID() };
      const say = (client, headers) => client.send(`/app/chat/${room}`, 'once', headers);
      const seqs = [await say(a, names), await say(again, names), await say(a, names)];
      const other = await say(a, { 'client-id': crypto.randomUUID() });
      const messages = await upTo(inbox, ({ seq }) => seq === other);
      const seen = messages.filter((message) => message['client-id'] === names['client-id']);
      return { seqs, seen: seen.map(({ seq }) => seq), other };
    },
    [room, one],
  );
  expect(seqs).toEqual([seqs[0], seqs[0], seqs[0]]);
  expect(seen).toEqual([seqs[0]]);
  expect(Number(other)).toBeGreaterThan(Number(seqs[0]));
});
