import { expect, test } from 'vitest';
import type { Entry } from '../chat/index.ts';
import { toRows } from './rows.ts';

let seq = 0;
const at = (day: number, hour: number, minute = 0, second = 0) =>
  new Date(2026, 10, day, hour, minute, second).getTime();
const said = (sender: number, when: number): Entry => ({
  type: 'message',
  seq: ++seq,
  at: when,
  sender,
  content: 'x',
  clientId: undefined,
  unread: 0,
});
const drawn = (entries: Entry[], options = {}) =>
  toRows(entries, options).map((row) =>
    row.kind === 'message' ? `${row.isFirst ? 'F' : '-'}${row.isLast ? 'L' : '-'}` : row.kind,
  );

test('a day is announced once, where it begins', () => {
  expect(drawn([said(1, at(1, 23, 58)), said(2, at(2, 0, 1)), said(1, at(2, 9))])).toEqual([
    'day',
    'FL',
    'day',
    'FL',
    'FL',
  ]);
});

test('messages of one person in one minute are one group', () => {
  expect(
    drawn([
      said(1, at(1, 9, 0, 5)),
      said(1, at(1, 9, 0, 30)),
      said(1, at(1, 9, 0, 59)),
      said(1, at(1, 9, 1, 0)),
      said(2, at(1, 9, 1, 1)),
    ]),
  ).toEqual(['day', 'F-', '--', '-L', 'FL', 'FL']);
});

test('somebody coming in between ends a group', () => {
  const joined: Entry = { type: 'joined', seq: ++seq, at: at(1, 9), user: 3 };
  expect(drawn([said(1, at(1, 9)), joined, said(1, at(1, 9))])).toEqual(['day', 'FL', 'coming', 'FL']);
});

test('what was unread is set apart, once there is something before it', () => {
  const all = [said(1, at(1, 9)), said(1, at(1, 9)), said(1, at(1, 9))];
  const [first, second, third] = all.map(({ seq }) => seq) as [number, number, number];
  expect(drawn(all, { readUpTo: first })).toEqual(['day', 'FL', 'divider', 'F-', '-L']);
  expect(drawn(all, { readUpTo: second })).toEqual(['day', 'F-', '-L', 'divider', 'FL']);
  expect(drawn(all, { readUpTo: third })).toEqual(['day', 'F-', '--', '-L']);
  // It began further up than what is shown; or with the first message there is.
  expect(drawn(all, { readUpTo: first - 1 })).toEqual(['day', 'F-', '--', '-L']);
  expect(drawn(all, { readUpTo: first - 1, atStart: true })).toEqual(['day', 'divider', 'F-', '--', '-L']);
});
