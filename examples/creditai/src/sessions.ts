import { createHash, randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import type { Account } from "./accounts.js";
import { Problem } from "./problem.js";

export const SESSION_COOKIE = "creditai_session";
export const SESSION_SECONDS = 8 * 3600;
export const SESSION_PREFIX = "session:";

/** Redis holds the token's hash: who reads a copy of Redis cannot take over a session. */
function keyOf(token: string): string {
  return SESSION_PREFIX + createHash("sha256").update(token).digest("hex");
}

export class Sessions {
  constructor(private readonly redis: Redis | undefined) {}

  /** Start a session and return the token for the cookie. */
  async start(account: Account): Promise<string> {
    const token = randomBytes(32).toString("base64url");
    await this.store.set(keyOf(token), JSON.stringify(account), "EX", SESSION_SECONDS);
    return token;
  }

  async find(token: string | undefined): Promise<Account | undefined> {
    if (!token) return undefined;
    const text = await this.store.get(keyOf(token));
    return text === null ? undefined : (JSON.parse(text) as Account);
  }

  async end(token: string | undefined): Promise<void> {
    if (token) await this.store.del(keyOf(token));
  }

  private get store(): Redis {
    if (!this.redis) throw new Problem(503, "no-sessions", "This instance runs without Redis: no sessions");
    return this.redis;
  }
}

/** Read one cookie of a request's Cookie header. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? "").split(";")) {
    const [key, value] = pair.split("=", 2);
    if (key?.trim() === name) return value?.trim();
  }
  return undefined;
}
