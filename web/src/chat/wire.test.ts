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
  for (const body of ['not json', '7', 'null', { type: 'typing', user: 1 }]) {
    expect(parseRoomFrame(frame({}, body))).toEqual({ kind: 'unknown' });
  }
  const unnumbered = { type: 'message', sender: 1, at: 1, content: 'x' };
  expect(parseRoomFrame(frame({}, unnumbered))).toEqual({ kind: 'unknown' });
});

test('what became of a message since is in its body', () => {
  const message = { type: 'message', sender: 1, at: 1 };
  const entry = (body: object) => {
    const parsed = parseRoomFrame(frame({ seq: '7' }, { ...message, ...body }));
    return parsed.kind === 'entry' ? parsed.entry : undefined;
  };
  expect(entry({ content: 'b', edited: 5, 'reply-to': 3 })).toMatchObject({
    content: 'b',
    edited: 5,
    replyTo: 3,
  });
  expect(entry({ deleted: 9 })).toMatchObject({ content: '', deleted: 9 });
  expect(entry({})).toBeUndefined();
});

test('an edit and a deletion name their message', () => {
  const edited = { type: 'edited', target: 7, user: 1, at: 5, content: 'b' };
  expect(parseRoomFrame(frame({ seq: '9' }, edited))).toEqual({
    kind: 'amendment',
    history: false,
    amendment: { seq: 9, at: 5, target: 7, content: 'b' },
  });
  const deleted = { type: 'deleted', target: 7, user: 1, at: 6 };
  expect(parseRoomFrame(frame({ seq: '10', history: 'true' }, deleted))).toEqual({
    kind: 'amendment',
    history: true,
    amendment: { seq: 10, at: 6, target: 7, content: undefined },
  });
  expect(parseRoomFrame(frame({}, deleted))).toEqual({ kind: 'unknown' });
});

test('whether all that was missed has come', () => {
  for (const recovered of [true, false]) {
    const parsed = parseRoomFrame(frame({}, { type: 'recovered', recovered }));
    expect(parsed).toEqual({ kind: 'recovered', recovered });
  }
});
