import pg from "pg";
import type { Logger } from "pino";

/** Open a pool. Nothing is connected until the first question. */
export function openDatabase(url: string, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 2_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 5_000,
    application_name: "creditai",
  });
  // An idle connection that breaks is replaced by the pool; unheard, the event would end the process.
  pool.on("error", (error) => {
    log.warn({ err: error }, "an idle database connection broke");
  });
  return pool;
}

/** Run in one transaction; everything or nothing. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((second: unknown) => {
      broken = second as Error;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
