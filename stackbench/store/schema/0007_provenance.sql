-- Events name their replicate in a column, metrics keep their benchmark's order and say what their interval is, attempts say
-- why they passed too, and texts that requests share are stored once.
CREATE TABLE texts (
    sha256 VARCHAR PRIMARY KEY,
    text VARCHAR NOT NULL
);

ALTER TABLE attempts ADD COLUMN reason VARCHAR;

CREATE TABLE events_with_seed (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    seed BIGINT,
    seq BIGINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    kind VARCHAR NOT NULL,
    payload JSON
);

INSERT INTO events_with_seed
SELECT run_id, benchmark, task_id, attempt, TRY_CAST(payload ->> '$.seed' AS BIGINT), seq, ts, kind, payload FROM events;

DROP TABLE events;

ALTER TABLE events_with_seed RENAME TO events;

CREATE TABLE metrics_in_order (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    stderr DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT,
    low DOUBLE,
    high DOUBLE,
    interval_kind VARCHAR,
    position INTEGER NOT NULL,
    PRIMARY KEY (run_id, benchmark, category, name)
);

INSERT INTO metrics_in_order
SELECT m.run_id, m.benchmark, m.category, m.name, value, stderr, ci_low, ci_high, n, low, high,
    CASE WHEN low IS NOT NULL THEN 'range' WHEN ci_low IS NOT NULL THEN 'confidence' END,
    row_number() OVER (PARTITION BY m.run_id, m.benchmark ORDER BY m.rowid) - 1
FROM metrics m LEFT JOIN ranges USING (run_id, benchmark, category, name);

DROP TABLE metrics;

DROP TABLE ranges;

ALTER TABLE metrics_in_order RENAME TO metrics;
