import type { MeetupSummary } from '../api/types.ts';
import { Link } from '../router.tsx';
import { formatStart } from '../text/format.ts';
import { useLanguage } from '../text/text.tsx';
import { Icon } from '../ui/icon.tsx';
import { CategoryName, CategoryTile } from './category.tsx';

/** A meetup in a list. */
export function MeetupCard({ meetup, href }: { readonly meetup: MeetupSummary; readonly href: string }) {
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
      </Link>
    </li>
  );
}
