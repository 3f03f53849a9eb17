import { type AnchorHTMLAttributes, type MouseEvent, useEffect, useSyncExternalStore } from 'react';

/** Every page there is. */
export type Route =
  | { readonly page: 'meetups' }
  | { readonly page: 'mine' }
  | { readonly page: 'new-club' }
  | { readonly page: 'meetup'; readonly id: number }
  | { readonly page: 'chat'; readonly id: number }
  | { readonly page: 'log-in' | 'sign-up'; readonly next: string }
  | { readonly page: 'not-found' };

/** Which page a path shows. */
export function parseRoute(path: string, search = ''): Route {
  const meetup = path.match(/^\/meetups\/(\d{1,15})(\/chat)?\/?$/);
  if (meetup) return { page: meetup[2] === undefined ? 'meetup' : 'chat', id: Number(meetup[1]) };
  switch (path.replace(/\/$/, '')) {
    case '':
    case '/meetups':
      return { page: 'meetups' };
    case '/me/meetups':
      return { page: 'mine' };
    case '/new':
      return { page: 'new-club' };
    case '/log-in':
      return { page: 'log-in', next: ownPath(new URLSearchParams(search).get('next')) };
    case '/sign-up':
      return { page: 'sign-up', next: ownPath(new URLSearchParams(search).get('next')) };
    default:
      return { page: 'not-found' };
  }
}

/** Where to go afterwards, if it is a page of ours: `//elsewhere` and `/\elsewhere` are not. */
function ownPath(path: string | null): string {
  return path !== null && /^\/(?![/\\])/.test(path) ? path : '/';
}

const moved = new EventTarget();

/** Goes to another page of ours. */
export function navigate(path: string, { replace = false } = {}): void {
  if (path === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  window.scrollTo(0, 0);
  moved.dispatchEvent(new Event('moved'));
}

function listen(listener: () => void): () => void {
  moved.addEventListener('moved', listener);
  window.addEventListener('popstate', listener);
  return () => {
    moved.removeEventListener('moved', listener);
    window.removeEventListener('popstate', listener);
  };
}

/** The path shown now, with its query. */
export function usePath(): string {
  return useSyncExternalStore(listen, () => location.pathname + location.search);
}

/** A link within the page; a click with a modifier does what the browser does. */
export function Link({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { readonly href: string }) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}

/** Names the page in the tab. */
export function useTitle(title: string | undefined, brand: string): void {
  useEffect(() => {
    document.title = title === undefined ? brand : `${title} · ${brand}`;
  }, [title, brand]);
}
