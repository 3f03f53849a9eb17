import { expect, test } from 'vitest';
import { LONGEST_WAIT, reconnectDelay } from './backoff.ts';

test('waits double and are capped', () => {
  const longest = [0, 1, 2, 3, 10, 1000].map((attempt) => reconnectDelay(attempt, () => 1));
  expect(longest).toEqual([500, 1000, 2000, 4000, LONGEST_WAIT, LONGEST_WAIT]);
});

test('waits are spread over the upper half', () => {
  expect(reconnectDelay(3, () => 0)).toBe(2000);
  expect(reconnectDelay(3, () => 0.5)).toBe(3000);
  const drawn = new Set(Array.from({ length: 50 }, () => reconnectDelay(10)));
  expect(drawn.size).toBeGreaterThan(10);
});
