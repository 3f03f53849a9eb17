import { expect, test } from '@playwright/test';
import { createClub, live, run, say, signUp, words } from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;

test('joining opens the chat at once, leaving closes it, a stranger is told why', async ({ browser }) => {
  const [a, b] = await Promise.all([
    browser.newContext({ locale: 'ko-KR' }),
    browser.newContext({ locale: 'en-US' }),
  ]);
  const [pageA, pageB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `하루${run}`), signUp(pageB, 'en', SITE_B, `hugo${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Come and go ${run}`);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);

  await pageB.goto(`${SITE_B}/meetups/${meetup}/chat`);
  await expect(pageB.getByText('You cannot open this chat')).toBeVisible();
  await expect(pageB.getByText('Only members of the meetup can talk here.')).toBeVisible();

  await pageB.getByRole('link', { name: 'About this meetup' }).last().click();
  await pageB.getByRole('button', { name: words.en.join, exact: true }).click();
  await pageB.getByRole('link', { name: words.en.openChat }).click();
  await live(pageB);
  await expect(pageA.getByText(`hugo${run}님이 들어왔어요`)).toBeVisible();
  // Beside the chat, too.
  await expect(pageA.locator('.rooms .room-count')).toHaveText([/2$/]);
  await say(pageB, 'Hello!');

  await pageB.getByRole('link', { name: 'About this meetup' }).click();
  await pageB.getByRole('button', { name: 'Leave' }).click();
  await pageB.getByRole('alertdialog').getByRole('button', { name: 'Leave' }).click();
  await expect(pageB.getByRole('button', { name: words.en.join, exact: true })).toBeVisible();
  await expect(pageA.getByText(`hugo${run}님이 나갔어요`)).toBeVisible();
  await expect(pageA.locator('.rooms .room-count')).toHaveText([/1$/]);
  // Who has left keeps the name on what they said.
  await expect(pageA.getByRole('log').locator('.sender')).toHaveText([`hugo${run}`]);
  await Promise.all([a.close(), b.close()]);
});
