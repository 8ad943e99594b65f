import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NextFunction, Request, Response } from "express";
import type { Build } from "../../src/build.js";
import { FAILING_SHARE, GOOD_REQUESTS, faultInjection } from "../../src/fault.js";

/** How many of a number of requests fail. */
function failures(fault: Build["fault"], count: number, forwardedFor?: string): number {
  const handler = faultInjection({ version: "3", fault });
  const request = { get: () => forwardedFor } as unknown as Request;
  const response = undefined as unknown as Response; // never touched: problems go to `next`
  let failed = 0;
  const next: NextFunction = (error?: unknown) => {
    if (error) failed += 1;
  };
  for (let index = 0; index < count; index += 1) void handler(request, response, next);
  return failed;
}

describe("fault injection", () => {
  it("does nothing in a normal build", () => {
    assert.equal(failures("none", 1_000, "192.0.2.1"), 0);
  });

  it("lets everything pass that does not come through the edge", () => {
    assert.equal(failures("errors-after-switch", 1_000), 0);
  });

  it("answers well at first", () => {
    assert.equal(failures("errors-after-switch", GOOD_REQUESTS, "192.0.2.1"), 0);
  });

  it("then fails a share", () => {
    const failed = failures("errors-after-switch", GOOD_REQUESTS + 300, "192.0.2.1");
    assert.equal(failed, 300 / FAILING_SHARE);
  });
});
