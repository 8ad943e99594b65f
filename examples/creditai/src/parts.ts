import type { Redis } from "ioredis";
import type { Pool } from "pg";
import type { Logger } from "pino";
import type { Build } from "./build.js";
import type { Config } from "./config.js";
import type { Metrics } from "./metrics.js";
import type { Notifications } from "./notifications.js";
import type { Sessions } from "./sessions.js";
import type { Uploads } from "./uploads.js";

/** What the routes work with. */
export interface Parts {
  config: Config;
  build: Build;
  log: Logger;
  database: Pool;
  /** A connection of its own for readiness: a busy pool is slow, and slow is not "not ready". */
  probe: Pool;
  redis: Redis | undefined;
  metrics: Metrics;
  notifications: Notifications;
  sessions: Sessions;
  uploads: Uploads;
  state: { stopping: boolean };
}
