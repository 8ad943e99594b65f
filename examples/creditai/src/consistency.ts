/**
 * The service's own questions, from the command line: `node dist/consistency.js`.
 *
 * Needs DATABASE_URL and UPLOADS_DIR; REDIS_URL is asked too where it is set. Prints JSON and ends with 0
 * if all is well, 1 if an answer is no, 2 if a question could not be asked.
 */
import { destination, pino } from "pino";
import { askConsistency } from "./questions.js";
import { openDatabase } from "./database.js";
import { openRedis } from "./redis.js";

async function main(): Promise<number> {
  const { DATABASE_URL, UPLOADS_DIR, REDIS_URL } = process.env;
  if (!DATABASE_URL || !UPLOADS_DIR) throw new Error("DATABASE_URL and UPLOADS_DIR must be set");
  const log = pino({ level: "warn" }, destination(2));
  const database = openDatabase(DATABASE_URL, log);
  const redis = REDIS_URL ? openRedis(REDIS_URL, log) : undefined;
  try {
    const result = await askConsistency(database, UPLOADS_DIR, redis);
    process.stdout.write(JSON.stringify(result) + "\n");
    return result.ok ? 0 : 1;
  } finally {
    redis?.disconnect();
    await database.end();
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const message = (error as Error).message || String((error as { code?: string }).code);
    process.stdout.write(JSON.stringify({ ok: false, questions: [], error: message }) + "\n");
    process.exitCode = 2;
  },
);
