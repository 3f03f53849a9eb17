import { useCallback, useMemo } from 'react';
import type { Message, Room, RoomView } from '../chat/index.ts';
import { formatDay } from '../text/format.ts';
import { useLanguage } from '../text/text.tsx';
import { Icon } from '../ui/icon.tsx';
import { Bubble, type Deed, OutgoingBubble, type Quote } from './bubbles.tsx';
import { toRows } from './rows.ts';
import type { Names } from './use-room.ts';
import { useScroll } from './use-scroll.ts';

interface Props {
  readonly room: Room | undefined;
  readonly view: RoomView;
  readonly names: Names;
  readonly me: number;
  readonly onDeed: (deed: Deed, message: Message) => void;
}

/** What has been said, oldest first, and one's own messages on their way. */
export function MessageList({ room, view, names, me, onDeed }: Props) {
  const { text, language } = useLanguage();
  const { entries, readUpTo, atStart } = view;
  const rows = useMemo(() => toRows(entries, { readUpTo, atStart }), [entries, readUpTo, atStart]);
  const loadOlder = useCallback(() => room?.loadOlder(), [room]);
  const { scroller, top, onScroll, hasNews, isAtEnd, toEnd } = useScroll(view, loadOlder);
  const onRetry = useCallback((clientId: string) => room?.retry(clientId), [room]);
  const onDiscard = useCallback((clientId: string) => room?.discard(clientId), [room]);
  const bySeq = useMemo(() => new Map(view.entries.map((entry) => [entry.seq, entry])), [view.entries]);
  const quoteOf = (seq: number | undefined): Quote | undefined => {
    const quoted = seq === undefined ? undefined : bySeq.get(seq);
    if (seq === undefined) return undefined;
    // Further back than what is shown.
    if (quoted?.type !== 'message') return { name: undefined, content: text.earlierMessage };
    const content = quoted.deleted === undefined ? quoted.content : text.deletedMessage;
    return { name: nameOf(quoted.sender), content };
  };
  const nameOf = (user: number) => names.of(user) ?? text.formerMember;
  const moderates = names.moderates(me);
  const isEmpty = view.status === 'live' && rows.length === 0 && view.outgoing.length === 0;
  return (
    <div className="chat-log">
      {/* The keyboard scrolls what has the focus. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: see above */}
      <div className="chat-scroll" ref={scroller} onScroll={onScroll} tabIndex={0}>
        <div ref={top} className="chat-top">
          {view.loadingOlder && text.loadingOlder}
          {view.atStart && rows.length > 0 && text.startOfChat}
        </div>
        {isEmpty && <p className="chat-empty">{text.emptyChat}</p>}
        {/* Older messages are not news, so nothing is read out while they come in. */}
        <div
          role="log"
          aria-label={text.messages}
          aria-live="polite"
          aria-relevant="additions"
          aria-busy={view.loadingOlder}
        >
          <ol>
            {rows.map((row) => {
              if (row.kind === 'day') {
                return (
                  <li key={row.key} className="day">
                    <span>{formatDay(row.at, language)}</span>
                  </li>
                );
              }
              if (row.kind === 'divider') {
                return (
                  <li key={row.key} className="divider">
                    <span>{text.readUpTo}</span>
                  </li>
                );
              }
              if (row.kind === 'coming') {
                const name = nameOf(row.entry.user);
                return (
                  <li key={row.key} className="coming" data-seq={row.entry.seq}>
                    <span>{row.entry.type === 'joined' ? text.joinedRoom(name) : text.leftRoom(name)}</span>
                  </li>
                );
              }
              const quote = quoteOf(row.message.replyTo);
              return (
                <Bubble
                  key={row.key}
                  message={row.message}
                  name={nameOf(row.message.sender)}
                  isMine={row.message.sender === me}
                  mayDelete={moderates || row.message.sender === me}
                  isFirst={row.isFirst}
                  isLast={row.isLast}
                  quotedName={quote?.name}
                  quotedContent={quote?.content}
                  change={view.changing.find(({ target }) => target === row.message.seq)}
                  onDeed={onDeed}
                  onRetry={onRetry}
                  onDiscard={onDiscard}
                />
              );
            })}
          </ol>
        </div>
        <ol className="outgoing">
          {view.outgoing.map((message) => (
            <OutgoingBubble
              key={message.clientId}
              message={message}
              quote={quoteOf(message.replyTo)}
              onRetry={() => room?.retry(message.clientId)}
              onDiscard={() => room?.discard(message.clientId)}
            />
          ))}
        </ol>
      </div>
      {!isAtEnd && (
        <button type="button" className={hasNews ? 'to-newest news' : 'to-newest'} onClick={toEnd}>
          <Icon name="down" />
          <span className={hasNews ? '' : 'visually-hidden'}>
            {hasNews ? text.newMessages : text.toNewest}
          </span>
        </button>
      )}
    </div>
  );
}
