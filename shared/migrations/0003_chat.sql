-- The chat log as rows, how far it reaches, and where everybody has read to.

-- The room of a meetup, under the meetup's own number.
create table chat_rooms (
    id bigint primary key references meetups on delete cascade,
    created_at timestamptz not null default now(),
    closed_at timestamptz
);

-- The logs this installation has used, the last one in use: `seq = epoch * 2^40 + offset`.
create table log_epochs (
    epoch smallint primary key check (epoch between 1 and 8191),
    backend text not null check (backend in ('embedded', 'kafka')),
    partitions integer not null check (partitions >= 1),
    created_at timestamptz not null default now()
);

-- How far each partition has got, moved in the transaction that writes its rows.
create table log_progress (
    epoch smallint not null references log_epochs on delete cascade,
    partition integer not null check (partition >= 0),
    -- Rows of every lower offset are in chat_messages. Embedded: also the next offset to be given out.
    next_offset bigint not null default 0 check (next_offset >= 0),
    -- The reading state has been told of every lower offset.
    told_offset bigint not null default 0 check (told_offset >= 0 and told_offset <= next_offset),
    primary key (epoch, partition)
);

-- One row for each record. No foreign keys: rows arrive by COPY, and a room's rows go with the room's purge.
create table chat_messages (
    room_id bigint not null,
    seq bigint not null,
    -- 0 message, 1 joined, 2 left (the engine's RecordKind).
    kind smallint not null,
    -- Null for what nobody sent.
    sender_id bigint,
    sent_at timestamptz not null,
    -- The JSON that subscribers get, byte for byte; hence text and not jsonb.
    body text not null,
    primary key (room_id, seq)
);

-- The seq up to which each member has read. No row: not a member.
create table read_positions (
    room_id bigint not null,
    user_id bigint not null,
    seq bigint not null check (seq >= 0),
    primary key (room_id, user_id)
);
