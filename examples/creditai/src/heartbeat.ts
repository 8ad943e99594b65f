import type { Pool } from "pg";
import type { Logger } from "pino";

const KEEP = "2 days";
const SWEEP_EVERY = 1_000;

/**
 * Write a row every few seconds: the newest that a recovery brings back shows how much was lost.
 *
 * @returns A function that stops it.
 */
export function startHeartbeat(database: Pool, seconds: number, log: Logger): () => void {
  if (seconds === 0) return () => undefined;
  let beats = 0;
  async function beat(): Promise<void> {
    try {
      await database.query("INSERT INTO heartbeat DEFAULT VALUES");
      if (beats++ % SWEEP_EVERY === 0) {
        await database.query("DELETE FROM heartbeat WHERE at < now() - $1::interval", [KEEP]);
      }
    } catch (error) {
      log.warn({ err: error }, "no heartbeat written");
    }
  }
  void beat();
  const timer = setInterval(() => void beat(), seconds * 1000);
  return () => {
    clearInterval(timer);
  };
}
