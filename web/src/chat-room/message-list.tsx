import { useCallback, useMemo } from 'react';
import type { Room, RoomView } from '../chat/index.ts';
import { formatDay } from '../text/format.ts';
import { useLanguage } from '../text/text.tsx';
import { Icon } from '../ui/icon.tsx';
import { Bubble, OutgoingBubble } from './bubbles.tsx';
import { toRows } from './rows.ts';
import type { Names } from './use-room.ts';
import { useScroll } from './use-scroll.ts';

interface Props {
  readonly room: Room | undefined;
  readonly view: RoomView;
  readonly names: Names;
  readonly me: number;
}

/** What has been said, oldest first, and one's own messages on their way. */
export function MessageList({ room, view, names, me }: Props) {
  const { text, language } = useLanguage();
  const rows = useMemo(() => toRows(view.entries), [view.entries]);
  const loadOlder = useCallback(() => room?.loadOlder(), [room]);
  const { scroller, top, onScroll, hasNews, isAtEnd, toEnd } = useScroll(view, loadOlder);
  const nameOf = (user: number) => names.of(user) ?? text.formerMember;
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
              if (row.kind === 'coming') {
                const name = nameOf(row.entry.user);
                return (
                  <li key={row.key} className="coming" data-seq={row.entry.seq}>
                    <span>{row.entry.type === 'joined' ? text.joinedRoom(name) : text.leftRoom(name)}</span>
                  </li>
                );
              }
              return (
                <Bubble
                  key={row.key}
                  message={row.message}
                  name={nameOf(row.message.sender)}
                  isMine={row.message.sender === me}
                  isFirst={row.isFirst}
                  isLast={row.isLast}
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
