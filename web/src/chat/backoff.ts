/** The longest wait before another attempt to connect, in milliseconds. */
export const LONGEST_WAIT = 30_000;
const FIRST_WAIT = 500;

/**
 * How long to wait before attempt number `attempt` (the first is 0) to connect again, in milliseconds: doubling,
 * capped, and drawn from the upper half at random, so that everybody a restarted engine lost does not come back
 * in the same instant.
 */
export function reconnectDelay(attempt: number, random: () => number = Math.random): number {
  const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt, 16));
  return Math.round(wait * (0.5 + random() / 2));
}
