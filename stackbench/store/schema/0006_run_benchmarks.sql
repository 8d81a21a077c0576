-- What a run set out to do of each benchmark, and what its figures lack: the denominators of every score.
CREATE TABLE run_benchmarks (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    tasks_available INTEGER NOT NULL,
    tasks_planned INTEGER NOT NULL,
    attempts_planned INTEGER NOT NULL,
    task_ids VARCHAR[] NOT NULL,
    selection JSON NOT NULL,
    datasets JSON NOT NULL,
    skipped VARCHAR,
    lower_bounds JSON,
    missing_metrics JSON,
    PRIMARY KEY (run_id, benchmark)
);
