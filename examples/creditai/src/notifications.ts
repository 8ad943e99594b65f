import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import type { Metrics } from "./metrics.js";

const PATH = "/ws";
const CHANNEL = "creditai:notifications";
const PING_EVERY_MS = 30_000;

/** Close codes of RFC 6455 and its registry: the browser reconnects on both. */
export const GOING_AWAY = 1001;
export const SERVICE_RESTART = 1012;

/**
 * WebSockets at /ws. What one instance publishes reaches the clients of every instance, over Redis:
 * during a release two versions serve at once.
 */
export class Notifications {
  private readonly server = new WebSocketServer({ noServer: true, maxPayload: 4096 });
  private readonly waitingForPong = new WeakSet<WebSocket>();
  private readonly pinging: NodeJS.Timeout;
  private open = true;

  constructor(
    private readonly greeting: object,
    private readonly publisher: Redis | undefined,
    private readonly subscriber: Redis | undefined,
    private readonly metrics: Metrics,
    private readonly log: Logger,
  ) {
    this.pinging = setInterval(() => {
      this.dropTheDead();
    }, PING_EVERY_MS).unref();
    this.subscriber?.on("message", (_channel: string, message: string) => {
      this.broadcast(message);
    });
    // ioredis subscribes again by itself after each reconnect.
    this.subscriber?.subscribe(CHANNEL).catch((error: unknown) => {
      this.log.warn({ err: error }, "not subscribed yet");
    });
  }

  attach(http: Server): void {
    http.on("upgrade", (request, socket, head) => {
      this.upgrade(request, socket, head);
    });
  }

  /** Tell everybody; a part of it that fails must not undo what it tells about. */
  async publish(message: object): Promise<void> {
    const text = JSON.stringify(message);
    try {
      if (!this.publisher) throw new Error("no Redis is set");
      await this.publisher.publish(CHANNEL, text);
    } catch (error) {
      if (this.publisher) this.log.warn({ err: error }, "told this instance's clients only");
      this.broadcast(text);
    }
  }

  /** Send the clients elsewhere and take no new ones; everything else goes on. */
  drain(code: number, reason: string): number {
    this.open = false;
    this.metrics.draining.set(1);
    const clients = [...this.server.clients];
    for (const client of clients) client.close(code, reason);
    return clients.length;
  }

  /** Take WebSockets again: the release was taken back and this instance serves on. */
  reopen(): void {
    this.open = true;
    this.metrics.draining.set(0);
  }

  /** Cut those that did not answer the close frame. */
  stop(): void {
    clearInterval(this.pinging);
    for (const client of this.server.clients) client.terminate();
  }

  get connections(): number {
    return this.server.clients.size;
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refusal = this.refusal(request);
    if (refusal) {
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.server.handleUpgrade(request, socket, head, (client) => {
      this.welcome(client);
    });
  }

  private refusal(request: IncomingMessage): string | undefined {
    if ((request.url ?? "").split("?")[0] !== PATH) return "404 Not Found";
    if (!this.open) return "503 Service Unavailable";
    // Browsers send Origin; a page of another site must not listen in with the user's cookie.
    const origin = request.headers.origin;
    if (origin && hostOf(origin) !== hostOf(`http://${request.headers.host ?? ""}`)) return "403 Forbidden";
    return undefined;
  }

  private welcome(client: WebSocket): void {
    this.metrics.webSockets.inc();
    client.on("close", () => {
      this.metrics.webSockets.dec();
    });
    client.on("pong", () => this.waitingForPong.delete(client));
    client.on("error", (error) => {
      this.log.debug({ err: error }, "a WebSocket broke");
    });
    client.send(JSON.stringify({ type: "hello", ...this.greeting }));
  }

  private broadcast(text: string): void {
    for (const client of this.server.clients) if (client.readyState === client.OPEN) client.send(text);
  }

  private dropTheDead(): void {
    for (const client of this.server.clients) {
      if (this.waitingForPong.has(client)) {
        client.terminate();
        continue;
      }
      this.waitingForPong.add(client);
      client.ping();
    }
  }
}

function hostOf(address: string): string | undefined {
  try {
    return new URL(address).hostname;
  } catch {
    return undefined;
  }
}
