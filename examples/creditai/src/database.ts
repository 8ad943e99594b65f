import pg from "pg";
import type { Logger } from "pino";

/** Open a pool. Nothing is connected until the first question. */
export function openDatabase(url: string, log: Logger, connections = 10): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
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
