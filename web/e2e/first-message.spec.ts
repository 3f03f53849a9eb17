import { type BrowserContext, expect, test } from '@playwright/test';
import {
  bubble,
  createClub,
  join,
  leave,
  live,
  openRoom,
  run,
  say,
  shown,
  signUp,
  unread,
  words,
} from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
/** In a cluster another api node, which sends its people to another engine node. */
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;
/** The promise: a count moves within a second of the reading. */
const SECOND = { timeout: 1_000 };

const KOREAN = { locale: 'ko-KR', viewport: { width: 1200, height: 800 } };
const ENGLISH = { locale: 'en-US', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let a: BrowserContext;
let b: BrowserContext;
let c: BrowserContext;

test.beforeEach(async ({ browser }) => {
  [a, b, c] = await Promise.all([
    browser.newContext(KOREAN),
    browser.newContext(ENGLISH),
    browser.newContext({ ...ENGLISH, colorScheme: 'dark' }),
  ]);
});

test.afterEach(async () => {
  await Promise.all([a, b, c].map((context) => context.close()));
});

test('the first message, and its unread count', async () => {
  const [pageA, pageB] = await Promise.all([a.newPage(), b.newPage()]);
  let meetup = '';

  await test.step('A and B sign up, each in their language', async () => {
    await Promise.all([signUp(pageA, 'ko', SITE_A, `가온${run}`), signUp(pageB, 'en', SITE_B, `bora${run}`)]);
  });

  await test.step('A creates a club', async () => {
    meetup = await createClub(pageA, 'ko', `목요일 보드게임 ${run}`);
  });

  await test.step('B finds it and joins', async () => {
    await pageB.goto(SITE_B);
    await pageB.getByRole('link', { name: `목요일 보드게임 ${run}` }).click();
    await pageB.getByRole('button', { name: words.en.join, exact: true }).click();
    await expect(pageB.getByRole('link', { name: words.en.openChat })).toBeVisible();
  });

  await test.step('B is away: A sends and sees 1', async () => {
    await pageA.getByRole('link', { name: words.ko.openChat }).click();
    await live(pageA);
    await say(pageA, '첫 메시지예요');
    await expect(unread(pageA, '첫 메시지예요')).toHaveText('1');
    await pageA.screenshot({ path: 'test-results/1-a-sees-one.png' });
  });

  await test.step('B opens the room: the message is there, and A sees the count go, without a reload', async () => {
    await pageA.evaluate(() => {
      document.documentElement.dataset.loaded = 'once';
    });
    await pageB.getByRole('link', { name: words.en.openChat }).click();
    await expect(bubble(pageB, '첫 메시지예요')).toBeVisible();
    await expect(unread(pageA, '첫 메시지예요')).toHaveCount(0, SECOND);
    await expect(pageA.locator('html')).toHaveAttribute('data-loaded', 'once');
    await expect(unread(pageB, '첫 메시지예요')).toHaveCount(0);
  });

  await test.step('both are there: what B answers is read at once', async () => {
    await say(pageB, 'Hello! See you on Thursday.');
    await expect(bubble(pageA, 'Hello! See you on Thursday.')).toBeVisible(SECOND);
    await expect(unread(pageA, 'Hello! See you on Thursday.')).toHaveCount(0, SECOND);
    await expect(unread(pageB, 'Hello! See you on Thursday.')).toHaveCount(0, SECOND);
    await pageB.screenshot({ path: 'test-results/2-b-answers.png' });
  });

  await test.step('B closes the tab: A sends and sees 1 again', async () => {
    await leave(SITE_B, () => pageB.close());
    await say(pageA, '목요일에 봐요');
    await expect(unread(pageA, '목요일에 봐요')).toHaveText('1');
    await expect(unread(pageA, 'Hello! See you on Thursday.')).toHaveCount(0);
  });

  await test.step('C joins and stays away, B comes back', async () => {
    const pageC = await c.newPage();
    await signUp(pageC, 'en', SITE_B, `chan${run}`);
    await join(pageC, 'en', SITE_B, meetup);
    await pageC.screenshot({ path: 'test-results/3-c-has-joined.png' });
  });

  await test.step('both reload: the same messages, the same counts', async () => {
    const again = await openRoom(b, SITE_B, meetup);
    await say(pageA, '새 멤버도 반가워요');
    await expect(unread(pageA, '새 멤버도 반가워요')).toHaveText('1');
    await expect(bubble(again, '새 멤버도 반가워요')).toBeVisible();
    const before = await shown(pageA);
    await Promise.all([pageA.reload(), again.reload()]);
    await Promise.all([live(pageA), live(again)]);
    await expect.poll(() => shown(pageA)).toEqual(before);
    await expect.poll(() => shown(again)).toEqual(before);
    await pageA.screenshot({ path: 'test-results/4-a-after-reload.png' });
    await again.screenshot({ path: 'test-results/5-b-after-reload.png' });
  });
});
