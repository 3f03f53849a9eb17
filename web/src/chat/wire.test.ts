import { expect, test } from 'vitest';
import { parseRoomFrame } from './wire.ts';

const frame = (headers: Record<string, string>, body: unknown) => ({
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

test('a message takes its seq and its count from the headers', () => {
  const body = { type: 'message', sender: 12, at: 1795300000000, 'client-id': 'c1', content: '안녕' };
  expect(parseRoomFrame(frame({ seq: '7', unread: '3' }, body))).toEqual({
    kind: 'entry',
    history: false,
    entry: {
      type: 'message',
      seq: 7,
      at: 1795300000000,
      sender: 12,
      clientId: 'c1',
      content: '안녕',
      unread: 3,
    },
  });
});

test('a joined record of history', () => {
  const parsed = parseRoomFrame(frame({ seq: '8', history: 'true' }, { type: 'joined', user: 5, at: 1 }));
  expect(parsed).toEqual({
    kind: 'entry',
    history: true,
    entry: { type: 'joined', seq: 8, at: 1, user: 5 },
  });
});

test('read events', () => {
  const changes = [{ from: 1, to: 2, by: -1 }];
  expect(parseRoomFrame(frame({}, { type: 'read', changes }))).toEqual({ kind: 'changes', changes });
  expect(parseRoomFrame(frame({}, { type: 'read', reset: [[0, 1]] }))).toEqual({
    kind: 'reset',
    steps: [[0, 1]],
  });
});

test('what a newer engine may send is ignored', () => {
  for (const body of ['not json', '7', 'null', { type: 'typing', user: 1 }, { type: 'recovered' }]) {
    expect(parseRoomFrame(frame({}, body))).toEqual({ kind: 'unknown' });
  }
  const unnumbered = { type: 'message', sender: 1, at: 1, content: 'x' };
  expect(parseRoomFrame(frame({}, unnumbered))).toEqual({ kind: 'unknown' });
});
