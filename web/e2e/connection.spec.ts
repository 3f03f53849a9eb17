import { expect, test } from '@playwright/test';
import { header, lineOf } from './line.ts';
import {
  bubble,
  createClub,
  join,
  live,
  openRoom,
  remove,
  reword,
  run,
  say,
  shown,
  signUp,
  words,
} from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;

test('a lost connection is said, comes back, and what was written meanwhile is sent once', async ({
  browser,
}) => {
  const context = await browser.newContext({ locale: 'en-US', colorScheme: 'dark' });
  const line = await lineOf(context);
  const page = await context.newPage();
  await signUp(page, 'en', SITE_A, `dan${run}`);
  await createClub(page, 'en', `Reconnecting ${run}`);
  await page.getByRole('link', { name: words.en.openChat }).click();
  await live(page);
  await say(page, 'before');

  line.cut();
  await expect(page.getByText('Connection lost. Reconnecting…')).toBeVisible();
  await page.getByRole('textbox').fill('meanwhile');
  await page.getByRole('textbox').press('Enter');
  await expect(page.locator('.outgoing .message.sending')).toContainText('meanwhile');
  await page.screenshot({ path: 'test-results/6-connection-lost.png' });

  line.restore();
  await live(page);
  await expect(bubble(page, 'meanwhile')).toHaveCount(1);
  await expect(bubble(page, 'before')).toHaveCount(1);
  await expect(page.locator('.outgoing .message')).toHaveCount(0);
  await context.close();
});

test('a page whose connection was cut resumes with exactly what it missed', async ({ browser }) => {
  const [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({ locale: 'en-US' }),
  ]);
  const line = await lineOf(b);
  const [pageA, forB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `나래${run}`), signUp(forB, 'en', SITE_B, `nia${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Cut off ${run}`);
  await join(forB, 'en', SITE_B, meetup);
  const pageB = await openRoom(b, SITE_B, meetup);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);
  for (const content of ['하나', '둘', '셋']) await say(pageA, content);
  await expect(bubble(pageB, '셋')).toBeVisible();
  const lines = pageB.getByRole('log').locator('[data-seq]');
  const last = await lines.last().getAttribute('data-seq');
  const kept = await lines.first().elementHandle();

  line.cut();
  await expect(pageB.getByText('Connection lost. Reconnecting…')).toBeVisible();
  await say(pageA, '넷');
  await reword(pageA, 'ko', '하나', '하나부터');
  await remove(pageA, 'ko', '둘');
  await say(pageA, '다섯');
  await expect(bubble(pageB, '넷')).toHaveCount(0);

  line.restore();
  await live(pageB);
  // It asked for what came after the last one it had, and only that came.
  const [asked = ''] = line.sent.filter((frame) => header(frame, 'destination') === `/chat/${meetup}`);
  expect(header(asked, 'after')).toBe(last);
  const records = line.received.filter((frame) => header(frame, 'seq') !== undefined);
  const bodies = records.map((frame) => JSON.parse(frame.slice(frame.indexOf('\n\n'))));
  expect(bodies.map(({ type, content }) => [type, content])).toEqual([
    ['message', '넷'],
    ['edited', '하나부터'],
    ['deleted', undefined],
    ['message', '다섯'],
  ]);
  expect(records.map((frame) => header(frame, 'history'))).toEqual(['true', 'true', 'true', 'true']);
  expect(line.received.filter((frame) => frame.includes('"recovered":true'))).toHaveLength(1);
  // Added to what was there, which was not drawn anew, and the same as for who was never away.
  await expect(bubble(pageB, '다섯')).toHaveCount(1);
  expect(await kept?.evaluate((element) => element.isConnected)).toBe(true);
  // What was deleted is told in each one's language.
  const said = async (page: typeof pageA) =>
    (await shown(page)).map((line) => line.replace(/삭제된 메시지예요|Deleted message/, 'deleted'));
  await expect.poll(async () => said(pageB)).toEqual(await said(pageA));
  await say(pageA, '여섯');
  await expect(bubble(pageB, '여섯')).toHaveCount(1);
  await Promise.all([a.close(), b.close()]);
});
