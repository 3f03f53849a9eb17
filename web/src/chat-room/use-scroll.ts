import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { RoomView } from '../chat/index.ts';

/** Within this many pixels of the end, one is looking at the newest message. */
const NEAR = 60;

export interface Scroll {
  readonly scroller: RefObject<HTMLDivElement | null>;
  /** Stands above the oldest message: when it comes near, older ones are fetched. */
  readonly top: RefObject<HTMLDivElement | null>;
  readonly onScroll: () => void;
  /** Messages have arrived below what one is looking at. */
  readonly hasNews: boolean;
  readonly isAtEnd: boolean;
  readonly toEnd: () => void;
}

/**
 * Keeps the chat where the reader expects it: at the newest message for somebody who is there, and still for
 * somebody who reads further up, whatever is added above or below.
 */
export function useScroll(view: RoomView, loadOlder: () => void): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const top = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const height = useRef(0);
  const [isAtEnd, setAtEnd] = useState(true);
  const [hasNews, setNews] = useState(false);
  const first = view.entries[0]?.seq;
  const last = view.entries.at(-1)?.seq;
  const outgoing = view.outgoing.length;
  const before = useRef({ first, last, outgoing });

  const onScroll = useCallback(() => {
    const box = scroller.current;
    if (box === null) return;
    atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    setAtEnd(atEnd.current);
    if (atEnd.current) setNews(false);
  }, []);

  const toEnd = useCallback(() => {
    const box = scroller.current;
    if (box !== null) box.scrollTop = box.scrollHeight;
  }, []);

  useLayoutEffect(() => {
    const box = scroller.current;
    if (box === null) return;
    const was = before.current;
    before.current = { first, last, outgoing };
    const isOwnNew = outgoing > was.outgoing;
    if (atEnd.current || isOwnNew) box.scrollTop = box.scrollHeight;
    else if (first !== was.first) box.scrollTop += box.scrollHeight - height.current;
    else if (last !== was.last) setNews(true);
    height.current = box.scrollHeight;
  });

  // The on-screen keyboard, a rotated phone, a taller input: the end stays in sight.
  useEffect(() => {
    const box = scroller.current;
    if (box === null) return;
    const observer = new ResizeObserver(() => {
      if (atEnd.current) box.scrollTop = box.scrollHeight;
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, []);

  // Observed anew after each page, so that one that does not fill the screen brings the next.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  useEffect(() => {
    if (top.current === null || view.atStart || view.status !== 'live') return;
    const observer = new IntersectionObserver(
      ([seen]) => {
        if (seen?.isIntersecting) loadOlder();
      },
      { root: scroller.current, rootMargin: '600px 0px 0px' },
    );
    observer.observe(top.current);
    return () => observer.disconnect();
  }, [first, view.atStart, view.status, loadOlder]);

  return { scroller, top, onScroll, hasNews, isAtEnd, toEnd };
}
