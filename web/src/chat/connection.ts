import { Client, type IFrame, Versions } from '@stomp/stompjs';
import { reconnectDelay } from './backoff.ts';
import { Inbox } from './inbox.ts';
import { type Link, Room } from './room.ts';

/** A token source rejects with this when there is no session any more; nothing is tried again then. */
export class SignedOut extends Error {
  override name = 'SignedOut';
}

/** What a connection needs to know about its surroundings. */
export interface ConnectionOptions {
  /** The engine's WebSocket, as in `ws://localhost:8081/ws`. */
  readonly engineUrl: string;
  readonly me: number;
  /**
   * An access token good for a while yet. Asked before every attempt; `fresh` when the engine refused the last
   * one. Rejects with `SignedOut` when there is none to be had.
   */
  readonly token: (wish: { readonly fresh: boolean }) => Promise<string>;
}

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT = 10_000;
/** The `message` of an ERROR about what works in a moment. */
const TRY_AGAIN = 'try again';
/** The `message` of an ERROR for somebody who is not in the room; `refusal` says just this, to be put into words. */
export const NOT_A_MEMBER = 'not a member';
/** The same for somebody who was put out of it. */
export const BANNED = 'banned';
/** The same where the meetup was deleted. */
export const ROOM_CLOSED = 'room closed';
/** Where the engine tells of what it refused, and of rooms and tokens that end, without closing the connection. */
const ERRORS = '/user/queue/errors';
/** How often each side shows that it is alive, in milliseconds. */
const HEART_BEAT = 10_000;

/**
 * The connection to the engine: open as long as some room or the list of rooms is, reconnecting with growing, jittered waits, and
 * with a token that is fresh each time. Each attempt gets a stompjs client of its own, because stompjs's own
 * reconnecting knows no jitter and gives up for good if the token cannot be fetched.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  /** One's rooms, as far as they are followed. */
  readonly inbox = new Inbox();
  readonly #rooms = new Set<Room>();
  #followsInbox = false;
  /** Counts attempts, so that what is late from an earlier one is told apart. */
  #generation = 0;
  #client: Client | undefined;
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #tokenRefused = false;
  #isResting = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Opens a room: from now until `close` its view follows the engine, and this person is reading it. */
  open(room: number): Room {
    const opened = new Room({ room, me: this.#options.me });
    this.#rooms.add(opened);
    if (this.#link !== undefined) opened.attach(this.#link);
    else this.#connectIfWanted();
    return opened;
  }

  /** Leaves a room; without any, the connection ends. */
  close(room: Room): void {
    this.#rooms.delete(room);
    room.close();
    this.#dropIfNeedless();
  }

  /** Follows one's rooms in `inbox`, whether one is open or not. Returns how to stop that. */
  followInbox(): () => void {
    this.#followsInbox = true;
    if (this.#link !== undefined) this.inbox.attach(this.#link);
    else this.#connectIfWanted();
    return () => {
      this.#followsInbox = false;
      this.inbox.detach();
      this.#dropIfNeedless();
    };
  }

  #dropIfNeedless(): void {
    // Later, because going from one room to another closes the one before it opens the other.
    setTimeout(() => this.#rooms.size === 0 && !this.#followsInbox && this.#drop(), 0);
  }

  /**
   * Nobody is looking: a subscription means reading, so it would be untrue to keep one. Ends with
   * `reconnectNow`. (One to `/chatalarm/{room}` does not mean reading; but a page out of sight has its timers
   * slowed down until heart-beats come too late, and nothing to show for it.)
   */
  rest(): void {
    this.#isResting = true;
    this.#drop();
    this.#detach();
  }

  #detach(): void {
    this.inbox.detach();
    for (const room of this.#rooms) room.detach();
  }

  /** Connects now, not at the end of a wait or rest: the network is back, or somebody is looking again. */
  reconnectNow(): void {
    this.#isResting = false;
    this.#connectIfWanted();
  }

  #connectIfWanted(): void {
    if (this.#client === undefined && this.#isWanted()) void this.#connect();
  }

  #isWanted(): boolean {
    const isOpen = this.#followsInbox || [...this.#rooms].some((room) => room.view.status !== 'refused');
    return !this.#isResting && isOpen;
  }

  async #connect(): Promise<void> {
    clearTimeout(this.#timer);
    const generation = ++this.#generation;
    const isCurrent = () => generation === this.#generation;
    const client = new Client({
      brokerURL: this.#options.engineUrl,
      stompVersions: new Versions([Versions.V1_2]),
      reconnectDelay: 0,
      connectionTimeout: CONNECT_TIMEOUT,
      heartbeatIncoming: HEART_BEAT,
      heartbeatOutgoing: HEART_BEAT,
      // A peer that fell silent is not waited for to agree to the close.
      discardWebsocketOnCommFailure: true,
      onConnect: () => isCurrent() && this.#opened(client),
      onStompError: (frame) => isCurrent() && this.#refused(frame),
      onWebSocketClose: () => isCurrent() && this.#closed(),
    });
    this.#client = client;
    try {
      const token = await this.#options.token({ fresh: this.#tokenRefused });
      if (!isCurrent()) return;
      this.#tokenRefused = false;
      client.connectHeaders = { Authorization: `Bearer ${token}` };
      client.activate();
    } catch (error) {
      if (isCurrent()) this.#closed(error instanceof SignedOut);
    }
  }

  #opened(client: Client): void {
    const link: Link = {
      subscribe: (id, destination, headers, on) => {
        client.subscribe(destination, on, { ...headers, id });
      },
      unsubscribe: (id) => client.connected && client.unsubscribe(id),
      send: (destination, headers, body) => client.publish({ destination, headers, body }),
      expectReceipt: (id, done) =>
        client.watchForReceipt(id, (frame) => {
          // Only an engine that does as asked ends a row of failures, not one that merely takes connections.
          this.#failures = 0;
          done(frame.headers);
        }),
    };
    this.#link = link;
    client.subscribe(ERRORS, (frame) => this.#link === link && this.#told(client, frame), { id: 'errors' });
    if (this.#followsInbox) this.inbox.attach(link);
    for (const room of this.#rooms) if (room.view.status !== 'refused') room.attach(link);
  }

  /** News about the connection, which goes on. */
  #told(client: Client, frame: IFrame): void {
    const { message, 'receipt-id': receipt, 'ended-subscription': ended } = frame.headers;
    if (ended !== undefined && message !== TRY_AGAIN) {
      const reason = reasonOf(frame);
      for (const room of this.#rooms) if (room.expel(ended, reason)) return;
    } else if (message === undefined) {
      this.#renewToken(client);
    } else if (message === TRY_AGAIN) {
      for (const room of this.#rooms) if (receipt !== undefined && room.refusePage(receipt)) return;
      // Coming back, after a pause, asks for all of it again.
      this.#drop();
      this.#closed();
    } else if (receipt !== undefined) {
      const reason = reasonOf(frame);
      for (const room of this.#rooms) if (room.refuse(receipt, reason)) return;
    }
  }

  /** The token is about to end, and the connection with it. Without a fresh one it comes back by itself. */
  #renewToken(client: Client): void {
    this.#options.token({ fresh: true }).then(
      (token) => client.connected && client.publish({ destination: '/app/token', body: token }),
      () => {},
    );
  }

  /** An ERROR; the engine closes the connection after it. */
  #refused(frame: IFrame): void {
    const reason = reasonOf(frame);
    const receipt = frame.headers['receipt-id'];
    if (this.#link === undefined) this.#tokenRefused = true;
    // Nothing is wrong with what was asked: coming back asks it again.
    if (receipt === undefined || frame.headers.message === TRY_AGAIN) return;
    for (const room of this.#rooms) if (room.refuse(receipt, reason)) return;
  }

  #closed(signedOut = false): void {
    this.#generation += 1;
    this.#client = undefined;
    this.#link = undefined;
    this.#detach();
    if (signedOut || !this.#isWanted()) return;
    this.#timer = setTimeout(() => this.#connectIfWanted(), reconnectDelay(this.#failures));
    this.#failures += 1;
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#generation += 1;
    this.#link = undefined;
    void this.#client?.deactivate();
    this.#client = undefined;
  }
}

/** What a refusal says: the word for what the view has words of its own for, else the engine's sentence. */
function reasonOf({ headers: { message = '' }, body }: IFrame): string {
  return [NOT_A_MEMBER, BANNED, ROOM_CLOSED].includes(message) ? message : body || message;
}
