select progress.next_offset, message.seq, message.kind, message.sender_id, message.target, message.sent_at, message.body
from log_progress as progress
left join lateral (
    select seq, kind, sender_id, target, sent_at, body
    from chat_messages
    where room_id = $3 and seq < $4
    order by seq desc
    limit $5
) as message on true
where progress.epoch = $1 and progress.partition = $2
order by message.seq desc
