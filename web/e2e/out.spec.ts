import { type BrowserContext, expect, type Page, test } from '@playwright/test';
import { ban, DATABASE } from './database.ts';
import { bubble, createClub, join, live, openRoom, run, say, signUp, words } from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
/** In a cluster another api node, which sends its people to another engine node. */
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;
/** The promise: who is out knows it within a second, without a reload. */
const SECOND = { timeout: 1_000 };

let a: BrowserContext;
let b: BrowserContext;

test.beforeEach(async ({ browser }) => {
  [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({
      locale: 'en-US',
      viewport: { width: 390, height: 844 },
      hasTouch: true,
      isMobile: true,
    }),
  ]);
});

test.afterEach(async () => {
  await Promise.all([a, b].map((context) => context.close()));
});

/** A meetup of A's with B in it, and the room open on both pages. */
async function together(name: string): Promise<{ pageA: Page; pageB: Page; meetup: string }> {
  const [pageA, forB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([
    signUp(pageA, 'ko', SITE_A, `a${name}${run}`),
    signUp(forB, 'en', SITE_B, `b${name}${run}`),
  ]);
  const meetup = await createClub(pageA, 'ko', `Out of the ${name} ${run}`);
  await join(forB, 'en', SITE_B, meetup);
  const pageB = await openRoom(b, SITE_B, meetup);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);
  await say(pageA, '안녕하세요');
  await expect(bubble(pageB, '안녕하세요')).toBeVisible();
  return { pageA, pageB, meetup };
}

test('who is banned is told at once on the open page, and nothing of the room comes any more', async () => {
  test.skip(DATABASE === undefined, 'the instance is not one of its own');
  const { pageA, pageB, meetup } = await together('ban');

  await ban(meetup, `bban${run}`);
  await expect(pageB.getByText('You were removed from this chat.')).toBeVisible(SECOND);
  await expect(pageB.getByRole('textbox')).toHaveCount(0);
  await expect(pageB.getByRole('log')).toHaveCount(0);
  await expect(pageB.getByRole('button', { name: 'Try again' })).toHaveCount(0);
  await pageB.screenshot({ path: 'test-results/7-banned.png' });
  // The others' page tells of it, and goes on.
  await expect(pageA.getByText(`bban${run}님이 나갔어요`)).toBeVisible(SECOND);
  await say(pageA, '이제 우리끼리');
  await expect(pageB.getByText('이제 우리끼리')).toHaveCount(0);

  // Nor is there a way back in.
  await pageB.reload();
  await expect(pageB.getByText('Only members of the meetup can talk here.')).toBeVisible();
  await pageB.getByRole('link', { name: 'About this meetup' }).last().click();
  await pageB.getByRole('button', { name: words.en.join, exact: true }).click();
  await expect(pageB.getByText('You cannot join this meetup.')).toBeVisible();
});

test('an owner deletes the meetup after a question, and the room closes on every open page', async () => {
  const { pageA, pageB, meetup } = await together('end');
  const alsoA = await openRoom(a, SITE_A, meetup);
  const ownList = alsoA.getByRole('navigation', { name: '채팅' }).getByRole('link');
  await expect(ownList).toHaveCount(1);
  const aboutB = await b.newPage();
  await aboutB.goto(`${SITE_B}/meetups/${meetup}`);
  await expect(aboutB.getByRole('button', { name: 'Leave' })).toBeVisible();
  await expect(aboutB.getByRole('button', { name: 'Delete meetup' })).toHaveCount(0);

  await pageA.getByRole('link', { name: '모임 정보' }).click();
  await pageA.getByRole('button', { name: '모임 삭제' }).click();
  const question = pageA.getByRole('alertdialog');
  await expect(question).toContainText('이 모임을 삭제할까요?');
  await expect(question.getByRole('button', { name: '취소' })).toBeFocused();
  await pageA.screenshot({ path: 'test-results/8-delete-the-meetup.png' });
  await question.getByRole('button', { name: '취소' }).click();
  await expect(question).toHaveCount(0);
  await say(alsoA, '아직 있어요');
  await expect(bubble(pageB, '아직 있어요')).toBeVisible();

  await pageA.getByRole('button', { name: '모임 삭제' }).click();
  const answered = pageA.waitForResponse((response) => response.request().method() === 'DELETE');
  await question.getByRole('button', { name: '모임 삭제' }).click();
  expect((await answered).status()).toBe(204);
  await expect(pageB.getByText('The meetup is gone, and its chat is closed.')).toBeVisible(SECOND);
  await expect(alsoA.getByText('모임이 없어져서 채팅방이 닫혔어요.')).toBeVisible(SECOND);
  for (const page of [pageB, alsoA]) await expect(page.getByRole('textbox')).toHaveCount(0);
  await pageB.screenshot({ path: 'test-results/9-room-closed.png' });
  await expect(ownList).toHaveCount(0);
  await expect(pageA).toHaveURL(/\/me\/meetups$/);
  await expect(pageA.getByText('아직 참여한 모임이 없어요.')).toBeVisible();

  await pageB.getByRole('link', { name: 'My meetups' }).last().click();
  await expect(pageB.getByText('You are not in a meetup yet.')).toBeVisible();
});
