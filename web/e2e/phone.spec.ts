import { expect, test } from '@playwright/test';
import { bubble, createClub, join, live, openRoom, run, say, signUp, words } from './people.ts';

const SITE_A = process.env.MOYIZA_A_URL ?? 'http://localhost:8080';
const SITE_B = process.env.MOYIZA_B_URL ?? SITE_A;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

test('on a phone what one can do with a message of others is beside it, however long that is', async ({
  browser,
}) => {
  const [a, b] = await Promise.all([
    browser.newContext({ ...PHONE, locale: 'ko-KR' }),
    browser.newContext({ ...PHONE, locale: 'en-US' }),
  ]);
  const [pageA, forB] = await Promise.all([a.newPage(), b.newPage()]);
  await Promise.all([signUp(pageA, 'ko', SITE_A, `다솜${run}`), signUp(forB, 'en', SITE_B, `dasom${run}`)]);
  const meetup = await createClub(pageA, 'ko', `Small screens ${run}`);
  await join(forB, 'en', SITE_B, meetup);
  const pageB = await openRoom(b, SITE_B, meetup);
  await pageA.getByRole('link', { name: words.ko.openChat }).click();
  await live(pageA);

  // Two can be done where one runs the meetup, one else.
  for (const [from, to] of [
    [pageB, pageA],
    [pageA, pageB],
  ] as const) {
    for (const length of [3, 14, 16, 18, 20, 22, 24, 26, 30, 60]) {
      const content = `${from === pageA ? '가나 다라마 바' : 'Some words'} `
        .repeat(9)
        .slice(0, length - 1)
        .concat('.');
      await say(from, content);
      const message = bubble(to, content);
      const [said, line, time] = await Promise.all(
        ['.bubble', '.deeds', '.message-side'].map((part) => message.locator(part).boundingBox()),
      );
      if (!said || !line || !time) throw new Error('all three are drawn');
      for (const beside of [line, time]) {
        expect(beside.x, content).toBeGreaterThanOrEqual(said.x + said.width);
        expect(beside.x + beside.width, content).toBeLessThanOrEqual(390);
        expect(beside.y, content).toBeLessThan(said.y + said.height);
      }
    }
    await to.screenshot({ path: `test-results/phone-${from === pageA ? 'theirs' : 'ours'}.png` });
  }
  await Promise.all([a.close(), b.close()]);
});
