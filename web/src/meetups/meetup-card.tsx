import type { MeetupSummary } from '../api/types.ts';
import type { RoomSummary } from '../chat/index.ts';
import { Link } from '../router.tsx';
import { formatStart } from '../text/format.ts';
import { useLanguage } from '../text/text.tsx';
import { Badge } from '../ui/badge.tsx';
import { Icon } from '../ui/icon.tsx';
import { CategoryName, CategoryTile } from './category.tsx';
import { LastMessage } from './last-message.tsx';

interface Props {
  readonly meetup: MeetupSummary;
  readonly href: string;
  /** Its room, for who is in it. */
  readonly room?: RoomSummary | undefined;
}

/** A meetup in a list. */
export function MeetupCard({ meetup, href, room }: Props) {
  const { text, language } = useLanguage();
  return (
    <li>
      <Link href={href} className="card">
        <CategoryTile category={meetup.category} />
        <div className="card-text">
          <p className="card-labels">
            <span className="kind" data-kind={meetup.kind}>
              {text[meetup.kind]}
            </span>
            <CategoryName category={meetup.category} />
          </p>
          <h2>{meetup.title}</h2>
          <LastMessage of={room} />
          <p className="card-facts">
            <span>
              <Icon name="people" />
              {text.memberCount(meetup.memberCount, meetup.capacity)}
            </span>
            {meetup.startsAt !== null && (
              <span>
                <Icon name="clock" />
                <time dateTime={meetup.startsAt}>{formatStart(meetup.startsAt, language)}</time>
              </span>
            )}
            {meetup.place !== null && (
              <span>
                <Icon name="place" />
                {meetup.place}
              </span>
            )}
          </p>
        </div>
        <Badge count={room?.unread} more={room?.more ?? false} />
      </Link>
    </li>
  );
}
