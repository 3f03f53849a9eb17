// What the tests in Chromium share: people, a page with the library loaded, and a line to the broker.

import { readFileSync } from 'node:fs';
import { test as base } from '@playwright/test';
import { Line } from '../../line.mjs';

export { expect } from '@playwright/test';

const url = process.env.BROKER_URL;
export const heartBeat = Number(process.env.BROKER_HEART_BEAT);
const tokens = lines(process.env.BROKER_TOKENS);
const rooms = lines(process.env.BROKER_ROOMS);
let next = Math.floor(Math.random() * tokens.length);

function lines(file) {
  return readFileSync(file, 'utf8').trim().split('\n');
}

/** Somebody's options for `open` and `session`. */
export function options(more = {}) {
  next = (next + 1) % tokens.length;
  return { brokerURL: url, token: tokens[next], ...more };
}

/** Two members of a room: their options. */
export function roommates() {
  const one = options();
  const index = (next + rooms.length) % tokens.length;
  return { room: rooms[next % rooms.length], one, two: { ...one, token: tokens[index] } };
}

export const test = base.extend({
  /** The page with its library loaded. Functions given to `evaluate` run there. */
  page: async ({ page }, use) => {
    await page.goto('/');
    await page.locator('html[data-ready]').waitFor();
    await use(page);
  },
  /** A line to the broker that the test can cut. */
  line: async ({ page: _ }, use) => {
    const line = await Line.to(new URL(url).port);
    await use(line);
    line.close();
  },
});
