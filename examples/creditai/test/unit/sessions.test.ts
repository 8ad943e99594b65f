import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Problem } from "../../src/problem.js";
import { Sessions, readCookie } from "../../src/sessions.js";

describe("the session's cookie", () => {
  it("is found among others", () => {
    assert.equal(readCookie("a=1; creditai_session=abc-_; b=2", "creditai_session"), "abc-_");
  });

  it("is not mistaken for one whose name ends or begins alike", () => {
    assert.equal(readCookie("x_creditai_session=1; creditai_session2=2", "creditai_session"), undefined);
    assert.equal(readCookie(undefined, "creditai_session"), undefined);
  });
});

describe("sessions without Redis", () => {
  it("say so instead of failing", async () => {
    const started = new Sessions(undefined).start({ id: "1", email: "ada@example.org" });
    await assert.rejects(started, (error) => error instanceof Problem && error.status === 503);
  });

  it("leave requests without a cookie alone", async () => {
    assert.equal(await new Sessions(undefined).find(undefined), undefined);
  });
});
