-- migrate:up
SET LOCAL lock_timeout = '2s';

CREATE TABLE accounts (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      text NOT NULL UNIQUE CHECK (email = lower(email)),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE disputes (
  id              uuid PRIMARY KEY,
  account_id      bigint NOT NULL REFERENCES accounts (id),
  creditor        text NOT NULL CHECK (length(creditor) BETWEEN 1 AND 200),
  reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
  amount          numeric(14, 2) CHECK (amount >= 0),
  -- One request, one dispute: the key a client sends, and what it sent with it.
  idempotency_key text NOT NULL UNIQUE,
  request_sha256  text NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX disputes_newest ON disputes (created_at DESC, id DESC);
CREATE INDEX disputes_account ON disputes (account_id);

-- The service's own role, where the cluster has it, may change data and nothing else. The default
-- privileges say the same for every table that later migrations make.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'creditai') AND current_user <> 'creditai' THEN
    GRANT USAGE ON SCHEMA public TO creditai;
    GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, disputes TO creditai;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO creditai;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO creditai;
  END IF;
END
$$;

-- migrate:down
SET LOCAL lock_timeout = '2s';
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'creditai') AND current_user <> 'creditai' THEN
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM creditai;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM creditai;
  END IF;
END
$$;
DROP TABLE disputes;
DROP TABLE accounts;
