import { memo } from 'react';
import type { Message, Outgoing } from '../chat/index.ts';
import { formatTime } from '../text/format.ts';
import { useLanguage, useText } from '../text/text.tsx';
import { Avatar } from '../ui/avatar.tsx';
import { Icon } from '../ui/icon.tsx';

/** What one can do with a message. */
export type Deed = 'reply' | 'edit' | 'delete';

/** A message that another one answers, as far as it is known. */
export interface Quote {
  readonly name: string | undefined;
  readonly content: string;
}

interface BubbleProps {
  readonly message: Message;
  readonly name: string;
  readonly isMine: boolean;
  readonly mayDelete: boolean;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly quotedName: string | undefined;
  readonly quotedContent: string | undefined;
  /** A change of it that is on its way. */
  readonly change: Outgoing | undefined;
  readonly onDeed: (deed: Deed, message: Message) => void;
  readonly onRetry: (clientId: string) => void;
  readonly onDiscard: (clientId: string) => void;
}

/** A message. Drawn again only when something about it changed, however long the chat is. */
export const Bubble = memo(function Bubble({ message, name, isMine, isFirst, isLast, ...rest }: BubbleProps) {
  const { text, language } = useLanguage();
  const { change, onRetry, onDiscard } = rest;
  const isDeleted = message.deleted !== undefined;
  const isGoing = change?.state === 'sending';
  const classes = ['message', isMine ? 'mine' : 'theirs', isFirst && 'first', isLast && 'last'];
  if (isDeleted) classes.push('deleted');
  if (change) classes.push(change.state);
  return (
    <li className={classes.filter(Boolean).join(' ')} data-seq={message.seq}>
      {!isMine && isFirst && <Avatar id={message.sender} name={name} />}
      <div className="message-column">
        {isFirst && <span className={isMine ? 'visually-hidden' : 'sender'}>{isMine ? text.me : name}</span>}
        {message.replyTo !== undefined && (
          <Quoted name={rest.quotedName} content={rest.quotedContent ?? text.earlierMessage} />
        )}
        <div className="message-line">
          <p className="bubble">
            {isDeleted ? text.deletedMessage : isGoing && !change.deletes ? change.content : message.content}
          </p>
          <span className="message-side">
            {isGoing && <span className="spinner" role="img" aria-label={text.sending} />}
            <Unread count={message.unread} />
            {message.edited !== undefined && <span className="edited">{text.edited}</span>}
            {isLast && (
              <time dateTime={new Date(message.at).toISOString()}>{formatTime(message.at, language)}</time>
            )}
          </span>
          {!isDeleted && !change && (
            <Deeds isMine={isMine} mayDelete={rest.mayDelete} onDeed={(deed) => rest.onDeed(deed, message)} />
          )}
        </div>
        {change?.state === 'failed' && (
          <Failure
            words={text.changeFailed}
            message={change}
            discardWords={text.dismiss}
            onRetry={() => onRetry(change.clientId)}
            onDiscard={() => onDiscard(change.clientId)}
          />
        )}
      </div>
    </li>
  );
});

const DEEDS = { reply: 'reply', edit: 'edit', delete: 'bin' } as const;

/** Beside a message while one points at it or has come to it with the keyboard. */
function Deeds(props: {
  readonly isMine: boolean;
  readonly mayDelete: boolean;
  readonly onDeed: (deed: Deed) => void;
}) {
  const { isMine, mayDelete, onDeed } = props;
  const text = useText();
  const words = { reply: text.reply, edit: text.edit, delete: text.deleteMessage };
  const deeds = (['reply', 'edit', 'delete'] as const).filter(
    (deed) => deed === 'reply' || (deed === 'edit' ? isMine : mayDelete),
  );
  return (
    <span className="deeds">
      {deeds.map((deed) => (
        <button
          key={deed}
          type="button"
          aria-label={words[deed]}
          title={words[deed]}
          onClick={() => onDeed(deed)}
        >
          <Icon name={DEEDS[deed]} />
        </button>
      ))}
    </span>
  );
}

function Quoted({ name, content }: Quote) {
  return (
    <p className="quote">
      {name !== undefined && <strong>{name}</strong>}
      <span>{content}</span>
    </p>
  );
}

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

interface FailureProps {
  readonly words: string;
  readonly message: Outgoing;
  readonly discardWords: string;
  readonly onRetry: () => void;
  readonly onDiscard: () => void;
}

/** What came to nothing, and what one can do about it. */
function Failure({ words, message, discardWords, onRetry, onDiscard }: FailureProps) {
  const text = useText();
  return (
    <div className="failure" role="alert">
      <span>{message.refusal ? `${words}: ${message.refusal}` : words}</span>
      <button type="button" onClick={onRetry}>
        <Icon name="retry" />
        {text.resend}
      </button>
      <button type="button" onClick={onDiscard}>
        <Icon name="cross" />
        {discardWords}
      </button>
    </div>
  );
}

interface OutgoingProps {
  readonly message: Outgoing;
  readonly quote: Quote | undefined;
  readonly onRetry: () => void;
  readonly onDiscard: () => void;
}

/** One's own message until the log shows it. */
export function OutgoingBubble({ message, quote, onRetry, onDiscard }: OutgoingProps) {
  const text = useText();
  return (
    <li className={`message mine last ${message.state}`} data-client-id={message.clientId}>
      <div className="message-column">
        {quote && <Quoted {...quote} />}
        <div className="message-line">
          <p className="bubble">{message.content}</p>
          <span className="message-side">
            {message.state === 'sending' && <span className="spinner" role="img" aria-label={text.sending} />}
          </span>
        </div>
        {message.state === 'failed' && (
          <Failure
            words={text.failed}
            message={message}
            discardWords={text.discard}
            onRetry={onRetry}
            onDiscard={onDiscard}
          />
        )}
      </div>
    </li>
  );
}
