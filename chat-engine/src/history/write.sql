-- One statement, and so one transaction and one round trip, for a batch of records of one partition.
with moved as (
    update log_progress set next_offset = $4, told_offset = greatest(told_offset, least($22, $4))
    where epoch = $1 and partition = $2 and next_offset = $3
    returning 1
), written as (
    insert into chat_messages (room_id, seq, kind, sender_id, target, sent_at, body, changed, deleted,
                               repeat_key)
    select * from unnest($5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::timestamptz[],
                         $11::text[], $12::bigint[], $13::boolean[], $23::bytea[])
    where exists (select from moved)
), joined as (
    insert into read_positions (room_id, user_id, seq)
    select * from unnest($14::bigint[], $15::bigint[], $16::bigint[])
    where exists (select from moved)
    on conflict (room_id, user_id) do update set seq = greatest(read_positions.seq, excluded.seq)
), advanced as (
    -- Only of members: whoever left meanwhile stays without a position.
    update read_positions as position set seq = sent.seq
    from unnest($17::bigint[], $18::bigint[], $19::bigint[]) as sent (room_id, user_id, seq)
    where position.room_id = sent.room_id and position.user_id = sent.user_id and position.seq < sent.seq
      and exists (select from moved)
), gone as (
    delete from read_positions as position
    using unnest($20::bigint[], $21::bigint[]) as went (room_id, user_id)
    where position.room_id = went.room_id and position.user_id = went.user_id and exists (select from moved)
)
select count(*) from moved
