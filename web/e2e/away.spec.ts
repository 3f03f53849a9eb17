import { expect, test } from '@playwright/test';
import {
  bubble,
  createClub,
  join,
  leave,
  live,
  openRoom,
  run,
  say,
  signUp,
  turn,
  unread,
  words,
} from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;

test('a page out of sight does not read; coming back to it does', async ({ browser }) => {
  const [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({ locale: 'en-US' }),
  ]);
  const [pageA, forB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `이든${run}`), signUp(forB, 'en', SITE_B, `finn${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Out of sight ${run}`);
  await join(forB, 'en', SITE_B, meetup);
  const pageB = await openRoom(b, SITE_B, meetup);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);

  await leave(SITE_B, () => turn(pageB, 'hidden'));
  await expect(pageB.locator('.chat-banner.lost')).toBeAttached();
  await say(pageA, '거기 있어요?');
  await expect(unread(pageA, '거기 있어요?')).toHaveText('1');

  await turn(pageB, 'visible');
  await expect(bubble(pageB, '거기 있어요?')).toBeVisible();
  await expect(unread(pageA, '거기 있어요?')).toHaveCount(0);
  await Promise.all([a.close(), b.close()]);
});
