-- Which benchmark and which replicate a tool call belongs to: task, attempt and step alone do not tell.
ALTER TABLE tool_calls ADD COLUMN benchmark VARCHAR;
ALTER TABLE tool_calls ADD COLUMN seed BIGINT;
