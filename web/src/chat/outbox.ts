import type { Entry } from './wire.ts';

/** A message of one's own on its way into the log, or a change of one that is there. */
export interface Outgoing {
  /** Names it in every attempt: an attempt that did arrive is recognised by it. */
  readonly clientId: string;
  /** What it says; for a change, what the message is to say. */
  readonly content: string;
  /** The `seq` of the message that this one answers. */
  readonly replyTo?: number;
  /** A change of the message at this `seq`. */
  readonly target?: number;
  /** The change is that the message goes. */
  readonly deletes?: boolean;
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  /** `sent`: durable (it has its RECEIPT), and its own MESSAGE is about to arrive. */
  readonly state: 'sending' | 'sent' | 'failed';
  /** Its place in the log, once it has one. */
  readonly seq?: number;
  /** What the engine said when it refused it. */
  readonly refusal?: string;
}

/** One's own messages that the log has not shown yet, in the order they were written. */
export class Outbox {
  #messages: readonly Outgoing[] = [];

  get messages(): readonly Outgoing[] {
    return this.#messages;
  }

  add(clientId: string, content: string, at: number, what: Partial<Outgoing> = {}): void {
    this.#messages = [...this.#messages, { ...what, clientId, content, at, state: 'sending' }];
  }

  find(clientId: string): Outgoing | undefined {
    return this.#messages.find((message) => message.clientId === clientId);
  }

  /** Those to send (again) when the room is open. */
  get waiting(): readonly Outgoing[] {
    return this.#messages.filter((message) => message.state === 'sending');
  }

  /** The RECEIPT came: it is in the log at `seq`. A change has nothing to wait for then. */
  sent(clientId: string, seq: number | undefined): void {
    if (this.find(clientId)?.target !== undefined) {
      this.remove(clientId);
      return;
    }
    this.#replace(clientId, ({ refusal: _, ...message }) => ({
      ...message,
      state: 'sent',
      ...(seq === undefined ? {} : { seq }),
    }));
  }

  /** No RECEIPT in time, or a refusal. It may still be in the log, so it is looked for by its id first. */
  failed(clientId: string, refusal?: string): void {
    this.#replace(clientId, (message) =>
      message.state === 'sent'
        ? message
        : { ...message, state: 'failed', ...(refusal === undefined ? {} : { refusal }) },
    );
  }

  /** It is to be sent again. */
  retry(clientId: string): void {
    this.#replace(clientId, ({ refusal: _, ...message }) => ({ ...message, state: 'sending' }));
  }

  remove(clientId: string): void {
    this.#messages = this.#messages.filter((message) => message.clientId !== clientId);
  }

  /**
   * Drops what the log shows by now. A durable message whose `seq` lies behind the newest record is dropped too:
   * it is either shown or further back than what has been fetched.
   */
  settle(me: number, entries: readonly Entry[]): void {
    if (this.#messages.length === 0) return;
    const shown = new Set(
      entries.map((entry) => (entry.type === 'message' && entry.sender === me ? entry.clientId : undefined)),
    );
    const newest = entries.at(-1)?.seq ?? -1;
    this.#messages = this.#messages.filter(
      ({ clientId, seq }) => !shown.has(clientId) && (seq === undefined || seq > newest),
    );
  }

  #replace(clientId: string, by: (message: Outgoing) => Outgoing): void {
    this.#messages = this.#messages.map((message) => (message.clientId === clientId ? by(message) : message));
  }
}
