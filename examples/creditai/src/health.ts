import type { Redis } from "ioredis";
import type { Pool } from "pg";

export interface Check {
  ok: boolean;
  detail?: string;
}

export interface Readiness {
  ok: boolean;
  checks: Record<string, Check>;
}

const LIMIT_MS = 1_500;

async function check(question: () => Promise<unknown>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${LIMIT_MS} ms`));
    }, LIMIT_MS);
  });
  try {
    await Promise.race([question(), late]);
    return { ok: true };
  } catch (error) {
    return { ok: false, detail: (error as Error).message || String((error as { code?: string }).code) };
  } finally {
    clearTimeout(timer);
  }
}

/** Ask what the service needs: the database with its tables, and Redis where there is one. */
export async function readiness(
  database: Pool,
  redis: Redis | undefined,
  stopping: boolean,
): Promise<Readiness> {
  const [postgres, cache] = await Promise.all([
    check(() => database.query("SELECT 1 FROM disputes LIMIT 1")),
    redis && check(() => redis.ping()),
  ]);
  const checks: Record<string, Check> = { postgres };
  if (cache) checks.redis = cache;
  if (stopping) checks.process = { ok: false, detail: "stopping" };
  return { ok: Object.values(checks).every((one) => one.ok), checks };
}
