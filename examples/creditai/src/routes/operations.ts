import { Router } from "express";
import { askConsistency } from "../questions.js";
import { readiness } from "../health.js";
import { Problem } from "../problem.js";
import type { Parts } from "../parts.js";

/** Health, version, metrics and the questions of recovery drills. */
export function operations(parts: Parts): Router {
  const router = Router();
  let asking = false;

  router.get("/api/health/live", (_request, response) => {
    response.json({ ok: true });
  });

  for (const path of ["/api/health/ready", "/api/health"]) {
    router.get(path, async (_request, response) => {
      const ready = await readiness(parts.probe, parts.redis, parts.state.stopping);
      response.status(ready.ok ? 200 : 503).json({ live: true, ready: ready.ok, checks: ready.checks });
    });
  }

  router.get("/api/version", (_request, response) => {
    response.json({ version: parts.build.version, instance: parts.config.instance, node: process.version });
  });

  router.get("/metrics", async (_request, response) => {
    response.type(parts.metrics.registry.contentType).send(await parts.metrics.registry.metrics());
  });

  // Every upload is hashed: one at a time is enough.
  router.get("/api/consistency", async (_request, response) => {
    if (asking) throw new Problem(429, "busy", "The questions are being asked already");
    asking = true;
    try {
      response.json(await askConsistency(parts.database, parts.config.uploadsDir, parts.redis));
    } finally {
      asking = false;
    }
  });
  return router;
}
