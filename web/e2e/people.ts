import {
  type APIRequestContext,
  type BrowserContext,
  expect,
  type Locator,
  type Page,
} from '@playwright/test';

/** Ends the names of a run, so that neither runs nor workers meet on one instance. */
export const run = `${Date.now().toString(36)}${process.env.TEST_WORKER_INDEX ?? ''}`;

/** The six digits that were mailed, from the development mailbox. */
export async function mailedCode(request: APIRequestContext, site: string, email: string): Promise<string> {
  let code: string | undefined;
  await expect
    .poll(async () => {
      const answer = await request.get(`${site}/dev/mailbox`, {
        params: { to: email },
        headers: { Accept: 'application/json' },
      });
      const [mail] = (await answer.json()) as { body: string }[];
      code = mail?.body.match(/\b\d{6}\b/)?.[0];
      return code;
    })
    .toBeDefined();
  return code ?? '';
}

/** What the page says in the language a person reads. */
export const words = {
  ko: {
    email: '이메일',
    sendCode: '인증 코드 받기',
    code: '이메일로 받은 인증 코드',
    nickname: '닉네임',
    password: '비밀번호',
    createAccount: '가입하기',
    logOut: '로그아웃',
    newClub: '모임 만들기',
    title: '모임 이름',
    hobby: '취미',
    content: '어떤 모임인가요?',
    createClub: '모임 만들기',
    join: '참여하기',
    openChat: '채팅방 열기',
    edit: '수정',
    remove: '삭제',
  },
  en: {
    email: 'E-mail',
    sendCode: 'Send me a code',
    code: 'Code from the e-mail',
    nickname: 'Nickname',
    password: 'Password',
    createAccount: 'Create account',
    logOut: 'Log out',
    newClub: 'New club',
    title: 'Name',
    hobby: 'Hobby',
    content: 'What is it about?',
    createClub: 'Create the club',
    join: 'Join',
    openChat: 'Open the chat',
    edit: 'Edit',
    remove: 'Delete',
  },
} as const;

/** Signs a person up as a person would. */
export async function signUp(
  page: Page,
  language: 'ko' | 'en',
  site: string,
  nickname: string,
): Promise<void> {
  const say = words[language];
  const email = `${encodeURIComponent(nickname).replaceAll('%', '')}@moyiza.test`.toLowerCase();
  await page.goto(`${site}/sign-up`);
  await page.getByLabel(say.email).fill(email);
  await page.getByRole('button', { name: say.sendCode }).click();
  await page.getByLabel(say.code).fill(await mailedCode(page.request, site, email));
  await page.getByLabel(say.nickname).fill(nickname);
  await page.getByLabel(say.password).fill(`${nickname} reads every message`);
  await page.getByRole('button', { name: say.createAccount }).click();
  await expect(page.getByRole('button', { name: say.logOut })).toBeVisible();
}

/** Creates a club; returns its number. The person is on its page then. */
export async function createClub(page: Page, language: 'ko' | 'en', title: string): Promise<string> {
  const say = words[language];
  await page.getByRole('navigation').getByRole('link', { name: say.newClub }).click();
  await page.getByLabel(say.title, { exact: true }).fill(title);
  await page.getByRole('radio', { name: say.hobby }).check();
  await page.getByLabel(say.content).fill('매주 목요일 저녁, 처음이어도 괜찮아요.');
  await page.getByRole('button', { name: say.createClub }).click();
  await expect(page).toHaveURL(/\/meetups\/\d+$/);
  return page.url().split('/').at(-1) ?? '';
}

/** Finds a meetup by its number and joins it; the person is on its page then. */
export async function join(page: Page, language: 'ko' | 'en', site: string, meetup: string): Promise<void> {
  await page.goto(`${site}/meetups/${meetup}`);
  await page.getByRole('button', { name: words[language].join, exact: true }).click();
  await expect(page.getByRole('link', { name: words[language].openChat })).toBeVisible();
}

/** Opens a room and waits until it is live. */
export async function openRoom(context: BrowserContext, site: string, meetup: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${site}/meetups/${meetup}/chat`);
  await live(page);
  return page;
}

/** The room has answered: what is shown is current. */
export async function live(page: Page): Promise<void> {
  await expect(page.locator('.chat-banner.live')).toBeAttached();
}

export function bubble(page: Page, content: string): Locator {
  // Not the reply that quotes it.
  const words = new RegExp(`^${content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
  const said = page.locator('.bubble', { hasText: words });
  return page.getByRole('log').locator('.message', { has: said });
}

export function unread(page: Page, content: string): Locator {
  return bubble(page, content).locator('.unread > [aria-hidden]');
}

export async function say(page: Page, content: string): Promise<void> {
  await page.getByRole('textbox').fill(content);
  await page.getByRole('textbox').press('Enter');
  await expect(bubble(page, content)).toBeVisible();
}

/** Lets one's own message say something else. */
export async function reword(
  page: Page,
  language: 'ko' | 'en',
  before: string,
  after: string,
): Promise<void> {
  await bubble(page, before).hover();
  await bubble(page, before).getByRole('button', { name: words[language].edit }).click();
  await expect(page.getByRole('textbox')).toHaveValue(before);
  await page.getByRole('textbox').fill(after);
  await page.getByRole('textbox').press('Enter');
  await expect(bubble(page, after).locator('.edited')).toBeVisible();
}

/** Takes a message back. */
export async function remove(page: Page, language: 'ko' | 'en', content: string): Promise<void> {
  page.once('dialog', (dialog) => dialog.accept());
  await bubble(page, content).hover();
  await bubble(page, content).getByRole('button', { name: words[language].remove }).click();
  await expect(bubble(page, content)).toHaveCount(0);
}

/** Everything the room shows: what was said, and by how many it has not been read. */
export function shown(page: Page): Promise<string[]> {
  return page.getByRole('log').evaluate((log) =>
    [...log.querySelectorAll('[data-seq]')].map((line) => {
      const content = line.querySelector('.bubble')?.textContent ?? 'came or went';
      const count = line.querySelector('.unread > [aria-hidden]')?.textContent ?? '0';
      return `${line.getAttribute('data-seq')} ${content}: ${count}`;
    }),
  );
}

/** What a browser tells a page whose tab goes to the back or to the front. */
export function turn(page: Page, visibility: 'hidden' | 'visible'): Promise<void> {
  return page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, visibility);
}

/**
 * Goes, and waits until the engine of the site knows: until then it may still write to a connection that is being closed,
 * and what it wrote counts as read.
 */
export async function leave(site: string, go: () => Promise<unknown>): Promise<void> {
  const { engineUrl } = (await (await fetch(`${site}/api/config`)).json()) as { engineUrl: string };
  const metrics = new URL('/metrics', engineUrl.replace(/^ws/, 'http'));
  const connections = async () => {
    const text = await (await fetch(metrics)).text();
    return Number(text.match(/^moyiza_connections (\d+)$/m)?.[1]);
  };
  const before = await connections();
  expect(before).toBeGreaterThan(0);
  await go();
  await expect.poll(connections).toBeLessThan(before);
}
