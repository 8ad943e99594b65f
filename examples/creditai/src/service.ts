import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { createApp } from "./app.js";
import type { Build } from "./build.js";
import type { Config } from "./config.js";
import { openDatabase } from "./database.js";
import { startHeartbeat } from "./heartbeat.js";
import { Metrics } from "./metrics.js";
import { GOING_AWAY, Notifications, SERVICE_RESTART } from "./notifications.js";
import type { Parts } from "./parts.js";
import { openRedis } from "./redis.js";
import { Sessions } from "./sessions.js";
import { Uploads } from "./uploads.js";

/** Longer than any proxy in front keeps a connection: it closes first, so no request meets a closing one. */
const KEEP_ALIVE_MS = 75_000;
const SWEEP_IDLE_MS = 50;

export interface Service {
  port: number;
  /** Send WebSockets elsewhere (1012) and take no new ones; HTTP goes on. */
  drain(): void;
  /** Take WebSockets again. */
  reopen(): void;
  /** Finish what is in flight, close WebSockets (1001) and everything else. True if nothing had to be cut. */
  stop(): Promise<boolean>;
}

/** Connect the parts and listen. */
export async function startService(config: Config, build: Build, log: Logger): Promise<Service> {
  const database = openDatabase(config.databaseUrl, log);
  const probe = openDatabase(config.databaseUrl, log, 1);
  const redis = config.redisUrl ? openRedis(config.redisUrl, log) : undefined;
  const subscriber = config.redisUrl ? openRedis(config.redisUrl, log) : undefined;
  const metrics = new Metrics(build.version, config.instance);
  const greeting = { version: build.version, instance: config.instance };
  const parts: Parts = {
    config,
    build,
    log,
    database,
    probe,
    redis,
    metrics,
    notifications: new Notifications(greeting, redis, subscriber, metrics, log),
    sessions: new Sessions(redis),
    uploads: new Uploads(config.uploadsDir, database, config.uploadLimit),
    state: { stopping: false },
  };
  await parts.uploads.prepare();
  const server = createServer(createApp(parts));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = KEEP_ALIVE_MS + 1_000;
  parts.notifications.attach(server);
  await listen(server, config.port);
  const stopHeartbeat = startHeartbeat(database, config.heartbeatSeconds, log);

  async function stop(): Promise<boolean> {
    parts.state.stopping = true;
    parts.notifications.drain(GOING_AWAY, "stopping");
    const clean = await closeServer(server, config.shutdownSeconds * 1000, parts);
    stopHeartbeat();
    redis?.disconnect();
    subscriber?.disconnect();
    await Promise.all([database.end(), probe.end()]);
    return clean;
  }

  return {
    port: (server.address() as AddressInfo).port,
    drain: () => {
      log.info(
        { closed: parts.notifications.drain(SERVICE_RESTART, "moving to another instance") },
        "draining",
      );
    },
    reopen: () => {
      parts.notifications.reopen();
      log.info("taking WebSockets again");
    },
    stop,
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Let requests in flight end, up to a limit; connections that only wait are closed as they fall idle. */
function closeServer(server: Server, limitMs: number, parts: Parts): Promise<boolean> {
  return new Promise((resolve) => {
    let clean = true;
    const sweep = setInterval(() => {
      server.closeIdleConnections();
    }, SWEEP_IDLE_MS);
    const cut = setTimeout(() => {
      clean = false;
      parts.log.warn("time is up: cutting what is still in flight");
      parts.notifications.stop();
      server.closeAllConnections();
    }, limitMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      parts.notifications.stop();
      resolve(clean);
    });
    server.closeIdleConnections();
  });
}
