import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { normalEmail } from "../../src/accounts.js";
import { fingerprint, readDisputeRequest } from "../../src/disputes.js";
import { Problem } from "../../src/problem.js";

const GOOD = { creditor: "Acme", reason: "not mine", amountCents: 1, document: "a".repeat(64) };

function refused(body: unknown): boolean {
  try {
    readDisputeRequest(body, "ada@example.org");
    return false;
  } catch (error) {
    return error instanceof Problem && error.status === 400;
  }
}

describe("a dispute's request", () => {
  it("is read, trimmed, with what is optional left out", () => {
    const request = readDisputeRequest({ creditor: " Acme ", reason: "no" }, "ada@example.org");
    assert.deepEqual(request, {
      account: "ada@example.org",
      creditor: "Acme",
      reason: "no",
      amountCents: null,
      document: null,
    });
  });

  for (const [field, values] of Object.entries({
    creditor: ["", "  ", 7, null, "x".repeat(201)],
    reason: ["", undefined, {}, "x".repeat(2001)],
    amountCents: [-1, 1.5, "3", Number.MAX_VALUE],
    document: ["../etc/passwd", "A".repeat(64), 5],
  })) {
    for (const value of values) {
      it(`is refused with ${field} = ${inspect(value).slice(0, 30)}`, () => {
        assert.ok(refused({ ...GOOD, [field]: value }));
      });
    }
  }

  for (const body of [undefined, null, "text", 5, []]) {
    it(`is refused when it is ${inspect(body)}`, () => {
      assert.ok(refused(body));
    });
  }
});

describe("the fingerprint of a request", () => {
  const request = readDisputeRequest(GOOD, "ada@example.org");

  it("does not depend on the order of the fields", () => {
    const turned = readDisputeRequest(Object.fromEntries(Object.entries(GOOD).reverse()), "ada@example.org");
    assert.equal(fingerprint(request), fingerprint(turned));
  });

  it("changes with each field, and does not run one into the next", () => {
    const others = [
      { ...request, account: "bob@example.org" },
      { ...request, creditor: "Other" },
      { ...request, reason: "other" },
      { ...request, amountCents: null },
      { ...request, document: null },
      { ...request, creditor: "Acm", reason: "enot mine" },
    ];
    assert.equal(new Set([request, ...others].map(fingerprint)).size, others.length + 1);
  });
});

describe("an e-mail address", () => {
  it("is written one way", () => {
    assert.equal(normalEmail("  Ada@Example.ORG "), "ada@example.org");
  });

  for (const value of ["", "ada", "a b@example.org", "@", 5, undefined, `${"x".repeat(250)}@example.org`]) {
    it(`is refused when it is ${String(value).slice(0, 20)}`, () => {
      assert.throws(() => normalEmail(value), Problem);
    });
  }
});
