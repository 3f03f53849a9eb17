import { useEffect, useRef } from 'react';
import { LogInPage } from './account/log-in-page.tsx';
import { SignUpPage } from './account/sign-up-page.tsx';
import { ApiProvider, useApi, useInbox, useMe } from './api/api.tsx';
import { ChatPage } from './chat-room/chat-page.tsx';
import { CategoriesProvider } from './meetups/category.tsx';
import { MeetupPage } from './meetups/meetup-page.tsx';
import { MeetupsPage } from './meetups/meetups-page.tsx';
import { MyMeetupsPage } from './meetups/my-meetups-page.tsx';
import { NewClubPage } from './meetups/new-club-page.tsx';
import { Link, navigate, parseRoute, type Route, usePath } from './router.tsx';
import { TextProvider, useLanguage, useText } from './text/text.tsx';
import { Avatar } from './ui/avatar.tsx';
import { Badge } from './ui/badge.tsx';
import { Icon } from './ui/icon.tsx';

export function App() {
  return (
    <TextProvider>
      <ApiProvider>
        <CategoriesProvider>
          <Shell />
        </CategoriesProvider>
      </ApiProvider>
    </TextProvider>
  );
}

function Shell() {
  const text = useText();
  const path = usePath();
  const [pathname = '/', search] = path.split('?');
  const route = parseRoute(pathname, search);
  const main = useRef<HTMLElement>(null);
  const previous = useRef(path);

  // On a new page the reading starts at its heading, as it would after a page load.
  useEffect(() => {
    if (previous.current === path) return;
    previous.current = path;
    if (!main.current?.contains(document.activeElement)) {
      main.current?.querySelector('h1')?.focus({ preventScroll: true });
    }
  }, [path]);

  return (
    <div className="shell" data-page={route.page}>
      <a href="#main" className="skip">
        {text.skipToContent}
      </a>
      <Header route={route} />
      <main id="main" ref={main}>
        <Page route={route} path={path} />
      </main>
    </div>
  );
}

function Page({ route, path }: { readonly route: Route; readonly path: string }) {
  const me = useMe();
  switch (route.page) {
    case 'meetups':
      return <MeetupsPage />;
    case 'meetup':
      // Joining and leaving belong to a person: somebody else's page is another page.
      return <MeetupPage key={me?.id ?? 0} id={route.id} />;
    case 'log-in':
      return me === undefined ? <LogInPage next={route.next} /> : <GoTo path={route.next} />;
    case 'sign-up':
      return me === undefined ? <SignUpPage next={route.next} /> : <GoTo path={route.next} />;
    case 'not-found':
      return <NotFound />;
  }
  if (me === undefined) return <GoTo path={`/log-in?next=${encodeURIComponent(path)}`} />;
  switch (route.page) {
    case 'mine':
      return <MyMeetupsPage />;
    case 'new-club':
      return <NewClubPage />;
    case 'chat':
      return <ChatPage id={route.id} />;
  }
}

function GoTo({ path }: { readonly path: string }) {
  useEffect(() => navigate(path, { replace: true }), [path]);
  return null;
}

function NotFound() {
  const text = useText();
  return (
    <div className="notice">
      <h1 tabIndex={-1}>{text.notFound}</h1>
      <Link href="/" className="button">
        {text.backToMeetups}
      </Link>
    </div>
  );
}

function Header({ route }: { readonly route: Route }) {
  const { session } = useApi();
  const { text, language, choose } = useLanguage();
  const me = useMe();
  const { total, more } = useInbox();
  const other = language === 'ko' ? 'en' : 'ko';
  const current = (page: Route['page']) => (route.page === page ? 'page' : undefined);
  return (
    <header className="top">
      <Link href="/" className="brand">
        <span className="brand-mark" aria-hidden="true" />
        {text.brand}
      </Link>
      <nav className="main-nav" aria-label={text.mainNavigation}>
        <Link href="/" aria-current={current('meetups')}>
          <Icon name="home" />
          {text.home}
        </Link>
        {me !== undefined && (
          <>
            <Link href="/me/meetups" aria-current={current('mine') ?? current('chat')}>
              <Icon name="chats" />
              {text.myMeetups}
              <Badge count={total} more={more} />
            </Link>
            <Link href="/new" aria-current={current('new-club')}>
              <Icon name="plus" />
              {text.newClub}
            </Link>
          </>
        )}
      </nav>
      <div className="top-end">
        <button type="button" className="plain" lang={other} onClick={() => choose(other)}>
          {text.otherLanguage}
        </button>
        {me === undefined ? (
          <Link href="/log-in" className="plain strong">
            {text.logIn}
          </Link>
        ) : (
          <>
            <span className="me">
              <Avatar id={me.id} name={me.nickname} />
              <span className="me-name">{me.nickname}</span>
            </span>
            <button
              type="button"
              className="plain"
              onClick={() => {
                void session.logOut();
                navigate('/');
              }}
            >
              {text.logOut}
            </button>
          </>
        )}
      </div>
    </header>
  );
}
