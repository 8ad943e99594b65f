import { hostname } from "node:os";

/** What the environment tells the service. What the build tells it is in build.ts. */
export interface Config {
  port: number;
  databaseUrl: string;
  /** `redis://…` or, over a socket, `unix://:PASSWORD@/run/redis/redis.sock`. Without it: no sessions. */
  redisUrl: string | undefined;
  uploadsDir: string;
  instance: string;
  logLevel: string;
  /** Seconds between heartbeat rows; 0 writes none. */
  heartbeatSeconds: number;
  /** Largest upload in bytes. */
  uploadLimit: number;
  /** Seconds that requests in flight get after SIGTERM. */
  shutdownSeconds: number;
  drainSignal: NodeJS.Signals;
  reopenSignal: NodeJS.Signals;
}

type Variables = Record<string, string | undefined>;

/** Read the settings, and name everything that is wrong with them at once. */
export function readConfig(variables: Variables): Config {
  const wrong: string[] = [];

  function required(name: string): string {
    const value = variables[name];
    if (!value) wrong.push(`${name} is not set`);
    return value ?? "";
  }
  function number(name: string, standard: number): number {
    const text = variables[name];
    const value = text ? Number(text) : standard;
    if (!Number.isFinite(value) || value < 0) wrong.push(`${name} is not a number: ${text ?? ""}`);
    return value;
  }
  function signal(name: string, standard: NodeJS.Signals): NodeJS.Signals {
    const value = variables[name] ?? standard;
    const possible = ["SIGUSR2", "SIGHUP", "SIGWINCH", "SIGCONT"];
    if (!possible.includes(value)) wrong.push(`${name} is not one of ${possible.join(", ")}: ${value}`);
    return value as NodeJS.Signals;
  }

  const config: Config = {
    port: number("PORT", 3000),
    databaseUrl: required("DATABASE_URL"),
    redisUrl: variables.REDIS_URL || undefined,
    uploadsDir: required("UPLOADS_DIR"),
    instance: variables.INSTANCE || hostname(),
    logLevel: variables.LOG_LEVEL || "info",
    heartbeatSeconds: number("HEARTBEAT_SECONDS", 5),
    uploadLimit: number("UPLOAD_LIMIT", 10 * 1024 * 1024),
    shutdownSeconds: number("SHUTDOWN_SECONDS", 9),
    drainSignal: signal("DRAIN_SIGNAL", "SIGUSR2"),
    reopenSignal: signal("REOPEN_SIGNAL", "SIGHUP"),
  };
  if (wrong.length > 0) throw new Error(`The settings do not do: ${wrong.join("; ")}`);
  return config;
}
