import type { Amendment, Entry, Message, ReadChange, ReadStep } from './wire.ts';

/**
 * A room's log as far as it has been fetched: in `seq` order, each record once, with exact unread counts.
 *
 * The counts need no thought on this side as long as frames are applied in the order they arrive: a message
 * comes with the count at its own place in that order, and a later `read` event names exactly the messages it
 * is about. There is nothing to clamp; a negative number would be a fault of the engine, and should be seen.
 *
 * `entries` is replaced, never modified, and an entry that did not change stays the same object, so a view can
 * compare by identity.
 */
export class Timeline {
  #entries: readonly Entry[] = [];
  #head: number | undefined;
  /** Message → the `seq` of the last amendment of it that was applied. */
  #amended = new Map<number, number>();

  /** All records, oldest first. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** The oldest record: history continues before its `seq`. */
  get first(): Entry | undefined {
    return this.#entries[0];
  }

  /** The newest record. */
  get last(): Entry | undefined {
    return this.#entries.at(-1);
  }

  /** The furthest `seq` that has come, amendments included: what was missed lies behind it. */
  get head(): number | undefined {
    return this.#head;
  }

  /**
   * Puts a record, live or of history, in its place. One that is there already is dropped (and `false` returned):
   * the shown one has had every change since applied to it.
   */
  insert(entry: Entry): boolean {
    const entries = this.#entries;
    const place = this.#countUpTo(entry.seq);
    this.#pass(entry.seq);
    if (entries[place - 1]?.seq === entry.seq) return false;
    this.#entries = [...entries.slice(0, place), entry, ...entries.slice(place)];
    return true;
  }

  /**
   * Changes or empties a message that is shown; one that is not comes as it is then. A deletion is final, and of two
   * amendments the one with the greater `seq` stands, in whatever order they come.
   */
  amend({ seq, at, target, content }: Amendment): void {
    this.#pass(seq);
    const place = this.#countUpTo(target) - 1;
    const message = this.#entries[place];
    if (message?.type !== 'message' || message.seq !== target || message.deleted !== undefined) return;
    if (content !== undefined && seq <= (this.#amended.get(target) ?? 0)) return;
    this.#amended.set(target, seq);
    const { replyTo: _, edited: __, ...bare } = message;
    const amended: Message =
      content === undefined ? { ...bare, content: '', deleted: at } : { ...message, content, edited: at };
    this.#entries = this.#entries.with(place, amended);
  }

  #pass(seq: number): void {
    this.#head = Math.max(this.#head ?? seq, seq);
  }

  /** Applies a `read` event's changes: each adds `by` to the messages with `from < seq ≤ to`. */
  change(changes: readonly ReadChange[]): void {
    const entries = [...this.#entries];
    for (const { from, to, by } of changes) {
      const end = this.#countUpTo(to);
      for (let place = this.#countUpTo(from); place < end; place++) {
        const entry = entries[place];
        if (entry?.type === 'message') entries[place] = { ...entry, unread: entry.unread + by };
      }
    }
    this.#entries = entries;
  }

  /** Applies a `read` event's reset: a message counts what the last step below its `seq` says. */
  reset(steps: readonly ReadStep[]): void {
    this.#entries = this.#entries.map((entry) => {
      if (entry.type !== 'message') return entry;
      const unread = steps.findLast(([above]) => entry.seq > above)?.[1] ?? entry.unread;
      return unread === entry.unread ? entry : { ...entry, unread };
    });
  }

  /** How many records have a `seq` of at most this, by binary search. */
  #countUpTo(seq: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      // In range: low ≤ middle < high ≤ length.
      if ((this.#entries[middle] as Entry).seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
