-- migrate:up
SET LOCAL lock_timeout = '2s';

-- The newest row that a recovery brings back says how much time was lost.
CREATE TABLE heartbeat (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX heartbeat_at ON heartbeat (at);

-- migrate:down
SET LOCAL lock_timeout = '2s';
DROP TABLE heartbeat;
