-- migrate:up
SET LOCAL lock_timeout = '2s';

-- Expand: money in whole cents takes the place of `amount`. The trigger keeps both in step while
-- versions that know only one of them run beside each other; db/contract takes the old one away.
ALTER TABLE disputes ADD COLUMN amount_cents bigint CHECK (amount_cents >= 0);

CREATE FUNCTION disputes_amount_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.amount_cents IS NULL THEN
    NEW.amount_cents := round(NEW.amount * 100);
  ELSE
    NEW.amount := NEW.amount_cents / 100.0;
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER disputes_amount_in_step BEFORE INSERT OR UPDATE ON disputes
  FOR EACH ROW EXECUTE FUNCTION disputes_amount_in_step();

UPDATE disputes SET amount_cents = round(amount * 100) WHERE amount IS NOT NULL;

-- migrate:down
SET LOCAL lock_timeout = '2s';
DROP TRIGGER disputes_amount_in_step ON disputes;
DROP FUNCTION disputes_amount_in_step();
ALTER TABLE disputes DROP COLUMN amount_cents;
