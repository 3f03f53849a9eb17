-- Clubs and onedays, and who is in them.

create table meetups (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('club', 'oneday')),
    owner_id bigint not null references users,
    title text not null check (title <> ''),
    content text not null default '',
    category text not null,
    capacity integer not null check (capacity between 2 and 100000),
    -- Kept by the statement that changes memberships, so that a place is taken atomically.
    member_count integer not null default 0 check (member_count >= 0 and member_count <= capacity),
    starts_at timestamptz,
    ends_at timestamptz,
    time_zone text,
    place text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    check (kind = 'club' or starts_at is not null)
);
create index meetups_newest_idx on meetups (id desc) where deleted_at is null;
create index meetups_owner_idx on meetups (owner_id);
create trigger meetups_touch before update on meetups for each row execute function touch_updated_at();

-- One row for each person who is or was a member. It stays when they leave: its version orders the events
-- that tell of it.
create table memberships (
    meetup_id bigint not null references meetups on delete cascade,
    user_id bigint not null references users on delete cascade,
    role text not null default 'member' check (role in ('owner', 'host', 'member')),
    state text not null check (state in ('member', 'left', 'banned')),
    version bigint not null default 1,
    joined_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (meetup_id, user_id)
);
create index memberships_user_idx on memberships (user_id, meetup_id) where state = 'member';
create trigger memberships_touch before update on memberships
    for each row execute function touch_updated_at();

-- Events on their way to `meetup.events`. A relay takes them in order and deletes what was delivered.
create table outbox (
    id bigint generated always as identity primary key,
    key text not null,
    payload jsonb not null,
    created_at timestamptz not null default now()
);
create function notify_outbox() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', '');
    return null;
end $$;
create trigger outbox_notify after insert on outbox for each statement execute function notify_outbox();
