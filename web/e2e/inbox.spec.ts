import { expect, type Locator, type Page, test } from '@playwright/test';
import { bubble, createClub, join, leave, live, openRoom, run, say, signUp, words } from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;

const total = (page: Page): Locator => page.locator('.main-nav .badge > [aria-hidden]');
const card = (page: Page): Locator => page.locator('.card');

test('what is unread is counted in the list, on every device, and set apart in the room', async ({
  browser,
}) => {
  const [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({ locale: 'en-US' }),
  ]);
  const [pageA, listB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `도담${run}`), signUp(listB, 'en', SITE_B, `dodam${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Left unread ${run}`);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);
  await say(pageA, '아직 아무도 없네');
  await listB.goto(`${SITE_B}/me/meetups`);
  await expect(total(listB)).toHaveCount(0);

  await test.step('a room that one has just joined has nothing unread, then what is said', async () => {
    // On another device: the list of this one learns of it.
    const other = await b.newPage();
    await join(other, 'en', SITE_B, meetup);
    await other.close();
    await say(pageA, '하나');
    await expect(total(listB)).toHaveText('1');
    await say(pageA, '둘');
    await expect(total(listB)).toHaveText('2');
    await listB.reload();
    await expect(total(listB)).toHaveText('2');
    await expect(card(listB).locator('.badge > [aria-hidden]')).toHaveText('2');
    await expect(card(listB).locator('.last-message')).toHaveText('둘');
  });

  const roomB = await openRoom(b, SITE_B, meetup);
  await test.step('opened on one device it is read on all of them, and one sees where one was', async () => {
    await expect(total(listB)).toHaveCount(0);
    await expect(card(listB).locator('.badge')).toHaveCount(0);
    await expect(roomB.locator('.divider')).toHaveText('Read up to here');
    await expect(roomB.locator('.divider + .message .bubble')).toHaveText('하나');
    await say(pageA, '셋');
    await expect(bubble(roomB, '셋')).toBeVisible();
    await expect(card(listB).locator('.last-message')).toHaveText('셋');
    await expect(total(listB)).toHaveCount(0);
    await expect(roomB.locator('.divider + .message .bubble')).toHaveText('하나');
    await expect(total(roomB)).toHaveCount(0);
    // Who sent all of it has nothing unread.
    await expect(total(pageA)).toHaveCount(0);
    await expect(pageA.locator('.divider')).toHaveCount(0);
  });

  await test.step('away again it counts again, and not what was deleted', async () => {
    await leave(SITE_B, () => roomB.close());
    await say(pageA, '넷');
    await say(pageA, '다섯');
    await expect(total(listB)).toHaveText('2');
    pageA.once('dialog', (dialog) => dialog.accept());
    await bubble(pageA, '다섯').hover();
    await bubble(pageA, '다섯').getByRole('button', { name: words.ko.remove }).click();
    await expect(total(listB)).toHaveText('1');
    await expect(card(listB).locator('.last-message')).toHaveText('Deleted message');
  });
  await Promise.all([a.close(), b.close()]);
});
