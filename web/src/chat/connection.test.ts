import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Connection, SignedOut } from './connection.ts';

/** A WebSocket that a test plays the engine on. */
class FakeSocket {
  static opened: FakeSocket[] = [];
  readyState = 1;
  binaryType = '';
  url = '';
  frames: string[] = [];
  onopen = () => {};
  onclose = (_: object) => {};
  onmessage = (_: object) => {};

  constructor() {
    FakeSocket.opened.push(this);
  }
  static get last(): FakeSocket {
    return FakeSocket.opened.at(-1) as FakeSocket;
  }
  send(frame: string) {
    this.frames.push(frame);
  }
  close() {
    this.readyState = 3;
    this.onclose({});
  }
  frame(command: string, headers: Record<string, string>, body = '') {
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
    this.onmessage({ data: `${command}\n${lines.join('')}\n${body}\0` });
  }
  connected() {
    this.frame('CONNECTED', { version: '1.2' });
  }
  header(command: string, name: string): string | undefined {
    const frame = this.frames.findLast((text) => text.startsWith(`${command}\n`));
    return frame?.match(new RegExp(`^${name}:(.*)$`, 'm'))?.[1];
  }
}

const token = vi.fn<(wish: { fresh: boolean }) => Promise<string>>();
const connect = () => new Connection({ engineUrl: 'ws://engine/ws', me: 1, token });
/** Lets promises settle without moving time. */
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.spyOn(Math, 'random').mockReturnValue(1);
  FakeSocket.opened = [];
  let tokens = 0;
  token.mockReset().mockImplementation(async () => `token-${++tokens}`);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function openRoom() {
  const connection = connect();
  const room = connection.open(7);
  await settle();
  FakeSocket.last.connected();
  FakeSocket.last.frame('RECEIPT', { 'receipt-id': FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '' });
  return { connection, room };
}

test('connects with a token and opens the room', async () => {
  const { room } = await openRoom();
  expect(FakeSocket.last.header('CONNECT', 'Authorization')).toBe('Bearer token-1');
  expect(FakeSocket.last.header('SUBSCRIBE', 'destination')).toBe('/chat/7');
  expect(room.view.status).toBe('live');
});

test('a lost connection comes back after a wait, with a new token and a new subscription', async () => {
  const { room } = await openRoom();
  FakeSocket.last.close();
  expect(room.view.status).toBe('lost');
  await vi.advanceTimersByTimeAsync(499);
  expect(FakeSocket.opened).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(FakeSocket.opened).toHaveLength(2);
  FakeSocket.last.connected();
  expect(FakeSocket.last.header('CONNECT', 'Authorization')).toBe('Bearer token-2');
  expect(FakeSocket.last.header('SUBSCRIBE', 'destination')).toBe('/chat/7');
});

test('waits grow while connections fail, also those that are taken and end before any answer', async () => {
  connect().open(7);
  await settle();
  for (const wait of [500, 1000, 2000, 4000]) {
    FakeSocket.last.connected();
    FakeSocket.last.close();
    const before = FakeSocket.opened.length;
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(FakeSocket.opened).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.opened).toHaveLength(before + 1);
  }
});

test('an answer ends the row of failures', async () => {
  await openRoom();
  for (let round = 0; round < 3; round++) {
    FakeSocket.last.close();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.connected();
    FakeSocket.last.frame('RECEIPT', { 'receipt-id': FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '' });
  }
  expect(FakeSocket.opened).toHaveLength(4);
});

test('a token the engine refused is replaced', async () => {
  connect().open(7);
  await settle();
  expect(token).toHaveBeenLastCalledWith({ fresh: false });
  FakeSocket.last.frame('ERROR', { message: 'token expired' });
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(500);
  expect(token).toHaveBeenLastCalledWith({ fresh: true });
});

test('a token that cannot be fetched now is asked for again', async () => {
  token.mockRejectedValueOnce(new TypeError('network'));
  connect().open(7);
  await settle();
  expect(FakeSocket.opened).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(500);
  expect(FakeSocket.opened).toHaveLength(1);
});

test('somebody who is signed out is not reconnected', async () => {
  token.mockRejectedValue(new SignedOut());
  connect().open(7);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(token).toHaveBeenCalledTimes(1);
});

test('a room that refuses is not tried again', async () => {
  const connection = connect();
  const room = connection.open(7);
  await settle();
  FakeSocket.last.connected();
  const receipt = FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '';
  const message = 'not a member';
  FakeSocket.last.frame('ERROR', { message, 'receipt-id': receipt }, 'You are not a member of room 7.');
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(room.view).toMatchObject({ status: 'refused', refusal: message });
  expect(FakeSocket.opened).toHaveLength(1);
});

test('what the engine cannot do at the moment is asked again', async () => {
  const connection = connect();
  const room = connection.open(7);
  await settle();
  FakeSocket.last.connected();
  const receipt = FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '';
  FakeSocket.last.frame('ERROR', { message: 'try again', 'receipt-id': receipt }, 'in a moment');
  FakeSocket.last.close();
  expect(room.view.status).toBe('lost');
  await vi.advanceTimersByTimeAsync(500);
  FakeSocket.last.connected();
  expect(FakeSocket.opened).toHaveLength(2);
  expect(FakeSocket.last.header('SUBSCRIBE', 'destination')).toBe('/chat/7');
});

test('being back online ends the wait', async () => {
  const { connection } = await openRoom();
  FakeSocket.last.close();
  connection.reconnectNow();
  connection.reconnectNow();
  await settle();
  expect(FakeSocket.opened).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(9_000);
  expect(FakeSocket.opened).toHaveLength(2);
});

test('at rest there is no connection, and so no reading; looking again brings everything back', async () => {
  const { connection, room } = await openRoom();
  connection.rest();
  expect(FakeSocket.last.header('DISCONNECT', 'receipt')).toBeDefined();
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(FakeSocket.opened).toHaveLength(1);
  connection.reconnectNow();
  await settle();
  FakeSocket.last.connected();
  expect(FakeSocket.last.header('SUBSCRIBE', 'destination')).toBe('/chat/7');
  FakeSocket.last.frame('RECEIPT', { 'receipt-id': FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '' });
  expect(room.view.status).toBe('live');
});

test('from one room to the next the connection stays; without rooms it ends', async () => {
  const { connection, room } = await openRoom();
  connection.close(room);
  const next = connection.open(8);
  await settle();
  expect(FakeSocket.opened).toHaveLength(1);
  expect(FakeSocket.last.header('UNSUBSCRIBE', 'id')).toBeDefined();
  expect(FakeSocket.last.header('SUBSCRIBE', 'destination')).toBe('/chat/8');
  connection.close(next);
  await settle();
  expect(FakeSocket.last.header('DISCONNECT', 'receipt')).toBeDefined();
});

test('closing while the token is still awaited opens nothing', async () => {
  token.mockReturnValue(new Promise((done) => setTimeout(done, 1000, 'late')));
  const connection = connect();
  connection.close(connection.open(7));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.opened).toHaveLength(0);
});

const told = (headers: Record<string, string>, body = '') =>
  FakeSocket.last.frame(
    'MESSAGE',
    {
      subscription: 'errors',
      'message-id': 'r1',
      destination: '/user/queue/errors',
      ...headers,
    },
    body,
  );

test('what is refused is told without the connection ending', async () => {
  const { room } = await openRoom();
  room.send('x');
  told(
    { message: 'message too long', 'receipt-id': FakeSocket.last.header('SEND', 'receipt') ?? '' },
    'too long',
  );
  expect(room.view.outgoing).toMatchObject([{ state: 'failed', refusal: 'too long' }]);
  expect(room.view.status).toBe('live');
  const subscription = FakeSocket.last.frames
    .find((frame) => frame.includes('/chat/7'))
    ?.match(/^id:(.*)$/m)?.[1];
  told({ message: 'banned', 'ended-subscription': subscription ?? '', 'ended-destination': '/chat/7' });
  expect(room.view).toMatchObject({ status: 'refused', refusal: 'banned' });
  expect(FakeSocket.opened).toHaveLength(1);
});

test.each([
  ['not a member', 'you are not a member of room 7', 'not a member'],
  ['too fast', 'only so many a second', 'only so many a second'],
])('a room that is not entered (%s) is known by its subscription', async (message, body, refusal) => {
  const connection = connect();
  const room = connection.open(7);
  await settle();
  FakeSocket.last.connected();
  told({ message, 'ended-subscription': subscription(), 'ended-destination': '/chat/7' }, body);
  expect(room.view).toMatchObject({ status: 'refused', refusal });
  // There is nothing to unsubscribe from.
  connection.close(room);
  expect(FakeSocket.last.header('UNSUBSCRIBE', 'id')).toBeUndefined();
});

test('what may work in a moment is asked again on a new connection', async () => {
  const { room } = await openRoom();
  room.send('x');
  told(
    { message: 'try again', 'receipt-id': FakeSocket.last.header('SEND', 'receipt') ?? '' },
    'the log is away',
  );
  expect(room.view).toMatchObject({ status: 'lost', outgoing: [{ state: 'sending' }] });
  await vi.advanceTimersByTimeAsync(500);
  expect(FakeSocket.opened).toHaveLength(2);
});

/** The id under which room 7 is subscribed. */
const subscription = () =>
  FakeSocket.last.frames.find((frame) => frame.includes('/chat/7'))?.match(/^id:(.*)$/m)?.[1] ?? '';

test('a room that could not be entered for the moment is entered again', async () => {
  const { room } = await openRoom();
  told(
    { message: 'try again', 'ended-subscription': subscription(), 'ended-destination': '/chat/7' },
    'in a moment',
  );
  expect(room.view.status).toBe('lost');
  await vi.advanceTimersByTimeAsync(500);
  expect(FakeSocket.opened).toHaveLength(2);
});

test('a page that cannot be read is asked for again in a moment, on the same connection', async () => {
  const room = connect().open(7);
  await settle();
  FakeSocket.last.connected();
  const message = { subscription: subscription(), 'message-id': '9', seq: '9', history: 'true' };
  FakeSocket.last.frame('MESSAGE', message, '{"type":"message","sender":1,"at":1,"content":"x"}');
  FakeSocket.last.frame('RECEIPT', { 'receipt-id': FakeSocket.last.header('SUBSCRIBE', 'receipt') ?? '' });
  room.loadOlder();
  expect(room.view.loadingOlder).toBe(true);
  told({ message: 'try again', 'receipt-id': FakeSocket.last.header('SEND', 'receipt') ?? '' });
  expect(room.view).toMatchObject({ status: 'live', loadingOlder: true });
  await vi.advanceTimersByTimeAsync(3_000);
  expect(room.view.loadingOlder).toBe(false);
  expect(FakeSocket.opened).toHaveLength(1);
});

test('a token about to end is replaced on the open connection', async () => {
  await openRoom();
  told({ 'content-type': 'application/json' }, '{"type":"token","expiresInSeconds":60}');
  await settle();
  expect(token).toHaveBeenLastCalledWith({ fresh: true });
  expect(FakeSocket.last.header('SEND', 'destination')).toBe('/app/token');
  expect(FakeSocket.last.frames.at(-1)).toContain('token-2');
});

test("one's rooms are followed with a room open or without, and again on every connection", async () => {
  const connection = connect();
  const stop = connection.followInbox();
  await settle();
  FakeSocket.last.connected();
  const line = (body: object) => {
    const id = FakeSocket.last.frames
      .find((frame) => frame.includes('/queue/rooms'))
      ?.match(/^id:(.*)$/m)?.[1];
    const headers = { subscription: id ?? '', destination: '/user/queue/rooms', 'message-id': 'u1' };
    FakeSocket.last.frame('MESSAGE', headers, JSON.stringify(body));
  };
  line({ type: 'room', room: 7, unread: 2, read: 5, last: null });
  line({ type: 'rooms', rooms: 1 });
  expect(connection.inbox.view.total).toBe(2);
  connection.close(connection.open(7));
  await settle();
  expect(FakeSocket.last.readyState).toBe(1);
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(500);
  FakeSocket.last.connected();
  expect(connection.inbox.view.total).toBe(2);
  line({ type: 'rooms', rooms: 0 });
  expect(connection.inbox.view.total).toBe(0);
  stop();
  await settle();
  expect(FakeSocket.last.header('DISCONNECT', 'receipt')).toBeDefined();
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(FakeSocket.opened).toHaveLength(2);
});
