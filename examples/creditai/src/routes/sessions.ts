import { type CookieOptions, Router, json } from "express";
import { normalEmail, openAccount } from "../accounts.js";
import type { Parts } from "../parts.js";
import { SESSION_COOKIE, SESSION_SECONDS, readCookie } from "../sessions.js";

/** Who says an address is taken at their word: this service shows releases and recovery, not sign-in. */
export function sessions(parts: Parts): Router {
  const router = Router();

  router.post("/", json({ limit: "4kb" }), async (request, response) => {
    const email = normalEmail((request.body as { email?: unknown } | undefined)?.email);
    const token = await parts.sessions.start(await openAccount(parts.database, email));
    response.cookie(SESSION_COOKIE, token, { ...cookie(request.secure), maxAge: SESSION_SECONDS * 1000 });
    response.status(201).json({ email });
  });

  router.get("/current", async (request, response) => {
    const account = await parts.sessions.find(readCookie(request.get("cookie"), SESSION_COOKIE));
    response.json({ email: account?.email ?? null });
  });

  router.delete("/current", async (request, response) => {
    await parts.sessions.end(readCookie(request.get("cookie"), SESSION_COOKIE));
    response.clearCookie(SESSION_COOKIE, cookie(request.secure)).status(204).end();
  });
  return router;
}

function cookie(secure: boolean): CookieOptions {
  return { httpOnly: true, sameSite: "lax", secure, path: "/" };
}
