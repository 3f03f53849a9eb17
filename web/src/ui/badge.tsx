import { useText } from '../text/text.tsx';

/** More than these are not counted. */
const MOST = 999;

/** How many messages are unread; nothing where none is, or it is not known. */
export function Badge({
  count,
  more = false,
}: {
  readonly count: number | undefined;
  readonly more?: boolean;
}) {
  const text = useText();
  if (count === undefined || (count === 0 && !more)) return null;
  const shown = more || count > MOST ? `${MOST}+` : String(count);
  return (
    <span className="badge">
      <span aria-hidden="true">{shown}</span>
      <span className="visually-hidden">{text.unreadMessages(shown)}</span>
    </span>
  );
}
