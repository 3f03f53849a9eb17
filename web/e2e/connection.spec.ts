import { expect, test } from '@playwright/test';
import { bubble, createClub, live, run, say, signUp, words } from './people.ts';

const SITE = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';

test('a lost connection is said, comes back, and what was written meanwhile is sent once', async ({
  browser,
}) => {
  const context = await browser.newContext({ locale: 'en-US', colorScheme: 'dark' });
  // The test stands between the page and the engine, so that it can cut the line.
  let cut = () => {};
  let isCut = false;
  await context.routeWebSocket(/\/ws$/, (socket) => {
    if (isCut) {
      void socket.close({ code: 1012 });
      return;
    }
    const server = socket.connectToServer();
    cut = () => {
      isCut = true;
      void server.close();
      void socket.close({ code: 1012 });
    };
  });
  const page = await context.newPage();
  await signUp(page, 'en', SITE, `dan${run}`);
  await createClub(page, 'en', `Reconnecting ${run}`);
  await page.getByRole('link', { name: words.en.openChat }).click();
  await live(page);
  await say(page, 'before');

  cut();
  await expect(page.getByText('Connection lost. Reconnecting…')).toBeVisible();
  await page.getByRole('textbox').fill('meanwhile');
  await page.getByRole('textbox').press('Enter');
  await expect(page.locator('.outgoing .message.sending')).toContainText('meanwhile');
  await page.screenshot({ path: 'test-results/6-connection-lost.png' });

  isCut = false;
  await live(page);
  await expect(bubble(page, 'meanwhile')).toHaveCount(1);
  await expect(bubble(page, 'before')).toHaveCount(1);
  await expect(page.locator('.outgoing .message')).toHaveCount(0);
  await context.close();
});
