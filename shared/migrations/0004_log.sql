-- Edits and deletions: records of their own that change the row they are about.

alter table chat_messages
    -- The message that an `edited` (kind 3) or `deleted` (kind 4) row is about.
    add column target bigint,
    -- The seq of the last edit or deletion that this row shows; null: as it was sent. An edit older than it, and any
    -- edit of a deleted message, changes nothing.
    add column changed bigint,
    -- The content is gone for good.
    add column deleted boolean not null default false,
    -- What an `edited` or `deleted` row is known by when it is sent again (the engine's `Key`; 16 bytes): its body, in
    -- which every other kind has its client-id, may be emptied. Null costs nothing: the row has nulls already.
    add column repeat_key bytea;

-- Two keys instead of one, each row in one of them, so that writing costs the same: what a page of history shows, and
-- the changes that a replay repeats. A page then steps over no changes, however many there were in between, and a
-- replay over none that a later one has overtaken (their body is empty).
-- A query that names a room must say which it wants: `kind < 3`, or `kind >= 3 and body <> ''`; all changes
-- are found by `target is not null`.
alter table chat_messages drop constraint chat_messages_pkey;
create unique index chat_messages_shown_key on chat_messages (room_id, seq) where kind < 3;
create unique index chat_messages_changes_key on chat_messages (room_id, seq) where kind >= 3 and body <> '';
-- Without a primary key, logical replication would refuse edits. Costs nothing where there is none.
alter table chat_messages replica identity full;

-- Finds the earlier edits of a message: what they said goes with the next edit or the deletion.
create index chat_messages_target_idx on chat_messages (room_id, target) where target is not null;

-- Finds the last minutes of the log, to recognise a repeated SEND after a restart. A few pages for a hundred million
-- rows, since rows lie in the order of time.
create index chat_messages_sent_at_idx on chat_messages using brin (sent_at) with (pages_per_range = 32, autosummarize = on);

-- Finds the last joining or leaving of a person that a room has shown, so that an old event is not shown again. Most rows
-- are neither, and cost nothing here.
create index chat_messages_membership_idx on chat_messages (room_id, sender_id, seq) where kind in (1, 2);
