import { memo } from 'react';
import type { Message, Outgoing } from '../chat/index.ts';
import { formatTime } from '../text/format.ts';
import { useLanguage, useText } from '../text/text.tsx';
import { Avatar } from '../ui/avatar.tsx';
import { Icon } from '../ui/icon.tsx';

interface BubbleProps {
  readonly message: Message;
  readonly name: string;
  readonly isMine: boolean;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** A message. Drawn again only when something about it changed, however long the chat is. */
export const Bubble = memo(function Bubble({ message, name, isMine, isFirst, isLast }: BubbleProps) {
  const { text, language } = useLanguage();
  const classes = ['message', isMine ? 'mine' : 'theirs', isFirst && 'first', isLast && 'last'];
  return (
    <li className={classes.filter(Boolean).join(' ')} data-seq={message.seq}>
      {!isMine && isFirst && <Avatar id={message.sender} name={name} />}
      <div className="message-column">
        {isFirst && <span className={isMine ? 'visually-hidden' : 'sender'}>{isMine ? text.me : name}</span>}
        <div className="message-line">
          <p className="bubble">{message.content}</p>
          <span className="message-side">
            <Unread count={message.unread} />
            {isLast && (
              <time dateTime={new Date(message.at).toISOString()}>{formatTime(message.at, language)}</time>
            )}
          </span>
        </div>
      </div>
    </li>
  );
});

/** How many have not read it; nothing once all have. */
function Unread({ count }: { readonly count: number }) {
  const text = useText();
  if (count === 0) return null;
  return (
    <span className="unread">
      <span aria-hidden="true">{count}</span>
      <span className="visually-hidden">{text.unread(count)}</span>
    </span>
  );
}

interface OutgoingProps {
  readonly message: Outgoing;
  readonly onRetry: () => void;
  readonly onDiscard: () => void;
}

/** One's own message until the log shows it. */
export function OutgoingBubble({ message, onRetry, onDiscard }: OutgoingProps) {
  const text = useText();
  return (
    <li className={`message mine last ${message.state}`} data-client-id={message.clientId}>
      <div className="message-column">
        <div className="message-line">
          <p className="bubble">{message.content}</p>
          <span className="message-side">
            {message.state === 'sending' && <span className="spinner" role="img" aria-label={text.sending} />}
          </span>
        </div>
        {message.state === 'failed' && (
          <div className="failure" role="alert">
            <span>{message.refusal ? `${text.failed}: ${message.refusal}` : text.failed}</span>
            <button type="button" onClick={onRetry}>
              <Icon name="retry" />
              {text.resend}
            </button>
            <button type="button" onClick={onDiscard}>
              <Icon name="cross" />
              {text.discard}
            </button>
          </div>
        )}
      </div>
    </li>
  );
}
