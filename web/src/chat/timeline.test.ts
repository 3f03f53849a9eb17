import { describe, expect, test } from 'vitest';
import { Timeline } from './timeline.ts';
import type { Entry } from './wire.ts';

function message(seq: number, unread = 0): Entry {
  return { type: 'message', seq, at: seq, sender: 1, content: `#${seq}`, clientId: undefined, unread };
}

function joined(seq: number): Entry {
  return { type: 'joined', seq, at: seq, user: 9 };
}

function filled(...entries: Entry[]): Timeline {
  const timeline = new Timeline();
  for (const entry of entries) timeline.insert(entry);
  return timeline;
}

const seqs = (timeline: Timeline) => timeline.entries.map(({ seq }) => seq);
const counts = (timeline: Timeline) =>
  timeline.entries.map((entry) => (entry.type === 'message' ? entry.unread : '-'));

describe('order', () => {
  test('live records follow and pages of history go before, whatever the gaps between seqs', () => {
    const timeline = filled(message(50), message(90));
    for (const seq of [7, 20, 49]) timeline.insert(message(seq));
    timeline.insert(message(1_099_511_627_776));
    expect(seqs(timeline)).toEqual([7, 20, 49, 50, 90, 1_099_511_627_776]);
  });

  test('a record in between goes in between', () => {
    expect(seqs(filled(message(1), message(9), message(5)))).toEqual([1, 5, 9]);
  });

  test('a repeat is dropped, and the shown one keeps the changes made to it', () => {
    const timeline = filled(message(10, 2), message(20, 2), message(30, 2));
    timeline.change([{ from: 0, to: 30, by: -1 }]);
    for (const seq of [10, 20, 30]) expect(timeline.insert(message(seq, 2))).toBe(false);
    expect(seqs(timeline)).toEqual([10, 20, 30]);
    expect(counts(timeline)).toEqual([1, 1, 1]);
  });
});

describe('changes', () => {
  test('apply to from < seq ≤ to, at both boundaries', () => {
    const timeline = filled(message(9, 5), message(10, 5), message(11, 5), message(20, 5), message(21, 5));
    timeline.change([{ from: 10, to: 20, by: -1 }]);
    expect(counts(timeline)).toEqual([5, 5, 4, 4, 5]);
  });

  test('boundaries need not be shown records', () => {
    const timeline = filled(message(10, 5), message(20, 5), message(30, 5));
    timeline.change([{ from: 15, to: 25, by: 3 }]);
    expect(counts(timeline)).toEqual([5, 8, 5]);
  });

  test('several in one event add up', () => {
    const timeline = filled(message(1, 3), message(2, 3), message(3, 3));
    timeline.change([
      { from: 0, to: 3, by: -1 },
      { from: 1, to: 3, by: -1 },
      { from: 2, to: 3, by: 1 },
    ]);
    expect(counts(timeline)).toEqual([2, 1, 2]);
  });

  test('an empty range and an empty timeline change nothing', () => {
    const timeline = filled(message(4, 1));
    timeline.change([{ from: 4, to: 4, by: -1 }]);
    expect(counts(timeline)).toEqual([1]);
    const empty = new Timeline();
    empty.change([{ from: 0, to: 100, by: -1 }]);
    expect(empty.entries).toEqual([]);
  });

  test('do not reach history that arrives later: it comes with its own counts', () => {
    const timeline = filled(message(50, 1));
    timeline.change([{ from: 0, to: 50, by: -1 }]);
    timeline.insert(message(40, 1));
    expect(counts(timeline)).toEqual([1, 0]);
  });

  test('leave joined and left alone, and what did not change the same object', () => {
    const timeline = filled(message(1, 1), joined(2), message(3, 1));
    const [before] = timeline.entries;
    timeline.change([{ from: 1, to: 3, by: -1 }]);
    expect(counts(timeline)).toEqual([1, '-', 0]);
    expect(timeline.entries[0]).toBe(before);
  });
});

describe('reset', () => {
  test('a message counts what the last step below its seq says', () => {
    const timeline = filled(message(15, 9), message(16, 9), message(18, 9), message(19, 9));
    timeline.reset([
      [0, 0],
      [15, 1],
      [18, 2],
    ]);
    expect(counts(timeline)).toEqual([0, 1, 1, 2]);
  });

  test('leaves joined and left alone, and what did not change the same object', () => {
    const timeline = filled(message(1, 0), joined(2), message(3, 0));
    const before = timeline.entries;
    timeline.reset([
      [0, 0],
      [2, 7],
    ]);
    expect(counts(timeline)).toEqual([0, '-', 7]);
    expect(timeline.entries[0]).toBe(before[0]);
    expect(timeline.entries[1]).toBe(before[1]);
  });
});

test('amendments change the message they name, the last one stands, and a deletion is final', () => {
  const timeline = new Timeline();
  const said = { type: 'message', at: 1, sender: 1, clientId: undefined, unread: 2 } as const;
  timeline.insert({ ...said, seq: 3, content: 'a', replyTo: 1 });
  timeline.insert({ type: 'joined', seq: 4, at: 1, user: 9 });
  const [, untouched] = timeline.entries;
  timeline.amend({ seq: 8, at: 80, target: 3, content: 'late' });
  timeline.amend({ seq: 6, at: 60, target: 3, content: 'early' });
  expect(timeline.first).toMatchObject({ content: 'late', edited: 80, unread: 2, replyTo: 1 });
  timeline.amend({ seq: 7, at: 70, target: 3, content: undefined });
  timeline.amend({ seq: 9, at: 90, target: 3, content: 'never' });
  expect(timeline.first).toEqual({ ...said, seq: 3, content: '', deleted: 70 });
  for (const target of [2, 4, 5]) timeline.amend({ seq: 10, at: 1, target, content: 'x' });
  expect(timeline.entries).toHaveLength(2);
  expect(timeline.last).toBe(untouched);
  expect(timeline.head).toBe(10);
});
