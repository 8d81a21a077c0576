CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    suite VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    model VARCHAR NOT NULL,
    config JSON NOT NULL,
    seeds BIGINT[] NOT NULL,
    git_commit VARCHAR,
    environment JSON NOT NULL
);

CREATE TABLE attempts (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    seed BIGINT NOT NULL,
    category VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    score DOUBLE,
    passed BOOLEAN,
    error VARCHAR,
    prompt VARCHAR,
    completion VARCHAR,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    started_at TIMESTAMP NOT NULL,
    latency_s DOUBLE,
    metrics JSON,
    PRIMARY KEY (run_id, benchmark, task_id, attempt, seed)
);

CREATE TABLE events (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    kind VARCHAR NOT NULL,
    payload JSON
);

CREATE TABLE tool_calls (
    run_id VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    tool VARCHAR NOT NULL,
    arguments JSON,
    valid BOOLEAN NOT NULL,
    result VARCHAR,
    error VARCHAR,
    duration_ms DOUBLE
);

CREATE TABLE metrics (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    stderr DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT,
    PRIMARY KEY (run_id, benchmark, category, name)
);

CREATE TABLE resources (
    run_id VARCHAR NOT NULL,
    ts TIMESTAMP NOT NULL,
    gpu INTEGER,
    gpu_util DOUBLE,
    vram_used BIGINT,
    vram_total BIGINT,
    cpu DOUBLE,
    rss BIGINT,
    kv_cache DOUBLE,
    tokens_per_s DOUBLE,
    running INTEGER,
    waiting INTEGER
);
