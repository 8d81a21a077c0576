-- What a user calls a run: one name at most, which no other run has, and any number of tags.
CREATE TABLE run_labels (
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    PRIMARY KEY (run_id, kind, label)
);
