import type { Entry, Message } from '../chat/index.ts';

/** One line of the chat as drawn. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  /** What is behind it was unread when the room was opened. */
  | { readonly kind: 'divider'; readonly key: string }
  | { readonly kind: 'coming'; readonly key: string; readonly entry: Exclude<Entry, Message> }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: Message;
      /** The first of a group shows who speaks, the last when. */
      readonly isFirst: boolean;
      readonly isLast: boolean;
    };

const MINUTE = 60_000;

/** Where a day begins and ends is the reader's own calendar. */
function dayOf(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/** What one person says within one minute of the clock belongs together. */
function isSameGroup(one: Entry | undefined, other: Entry | undefined): boolean {
  return (
    one?.type === 'message' &&
    other?.type === 'message' &&
    one.sender === other.sender &&
    Math.floor(one.at / MINUTE) === Math.floor(other.at / MINUTE)
  );
}

/**
 * Turns a room's log into lines: a separator where a day begins, messages grouped by sender and minute, and one where what
 * was unread began. Further up than what is shown that one is not there yet, unless nothing is further up (`atStart`).
 */
export function toRows(
  entries: readonly Entry[],
  { readUpTo, atStart = false }: { readonly readUpTo?: number | undefined; readonly atStart?: boolean } = {},
): readonly Row[] {
  const rows: Row[] = [];
  const unread = readUpTo === undefined ? -1 : entries.findIndex(({ seq }) => seq > readUpTo);
  const divider = unread > 0 || atStart ? unread : -1;
  let day = '';
  entries.forEach((entry, index) => {
    const its = dayOf(entry.at);
    if (its !== day) rows.push({ kind: 'day', key: `day-${its}-${entry.seq}`, at: entry.at });
    day = its;
    if (index === divider) rows.push({ kind: 'divider', key: 'divider' });
    const key = String(entry.seq);
    if (entry.type !== 'message') {
      rows.push({ kind: 'coming', key, entry });
      return;
    }
    rows.push({
      kind: 'message',
      key,
      message: entry,
      isFirst: index === divider || !isSameGroup(entries[index - 1], entry),
      isLast: index + 1 === divider || !isSameGroup(entry, entries[index + 1]),
    });
  });
  return rows;
}
