import { expect, test } from 'vitest';
import { parseRoute } from './router.tsx';

test('paths', () => {
  expect(parseRoute('/')).toEqual({ page: 'meetups' });
  expect(parseRoute('/meetups/12')).toEqual({ page: 'meetup', id: 12 });
  expect(parseRoute('/meetups/12/chat')).toEqual({ page: 'chat', id: 12 });
  expect(parseRoute('/meetups/twelve')).toEqual({ page: 'not-found' });
});

test('after logging in one lands on a page of ours and nowhere else', () => {
  const next = (path: string) => parseRoute('/log-in', `?next=${encodeURIComponent(path)}`);
  expect(next('/meetups/3')).toEqual({ page: 'log-in', next: '/meetups/3' });
  for (const elsewhere of [
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    'javascript:alert(1)',
  ]) {
    expect(next(elsewhere)).toEqual({ page: 'log-in', next: '/' });
  }
});
