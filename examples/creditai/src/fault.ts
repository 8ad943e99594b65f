import type { RequestHandler } from "express";
import type { Build } from "./build.js";
import { Problem } from "./problem.js";

/** Requests through the edge that are still answered well. */
export const GOOD_REQUESTS = 50;
/** After that, every third fails. */
export const FAILING_SHARE = 3;

/**
 * Break a build on purpose, for rehearsing a rollback.
 *
 * Built with FAULT=errors-after-switch the service passes its health checks, warm-up and smoke tests, which
 * come straight to it, and fails only for people's requests, which come through the edge and carry
 * X-Forwarded-For. Nothing is written by a request that fails. A normal build has no way into this.
 */
export function faultInjection(build: Build): RequestHandler {
  let served = 0;
  return (request, _response, next) => {
    if (build.fault !== "errors-after-switch" || !request.get("x-forwarded-for")) {
      next();
      return;
    }
    served += 1;
    const fails = served > GOOD_REQUESTS && served % FAILING_SHARE === 0;
    next(fails ? new Problem(500, "injected-fault", "This build fails on purpose") : undefined);
  };
}
