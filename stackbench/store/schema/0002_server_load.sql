-- What a model server tells of itself each second, beside what the first schema holds.
ALTER TABLE resources ADD COLUMN prefix_queries BIGINT;
ALTER TABLE resources ADD COLUMN prefix_hits BIGINT;
ALTER TABLE resources ADD COLUMN preemptions BIGINT;
