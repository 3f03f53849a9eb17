import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { useApi, useChat } from '../api/api.tsx';
import type { Member } from '../api/types.ts';
import type { Entry, Room, RoomView } from '../chat/index.ts';

const CLOSED: RoomView = {
  status: 'joining',
  refusal: undefined,
  entries: [],
  outgoing: [],
  changing: [],
  readUpTo: undefined,
  atStart: false,
  loadingOlder: false,
};

const nothing = () => {};

/** A room that is open, and so being read, for as long as the component is there. */
export function useRoom(id: number): { room: Room | undefined; view: RoomView; reopen: () => void } {
  const connection = useChat();
  const [room, setRoom] = useState<Room>();
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt opens the room again
  useEffect(() => {
    if (connection === undefined) return;
    const opened = connection.open(id);
    setRoom(opened);
    return () => {
      setRoom(undefined);
      connection.close(opened);
    };
  }, [connection, id, attempt]);
  const listen = useCallback((listener: () => void) => room?.listen(listener) ?? nothing, [room]);
  const view = useSyncExternalStore(listen, () => room?.view ?? CLOSED);
  const reopen = useCallback(() => setAttempt((before) => before + 1), []);
  return { room, view, reopen };
}

export interface Names {
  /** Undefined for somebody not known (yet). */
  readonly of: (user: number) => string | undefined;
  /** How many are members now. */
  readonly count: number | undefined;
  /** Whether somebody may take back what others said. */
  readonly moderates: (user: number) => boolean;
}

/** Who is or was in the room; asked for again whenever the log tells of a coming or going, or a stranger. */
export function useNames(id: number, entries: readonly Entry[], isMember: boolean): Names {
  const api = useApi();
  const [members, setMembers] = useState<readonly Member[]>();
  const known = useMemo(() => new Map(members?.map((member) => [member.userId, member])), [members]);

  const lastComing = entries.findLast((entry) => entry.type !== 'message')?.seq ?? 0;
  const stranger = entries.find((entry) => !known.has(entry.type === 'message' ? entry.sender : entry.user));
  const strangerId = stranger && (stranger.type === 'message' ? stranger.sender : stranger.user);
  // biome-ignore lint/correctness/useExhaustiveDependencies: these two are the reasons to ask again
  useEffect(() => {
    if (!isMember) return;
    let isWanted = true;
    api.members(id).then(
      (all) => isWanted && setMembers(all),
      () => {},
    );
    return () => {
      isWanted = false;
    };
  }, [api, id, isMember, lastComing, strangerId]);

  return useMemo(
    () => ({
      of: (user) => known.get(user)?.nickname,
      moderates: (user) => {
        const member = known.get(user);
        return member !== undefined && member.former !== true && member.role !== 'member';
      },
      count: members?.filter(({ former }) => former !== true).length,
    }),
    [known, members],
  );
}
