-- The range of repeated measurements is no confidence interval: it stands in a table of its own.
CREATE TABLE ranges (
    run_id VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    PRIMARY KEY (run_id, benchmark, category, name)
);

INSERT INTO ranges SELECT run_id, benchmark, category, name, ci_low, ci_high FROM metrics
WHERE benchmark = 'throughput' AND ci_low IS NOT NULL AND ci_high IS NOT NULL;

UPDATE metrics SET stderr = NULL, ci_low = NULL, ci_high = NULL WHERE benchmark = 'throughput';
