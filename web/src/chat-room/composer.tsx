import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { useText } from '../text/text.tsx';
import { Icon } from '../ui/icon.tsx';

/** What the engine takes as it comes configured, in bytes; it has the last word. */
const LONGEST = 8192;

/** What is being written is not simply the next message. */
export interface Purpose {
  /** Names it: another one begins anew. */
  readonly key: string;
  /** In a few words. */
  readonly words: string;
  /** What it is about. */
  readonly quote: string;
  /** What to begin with. */
  readonly content: string;
}

interface Props {
  readonly title: string;
  readonly disabled: boolean;
  readonly purpose: Purpose | undefined;
  readonly onSend: (content: string) => void;
  readonly onCancel: () => void;
}

/** Where one writes. Enter sends, Shift+Enter begins a line. */
export function Composer({ title, disabled, purpose, onSend, onCancel }: Props) {
  const text = useText();
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const [content, setContent] = useState('');
  const isTooLong = new TextEncoder().encode(content).length > LONGEST;
  const canSend = !disabled && !isTooLong && content.trim() !== '';

  const resize = () => {
    if (area.current === null) return;
    area.current.style.height = 'auto';
    area.current.style.height = `${area.current.scrollHeight}px`;
  };
  const send = () => {
    if (!canSend) return;
    onSend(content.trim());
    setContent('');
    requestAnimationFrame(resize);
    area.current?.focus();
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another purpose begins anew
  useEffect(() => {
    if (purpose === undefined) return;
    if (purpose.content !== '') setContent(purpose.content);
    requestAnimationFrame(resize);
    area.current?.focus();
  }, [purpose?.key]);
  const cancel = () => {
    if (purpose?.content) setContent('');
    onCancel();
    requestAnimationFrame(resize);
    area.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && purpose !== undefined) cancel();
    if (event.key !== 'Enter' || event.shiftKey) return;
    // While a Hangul syllable is being put together, Enter completes it. Safari tells by the key code only.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {purpose && (
        <div className="purpose">
          <p>
            <strong>{purpose.words}</strong>
            <span>{purpose.quote}</span>
          </p>
          <button type="button" onClick={cancel} aria-label={text.cancel}>
            <Icon name="cross" />
          </button>
        </div>
      )}
      <label htmlFor={id} className="visually-hidden">
        {text.messageTo(title)}
      </label>
      <textarea
        ref={area}
        id={id}
        rows={1}
        value={content}
        placeholder={text.writeMessage}
        enterKeyHint="send"
        aria-invalid={isTooLong || undefined}
        onChange={(event) => {
          setContent(event.target.value);
          resize();
        }}
        onKeyDown={onKeyDown}
      />
      <button type="submit" disabled={!canSend} aria-label={text.send}>
        <Icon name="send" />
      </button>
      {isTooLong && (
        <p className="error" role="alert">
          {text.tooLong}
        </p>
      )}
    </form>
  );
}
