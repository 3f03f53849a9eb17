import postgres from 'postgres';

/** The instance's database, where the tests may look and write; only `run.mjs` says where it is. */
export const DATABASE = process.env.MOYIZA_DATABASE;

/** Bans somebody, as whoever may do so: the row, and the event that tells every node. */
export async function ban(meetup: string, nickname: string): Promise<void> {
  const sql = postgres(DATABASE ?? '', { max: 1 });
  try {
    const banned = await sql`
      with freed as (
        update meetups set member_count = member_count - 1 where id = ${meetup} returning id
      ), ended as (
        update memberships set state = 'banned', version = version + 1
        where meetup_id = (select id from freed) and state = 'member'
          and user_id = (select id from users where nickname = ${nickname})
        returning meetup_id, user_id, version
      )
      insert into outbox (key, payload)
      select 'meetup:' || meetup_id, jsonb_build_object('type', 'member-left', 'meetup', meetup_id,
        'user', user_id, 'version', version, 'reason', 'banned')
      from ended returning id`;
    if (banned.length !== 1) throw new Error(`${nickname} is no member of ${meetup}`);
  } finally {
    await sql.end();
  }
}
