-- The data sets that Redis has had. A restart, and a replica that took over, may have lost the last writes: whoever sees
-- one for the first time counts it, and rooms of an earlier count are loaded from read_positions again.
create table redis_runs (
    -- run_id and master_replid of a primary.
    run text primary key,
    generation bigint not null unique,
    seen_at timestamptz not null default now()
);
