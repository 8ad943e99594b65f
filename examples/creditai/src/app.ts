import { fileURLToPath } from "node:url";
import express, { type Express, type RequestHandler } from "express";
import { mounted, observeRequests } from "./metrics.js";
import type { Parts } from "./parts.js";
import { answerProblems, notFound } from "./problem.js";
import { disputes } from "./routes/disputes.js";
import { operations } from "./routes/operations.js";
import { sessions } from "./routes/sessions.js";
import { uploads } from "./routes/uploads.js";

const PUBLIC = fileURLToPath(new URL("../public", import.meta.url));

const HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

export function createApp(parts: Parts): Express {
  const app = express();
  app.disable("x-powered-by");
  // One proxy in front on a private network: its word on https and on the client is taken.
  app.set("trust proxy", "loopback, linklocal, uniquelocal");
  app.use(observeRequests(parts.metrics, parts.log));
  app.use(everyAnswer(parts));
  app.use(operations(parts));
  app.use("/api/disputes", mounted, disputes(parts));
  app.use("/api/uploads", mounted, uploads(parts));
  app.use("/api/sessions", mounted, sessions(parts));
  app.use(express.static(PUBLIC, { maxAge: 0 }));
  app.use(notFound);
  app.use(answerProblems(parts.log));
  return app;
}

function everyAnswer(parts: Parts): RequestHandler {
  return (request, response, next) => {
    response.set(HEADERS);
    response.set({ "X-Served-By": parts.build.version, "X-Instance": parts.config.instance });
    if (request.path.startsWith("/api/")) response.set("Cache-Control", "no-store");
    // While stopping, a connection that is kept alive must not carry another request here.
    if (parts.state.stopping) response.set("Connection", "close");
    next();
  };
}
