import { expect, test } from '@playwright/test';
import { createClub, live, run, shown, signUp, words } from './people.ts';

const SITE = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
/** More than two pages of history. */
const MESSAGES = 120;

test('history comes page by page while one scrolls up, back to the beginning, in order and once', async ({
  browser,
}) => {
  const context = await browser.newContext({ locale: 'en-US' });
  const page = await context.newPage();
  await signUp(page, 'en', SITE, `gil${run}`);
  await createClub(page, 'en', `A long story ${run}`);
  await page.getByRole('link', { name: words.en.openChat }).click();
  await live(page);
  for (let number = 1; number <= MESSAGES; number++) {
    await page.getByRole('textbox').fill(`line ${number}`);
    await page.getByRole('textbox').press('Enter');
  }
  const lines = page.getByRole('log').locator('.message');
  await expect(lines).toHaveCount(MESSAGES);
  const everything = await shown(page);

  await page.reload();
  await live(page);
  await expect(lines.last()).toContainText(`line ${MESSAGES}`);
  await expect(lines.last()).toBeInViewport();
  expect(await lines.count()).toBeLessThan(MESSAGES);

  // What one was looking at stays in sight while the page before it is put above.
  const oldest = await lines.first().locator('.bubble').innerText();
  const before = await lines.count();
  await lines.first().scrollIntoViewIfNeeded();
  await expect.poll(() => lines.count()).toBeGreaterThan(before);
  await expect(page.getByText(oldest, { exact: true })).toBeInViewport();

  await expect(async () => {
    await lines.first().scrollIntoViewIfNeeded();
    await expect(page.getByText('This is where it began.')).toBeVisible({ timeout: 500 });
  }).toPass();
  expect(await shown(page)).toEqual(everything);
  await context.close();
});
