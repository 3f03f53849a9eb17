import { useCallback, useState } from 'react';
import { useApi, useMe } from '../api/api.tsx';
import type { Kind, MeetupSummary } from '../api/types.ts';
import { Link, useTitle } from '../router.tsx';
import { describeError, useText } from '../text/text.tsx';
import { Show, useLoaded } from '../ui/loaded.tsx';
import { MeetupCard } from './meetup-card.tsx';

const KINDS = [undefined, 'club', 'oneday'] as const;

/** Everything there is to join, newest first. */
export function MeetupsPage() {
  const text = useText();
  const me = useMe();
  const [kind, setKind] = useState<Kind>();
  useTitle(undefined, text.brand);
  const names = { all: text.all, club: text.clubs, oneday: text.onedays };
  return (
    <>
      {me === undefined ? (
        <section className="hero">
          <h1 tabIndex={-1}>{text.tagline}</h1>
          <p>{text.taglineMore}</p>
          <Link href="/sign-up" className="button">
            {text.signUp}
          </Link>
        </section>
      ) : (
        <h1 tabIndex={-1}>{text.home}</h1>
      )}
      <fieldset className="segments">
        <legend className="visually-hidden">{text.kindFilter}</legend>
        {KINDS.map((choice) => (
          <label key={choice ?? 'all'}>
            <input type="radio" name="kind" checked={kind === choice} onChange={() => setKind(choice)} />
            <span>{names[choice ?? 'all']}</span>
          </label>
        ))}
      </fieldset>
      <MeetupList key={kind ?? 'all'} kind={kind} />
    </>
  );
}

function MeetupList({ kind }: { readonly kind: Kind | undefined }) {
  const api = useApi();
  const text = useText();
  const [first, reload] = useLoaded(useCallback(() => api.meetups(kind), [api, kind]));
  return (
    <Show loaded={first} reload={reload}>
      {(page) =>
        page.items.length === 0 ? (
          <div className="notice">
            <p>{text.noMeetups}</p>
            <Link href="/new" className="button">
              {text.newClub}
            </Link>
          </div>
        ) : (
          <ul className="cards">
            {page.items.map((meetup) => (
              <MeetupCard key={meetup.id} meetup={meetup} href={`/meetups/${meetup.id}`} />
            ))}
            {page.next !== null && <Following kind={kind} before={page.next} />}
          </ul>
        )
      }
    </Show>
  );
}

/** The pages after the first, fetched one by one. */
function Following({ kind, before }: { readonly kind: Kind | undefined; readonly before: number }) {
  const api = useApi();
  const text = useText();
  const [items, setItems] = useState<readonly MeetupSummary[]>([]);
  const [next, setNext] = useState<number | null>(before);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const load = async () => {
    if (next === null) return;
    setBusy(true);
    setError(undefined);
    try {
      const page = await api.meetups(kind, next);
      setItems([...items, ...page.items]);
      setNext(page.next);
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return (
    <>
      {items.map((meetup) => (
        <MeetupCard key={meetup.id} meetup={meetup} href={`/meetups/${meetup.id}`} />
      ))}
      {next !== null && (
        <li className="cards-more">
          {error !== undefined && <p role="alert">{describeError(error, text)}</p>}
          <button type="button" className="button quiet" disabled={busy} onClick={() => void load()}>
            {text.more}
          </button>
        </li>
      )}
    </>
  );
}
