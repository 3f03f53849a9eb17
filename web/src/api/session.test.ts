import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SignedOut } from '../chat/index.ts';
import { Session } from './session.ts';

const ME = { id: 1, nickname: 'a', email: 'a@example.com', role: 'USER', locale: 'ko' };
const api = vi.fn<(path: string, request: RequestInit) => Promise<Response>>();

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });
const bearer = (request: RequestInit) => new Headers(request.headers).get('Authorization');
const pathsCalled = () => api.mock.calls.map(([path]) => path);

let tokens = 0;
beforeEach(() => {
  vi.useFakeTimers();
  tokens = 0;
  api.mockReset().mockImplementation(async (path) => {
    if (path === '/api/auth/refresh' || path === '/api/auth/log-in') {
      return json(200, { accessToken: `token-${++tokens}`, expiresInSeconds: 900, user: ME });
    }
    return json(200, 'ok');
  });
  vi.stubGlobal('fetch', api);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('refreshes asked for at the same time are one', async () => {
  const session = new Session();
  const answers = await Promise.all([session.refresh(), session.token(), session.token({ fresh: true })]);
  expect(answers).toEqual(['token-1', 'token-1', 'token-1']);
  expect(pathsCalled()).toEqual(['/api/auth/refresh']);
});

test('a token is used until it is about to end, then replaced', async () => {
  const session = new Session();
  await session.restore();
  vi.advanceTimersByTime(839_000);
  expect(await session.token()).toBe('token-1');
  vi.advanceTimersByTime(2_000);
  expect(await session.token()).toBe('token-2');
});

test('a refused call is repeated once with a fresh token', async () => {
  const session = new Session();
  await session.logIn('a@example.com', 'secret');
  const answer = api.getMockImplementation();
  api.mockImplementation(async (path, request) =>
    bearer(request) === 'Bearer token-1'
      ? json(401, { type: 'unauthenticated' })
      : ((await answer?.(path, request)) as Response),
  );
  expect(await session.call('/api/me')).toBe('ok');
  expect(pathsCalled()).toEqual(['/api/auth/log-in', '/api/me', '/api/auth/refresh', '/api/me']);
});

test('without a session, restoring says signed out and nothing asks again', async () => {
  api.mockImplementation(async () => json(401, { type: 'unauthenticated' }));
  const session = new Session();
  await session.restore();
  expect(session.state.status).toBe('signed-out');
  await expect(session.token()).rejects.toBeInstanceOf(SignedOut);
  expect(pathsCalled()).toEqual(['/api/auth/refresh']);
});

test('an api that cannot be reached while refreshing does not sign anybody out', async () => {
  const session = new Session();
  await session.logIn('a@example.com', 'secret');
  api.mockRejectedValueOnce(new TypeError('network'));
  await expect(session.token({ fresh: true })).rejects.not.toBeInstanceOf(SignedOut);
  expect(session.state.status).toBe('signed-in');
});

test('a call made while the session is being restored is made as that person', async () => {
  const session = new Session();
  void session.restore();
  await session.call('/api/meetups/1');
  expect(bearer(api.mock.calls.at(-1)?.[1] ?? {})).toBe('Bearer token-1');
});

test('logging out forgets the token', async () => {
  const session = new Session();
  await session.logIn('a@example.com', 'secret');
  await session.logOut();
  expect(session.state.status).toBe('signed-out');
  await session.call('/api/meetups');
  expect(bearer(api.mock.calls.at(-1)?.[1] ?? {})).toBeNull();
});
