/** What the api says, as in `/api/openapi.json`. Times are RFC 3339. */

export interface Me {
  readonly id: number;
  readonly nickname: string;
  readonly email: string;
  readonly role: 'GUEST' | 'USER' | 'ADMIN';
  readonly locale: string;
}

export interface SessionAnswer {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly user: Me;
}

export type Kind = 'club' | 'oneday';

export interface MeetupSummary {
  readonly id: number;
  readonly kind: Kind;
  readonly title: string;
  readonly category: string;
  readonly capacity: number;
  readonly memberCount: number;
  readonly startsAt: string | null;
  readonly place: string | null;
  readonly createdAt: string;
}

export type MemberRole = 'owner' | 'host' | 'member';

export interface Meetup extends MeetupSummary {
  readonly content: string;
  readonly owner: { readonly id: number; readonly nickname: string };
  readonly myRole: MemberRole | null;
}

export interface Member {
  readonly userId: number;
  readonly nickname: string;
  readonly role: MemberRole;
  readonly joinedAt: string;
  /** Has left; listed so that old messages keep their names. */
  readonly former?: boolean;
}

export interface Category {
  readonly key: string;
  readonly ko: string;
  readonly en: string;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins, or null at the end. */
  readonly next: number | null;
}

export interface NewClub {
  readonly kind: 'club';
  readonly title: string;
  readonly content: string;
  readonly category: string;
  readonly capacity: number;
}

export interface Configuration {
  /** The engine's WebSocket. */
  readonly engineUrl: string;
  /** Mails are at `/dev/mailbox`. */
  readonly development?: boolean;
}
