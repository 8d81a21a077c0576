-- What an answer is made of: the model's reasoning apart from it, the program taken out of it, and why it ended.
ALTER TABLE attempts ADD COLUMN thought VARCHAR;
ALTER TABLE attempts ADD COLUMN program VARCHAR;
ALTER TABLE attempts ADD COLUMN finish_reason VARCHAR;
