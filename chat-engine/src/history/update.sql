-- What edits and deletions make of messages that are rows already. A deletion is final, an older change is none.
with changed as (
    update chat_messages as message set body = change.body, changed = change.seq, deleted = change.deleted
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::boolean[])
        as change (room_id, target, body, seq, deleted)
    where message.room_id = change.room_id and message.seq = change.target and message.kind = 0
      and not message.deleted and (message.changed is null or message.changed < change.seq)
)
-- What earlier edits of them said is gone.
update chat_messages as edit set body = ''
from unnest($1::bigint[], $2::bigint[], $4::bigint[]) as change (room_id, target, seq)
where edit.room_id = change.room_id and edit.target = change.target and edit.kind = 3
  and edit.seq < change.seq and edit.body <> ''
