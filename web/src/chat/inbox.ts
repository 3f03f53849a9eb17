import type { Link } from './room.ts';
import type { Frame } from './wire.ts';

/** A room of one's own, as a list shows it. */
export interface RoomSummary {
  readonly room: number;
  /** Messages of others that one has not read; undefined while the engine does not know. */
  readonly unread: number | undefined;
  /** There are more than these. */
  readonly more: boolean;
  /** What was said last, if anything was; empty where it is deleted. */
  readonly last: { readonly seq: number; readonly content: string; readonly deleted: boolean } | undefined;
}

/** All there is to draw. A new object whenever something changed. */
export interface InboxView {
  readonly rooms: ReadonlyMap<number, RoomSummary>;
  /** Unread messages of all rooms. */
  readonly total: number;
  readonly more: boolean;
}

const DESTINATION = '/user/queue/rooms';

/** One's rooms with what is unread in each, live, on one connection after another. */
export class Inbox {
  readonly #listeners = new Set<() => void>();
  #rooms: ReadonlyMap<number, RoomSummary> = new Map();
  #view: InboxView | undefined;
  #counter = 0;
  #link: Link | undefined;

  /** What to draw; the same object until something changes. */
  get view(): InboxView {
    if (this.#view === undefined) {
      const rooms = [...this.#rooms.values()];
      const total = rooms.reduce((sum, { unread }) => sum + (unread ?? 0), 0);
      this.#view = { rooms: this.#rooms, total, more: rooms.some(({ more }) => more) };
    }
    return this.#view;
  }

  /** Calls `listener` after every change; returns how to stop that. */
  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /**
   * A connection is open: subscribe on it. All rooms come anew; until the last of them has, what is shown stays, and takes
   * the place of it then: a room that was left meanwhile is not among them.
   */
  attach(link: Link): void {
    this.#link = link;
    this.#counter += 1;
    const names = { id: `rooms-${this.#counter}`, receipt: `list-${this.#counter}` };
    let rooms = new Map<number, RoomSummary>();
    let isWhole = false;
    link.expectReceipt(names.receipt, () => {});
    link.subscribe(names.id, DESTINATION, { receipt: names.receipt }, (frame) => {
      if (this.#link !== link) return;
      const body = parse(frame);
      if (body?.type === 'room') rooms.set(Number(body.room), toSummary(body));
      else if (body?.type === 'gone') rooms.delete(Number(body.room));
      else if (body?.type === 'rooms') isWhole = true;
      if (!isWhole) return;
      this.#show(rooms);
      rooms = new Map(rooms);
    });
  }

  /** The connection is gone: what is shown is as of then. */
  detach(): void {
    this.#link = undefined;
  }

  #show(rooms: ReadonlyMap<number, RoomSummary>): void {
    this.#rooms = rooms;
    this.#view = undefined;
    for (const listener of this.#listeners) listener();
  }
}

function toSummary(body: Record<string, unknown>): RoomSummary {
  const last = body.last as { seq: number; body: Record<string, unknown> } | null | undefined;
  const deleted = typeof last?.body.deleted === 'number';
  const content = typeof last?.body.content === 'string' ? last.body.content : '';
  return {
    room: Number(body.room),
    unread: typeof body.unread === 'number' ? body.unread : undefined,
    more: body.more === true,
    last: last ? { seq: last.seq, content, deleted } : undefined,
  };
}

function parse({ body }: Frame): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
