-- The range of repeated measurements stands in columns of its own: it is no confidence interval.
ALTER TABLE metrics ADD COLUMN low DOUBLE;
ALTER TABLE metrics ADD COLUMN high DOUBLE;
UPDATE metrics SET low = ci_low, high = ci_high, ci_low = NULL, ci_high = NULL, stderr = NULL
WHERE benchmark = 'throughput';
