import { Redis } from "ioredis";
import type { Logger } from "pino";

/** Open a connection that comes back by itself and never lets a request wait for long. */
export function openRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
    maxRetriesPerRequest: 1,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  redis.on("error", (error: Error) => {
    log.warn({ err: error }, "Redis is not there");
  });
  return redis;
}
