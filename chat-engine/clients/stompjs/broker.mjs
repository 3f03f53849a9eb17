// What the Node.js tests share: the broker under test, people, topics, and frames as things to wait for.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

// As the library's documentation says for Node.js.
Object.assign(globalThis, { WebSocket });

export { WebSocket };

/** Tests have nothing in common but the broker; and nothing takes this long, in milliseconds. */
export const SIDE_BY_SIDE = { concurrency: true, timeout: 30_000 };

/** Where the harness has put the broker. */
export const url = setting('BROKER_URL');
export const heartBeat = Number(setting('BROKER_HEART_BEAT'));

function setting(name) {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run chat-engine/clients/run.mjs`);
  return value;
}

function lines(file) {
  return readFileSync(file, 'utf8').trim().split('\n');
}

const tokens = lines(setting('BROKER_TOKENS'));
const rooms = lines(setting('BROKER_ROOMS'));
// Suites run side by side: each begins with somebody else.
let next = Math.floor(Math.random() * tokens.length);

/** Somebody's access token, and the room whose member they are. */
export function person() {
  next = (next + 1) % tokens.length;
  return { token: tokens[next], room: rooms[next % rooms.length] };
}

/** Two members of the same room. */
export function roommates() {
  const first = person();
  const index = (tokens.indexOf(first.token) + rooms.length) % tokens.length;
  return [first, { token: tokens[index], room: rooms[index % rooms.length] }];
}

export function bearer(token = person().token) {
  return { Authorization: `Bearer ${token}` };
}

/** A destination that no other test knows. */
export function topic(name = 'test') {
  return `/topic/${name}-${randomUUID()}`;
}

/** A client of a test's own, not yet active; it ends with the test. */
export function client(t, options = {}) {
  const made = new Client({ brokerURL: url, connectHeaders: bearer(), reconnectDelay: 0, ...options });
  t.after(() => made.deactivate({ force: true }));
  return made;
}

/** A connected client. */
export async function connect(t, options = {}) {
  const made = client(t, options);
  await connected(made);
  return made;
}

/** Activates a client; gives its CONNECTED, or fails with what came instead. */
export function connected(client) {
  return new Promise((done, failed) => {
    client.onConnect = done;
    client.onStompError = (frame) => failed(new Error(`${frame.headers.message}: ${frame.body}`));
    client.onWebSocketError = (event) => failed(new Error(`WebSocket: ${event.message}`));
    client.activate();
  });
}

/** The next call of one of a client's callbacks, as in `next(client, 'onWebSocketClose')`. */
export function event(client, callback) {
  return new Promise((done) => {
    client[callback] = done;
  });
}

/** What has come and not been looked at. */
export class Inbox {
  #waiting = [];
  #come = [];

  put = (frame) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(frame);
    else this.#come.push(frame);
  };

  /** The next one, as soon as it is there. */
  take() {
    const frame = this.#come.shift();
    return frame ? Promise.resolve(frame) : new Promise((done) => this.#waiting.push(done));
  }

  async takeAll(count) {
    const frames = [];
    while (frames.length < count) frames.push(await this.take());
    return frames;
  }

  get isEmpty() {
    return this.#come.length === 0;
  }
}

/** Subscribes; settles when the broker has it. */
export async function subscribe(client, destination, headers = {}) {
  const inbox = new Inbox();
  await receipt(client, (receipt) => {
    inbox.subscription = client.subscribe(destination, inbox.put, { ...headers, ...receipt });
  });
  return inbox;
}

/** Does something with a receipt header; settles with the RECEIPT. */
export function receipt(client, act) {
  const id = randomUUID();
  return new Promise((done) => {
    client.watchForReceipt(id, done);
    act({ receipt: id });
  });
}

/** Settles with the ERROR and then the close that a client gets. */
export async function refusal(client) {
  const close = event(client, 'onWebSocketClose');
  const frame = await event(client, 'onStompError');
  return { frame, close: await close };
}
