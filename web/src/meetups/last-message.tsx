import type { RoomSummary } from '../chat/index.ts';
import { useText } from '../text/text.tsx';

/** What was said last in a room, on one line. */
export function LastMessage({ of }: { readonly of: RoomSummary | undefined }) {
  const text = useText();
  const last = of?.last;
  if (last === undefined) return null;
  return <span className="last-message">{last.deleted ? text.deletedMessage : last.content}</span>;
}
