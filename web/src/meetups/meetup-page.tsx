import { useCallback, useState } from 'react';
import { useApi, useMe } from '../api/api.tsx';
import type { Meetup } from '../api/types.ts';
import { Link, navigate, useTitle } from '../router.tsx';
import { formatStart } from '../text/format.ts';
import { describeError, useLanguage, useText } from '../text/text.tsx';
import { Avatar } from '../ui/avatar.tsx';
import { focusOnAppear } from '../ui/focus.ts';
import { Icon } from '../ui/icon.tsx';
import { Show, useLoaded } from '../ui/loaded.tsx';
import { CategoryName, CategoryTile } from './category.tsx';

/** One meetup, to join, to leave, to talk in, to delete. */
export function MeetupPage({ id }: { readonly id: number }) {
  const api = useApi();
  const [meetup, reload] = useLoaded(useCallback(() => api.meetup(id), [api, id]));
  return (
    <Show loaded={meetup} reload={reload}>
      {(value) => <Detail meetup={value} reload={reload} />}
    </Show>
  );
}

function Detail({ meetup, reload }: { readonly meetup: Meetup; readonly reload: () => Promise<void> }) {
  const { text, language } = useLanguage();
  useTitle(meetup.title, text.brand);
  return (
    <article className="detail">
      <header className="detail-head" data-category={meetup.category}>
        <CategoryTile category={meetup.category} />
        <p className="card-labels">
          <span className="kind" data-kind={meetup.kind}>
            {text[meetup.kind]}
          </span>
          <CategoryName category={meetup.category} />
        </p>
        <h1 tabIndex={-1}>{meetup.title}</h1>
        <p className="owner">
          <Avatar id={meetup.owner.id} name={meetup.owner.nickname} />
          {text.runBy(meetup.owner.nickname)}
        </p>
      </header>
      <ul className="facts">
        <li>
          <Icon name="people" />
          {text.memberCount(meetup.memberCount, meetup.capacity)}
        </li>
        {meetup.startsAt !== null && (
          <li>
            <Icon name="clock" />
            <span className="visually-hidden">{text.when}</span>
            <time dateTime={meetup.startsAt}>{formatStart(meetup.startsAt, language)}</time>
          </li>
        )}
        {meetup.place !== null && (
          <li>
            <Icon name="place" />
            <span className="visually-hidden">{text.where}</span>
            {meetup.place}
          </li>
        )}
      </ul>
      <p className="content">{meetup.content}</p>
      <Actions meetup={meetup} reload={reload} />
      {meetup.myRole !== null && <Members key={meetup.memberCount} id={meetup.id} />}
    </article>
  );
}

function Actions({ meetup, reload }: { readonly meetup: Meetup; readonly reload: () => Promise<void> }) {
  const api = useApi();
  const text = useText();
  const me = useMe();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const act = async (work: () => Promise<void>, done: () => unknown = reload) => {
    setBusy(true);
    setError(undefined);
    try {
      await work();
      await done();
    } catch (failure) {
      setError(failure);
      await reload();
    }
    setBusy(false);
  };
  const leave = () => void act(() => api.leave(meetup.id));
  // There is nothing to come back to.
  const goHome = () => navigate('/me/meetups', { replace: true });
  const remove = () => void act(() => api.deleteMeetup(meetup.id), goHome);

  let action: React.ReactNode;
  if (meetup.myRole !== null) {
    action = (
      <Link href={`/meetups/${meetup.id}/chat`} className="button">
        <Icon name="chats" />
        {text.openChat}
      </Link>
    );
  } else if (me === undefined) {
    action = (
      <Link href={`/log-in?next=${encodeURIComponent(`/meetups/${meetup.id}`)}`} className="button">
        {text.logInToJoin}
      </Link>
    );
  } else {
    const isFull = meetup.memberCount >= meetup.capacity;
    action = (
      <button
        type="button"
        className="button"
        disabled={busy || isFull}
        onClick={() => void act(() => api.join(meetup.id))}
      >
        {isFull ? text.full : text.join}
      </button>
    );
  }
  const isOwner = meetup.myRole === 'owner';
  const canLeave = meetup.myRole !== null && !isOwner;
  return (
    <div className="actions">
      {action}
      {canLeave && <AskingButton words={text.leave} question={text.leaveReally} busy={busy} onYes={leave} />}
      {isOwner && (
        <AskingButton
          words={text.deleteMeetup}
          question={text.deleteMeetupReally}
          busy={busy}
          onYes={remove}
        />
      )}
      {error !== undefined && (
        <p className="error" role="alert">
          {describeError(error, text)}
        </p>
      )}
    </div>
  );
}

/** Asks once more before it does what cannot be undone. */
function AskingButton(props: {
  readonly words: string;
  readonly question: string;
  readonly busy: boolean;
  readonly onYes: () => void;
}) {
  const { words, question, busy, onYes } = props;
  const text = useText();
  const [asking, setAsking] = useState(false);
  if (!asking) {
    return (
      <button type="button" className="button quiet" disabled={busy} onClick={() => setAsking(true)}>
        {words}
      </button>
    );
  }
  return (
    <div className="confirm" role="alertdialog" aria-label={question}>
      <p>{question}</p>
      <button type="button" className="button danger" disabled={busy} onClick={onYes}>
        {words}
      </button>
      <button type="button" ref={focusOnAppear} className="button quiet" onClick={() => setAsking(false)}>
        {text.cancel}
      </button>
    </div>
  );
}

function Members({ id }: { readonly id: number }) {
  const api = useApi();
  const text = useText();
  const [members, reload] = useLoaded(useCallback(() => api.members(id), [api, id]));
  return (
    <section>
      <h2>{text.members}</h2>
      <Show loaded={members} reload={reload}>
        {(all) => (
          <ul className="members">
            {all
              .filter(({ former }) => former !== true)
              .map((member) => (
                <li key={member.userId}>
                  <Avatar id={member.userId} name={member.nickname} />
                  <span>{member.nickname}</span>
                  {member.role !== 'member' && <span className="kind">{text.roles[member.role]}</span>}
                </li>
              ))}
          </ul>
        )}
      </Show>
    </section>
  );
}
