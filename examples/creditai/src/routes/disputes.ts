import { type Request, Router, json } from "express";
import { normalEmail } from "../accounts.js";
import { createDispute, getDispute, listDisputes, readDisputeRequest } from "../disputes.js";
import { faultInjection } from "../fault.js";
import { Problem } from "../problem.js";
import type { Parts } from "../parts.js";
import { SESSION_COOKIE, readCookie } from "../sessions.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY = /^[\x21-\x7e]{1,200}$/;

export function disputes(parts: Parts): Router {
  const router = Router();
  router.use(faultInjection(parts.build));

  router.post("/", json({ limit: "64kb" }), async (request, response) => {
    const key = idempotencyKey(request);
    const body = request.body as unknown;
    const { dispute, replayed } = await createDispute(
      parts.database,
      key,
      readDisputeRequest(body, await accountOf(parts, request, body)),
    );
    if (!replayed) {
      parts.metrics.disputes.inc();
      await parts.notifications.publish({ type: "dispute.created", dispute });
    }
    response.set("Idempotency-Replayed", String(replayed));
    response.location(`/api/disputes/${dispute.id}`).status(201).json(dispute);
  });

  router.get("/", async (request, response) => {
    const limit = Math.min(Math.max(Number(request.query.limit ?? 20) || 20, 1), 200);
    response.json({ disputes: await listDisputes(parts.database, limit) });
  });

  router.get("/:id", async (request, response) => {
    const dispute = UUID.test(request.params.id)
      ? await getDispute(parts.database, request.params.id)
      : undefined;
    if (!dispute) throw new Problem(404, "no-such-dispute", "There is no dispute with this id");
    response.json(dispute);
  });
  return router;
}

function idempotencyKey(request: Request): string {
  const key = request.get("idempotency-key") ?? "";
  if (!KEY.test(key)) {
    throw new Problem(
      400,
      "no-key",
      "Send an Idempotency-Key of 1 to 200 visible characters, new for each dispute",
    );
  }
  return key;
}

/** Whose dispute it is: the session's account, or the one the body names. */
async function accountOf(parts: Parts, request: Request, body: unknown): Promise<string> {
  const token = readCookie(request.get("cookie"), SESSION_COOKIE);
  const session = token === undefined ? undefined : await parts.sessions.find(token);
  return session?.email ?? normalEmail((body as { account?: unknown } | undefined)?.account);
}
