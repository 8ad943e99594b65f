import type { Request, RequestHandler, Response } from "express";
import type { Logger } from "pino";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

const SLOW_SECONDS = 1;

/** The numbers Prometheus reads at /metrics. */
export class Metrics {
  readonly registry = new Registry();
  readonly disputes = new Counter({
    name: "creditai_disputes_created_total",
    help: "Disputes stored, replays not counted",
    registers: [this.registry],
  });
  readonly uploadedBytes = new Counter({
    name: "creditai_uploaded_bytes_total",
    help: "Bytes of uploads received",
    registers: [this.registry],
  });
  readonly webSockets = new Gauge({
    name: "creditai_websocket_connections",
    help: "WebSockets open now",
    registers: [this.registry],
  });
  readonly draining = new Gauge({
    name: "creditai_draining",
    help: "1 while new WebSockets are refused",
    registers: [this.registry],
  });
  readonly requests = new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from the request's headers to the end of the answer",
    labelNames: ["method", "route", "status"] as const,
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers: [this.registry],
  });

  constructor(version: string, instance: string) {
    this.registry.setDefaultLabels({ instance_name: instance });
    collectDefaultMetrics({ register: this.registry });
    new Gauge({
      name: "creditai_build_info",
      help: "1, with the version as a label",
      labelNames: ["version"] as const,
      registers: [this.registry],
    }).set({ version }, 1);
  }
}

/** Remember where a router is mounted: Express has forgotten it once an error leaves the router. */
export const mounted: RequestHandler = (request, response, next) => {
  response.locals.mount = request.baseUrl;
  next();
};

function routeOf(request: Request, response: Response): string {
  const matched = (request.route as { path?: string } | undefined)?.path;
  if (matched === undefined) return "other";
  const mount = (response.locals.mount as string | undefined) ?? "";
  return (mount + matched).replace(/(?<=.)\/$/, "");
}

/** The path as it was sent, without the query, which may name people. */
export function pathOf(request: Request): string {
  return request.originalUrl.split("?", 1)[0] ?? "";
}

/** Time every request, by route and not by path, so that ids do not become labels. */
export function observeRequests(metrics: Metrics, log: Logger): RequestHandler {
  return (request, response, next) => {
    const started = process.hrtime.bigint();
    response.on("close", () => {
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      const route = routeOf(request, response);
      const status = response.writableFinished ? response.statusCode : 499;
      metrics.requests.observe({ method: request.method, route, status }, seconds);
      // Under load a line a request costs more than the request: what went well and fast is for debug.
      const level = status >= 500 ? "error" : status >= 400 || seconds > SLOW_SECONDS ? "info" : "debug";
      log[level]({ method: request.method, path: pathOf(request), status, seconds }, "request");
    });
    next();
  };
}
