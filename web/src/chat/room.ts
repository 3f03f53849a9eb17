import { Outbox, type Outgoing } from './outbox.ts';
import { Timeline } from './timeline.ts';
import { type Entry, type Frame, parseRoomFrame, type RoomFrame } from './wire.ts';

/** An open STOMP connection, as much of it as a room needs. */
export interface Link {
  subscribe(
    id: string,
    destination: string,
    headers: Record<string, string>,
    on: (frame: Frame) => void,
  ): void;
  unsubscribe(id: string): void;
  send(destination: string, headers: Record<string, string>, body: string): void;
  /** Calls back once, with the RECEIPT's headers. */
  expectReceipt(id: string, done: (headers: Frame['headers']) => void): void;
}

/**
 * `joining`: nothing to show yet. `live`: everything shown is current. `lost`: the connection is gone and will
 * come back. `refused`: the engine does not let this person in; only `Connection.open` tries again.
 */
export type RoomStatus = 'joining' | 'live' | 'lost' | 'refused';

/** All there is to draw. A new object whenever something changed. */
export interface RoomView {
  readonly status: RoomStatus;
  /** What the engine said when it refused. */
  readonly refusal: string | undefined;
  readonly entries: readonly Entry[];
  readonly outgoing: readonly Outgoing[];
  /** Changes of messages that are shown, on their way. */
  readonly changing: readonly Outgoing[];
  /** What was unread when the room was opened lies behind this `seq`; undefined where nothing was. */
  readonly readUpTo: number | undefined;
  /** There is nothing older than what is shown. */
  readonly atStart: boolean;
  readonly loadingOlder: boolean;
}

/** What a room needs to know about its surroundings. */
export interface RoomOptions {
  readonly room: number;
  /** Whose messages are one's own. */
  readonly me: number;
  readonly now?: () => number;
  readonly newClientId?: () => string;
}

/** Records asked for at once. */
export const PAGE = 50;
/** The most the engine gives at once. */
const LONGEST_PAGE = 200;
/** How long after a page was refused none is asked for: the view would ask again at once. */
const PAGE_PAUSE_MS = 3_000;
/** How long a message may wait for its RECEIPT before it is shown as failed, in milliseconds. */
export const SEND_TIMEOUT = 15_000;

/** One chat room on one connection after another: what is shown, what is being sent, what comes next. */
export class Room {
  readonly id: number;
  readonly #me: number;
  readonly #now: () => number;
  readonly #newClientId: () => string;
  readonly #listeners = new Set<() => void>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  #timeline = new Timeline();
  #outbox = new Outbox();
  #status: RoomStatus = 'joining';
  #refusal: string | undefined;
  #atStart = false;
  #readUpTo: number | undefined;
  #view: RoomView | undefined;

  #link: Link | undefined;
  #subscription = '';
  #subscribeReceipt = '';
  #olderReceipt = '';
  /** Receipt id → client id of the messages on their way. */
  #sending = new Map<string, string>();
  #counter = 0;

  constructor({ room, me, now = Date.now, newClientId = () => crypto.randomUUID() }: RoomOptions) {
    this.id = room;
    this.#me = me;
    this.#now = now;
    this.#newClientId = newClientId;
  }

  /** What to draw; the same object until something changes. */
  get view(): RoomView {
    this.#view ??= {
      status: this.#status,
      refusal: this.#refusal,
      entries: this.#timeline.entries,
      outgoing: this.#outbox.messages.filter(({ target }) => target === undefined),
      changing: this.#outbox.messages.filter(({ target }) => target !== undefined),
      readUpTo: this.#readUpTo,
      atStart: this.#atStart,
      loadingOlder: this.#olderReceipt !== '',
    };
    return this.#view;
  }

  /** Calls `listener` after every change; returns how to stop that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * A connection is open: subscribe on it, which also means to be reading.
   *
   * After a reconnect only what was missed is asked for: it is added to what is shown, whose counts the engine sets
   * anew. Where it says that this is no longer possible, and the first time, a new timeline is filled with history, as
   * much as was shown, and takes its place when the RECEIPT says that the replay is complete.
   */
  attach(link: Link): void {
    const shown = this.#timeline.entries.length;
    const history = String(Math.min(LONGEST_PAGE, Math.max(PAGE, shown)));
    const after = this.#timeline.head;
    let timeline = after === undefined ? new Timeline() : this.#timeline;
    this.#link = link;
    this.#subscription = this.#unique('room');
    this.#subscribeReceipt = this.#unique('subscribe');
    link.expectReceipt(this.#subscribeReceipt, ({ read }) => {
      if (after === undefined) this.#readUpTo = this.#unreadBehind(timeline, read);
      if (timeline !== this.#timeline) this.#atStart = timeline.first === undefined;
      this.#timeline = timeline;
      this.#status = 'live';
      this.#changed();
      for (const { clientId } of this.#outbox.waiting) this.#transmit(clientId);
    });
    const resume: Record<string, string> = after === undefined ? {} : { after: String(after) };
    const headers = { ...resume, history, receipt: this.#subscribeReceipt };
    link.subscribe(this.#subscription, `/chat/${this.id}`, headers, (frame) => {
      const meaning = parseRoomFrame(frame);
      if (meaning.kind === 'recovered' && !meaning.recovered) timeline = new Timeline();
      this.#take(timeline, meaning);
    });
  }

  /** Where the unread messages begin, if there are any: somebody else's, and not deleted. */
  #unreadBehind({ entries }: Timeline, read: string | undefined): number | undefined {
    const seq = read === undefined ? Number.POSITIVE_INFINITY : Number(read);
    const isUnread = (entry: Entry) =>
      entry.type === 'message' && entry.sender !== this.#me && entry.deleted === undefined && entry.seq > seq;
    return entries.some(isUnread) ? seq : undefined;
  }

  /** The connection is gone. What was being sent waits for the next one. */
  detach(): void {
    this.#link = undefined;
    this.#olderReceipt = '';
    this.#sending.clear();
    if (this.#status !== 'refused') this.#status = 'lost';
    this.#changed();
  }

  /** Stops reading and forgets the timers; the room is not used again. */
  close(): void {
    this.#link?.unsubscribe(this.#subscription);
    this.#link = undefined;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#listeners.clear();
  }

  /** An ERROR named one of this room's receipts. Returns whether it was one. */
  refuse(receipt: string, reason: string): boolean {
    const clientId = this.#sending.get(receipt);
    if (clientId !== undefined) {
      this.#fail(clientId, reason);
      return true;
    }
    if (this.refusePage(receipt)) return true;
    if (receipt !== this.#subscribeReceipt) return false;
    this.#status = 'refused';
    this.#refusal = reason;
    this.#changed();
    return true;
  }

  /** A page of older messages was refused; another may be asked for in a moment. Returns whether it was this room's. */
  refusePage(receipt: string): boolean {
    if (receipt !== this.#olderReceipt) return false;
    setTimeout(() => {
      if (receipt !== this.#olderReceipt) return;
      this.#olderReceipt = '';
      this.#changed();
    }, PAGE_PAUSE_MS);
    return true;
  }

  /** The engine has taken this person out of the room, or does not let them in, and says why. Returns whether it was this one. */
  expel(subscription: string, reason: string): boolean {
    if (subscription !== this.#subscription) return false;
    this.#link = undefined;
    this.#status = 'refused';
    this.#refusal = reason;
    this.#changed();
    return true;
  }

  /** Says something, perhaps as a reply to the message at `replyTo`; it is in `outgoing` at once. */
  send(content: string, replyTo?: number): void {
    this.#add(content, replyTo === undefined ? {} : { replyTo });
  }

  /** Changes what one's own message at `target` says; it is in `changing` until the engine has it. */
  edit(target: number, content: string): void {
    this.#add(content, { target });
  }

  /** Takes the message at `target` back: one's own, or anybody's for the meetup's owner and hosts. */
  delete(target: number): void {
    this.#add('', { target, deletes: true });
  }

  #add(content: string, what: Partial<Outgoing>): void {
    const clientId = this.#newClientId();
    this.#outbox.add(clientId, content, this.#now(), what);
    this.#transmit(clientId);
    this.#changed();
  }

  /** Sends a failed message again, with the same client id, so that it cannot appear twice. */
  retry(clientId: string): void {
    if (this.#outbox.find(clientId)?.state !== 'failed') return;
    this.#outbox.retry(clientId);
    this.#transmit(clientId);
    this.#changed();
  }

  /** Gives up a failed message. */
  discard(clientId: string): void {
    this.#outbox.remove(clientId);
    this.#changed();
  }

  /** Fetches the page before the oldest record, if there may be one and none is on its way. */
  loadOlder(): void {
    const first = this.#timeline.first;
    if (this.#link === undefined || this.#status !== 'live') return;
    if (first === undefined || this.#atStart || this.#olderReceipt !== '') return;
    const receipt = this.#unique('history');
    this.#olderReceipt = receipt;
    this.#link.expectReceipt(receipt, () => {
      this.#olderReceipt = '';
      // A short page need not be the last one (records that are no longer shown may count), an empty one is.
      this.#atStart = this.#timeline.first === first;
      this.#changed();
    });
    const headers = { before: String(first.seq), limit: String(PAGE), receipt };
    this.#link.send(`/app/history/${this.id}`, headers, '');
    this.#changed();
  }

  #take(timeline: Timeline, meaning: RoomFrame): void {
    if (meaning.kind === 'entry') timeline.insert(meaning.entry);
    else if (meaning.kind === 'amendment') timeline.amend(meaning.amendment);
    else if (meaning.kind === 'changes') timeline.change(meaning.changes);
    else if (meaning.kind === 'reset') timeline.reset(meaning.steps);
    if (timeline !== this.#timeline || meaning.kind === 'unknown') return;
    // A page of history, and a replay, are drawn once, at their RECEIPT.
    const isPartOfPage = 'history' in meaning && meaning.history;
    if (!isPartOfPage) this.#changed();
  }

  #transmit(clientId: string): void {
    clearTimeout(this.#timers.get(clientId));
    this.#timers.set(
      clientId,
      setTimeout(() => this.#fail(clientId), SEND_TIMEOUT),
    );
    const message = this.#outbox.find(clientId);
    if (message === undefined || this.#link === undefined || this.#status !== 'live') return;
    const receipt = this.#unique('send');
    this.#sending.set(receipt, clientId);
    this.#link.expectReceipt(receipt, (headers) => {
      this.#sending.delete(receipt);
      this.#outbox.sent(clientId, headers.seq === undefined ? undefined : Number(headers.seq));
      this.#changed();
    });
    const { content, replyTo, target, deletes } = message;
    const names = { 'client-id': clientId, receipt };
    if (target !== undefined && deletes === true) {
      this.#link.send(`/app/delete/${this.id}`, { ...names, seq: String(target) }, '');
      return;
    }
    const headers = {
      ...names,
      'content-type': 'application/json',
      ...(target === undefined ? {} : { seq: String(target) }),
      ...(replyTo === undefined ? {} : { 'reply-to': String(replyTo) }),
    };
    const verb = target === undefined ? 'chat' : 'edit';
    this.#link.send(`/app/${verb}/${this.id}`, headers, JSON.stringify({ content }));
  }

  #fail(clientId: string, reason?: string): void {
    this.#outbox.failed(clientId, reason);
    this.#changed();
  }

  #changed(): void {
    this.#outbox.settle(this.#me, this.#timeline.entries);
    for (const [clientId, timer] of this.#timers) {
      if (this.#outbox.find(clientId)?.state === 'sending') continue;
      clearTimeout(timer);
      this.#timers.delete(clientId);
    }
    this.#view = undefined;
    for (const listener of this.#listeners) listener();
  }

  #unique(what: string): string {
    this.#counter += 1;
    return `${what}-${this.id}-${this.#counter}`;
  }
}
