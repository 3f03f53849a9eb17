import { expect, test } from '@playwright/test';
import {
  bubble,
  createClub,
  join,
  leave,
  live,
  openRoom,
  remove,
  reword,
  run,
  say,
  signUp,
  turn,
  unread,
  words,
} from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;

test('a reply, an edit and a deletion are there for everybody, also for who was away', async ({
  browser,
}) => {
  const [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({ locale: 'en-US' }),
  ]);
  const [pageA, forB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `가람${run}`), signUp(forB, 'en', SITE_B, `gale${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Second thoughts ${run}`);
  await join(forB, 'en', SITE_B, meetup);
  const pageB = await openRoom(b, SITE_B, meetup);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);

  await say(pageA, '목요일에 만나요');
  await expect(bubble(pageB, '목요일에 만나요')).toBeVisible();
  await bubble(pageB, '목요일에 만나요').hover();
  await bubble(pageB, '목요일에 만나요').getByRole('button', { name: 'Reply' }).click();
  await say(pageB, 'Which one?');
  await expect(bubble(pageA, 'Which one?').locator('.quote')).toContainText('목요일에 만나요');

  // Only one's own can be changed.
  await expect(bubble(pageB, '목요일에 만나요').getByRole('button', { name: 'Edit' })).toHaveCount(0);
  await reword(pageA, 'ko', '목요일에 만나요', '이번 주 목요일에 만나요');
  for (const page of [pageA, pageB]) {
    await expect(bubble(page, '이번 주 목요일에 만나요').locator('.edited')).toBeVisible();
    await expect(bubble(page, 'Which one?').locator('.quote')).toContainText('이번 주 목요일에 만나요');
  }

  // Who runs the meetup may take back anybody's, and nobody else may.
  await say(pageB, 'Buy cheap shoes');
  await expect(bubble(pageA, 'Buy cheap shoes').getByRole('button', { name: '수정' })).toHaveCount(0);
  await expect(bubble(pageB, '이번 주 목요일에 만나요').getByRole('button', { name: 'Delete' })).toHaveCount(
    0,
  );
  await remove(pageA, 'ko', 'Buy cheap shoes');
  await expect(bubble(pageB, 'Buy cheap shoes')).toHaveCount(0);

  // What happens while somebody is away is there when they come back, and nothing is loaded twice.
  const kept = await pageB.getByRole('log').locator('.message').first().elementHandle();
  await leave(SITE_B, () => turn(pageB, 'hidden'));
  await expect(pageB.locator('.chat-banner.lost')).toBeAttached();
  await say(pageA, '아무도 없네');
  await expect(unread(pageA, '아무도 없네')).toHaveText('1');
  await remove(pageA, 'ko', '이번 주 목요일에 만나요');
  await expect(pageA.getByText('삭제된 메시지예요').first()).toBeVisible();

  await turn(pageB, 'visible');
  await live(pageB);
  await expect(bubble(pageB, '아무도 없네')).toHaveCount(1);
  await expect(bubble(pageB, '이번 주 목요일에 만나요')).toHaveCount(0);
  await expect(pageB.getByRole('log').locator('.message.deleted')).toHaveCount(2);
  await expect(unread(pageA, '아무도 없네')).toHaveCount(0);
  expect(await kept?.evaluate((element) => element.isConnected)).toBe(true);
  const shots = process.env.MOYIZA_SCREENSHOTS;
  if (shots !== undefined) {
    await bubble(pageA, '아무도 없네').hover();
    await bubble(pageA, '아무도 없네').getByRole('button', { name: '답장' }).click();
    await pageA.screenshot({ path: `${shots}/a.png` });
    await pageB.screenshot({ path: `${shots}/b.png` });
  }
  await Promise.all([a.close(), b.close()]);
});
