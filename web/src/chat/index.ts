/**
 * The chat client, free of any view library: the reference for authors of other clients.
 *
 *     const connection = new Connection({ engineUrl, me, token });
 *     const room = connection.open(42);
 *     room.listen(() => draw(room.view));
 *     room.send('hello');
 *     connection.close(room);
 *
 * | file            | the rule it holds                                                              |
 * |-----------------|--------------------------------------------------------------------------------|
 * | `wire.ts`       | what a frame means                                                             |
 * | `timeline.ts`   | `seq` order, each record once, edits, unread counts by `changes` and `reset`   |
 * | `outbox.ts`     | what one says and changes until the log has it; a repeat keeps its client id   |
 * | `room.ts`       | subscribe, resume, history, send, reply, edit, delete, retry                   |
 * | `inbox.ts`      | one's rooms: the last message of each, and what is unread                      |
 * | `connection.ts` | a fresh token for each connection, reconnecting                                |
 * | `backoff.ts`    | how long to wait before that                                                   |
 */

export {
  BANNED,
  Connection,
  type ConnectionOptions,
  NOT_A_MEMBER,
  ROOM_CLOSED,
  SignedOut,
} from './connection.ts';
export type { InboxView, RoomSummary } from './inbox.ts';
export type { Outgoing } from './outbox.ts';
export type { Room, RoomStatus, RoomView } from './room.ts';
export type { Entry, Message } from './wire.ts';
