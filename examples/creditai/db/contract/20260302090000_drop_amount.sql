-- migrate:up
SET LOCAL lock_timeout = '2s';

-- Contract: only when no version that reads `amount` can be needed any more.
DROP TRIGGER disputes_amount_in_step ON disputes;
DROP FUNCTION disputes_amount_in_step();
ALTER TABLE disputes DROP COLUMN amount;

-- migrate:down
SET LOCAL lock_timeout = '2s';
ALTER TABLE disputes ADD COLUMN amount numeric(14, 2) CHECK (amount >= 0);
UPDATE disputes SET amount = amount_cents / 100.0 WHERE amount_cents IS NOT NULL;
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
