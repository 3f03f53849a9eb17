import { useCallback } from 'react';
import { useApi, useInbox } from '../api/api.tsx';
import { Link, useTitle } from '../router.tsx';
import { useText } from '../text/text.tsx';
import { Show, useLoaded } from '../ui/loaded.tsx';
import { MeetupCard } from './meetup-card.tsx';

/** The meetups one is a member of, each a way into its chat. */
export function MyMeetupsPage() {
  const api = useApi();
  const text = useText();
  useTitle(text.myMeetups, text.brand);
  const { rooms } = useInbox();
  const [mine, reload] = useLoaded(useCallback(() => api.myMeetups(), [api]));
  return (
    <>
      <h1 tabIndex={-1}>{text.myMeetups}</h1>
      <Show loaded={mine} reload={reload}>
        {(meetups) =>
          meetups.length === 0 ? (
            <div className="notice">
              <p>{text.noMyMeetups}</p>
              <Link href="/" className="button">
                {text.findMeetups}
              </Link>
            </div>
          ) : (
            <ul className="cards">
              {meetups.map((meetup) => (
                <MeetupCard
                  key={meetup.id}
                  meetup={meetup}
                  href={`/meetups/${meetup.id}/chat`}
                  room={rooms.get(meetup.id)}
                />
              ))}
            </ul>
          )
        }
      </Show>
    </>
  );
}
