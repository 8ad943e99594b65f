import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { WebSocket } from "ws";
import { readConfig } from "../../src/config.js";
import { type Service, startService } from "../../src/service.js";

function need(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} must name a throw-away service with the migrations applied`);
  return value;
}

export const DATABASE_URL = need("DATABASE_URL");
export const REDIS_URL = need("REDIS_URL");

export function uploadsFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "creditai-uploads-"));
}

/** Take back what tests stored in a folder, rows and files, and nothing else. */
export async function forgetUploads(folder: string): Promise<void> {
  const database = new pg.Client(DATABASE_URL);
  await database.connect();
  const names = await readdir(folder);
  await database.query("UPDATE disputes SET document_sha256 = NULL WHERE document_sha256 = ANY($1)", [names]);
  await database.query("DELETE FROM uploads WHERE sha256 = ANY($1)", [names]);
  await database.end();
  await rm(folder, { recursive: true });
}

export interface Running {
  service: Service;
  base: string;
  uploads: string;
  stop: () => Promise<void>;
}

/** Start the service in this process. */
export async function start(changes: Record<string, string> = {}): Promise<Running> {
  const uploads = changes.UPLOADS_DIR ?? (await uploadsFolder());
  const standard = {
    PORT: "0",
    DATABASE_URL,
    REDIS_URL,
    UPLOADS_DIR: uploads,
    INSTANCE: "test",
    HEARTBEAT_SECONDS: "0",
  };
  const config = readConfig({ ...standard, ...changes });
  const service = await startService(config, { version: "test", fault: "none" }, pino({ level: "silent" }));
  const stop = async () => {
    await service.stop();
    if (!changes.UPLOADS_DIR) await forgetUploads(uploads);
  };
  return { service, base: `http://127.0.0.1:${service.port}`, uploads, stop };
}

export interface Process {
  child: ChildProcess;
  base: string;
  exit: Promise<number | null>;
}

/** A program as it is released; `npm run build` makes it. */
export function compiled(name: string): string {
  const file = join("dist", `${name}.js`);
  assert.ok(existsSync(file), `${file} is not there: npm run build`);
  return file;
}

/** Start the service as a process of its own, to send it signals. */
export async function startProcess(uploads: string): Promise<Process> {
  const child = spawn(process.execPath, [compiled("main")], {
    env: { ...process.env, PORT: "0", UPLOADS_DIR: uploads, INSTANCE: "process", HEARTBEAT_SECONDS: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const port = await new Promise<number>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (piece: Buffer) => {
      text += piece.toString();
      const listening = /"port":(\d+)/.exec(text);
      if (listening) resolve(Number(listening[1]));
    });
    void exit.then((code) => {
      reject(new Error(`the service ended with ${String(code)}: ${text}`));
    });
  });
  return { child, base: `http://127.0.0.1:${port}`, exit };
}

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
  headers: Headers;
}

export async function call<T = Record<string, unknown>>(
  url: string,
  options?: RequestInit,
): Promise<Answer<T>> {
  const response = await fetch(url, options);
  const text = await response.text();
  return { status: response.status, body: JSON.parse(text || "{}") as T, headers: response.headers };
}

export function post<T = Record<string, unknown>>(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const all = { "Content-Type": "application/json", ...headers };
  return call<T>(url, { method: "POST", headers: all, body: JSON.stringify(body) });
}

export function newKey(): Record<string, string> {
  return { "Idempotency-Key": randomUUID() };
}

export const DISPUTE = {
  account: "ada@example.org",
  creditor: "Acme",
  reason: "not mine",
  amountCents: 12_050,
};

/** A WebSocket whose messages can be awaited in order. */
export class Listener {
  readonly closed: Promise<number>;
  private readonly waiting: ((message: Record<string, unknown>) => void)[] = [];
  private readonly arrived: Record<string, unknown>[] = [];

  private constructor(private readonly socket: WebSocket) {
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Record<string, unknown>;
      const next = this.waiting.shift();
      if (next) next(message);
      else this.arrived.push(message);
    });
  }

  /** Connect, or fail with the status that the server refused with. */
  static async connect(base: string, headers: Record<string, string> = {}): Promise<Listener> {
    const socket = new WebSocket(base.replace("http", "ws") + "/ws", { headers });
    const listener = new Listener(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return listener;
  }

  next(): Promise<Record<string, unknown>> {
    const message = this.arrived.shift();
    return message ? Promise.resolve(message) : new Promise((resolve) => this.waiting.push(resolve));
  }

  close(): void {
    this.socket.close();
  }
}
