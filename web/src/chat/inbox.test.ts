import { expect, test, vi } from 'vitest';
import { Inbox } from './inbox.ts';
import type { Link } from './room.ts';
import type { Frame } from './wire.ts';

/** A connection that a test plays the engine on. */
class FakeLink implements Link {
  destination = '';
  on: (frame: Frame) => void = () => {};
  subscribe(_: string, destination: string, __: Record<string, string>, on: (frame: Frame) => void) {
    this.destination = destination;
    this.on = on;
  }
  unsubscribe() {}
  send() {}
  expectReceipt() {}
  line(body: object) {
    this.on({ headers: {}, body: JSON.stringify(body) });
  }
  room(room: number, unread: number | null, more?: boolean) {
    const body = { type: 'message', sender: 2, content: `hello ${room}` };
    const line = { type: 'room', room, unread, read: 5, last: { seq: 9, body } };
    this.line(more === undefined ? line : { ...line, more });
  }
}

const unread = (inbox: Inbox) => [...inbox.view.rooms].map(([room, summary]) => [room, summary.unread]);

test('rooms are shown once all have come, and then as they change', () => {
  const [inbox, link, changed] = [new Inbox(), new FakeLink(), vi.fn()];
  inbox.listen(changed);
  inbox.attach(link);
  expect(link.destination).toBe('/user/queue/rooms');
  link.room(7, 3);
  link.room(8, 0);
  expect(inbox.view.rooms.size).toBe(0);
  link.line({ type: 'rooms', rooms: 2 });
  expect(unread(inbox)).toEqual([
    [7, 3],
    [8, 0],
  ]);
  expect(inbox.view.total).toBe(3);
  expect(inbox.view.rooms.get(7)?.last).toEqual({ seq: 9, content: 'hello 7', deleted: false });
  link.room(8, 2);
  link.line({ type: 'gone', room: 7, reason: 'banned' });
  link.room(9, null);
  expect(unread(inbox)).toEqual([
    [8, 2],
    [9, undefined],
  ]);
  expect(inbox.view.total).toBe(2);
  expect(changed).toHaveBeenCalledTimes(4);
  expect(inbox.view).toBe(inbox.view);
});

test('after a reconnect what was left meanwhile is gone, and nothing flickers', () => {
  const [inbox, first, second] = [new Inbox(), new FakeLink(), new FakeLink()];
  inbox.attach(first);
  first.room(7, 3);
  first.room(8, 1);
  first.line({ type: 'rooms', rooms: 2 });
  inbox.detach();
  inbox.attach(second);
  second.room(8, 5);
  // Too late.
  first.room(7, 9);
  expect(inbox.view.total).toBe(4);
  second.line({ type: 'rooms', rooms: 1 });
  expect(unread(inbox)).toEqual([[8, 5]]);
});

test('of a room with more than are counted the total says so', () => {
  const [inbox, link] = [new Inbox(), new FakeLink()];
  inbox.attach(link);
  link.room(7, 1000, true);
  link.line({ type: 'rooms', rooms: 1 });
  expect(inbox.view).toMatchObject({ total: 1000, more: true });
});
