-- What kept an attempt from being made or scored: infrastructure, the request, the benchmark.
ALTER TABLE attempts ADD COLUMN error_kind VARCHAR;
