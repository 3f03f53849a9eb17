-- People, their sessions and the keys that sign their tokens.

create function touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end $$;

create table users (
    id bigint generated always as identity primary key,
    email text not null,
    -- The rule "no account without a verified address" holds here, not in a front end.
    email_verified_at timestamptz not null,
    nickname text not null check (nickname <> ''),
    password_hash text,
    role text not null default 'USER' check (role in ('GUEST', 'USER', 'ADMIN')),
    locale text not null default 'ko' check (locale in ('ko', 'en')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    withdrawn_at timestamptz
);
create unique index users_email_key on users (lower(email));
create unique index users_nickname_key on users (lower(nickname));
create trigger users_touch before update on users for each row execute function touch_updated_at();

-- A one-time code for an address. Asking again replaces it.
create table verification_codes (
    email text not null,
    purpose text not null check (purpose in ('sign-up')),
    code_hash bytea not null,
    tries_left smallint not null default 5 check (tries_left >= 0),
    expires_at timestamptz not null,
    primary key (email, purpose)
);

-- One signed-in device.
create table sessions (
    id bigint generated always as identity primary key,
    user_id bigint not null references users on delete cascade,
    user_agent text,
    created_at timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    revoked_at timestamptz
);
create index sessions_user_idx on sessions (user_id);
create index sessions_revoked_idx on sessions (revoked_at) where revoked_at is not null;

-- Every refresh token a session has had, hashed (SHA-256 of 32 random bytes). A second use of one revokes
-- the session.
create table refresh_tokens (
    hash bytea primary key,
    session_id bigint not null references sessions on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_tokens_session_idx on refresh_tokens (session_id);

-- Ed25519 keys of access tokens. The engine reads the public half only; the other table can be kept from it.
create table signing_keys (
    kid text primary key,
    public_key bytea not null check (length(public_key) = 32),
    created_at timestamptz not null default now()
);
create table signing_secrets (
    kid text primary key references signing_keys on delete cascade,
    pkcs8 bytea not null
);

-- Development mode: mails and text messages that would have been sent.
create table dev_mailbox (
    id bigint generated always as identity primary key,
    recipient text not null,
    subject text not null,
    body text not null,
    created_at timestamptz not null default now()
);
create index dev_mailbox_recipient_idx on dev_mailbox (recipient, id);
