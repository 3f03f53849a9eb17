import { useCallback, useEffect, useMemo, useState } from 'react';
import { useApi, useInbox, useMe } from '../api/api.tsx';
import type { MeetupSummary } from '../api/types.ts';
import { BANNED, type Message, NOT_A_MEMBER, ROOM_CLOSED, type Room, type RoomView } from '../chat/index.ts';
import { CategoryTile } from '../meetups/category.tsx';
import { LastMessage } from '../meetups/last-message.tsx';
import { Link, useTitle } from '../router.tsx';
import type { Text } from '../text/en.ts';
import { useText } from '../text/text.tsx';
import { Badge } from '../ui/badge.tsx';
import { Icon } from '../ui/icon.tsx';
import { useLoaded } from '../ui/loaded.tsx';
import type { Deed } from './bubbles.tsx';
import { Composer, type Purpose } from './composer.tsx';
import { MessageList } from './message-list.tsx';
import { type Names, useNames, useRoom } from './use-room.ts';

/** A meetup's chat, and on a wide screen one's other chats beside it. */
export function ChatPage({ id }: { readonly id: number }) {
  const api = useApi();
  const text = useText();
  const [mine, reloadMine] = useLoaded(useCallback(() => api.myMeetups(), [api]));
  const [meetup] = useLoaded(useCallback(() => api.meetup(id), [api, id]));
  const rooms = mine.state === 'ready' ? mine.value : [];
  const title = meetup.state === 'ready' ? meetup.value.title : '';
  useTitle(title || text.chat, text.brand);
  return (
    <div className="chat-page">
      <nav className="rooms" aria-label={text.rooms}>
        <ul>
          {rooms.map((room) => (
            <RoomLink key={room.id} room={room} isOpen={room.id === id} />
          ))}
        </ul>
      </nav>
      <ChatRoom key={id} id={id} title={title} onMembership={reloadMine} />
    </div>
  );
}

function RoomLink({ room, isOpen }: { readonly room: MeetupSummary; readonly isOpen: boolean }) {
  const text = useText();
  const summary = useInbox().rooms.get(room.id);
  return (
    <li>
      <Link href={`/meetups/${room.id}/chat`} aria-current={isOpen ? 'page' : undefined}>
        <CategoryTile category={room.category} />
        <span className="room-text">
          <span className="room-title">{room.title}</span>
          <LastMessage of={summary} />
        </span>
        <span className="room-count">
          <Icon name="people" />
          <span className="visually-hidden">{text.members}: </span>
          {room.memberCount}
        </span>
        <Badge count={summary?.unread} more={summary?.more ?? false} />
      </Link>
    </li>
  );
}

function ChatRoom(props: {
  readonly id: number;
  readonly title: string;
  /** Somebody came or went. */
  readonly onMembership: () => unknown;
}) {
  const { id, title, onMembership } = props;
  const text = useText();
  const me = useMe()?.id ?? 0;
  const { room, view, reopen } = useRoom(id);
  const isRefused = view.status === 'refused';
  const names = useNames(id, view.entries, view.status === 'live');
  const { count } = names;
  useEffect(() => {
    if (isRefused || count !== undefined) onMembership();
  }, [isRefused, count, onMembership]);
  const banner = useMemo(() => <Banner view={view} />, [view]);
  const writing = useWriting(room, names);
  return (
    <section className="chat-room" aria-label={title}>
      <header className="chat-head">
        <Link href="/me/meetups" className="icon-button chat-back" aria-label={text.myMeetups}>
          <Icon name="back" />
        </Link>
        <h1 tabIndex={-1}>
          <span className="chat-title">{title}</span>
          {names.count !== undefined && (
            <span className="chat-count">
              <Icon name="people" />
              <span className="visually-hidden">{text.members}: </span>
              {names.count}
            </span>
          )}
        </h1>
        <Link href={`/meetups/${id}`} className="icon-button" aria-label={text.aboutMeetup}>
          <Icon name="info" />
        </Link>
      </header>
      {banner}
      {isRefused ? (
        <Refused id={id} refusal={view.refusal} reopen={reopen} />
      ) : (
        <>
          <MessageList room={room} view={view} names={names} me={me} onDeed={writing.onDeed} />
          <Composer
            title={title}
            disabled={room === undefined}
            purpose={writing.purpose}
            onSend={writing.onSend}
            onCancel={writing.onCancel}
          />
        </>
      )}
    </section>
  );
}

/** Says why there is no chat (any more), and where to go from here. */
function Refused(props: {
  readonly id: number;
  readonly refusal: string | undefined;
  readonly reopen: () => void;
}) {
  const { id, refusal, reopen } = props;
  const text = useText();
  const isGone = refusal === ROOM_CLOSED;
  return (
    <div className="notice" role="alert">
      <h2>{isGone || refusal === BANNED ? text.overTitle : text.refusedTitle}</h2>
      <p>{refusalWords(text, refusal)}</p>
      {isGone ? (
        <Link href="/me/meetups" className="button">
          {text.myMeetups}
        </Link>
      ) : (
        <Link href={`/meetups/${id}`} className="button">
          {text.aboutMeetup}
        </Link>
      )}
      {!isGone && refusal !== BANNED && (
        <button type="button" className="button quiet" onClick={reopen}>
          {text.tryAgain}
        </button>
      )}
    </div>
  );
}

function refusalWords(text: Text, refusal: string | undefined): string | undefined {
  if (refusal === NOT_A_MEMBER) return text.membersOnly;
  if (refusal === BANNED) return text.banned;
  return refusal === ROOM_CLOSED ? text.roomClosed : refusal;
}

/** What is being written: the next message, a reply, or other words for an earlier one. */
function useWriting(room: Room | undefined, names: Names) {
  const text = useText();
  const [about, setAbout] = useState<{ readonly deed: Deed; readonly message: Message }>();
  const onDeed = useCallback(
    (deed: Deed, message: Message) => {
      if (deed !== 'delete') setAbout({ deed, message });
      else if (window.confirm(text.deleteReally)) room?.delete(message.seq);
    },
    [room, text],
  );
  const onCancel = useCallback(() => setAbout(undefined), []);
  const onSend = (content: string) => {
    setAbout(undefined);
    if (about?.deed !== 'edit') room?.send(content, about?.message.seq);
    else if (content !== about.message.content) room?.edit(about.message.seq, content);
  };
  let purpose: Purpose | undefined;
  if (about !== undefined) {
    const { deed, message } = about;
    const isEdit = deed === 'edit';
    purpose = {
      key: `${deed}-${message.seq}`,
      words: isEdit ? text.editing : text.replyTo(names.of(message.sender) ?? text.formerMember),
      quote: message.content,
      content: isEdit ? message.content : '',
    };
  }
  return { purpose, onDeed, onSend, onCancel };
}

/** Says when what is shown may be out of date. */
function Banner({ view }: { readonly view: RoomView }) {
  const text = useText();
  const words = { joining: text.connecting, lost: text.connectionLost, live: '', refused: '' }[view.status];
  return (
    <p className={`chat-banner ${view.status}`} role="status">
      {words}
    </p>
  );
}
