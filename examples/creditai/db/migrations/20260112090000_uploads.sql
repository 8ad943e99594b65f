-- migrate:up
SET LOCAL lock_timeout = '2s';

-- A row names a file by what is in it. The file is written, and durable, before the row.
CREATE TABLE uploads (
  sha256       text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size         bigint NOT NULL CHECK (size > 0),
  name         text NOT NULL,
  content_type text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now()
);

-- A new column without a default takes its lock for a moment only and rewrites nothing.
ALTER TABLE disputes ADD COLUMN document_sha256 text REFERENCES uploads (sha256);

-- migrate:down
SET LOCAL lock_timeout = '2s';
ALTER TABLE disputes DROP COLUMN document_sha256;
DROP TABLE uploads;
