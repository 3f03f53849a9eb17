-- Edits and deletions: records of their own that change the row they are about.

alter table chat_messages
    -- The message that an `edited` (kind 3) or `deleted` (kind 4) row is about.
    add column target bigint,
    -- The seq of the last edit or deletion that this row shows; null: as it was sent. An edit older than it, and any
    -- edit of a deleted message, changes nothing.
    add column changed bigint,
    -- The content is gone for good.
    add column deleted boolean not null default false;

-- Finds the earlier edits of a message: what they said goes with the next edit or the deletion.
create index chat_messages_target_idx on chat_messages (room_id, target) where target is not null;

-- Finds the last minutes of the log, to recognise a repeated SEND after a restart. A few pages for a hundred million
-- rows, since rows lie in the order of time.
create index chat_messages_sent_at_idx on chat_messages using brin (sent_at) with (pages_per_range = 32, autosummarize = on);
