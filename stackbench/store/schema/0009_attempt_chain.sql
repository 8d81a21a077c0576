-- What was committed, in its order: each entry's hash covers the one before it, so that a row that was changed, removed, added
-- or moved afterwards does not fit. Runs of older versions have no entries.
CREATE TABLE attempt_chain (
    run_id VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    benchmark VARCHAR,
    task_id VARCHAR,
    attempt INTEGER,
    seed BIGINT,
    row_sha256 VARCHAR NOT NULL,
    chain_sha256 VARCHAR NOT NULL
);
