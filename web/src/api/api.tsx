import {
  createContext,
  type ReactNode,
  use,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';
import { Connection, type InboxView } from '../chat/index.ts';
import { call } from './http.ts';
import { Session } from './session.ts';
import type {
  Category,
  Configuration,
  Kind,
  Me,
  Meetup,
  MeetupSummary,
  Member,
  NewClub,
  Page,
} from './types.ts';

/** Everything the pages ask the api for. */
export class Api {
  readonly session = new Session();
  #categories: Promise<readonly Category[]> | undefined;
  #configuration: Promise<Configuration> | undefined;

  requestSignUpCode(email: string): Promise<{ expiresInSeconds: number }> {
    return call('/api/auth/codes', { method: 'POST', body: { email, purpose: 'sign-up' } });
  }

  configuration(): Promise<Configuration> {
    this.#configuration ??= call<Configuration>('/api/config').catch((error: unknown) => {
      this.#configuration = undefined;
      throw error;
    });
    return this.#configuration;
  }

  /** Whether mails are at `/dev/mailbox`; an api that does not say so is asked for it. */
  async isDevelopment(): Promise<boolean> {
    const { development } = await this.configuration();
    return development ?? (await fetch('/dev/mailbox?to=')).ok;
  }

  categories(): Promise<readonly Category[]> {
    this.#categories ??= call<readonly Category[]>('/api/categories').catch((error: unknown) => {
      this.#categories = undefined;
      throw error;
    });
    return this.#categories;
  }

  meetups(kind: Kind | undefined, before?: number): Promise<Page<MeetupSummary>> {
    const query = new URLSearchParams({ limit: '20' });
    if (kind !== undefined) query.set('kind', kind);
    if (before !== undefined) query.set('before', String(before));
    return this.session.call(`/api/meetups?${query}`);
  }

  myMeetups(): Promise<readonly MeetupSummary[]> {
    return this.session.call('/api/me/meetups');
  }

  meetup(id: number): Promise<Meetup> {
    return this.session.call(`/api/meetups/${id}`);
  }

  members(id: number): Promise<readonly Member[]> {
    return this.session.call(`/api/meetups/${id}/members`);
  }

  createClub(club: NewClub): Promise<Meetup> {
    return this.session.call('/api/meetups', { method: 'POST', body: club });
  }

  async join(id: number): Promise<void> {
    await this.session.call(`/api/meetups/${id}/members`, { method: 'POST' });
  }

  async leave(id: number): Promise<void> {
    await this.session.call(`/api/meetups/${id}/members/me`, { method: 'DELETE' });
  }

  async deleteMeetup(id: number): Promise<void> {
    await this.session.call(`/api/meetups/${id}`, { method: 'DELETE' });
  }
}

/** How long a page may be out of sight before its person counts as away from the chat, in milliseconds. */
const GLANCE = 3_000;

const ApiContext = createContext<Api | undefined>(undefined);
const ChatContext = createContext<Connection | undefined>(undefined);

export function useApi(): Api {
  const api = use(ApiContext);
  if (api === undefined) throw new Error('useApi outside of ApiProvider');
  return api;
}

/** Who is signed in, or undefined. */
export function useMe(): Me | undefined {
  const { session } = useApi();
  const state = useSyncExternalStore(session.listen, () => session.state);
  return state.status === 'signed-in' ? state.me : undefined;
}

/** The connection to the engine; undefined until its address is known, or for somebody not signed in. */
export function useChat(): Connection | undefined {
  return use(ChatContext);
}

const NO_ROOMS: InboxView = { rooms: new Map(), total: 0, more: false };
const nothing = () => () => {};

/** One's rooms with what is unread in each. */
export function useInbox(): InboxView {
  const inbox = useChat()?.inbox;
  return useSyncExternalStore(inbox?.listen ?? nothing, () => inbox?.view ?? NO_ROOMS);
}

/** Holds the session; shows nothing until it is known who is there, so that no page flickers. */
export function ApiProvider({ children }: { readonly children: ReactNode }) {
  const [api] = useState(() => new Api());
  const state = useSyncExternalStore(api.session.listen, () => api.session.state);
  useEffect(() => {
    void api.session.restore();
  }, [api]);
  if (state.status === 'unknown') return null;
  const me = state.status === 'signed-in' ? state.me.id : undefined;
  return (
    <ApiContext value={api}>
      <ChatProvider me={me}>{children}</ChatProvider>
    </ApiContext>
  );
}

function ChatProvider({ me, children }: { readonly me: number | undefined; readonly children: ReactNode }) {
  const api = useApi();
  const [engineUrl, setEngineUrl] = useState<string>();
  useEffect(() => {
    if (me === undefined) return;
    let timer: ReturnType<typeof setTimeout>;
    const load = () =>
      api.configuration().then(
        (configuration) => setEngineUrl(configuration.engineUrl),
        () => {
          timer = setTimeout(load, 2000);
        },
      );
    void load();
    return () => clearTimeout(timer);
  }, [api, me]);

  const connection = useMemo(() => {
    if (me === undefined || engineUrl === undefined) return undefined;
    return new Connection({ engineUrl, me, token: (wish) => api.session.token(wish) });
  }, [api, me, engineUrl]);

  useEffect(() => connection?.followInbox(), [connection]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const look = () => {
      clearTimeout(timer);
      if (document.visibilityState === 'visible') connection?.reconnectNow();
      else timer = setTimeout(() => connection?.rest(), GLANCE);
    };
    if (document.visibilityState === 'hidden') connection?.rest();
    window.addEventListener('online', look);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearTimeout(timer);
      window.removeEventListener('online', look);
      document.removeEventListener('visibilitychange', look);
    };
  }, [connection]);
  return <ChatContext value={connection}>{children}</ChatContext>;
}
