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
  /** Empty once it is deleted. */
  readonly content: string;
  /** When the content was last changed, if it was, in milliseconds since 1970. */
  readonly edited?: number;
  /** When it was taken back, if it was. That is final. */
  readonly deleted?: number;
  /** The `seq` of the message that this one answers. */
  readonly replyTo?: number;
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

/** A record that changes an earlier message: its content, or without one that it is gone. */
export interface Amendment extends Recorded {
  /** The message's `seq`. */
  readonly target: number;
  readonly content: string | undefined;
}

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
  | { readonly kind: 'amendment'; readonly amendment: Amendment; readonly history: boolean }
  /** All that was missed has come; or else it could not be had, and history comes instead. */
  | { readonly kind: 'recovered'; readonly recovered: boolean }
  | { readonly kind: 'changes'; readonly changes: readonly ReadChange[] }
  | { readonly kind: 'reset'; readonly steps: readonly ReadStep[] }
  | { readonly kind: 'unknown' };

const UNKNOWN: RoomFrame = { kind: 'unknown' };

/** Reads a MESSAGE frame of a room's subscription. */
export function parseRoomFrame(frame: Frame): RoomFrame {
  const body = parseObject(frame.body);
  if (body === undefined) return UNKNOWN;
  if (body.type === 'read') return parseRead(body);
  if (body.type === 'recovered') return { kind: 'recovered', recovered: body.recovered === true };
  const history = frame.headers.history === 'true';
  const amendment = parseAmendment(body, frame.headers);
  if (amendment !== undefined) return { kind: 'amendment', amendment, history };
  const entry = parseEntry(body, frame.headers);
  return entry === undefined ? UNKNOWN : { kind: 'entry', entry, history };
}

function parseAmendment(body: Record<string, unknown>, headers: Frame['headers']): Amendment | undefined {
  const [seq, target, at] = [Number(headers.seq), Number(body.target), Number(body.at)];
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(target) || !Number.isFinite(at)) return undefined;
  if (body.type === 'deleted') return { seq, at, target, content: undefined };
  if (body.type !== 'edited' || typeof body.content !== 'string') return undefined;
  return { seq, at, target, content: body.content };
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
  if (body.type === 'message' && typeof body.sender === 'number') return parseMessage(body, headers, seq, at);
  if ((body.type === 'joined' || body.type === 'left') && typeof body.user === 'number') {
    return { type: body.type, seq, at, user: body.user };
  }
  return undefined;
}

function parseMessage(
  body: Record<string, unknown>,
  headers: Frame['headers'],
  seq: number,
  at: number,
): Message | undefined {
  const isDeleted = typeof body.deleted === 'number';
  if (typeof body.content !== 'string' && !isDeleted) return undefined;
  return {
    type: 'message',
    seq,
    at,
    sender: Number(body.sender),
    content: isDeleted ? '' : String(body.content),
    clientId: typeof body['client-id'] === 'string' ? body['client-id'] : undefined,
    unread: Number(headers.unread ?? 0),
    ...(isDeleted ? { deleted: Number(body.deleted) } : {}),
    ...(typeof body.edited === 'number' ? { edited: body.edited } : {}),
    ...(typeof body['reply-to'] === 'number' ? { replyTo: body['reply-to'] } : {}),
  };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
