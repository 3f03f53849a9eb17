import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Link, Room, SEND_TIMEOUT } from './room.ts';
import type { Frame } from './wire.ts';

const ME = 1;

/** An engine of one connection that says only what a test lets it say. */
class FakeLink implements Link {
  subscriptions: { id: string; destination: string; headers: Record<string, string> }[] = [];
  sent: { destination: string; headers: Record<string, string>; body: string }[] = [];
  unsubscribed: string[] = [];
  #on: (frame: Frame) => void = () => {};
  #receipts = new Map<string, (headers: Frame['headers']) => void>();

  subscribe(id: string, destination: string, headers: Record<string, string>, on: (frame: Frame) => void) {
    this.subscriptions.push({ id, destination, headers });
    this.#on = on;
  }
  unsubscribe(id: string) {
    this.unsubscribed.push(id);
  }
  send(destination: string, headers: Record<string, string>, body: string) {
    this.sent.push({ destination, headers, body });
  }
  expectReceipt(id: string, done: (headers: Frame['headers']) => void) {
    this.#receipts.set(id, done);
  }

  receipt(id: string | undefined, headers: Record<string, string> = {}) {
    this.#receipts.get(id ?? '')?.({ 'receipt-id': id, ...headers });
  }
  subscribed() {
    this.receipt(this.subscriptions.at(-1)?.headers.receipt);
  }
  message(seq: number, { unread = 0, sender = 2, clientId = `c${seq}`, history = false } = {}) {
    const body = { type: 'message', sender, at: seq, 'client-id': clientId, content: `#${seq}` };
    const headers = { seq: String(seq), unread: String(unread), ...(history ? { history: 'true' } : {}) };
    this.#on({ headers, body: JSON.stringify(body) });
  }
  amend(seq: number, target: number, content: string | undefined, { history = false } = {}) {
    const type = content === undefined ? 'deleted' : 'edited';
    const headers = { seq: String(seq), ...(history ? { history: 'true' } : {}) };
    this.#on({ headers, body: JSON.stringify({ type, target, user: 2, at: seq, content }) });
  }
  recovered(recovered: boolean) {
    this.#on({ headers: {}, body: JSON.stringify({ type: 'recovered', recovered }) });
  }
  read(body: object) {
    this.#on({ headers: {}, body: JSON.stringify({ type: 'read', ...body }) });
  }
}

function open(seqs: number[] = []) {
  let clientIds = 0;
  const room = new Room({ room: 7, me: ME, now: () => 1000, newClientId: () => `mine-${++clientIds}` });
  const link = new FakeLink();
  room.attach(link);
  for (const seq of seqs) link.message(seq, { history: true, unread: 1 });
  link.subscribed();
  return { room, link };
}

const shown = (room: Room) =>
  room.view.entries.map((entry) => (entry.type === 'message' ? [entry.seq, entry.unread] : [entry.seq]));

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('subscribes with history and shows it when the replay is complete', () => {
  const room = new Room({ room: 7, me: ME });
  const link = new FakeLink();
  room.attach(link);
  expect(link.subscriptions[0]).toMatchObject({ destination: '/chat/7', headers: { history: '50' } });
  link.message(3, { history: true });
  expect(room.view).toMatchObject({ status: 'joining', entries: [] });
  link.subscribed();
  expect(room.view.status).toBe('live');
  expect(shown(room)).toEqual([[3, 0]]);
});

test('live messages, reads and resets are shown as they come', () => {
  const { room, link } = open([1, 2]);
  const views: unknown[] = [];
  room.listen(() => views.push(room.view));
  link.message(3, { unread: 2 });
  link.read({ changes: [{ from: 1, to: 3, by: -1 }] });
  expect(shown(room)).toEqual([
    [1, 1],
    [2, 0],
    [3, 1],
  ]);
  link.read({ reset: [[0, 5]] });
  expect(shown(room)).toEqual([
    [1, 5],
    [2, 5],
    [3, 5],
  ]);
  expect(new Set(views).size).toBe(3);
});

test('history goes before what is shown; an empty page is the beginning', () => {
  const { room, link } = open([10, 11]);
  room.loadOlder();
  room.loadOlder();
  expect(link.sent).toHaveLength(1);
  expect(link.sent[0]).toMatchObject({
    destination: '/app/history/7',
    headers: { before: '10', limit: '50' },
  });
  expect(room.view.loadingOlder).toBe(true);
  link.message(8, { history: true });
  link.message(9, { history: true });
  link.message(12);
  link.receipt(link.sent[0]?.headers.receipt);
  expect(shown(room).map(([seq]) => seq)).toEqual([8, 9, 10, 11, 12]);
  expect(room.view).toMatchObject({ loadingOlder: false, atStart: false });
  room.loadOlder();
  expect(link.sent[1]?.headers.before).toBe('8');
  link.receipt(link.sent[1]?.headers.receipt);
  expect(room.view.atStart).toBe(true);
  room.loadOlder();
  expect(link.sent).toHaveLength(2);
});

test('an empty room is at its start', () => {
  const { room, link } = open();
  expect(room.view.atStart).toBe(true);
  room.loadOlder();
  expect(link.sent).toEqual([]);
});

test('after a reconnect what was missed is added to what is shown, at once and with new counts', () => {
  const { room } = open([1, 2, 3]);
  room.detach();
  expect(room.view.status).toBe('lost');
  const first = room.view.entries[0];
  const next = new FakeLink();
  room.attach(next);
  expect(next.subscriptions[0]?.headers).toMatchObject({ after: '3', history: '50' });
  let drawn = 0;
  room.listen(() => drawn++);
  next.message(4, { history: true, unread: 2 });
  next.amend(5, 2, 'changed', { history: true });
  expect(drawn).toBe(0);
  next.read({
    reset: [
      [1, 0],
      [3, 1],
    ],
  });
  next.recovered(true);
  next.subscribed();
  expect(room.view.status).toBe('live');
  expect(room.view.entries[0]).toBe(first);
  expect(room.view.entries[1]).toMatchObject({ content: 'changed' });
  expect(shown(room)).toEqual([
    [1, 1],
    [2, 0],
    [3, 0],
    [4, 1],
  ]);
  // The next one begins behind the amendment.
  room.detach();
  const third = new FakeLink();
  room.attach(third);
  expect(third.subscriptions[0]?.headers.after).toBe('5');
});

test('what can no longer be resumed is replaced by history, at once and only when complete', () => {
  const { room } = open([1, 2, 3]);
  room.detach();
  const next = new FakeLink();
  room.attach(next);
  next.recovered(false);
  next.message(8, { history: true, unread: 0 });
  next.message(9, { history: true, unread: 2 });
  expect(shown(room).map(([seq]) => seq)).toEqual([1, 2, 3]);
  next.read({ changes: [{ from: 8, to: 9, by: -1 }] });
  next.subscribed();
  expect(room.view).toMatchObject({ status: 'live', atStart: false });
  expect(shown(room)).toEqual([
    [8, 0],
    [9, 1],
  ]);
});

test('edits and deletions are shown as they come', () => {
  const { room, link } = open([1, 2]);
  link.amend(3, 1, 'better');
  link.amend(4, 2, undefined);
  link.amend(5, 2, 'never');
  expect(room.view.entries).toMatchObject([
    { content: 'better', edited: 3 },
    { content: '', deleted: 4 },
  ]);
});

test('a change of a message has its own client id, waits for its RECEIPT and is sent again after a reconnect', () => {
  const { room, link } = open([1, 2]);
  room.edit(1, 'better');
  room.delete(2);
  room.send('yes', 1);
  expect(room.view.changing).toMatchObject([
    { target: 1, content: 'better', state: 'sending' },
    { target: 2, deletes: true },
  ]);
  expect(room.view.outgoing).toMatchObject([{ content: 'yes', replyTo: 1 }]);
  const said = [
    {
      destination: '/app/edit/7',
      headers: { 'client-id': 'mine-1', seq: '1' },
      body: '{"content":"better"}',
    },
    { destination: '/app/delete/7', headers: { 'client-id': 'mine-2', seq: '2' }, body: '' },
    { destination: '/app/chat/7', headers: { 'client-id': 'mine-3', 'reply-to': '1' } },
  ];
  expect(link.sent).toMatchObject(said);
  link.receipt(link.sent[0]?.headers.receipt, { seq: '3' });
  room.refuse(link.sent[1]?.headers.receipt ?? '', 'not your message');
  expect(room.view.changing).toMatchObject([{ target: 2, state: 'failed', refusal: 'not your message' }]);
  room.retry('mine-2');
  room.detach();
  const next = new FakeLink();
  room.attach(next);
  next.recovered(true);
  next.subscribed();
  expect(next.sent).toMatchObject(said.slice(1));
});

test('who is put out of the room is told why, and what is shown stays', () => {
  const { room, link } = open([1]);
  expect(room.expel('another', 'banned')).toBe(false);
  expect(room.expel(link.subscriptions[0]?.id ?? '', 'banned')).toBe(true);
  expect(room.view).toMatchObject({ status: 'refused', refusal: 'banned' });
  room.close();
  expect(link.unsubscribed).toEqual([]);
});

test('a reconnect asks for as much as was shown, up to what the engine gives', () => {
  const { room } = open(Array.from({ length: 120 }, (_, index) => index + 1));
  room.detach();
  const second = new FakeLink();
  room.attach(second);
  expect(second.subscriptions[0]?.headers.history).toBe('120');
  second.recovered(false);
  for (let seq = 1; seq <= 300; seq++) second.message(seq, { history: true });
  second.subscribed();
  room.detach();
  const third = new FakeLink();
  room.attach(third);
  expect(third.subscriptions[0]?.headers.history).toBe('200');
});

test('what one says is pending until its own MESSAGE, and then shown once', () => {
  const { room, link } = open([1]);
  room.send('hi');
  expect(room.view.outgoing).toMatchObject([{ clientId: 'mine-1', content: 'hi', state: 'sending' }]);
  expect(link.sent[0]).toMatchObject({
    destination: '/app/chat/7',
    headers: { 'client-id': 'mine-1' },
    body: '{"content":"hi"}',
  });
  link.receipt(link.sent[0]?.headers.receipt, { seq: '2' });
  expect(room.view.outgoing).toMatchObject([{ state: 'sent', seq: 2 }]);
  link.message(2, { sender: ME, clientId: 'mine-1' });
  expect(room.view.outgoing).toEqual([]);
  expect(shown(room)).toHaveLength(2);
});

test('the MESSAGE may come before the RECEIPT', () => {
  const { room, link } = open();
  room.send('hi');
  link.message(2, { sender: ME, clientId: 'mine-1' });
  expect(room.view.outgoing).toEqual([]);
  link.receipt(link.sent[0]?.headers.receipt, { seq: '2' });
  expect(room.view.outgoing).toEqual([]);
  expect(shown(room)).toHaveLength(1);
});

test("somebody else's equal client id is not one's own message", () => {
  const { room, link } = open();
  room.send('hi');
  link.message(2, { sender: 2, clientId: 'mine-1' });
  expect(room.view.outgoing).toHaveLength(1);
});

test('without a RECEIPT it fails, and a retry has the same client id', () => {
  const { room, link } = open();
  room.send('hi');
  vi.advanceTimersByTime(SEND_TIMEOUT);
  expect(room.view.outgoing).toMatchObject([{ state: 'failed' }]);
  room.retry('mine-1');
  expect(room.view.outgoing).toMatchObject([{ state: 'sending' }]);
  expect(link.sent.map(({ headers }) => headers['client-id'])).toEqual(['mine-1', 'mine-1']);
  expect(link.sent[0]?.headers.receipt).not.toBe(link.sent[1]?.headers.receipt);
});

test('a repeat of a message that is shown already is answered with its seq and disappears', () => {
  const { room, link } = open([1, 5]);
  room.send('hi');
  link.receipt(link.sent[0]?.headers.receipt, { seq: '5' });
  expect(room.view.outgoing).toEqual([]);
});

test('a refused message fails with the reason; a failed one can be given up', () => {
  const { room, link } = open();
  room.send('too long');
  expect(room.refuse(link.sent[0]?.headers.receipt ?? '', 'too long')).toBe(true);
  expect(room.view.outgoing).toMatchObject([{ state: 'failed', refusal: 'too long' }]);
  room.discard('mine-1');
  expect(room.view.outgoing).toEqual([]);
  expect(room.refuse('somebody-elses', '')).toBe(false);
});

test('what has no RECEIPT is sent again after a reconnect, unless the replay shows it', () => {
  const { room } = open([1]);
  room.send('arrived');
  room.send('did not');
  room.detach();
  room.send('written while away');
  const next = new FakeLink();
  room.attach(next);
  next.message(1, { history: true });
  next.message(2, { history: true, sender: ME, clientId: 'mine-1' });
  expect(next.sent).toEqual([]);
  next.subscribed();
  expect(next.sent.map(({ headers }) => headers['client-id'])).toEqual(['mine-2', 'mine-3']);
});

test('a refused subscription says why and stays refused', () => {
  const room = new Room({ room: 7, me: ME });
  const link = new FakeLink();
  room.attach(link);
  expect(room.refuse(link.subscriptions[0]?.headers.receipt ?? '', 'not a member')).toBe(true);
  room.detach();
  expect(room.view).toMatchObject({ status: 'refused', refusal: 'not a member' });
});

test('closing ends the reading and every timer', () => {
  const { room, link } = open();
  room.send('hi');
  room.close();
  expect(link.unsubscribed).toEqual([link.subscriptions[0]?.id]);
  expect(vi.getTimerCount()).toBe(0);
});

test('what was unread when the room was opened is set apart, and stays so', () => {
  const room = new Room({ room: 7, me: ME });
  const link = new FakeLink();
  room.attach(link);
  for (const seq of [3, 4, 5]) link.message(seq, { history: true });
  link.receipt(link.subscriptions[0]?.headers.receipt, { read: '3' });
  expect(room.view.readUpTo).toBe(3);
  link.message(6);
  room.detach();
  room.attach(link);
  link.message(7, { history: true });
  link.recovered(true);
  link.receipt(link.subscriptions[1]?.headers.receipt, { read: '6' });
  expect(room.view.readUpTo).toBe(3);
});

test('nothing is set apart where nothing is unread, or only what is deleted or one said oneself', () => {
  const readUpTo = (read: string | undefined) => {
    const room = new Room({ room: 7, me: ME });
    const link = new FakeLink();
    room.attach(link);
    link.message(3, { history: true });
    link.message(4, { history: true });
    link.amend(5, 4, undefined, { history: true });
    link.message(6, { history: true, sender: ME });
    link.receipt(link.subscriptions[0]?.headers.receipt, read === undefined ? {} : { read });
    link.message(7);
    return room.view.readUpTo;
  };
  // On another device one was reading already, or it is not known.
  expect(readUpTo(undefined)).toBeUndefined();
  expect(readUpTo('3')).toBeUndefined();
  expect(readUpTo('2')).toBe(2);
});
