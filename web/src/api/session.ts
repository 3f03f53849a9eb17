import { SignedOut } from '../chat/index.ts';
import { type Call, call, Problem } from './http.ts';
import type { Me, SessionAnswer } from './types.ts';

export type SessionState =
  | { readonly status: 'unknown' }
  | { readonly status: 'signed-out' }
  | { readonly status: 'signed-in'; readonly me: Me };

/** A token with less left is replaced before it is used, in milliseconds. */
const MARGIN = 60_000;

/**
 * Who is signed in. The access token lives in memory only, out of reach of anything that reads storage; the
 * refresh token is a cookie that no script sees, and brings the session back after a reload.
 */
export class Session {
  #state: SessionState = { status: 'unknown' };
  #token: { readonly value: string; readonly endsAt: number } | undefined;
  #refreshing: Promise<string> | undefined;
  readonly #listeners = new Set<() => void>();

  get state(): SessionState {
    return this.#state;
  }

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Finds out, once at the start, whether the browser still has a session. */
  async restore(): Promise<void> {
    await this.refresh().catch((error: unknown) => {
      // Not known is treated as not signed in: the page is of use without, and logging in tells more.
      if (!(error instanceof SignedOut)) this.#end();
    });
  }

  /** An access token good for a minute at least. Rejects with `SignedOut` when there is no session. */
  async token({ fresh = false } = {}): Promise<string> {
    if (this.#state.status === 'signed-out') throw new SignedOut();
    const token = this.#token;
    if (!fresh && token !== undefined && token.endsAt - Date.now() > MARGIN) return token.value;
    return this.refresh();
  }

  /** Exchanges the cookie for a new access token; whoever asks meanwhile shares the answer. */
  refresh(): Promise<string> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Calls the api as whoever is signed in, once more with a fresh token if the first is not accepted. */
  async call<Answer>(path: string, options: Call = {}): Promise<Answer> {
    await this.#refreshing?.catch(() => {});
    if (this.#state.status !== 'signed-in') return call(path, options);
    try {
      return await call(path, { ...options, token: await this.token() });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      return call(path, { ...options, token: await this.token({ fresh: true }) });
    }
  }

  async logIn(email: string, password: string): Promise<void> {
    this.#begin(await call('/api/auth/log-in', { method: 'POST', body: { email, password } }));
  }

  async signUp(person: {
    email: string;
    code: string;
    password: string;
    nickname: string;
    locale: string;
  }): Promise<void> {
    this.#begin(await call('/api/auth/sign-up', { method: 'POST', body: person }));
  }

  /** Signed out here in any case; if the api cannot be told, the cookie ends when it expires. */
  async logOut(): Promise<void> {
    const token = this.#token?.value;
    this.#end();
    await call('/api/auth/log-out', { method: 'POST', token }).catch(() => {});
  }

  async #refresh(): Promise<string> {
    try {
      return this.#begin(await oneTabAtATime(() => call('/api/auth/refresh', { method: 'POST' })));
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      this.#end();
      throw new SignedOut();
    }
  }

  #begin(answer: SessionAnswer): string {
    this.#token = { value: answer.accessToken, endsAt: Date.now() + answer.expiresInSeconds * 1000 };
    this.#state = { status: 'signed-in', me: answer.user };
    this.#tell();
    return answer.accessToken;
  }

  #end(): void {
    this.#token = undefined;
    this.#state = { status: 'signed-out' };
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/**
 * A refresh token is good once, and using it twice ends the session for safety. Tabs share the cookie, so two of
 * them must not refresh at the same moment.
 */
function oneTabAtATime<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  return globalThis.navigator?.locks?.request('moyiza-refresh', work) ?? work();
}
