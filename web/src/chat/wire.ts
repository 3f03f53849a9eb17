/**
 * What the engine sends on a room's subscription, and how to tell it apart.
 *
 * A MESSAGE frame carries either a record of the room's log (it has a `seq` header) or a `read` event, which
 * changes unread counts of records already sent and has no `seq`. Anything unknown is ignored, so that a newer
 * engine can add types without breaking this client.
 */

/** A STOMP frame as far as this module looks at it. */
export interface Frame {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

interface Recorded {
  /** Place in the room's log: unique and increasing in a room, not dense. */
  readonly seq: number;
  /** When the engine took it, in milliseconds since 1970. */
  readonly at: number;
}

/** Something a person said. */
export interface Message extends Recorded {
  readonly type: 'message';
  readonly sender: number;
  readonly content: string;
  /** The sender's own name for this message, the same in every attempt to send it. */
  readonly clientId: string | undefined;
  /** How many members have not read it yet. */
  readonly unread: number;
}

/** A person came into the meetup or left it. Nobody is counted for these. */
export interface Coming extends Recorded {
  readonly type: 'joined' | 'left';
  readonly user: number;
}

/** One record of a room's log, as shown. */
export type Entry = Message | Coming;

/** Add `by` to every shown message with `from < seq ≤ to`. */
export interface ReadChange {
  readonly from: number;
  readonly to: number;
  readonly by: number;
}

/** Messages with a `seq` greater than the first number have the second as their count. */
export type ReadStep = readonly [above: number, unread: number];

/** What a frame on a room's subscription means. */
export type RoomFrame =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly history: boolean }
  | { readonly kind: 'changes'; readonly changes: readonly ReadChange[] }
  | { readonly kind: 'reset'; readonly steps: readonly ReadStep[] }
  | { readonly kind: 'unknown' };

const UNKNOWN: RoomFrame = { kind: 'unknown' };

/** Reads a MESSAGE frame of a room's subscription. */
export function parseRoomFrame(frame: Frame): RoomFrame {
  const body = parseObject(frame.body);
  if (body === undefined) return UNKNOWN;
  if (body.type === 'read') return parseRead(body);
  const entry = parseEntry(body, frame.headers);
  return entry === undefined ? UNKNOWN : { kind: 'entry', entry, history: frame.headers.history === 'true' };
}

function parseRead(body: Record<string, unknown>): RoomFrame {
  if (Array.isArray(body.reset)) return { kind: 'reset', steps: body.reset as ReadStep[] };
  if (Array.isArray(body.changes)) return { kind: 'changes', changes: body.changes as ReadChange[] };
  return UNKNOWN;
}

function parseEntry(body: Record<string, unknown>, headers: Frame['headers']): Entry | undefined {
  const seq = Number(headers.seq);
  const at = Number(body.at);
  if (!Number.isSafeInteger(seq) || !Number.isFinite(at)) return undefined;
  if (body.type === 'message' && typeof body.sender === 'number' && typeof body.content === 'string') {
    const clientId = typeof body['client-id'] === 'string' ? body['client-id'] : undefined;
    const unread = Number(headers.unread ?? 0);
    return { type: 'message', seq, at, sender: body.sender, content: body.content, clientId, unread };
  }
  if ((body.type === 'joined' || body.type === 'left') && typeof body.user === 'number') {
    return { type: body.type, seq, at, user: body.user };
  }
  return undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
